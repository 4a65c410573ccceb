"""Pydantic models from the Supabase CLI: made usable, and written only where that is meant."""

from __future__ import annotations

import builtins
import json
import keyword
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from riptide import generate_types
from riptide.errors import CommandError, ConfigError, DatabaseError
from riptide.runner import Completed
from riptide.schema.mend import HEADER, mend
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from riptide.settings import Settings

IMPORTS = """\
from __future__ import annotations

import datetime
import uuid
from typing import (
    Annotated,
    Any,
    List,
    Literal,
    Optional,
    TypedDict,
)
from typing_extensions import NotRequired, TypeAlias

from pydantic import BaseModel, Field, JsonValue
"""


def printed(*parts: str) -> str:
    """Give what the CLI prints."""
    return "\n".join([IMPORTS, *parts])


def model(*fields: str, name: str = "PublicNotes") -> str:
    """Give a model as the CLI prints it, its columns' names as in ``class: int``."""
    lines = [f'    {each} = Field(alias="{each.partition(":")[0]}")' for each in fields]
    return "\n".join([f"class {name}(BaseModel):", *lines, ""])


def loaded(text: str) -> dict[str, Any]:
    """Run a module and give its names; every warning is an error here."""
    module = ModuleType("made")
    sys.modules["made"] = module  # where Pydantic looks for what an annotation names
    exec(compile(text, "made.py", "exec"), vars(module))
    return vars(module)


def test_types_left_open_are_given_json_s() -> None:
    """A type that the CLI names and does not define is text; an extension's may be any JSON."""
    text, notes = mend(
        printed(model("ip: Optional[PgCatalogInet]", "h: List[PublicHstore]")), ["public"]
    )
    made = loaded(text)
    row = made["PublicNotes"].model_validate({"ip": "10.0.0.1", "h": [{"a": "1"}]})
    assert (row.ip, row.h) == ("10.0.0.1", [{"a": "1"}])
    assert "PgCatalogInet, PublicHstore" in notes[0]


@pytest.mark.parametrize(
    ("column", "kind", "field"),
    [
        ("class", "int", "class_"),
        ("1st", "int", "field_1st"),
        ("_n", "int", "n"),
        ("uuid", "Optional[uuid.UUID]", "uuid_"),
        ("datetime", "Optional[datetime.datetime]", "datetime_"),
        ("str", "Optional[str]", "str_"),
        ("copy", "int", "copy_"),
        ("json", "int", "json_"),
        ("model_config", "int", "model_config_"),
        ("model_dump", "int", "field_model_dump"),
        ("id", "int", "id"),
        ("type", "int", "type"),
        ("model_name", "int", "model_name"),
    ],
)
def test_columns_that_no_field_can_be_named_after(column: str, kind: str, field: str) -> None:
    """A name that Python or Pydantic cannot take is another one; the column stays its alias."""
    text, _ = mend(printed(model(f"{column}: {kind}")), ["public"])
    notes: type[BaseModel] = loaded(text)["PublicNotes"]
    notes.model_rebuild()
    assert list(notes.model_fields) == [field]
    assert notes.model_fields[field].alias == column


def test_two_columns_of_one_name() -> None:
    """Two columns that the CLI gives one name are two fields."""
    text, _ = mend(printed(model("dash_b: int", "dash_b: str")), ["public"])
    assert list(loaded(text)["PublicNotes"].model_fields) == ["dash_b", "dash_b_"]


COLUMNS = st.one_of(
    st.sampled_from([*keyword.kwlist, *keyword.softkwlist, *dir(BaseModel), *dir(builtins)]),
    st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True),
)


@settings_of_hypothesis(deadline=None, max_examples=50)
@given(st.lists(COLUMNS, min_size=1, max_size=8, unique=True))
def test_whatever_columns_are_called(columns: list[str]) -> None:
    """Each column is a field, in order, and takes its own value."""
    text, _ = mend(
        printed(model(*(f"{each}: Optional[uuid.UUID]" for each in columns))), ["public"]
    )
    notes: type[BaseModel] = loaded(text)["PublicNotes"]
    assert [field.alias for field in notes.model_fields.values()] == columns
    values = {each: UUID(int=number) for number, each in enumerate(columns)}
    assert notes.model_validate(values).model_dump(by_alias=True) == values


def test_keys_of_an_insert_are_the_columns() -> None:
    """A row to insert keeps its columns' names wherever Python takes them."""
    text, _ = mend(
        printed(
            "class PublicNotesInsert(TypedDict):",
            '    uuid: NotRequired[Annotated[uuid.UUID, Field(alias="uuid")]]',
            '    copy: Annotated[int, Field(alias="copy")]',
            '    import: NotRequired[Annotated[int, Field(alias="import")]]',
        ),
        ["public"],
    )
    insert = loaded(text)["PublicNotesInsert"]
    assert set(insert.__annotations__) == {"uuid", "copy", "import_"}
    assert TypeAdapter(insert).validate_python({"copy": 1}) == {"copy": 1}


def test_enums_of_other_schemas_are_left_out() -> None:
    """An enum of another schema is there where a column has it; one's own always is."""
    enums = [
        f'{name}: TypeAlias = Literal["a"]\n'
        for name in ("AuthLevel", "StorageKind", "PublicMood", "MyAppMood")
    ]
    text, _ = mend(printed(*enums, model("kind: StorageKind")), ["public", "my_app"])
    assert "AuthLevel" not in text
    assert {"StorageKind", "PublicMood", "MyAppMood"} <= set(loaded(text))


def test_what_needs_no_mending_stays() -> None:
    """A module that can be used is the CLI's own, but for the header and the import."""
    given = printed(model("id: uuid.UUID", "body: Optional[str]"))
    text, notes = mend(given, ["public"])
    assert notes == ()
    assert text.removeprefix(HEADER).splitlines()[12:] == given.splitlines()[13:]


class Prints:
    """Runs nothing and prints what it was given."""

    def __init__(self, stdout: str, exit_code: int = 0) -> None:
        self.stdout, self.exit_code = stdout, exit_code

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, **_: object
    ) -> Completed:
        """Give the answer."""
        return Completed(tuple(argv), self.exit_code, self.stdout, "")


@pytest.fixture
def project(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give a project whose stack is taken to run and whose CLI to be there."""
    monkeypatch.setattr("riptide.migrations.push.require_local_stack", lambda *_, **__: None)
    monkeypatch.setattr("riptide.toolchain.find_cli", lambda *_, **__: Path("supabase"))
    return replace(settings, target=Target(kind="linked"))  # the one that nothing is asked of


def test_written_then_current_then_not(project: Settings) -> None:
    """The file is written, found to be current, and found not to be where the database changed."""
    runner = Prints(printed(model("id: int")))
    first = generate_types(settings=project, runner=runner)
    path = project.root / "database_types.py"
    assert (first.path, first.written, first.current, first.ok) == (path, True, False, True)
    assert path.read_text().startswith(HEADER)
    again = generate_types(settings=project, runner=runner)
    assert (again.current, again.written, again.diff) == (True, False, "")
    before = path.read_bytes()
    changed = generate_types(
        settings=project, runner=Prints(printed(model("id: int", "n: int"))), check=True
    )
    assert (changed.ok, changed.written, path.read_bytes()) == (False, False, before)
    assert '+    n: int = Field(alias="n")' in changed.diff.splitlines()
    assert [each.name for each in path.parent.iterdir() if each.suffix == ".py"] == [path.name]


def test_pyproject_says_where(project: Settings) -> None:
    """pyproject.toml's file and schemas are taken, unless the caller says others."""
    (project.root / "pyproject.toml").write_text(
        '[tool.riptide.types]\noutput = "src/app/rows.py"\nschemas = ["app"]\n'
    )
    runner = Prints(printed(model("id: int", name="AppNotes")))
    assert generate_types(settings=project, runner=runner).path == project.root / "src/app/rows.py"
    other = project.root / "other.py"
    assert generate_types(settings=project, runner=runner, output=other).path == other


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.riptide.types]\nouput = 'x'\n", "has 'ouput', which means nothing"),
        ("[tool.riptide]\nmodels = 'x'\n", "[tool.riptide] has 'models'"),
        ("[tool.riptide]\ntypes = 'x'\n", "tool.riptide.types is not a table"),
        ("[tool.riptide.types]\noutput = 1\n", "output must be a file's name"),
        ("[tool.riptide.types]\noutput = ''\n", "output must be a file's name"),
        ("[tool.riptide.types]\nschemas = 'public'\n", "schemas must be a list of names"),
        ("[tool\n", "pyproject.toml:1: not valid TOML"),
        ("[tool]\nriptide = 1\n", "tool.riptide is not a table"),
    ],
)
def test_pyproject_that_cannot_be_used(project: Settings, text: str, message: str) -> None:
    """What is wrong in pyproject.toml is told, and nothing is written."""
    (project.root / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        generate_types(settings=project, runner=Prints(""))
    assert message in caught.value.message


@pytest.mark.parametrize("text", ["import this\n", "from __future__ import annotations\n"])
def test_another_s_file_stays(project: Settings, text: str) -> None:
    """A file that was not made here is not written over, nor compared."""
    path = project.root / "database_types.py"
    path.write_text(text)
    for check in (True, False):
        with pytest.raises(ConfigError, match=r"not written by db\.types"):
            generate_types(settings=project, runner=Prints(IMPORTS), check=check)
    assert path.read_text() == text


def test_a_cli_that_fails_or_prints_something_else(project: Settings) -> None:
    """The CLI's failure is told as it says it; what is no Python is not written."""
    said = json.dumps({"_tag": "Error", "error": {"code": "DbConnectError", "message": "no"}})
    with pytest.raises(DatabaseError, match="cannot be reached"):
        generate_types(settings=project, runner=Prints(said, 1))
    with pytest.raises(CommandError, match="is no Python"):
        generate_types(settings=project, runner=Prints("class (:\n"))
    assert not (project.root / "database_types.py").exists()
