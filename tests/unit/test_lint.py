"""squawk's command line and its answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from riptide.errors import CommandError, ConfigError, ToolNotFoundError
from riptide.migrations.lint import find_squawk, lint, squawk_argv
from riptide.runner import SubprocessRunner

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_subprocess import FakeProcess

    from riptide.settings import Settings

NAME = "supabase/migrations/20250101000000_a.sql"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a squawk that is there and is mocked."""
    path = tmp_path / "squawk"
    monkeypatch.setattr("riptide.migrations.lint.find_squawk", lambda: path)
    return path


def write(settings: Settings, text: str | bytes) -> Path:
    """Write the one migration."""
    path = settings.root / NAME
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def said(**given: Any) -> dict[str, Any]:
    """Give one object of squawk's answer."""
    return {
        "file": NAME,
        "line": 0,
        "column": 0,
        "level": "Warning",
        "message": "words",
        "help": None,
        "rule_name": "ban-drop-column",
        **given,
    }


def test_argv(settings: Settings, program: Path) -> None:
    """Squawk is told how the CLI runs a file; a pattern's characters in a name mean themselves."""
    assert squawk_argv(program, ["a.sql", "b[1]*?.sql"], settings) == [
        *(str(program), "--reporter=json"),
        *("--assume-in-transaction", "--pg-version=17.0"),
        *("a.sql", "b[[]1[]][*][?].sql"),
    ]


def test_the_projects_own_settings_win(settings: Settings, program: Path) -> None:
    """What .squawk.toml says of PostgreSQL's version or transactions is not overridden."""
    own = 'pg_version = "15.1"\nassume_in_transaction = false\n'
    (settings.root / ".squawk.toml").write_text(own)
    assert squawk_argv(program, ["a.sql"], settings) == [str(program), "--reporter=json", "a.sql"]
    (settings.root / ".squawk.toml").write_text("[broken")
    with pytest.raises(ConfigError, match=r"\.squawk\.toml cannot be read"):
        squawk_argv(program, ["a.sql"], settings)


def test_places_are_a_persons(settings: Settings, program: Path, fp: FakeProcess) -> None:
    """Lines and columns count characters from 1; a byte order mark is none of them."""
    path = write(settings, '\ufeffdrop table "ä", b;\n'.encode())
    answer = [
        said(column=3, rule_name="ban-drop-table"),
        said(column=20, rule_name="other"),
        said(rule_name="require-lock-timeout"),
        said(file="supabase/migrations/another.sql"),
    ]
    fp.register([str(program), fp.any()], stdout=json.dumps(answer), returncode=1)
    found = lint([path], settings, SubprocessRunner())
    assert [(each.line, each.column, each.rule, each.hazard) for each in found] == [
        (1, 1, "ban-drop-table", "data"),
        (1, 17, "other", ""),
    ]
    assert found[0].file == path
    assert found[0].help == ""


HAZARDS = {
    "truncate public.t": ("truncate", "data"),
    "delete from public.t -- where\n": ("delete-without-where", "data"),
    "delete from public.t where id = 1": None,
    "delete from public.t as t using public.a, public.b, public.c where t.id = a.id": None,
    "vacuum full public.t": ("vacuum-full", "lock"),
    "vacuum public.t": None,
    "cluster public.t": ("cluster", "lock"),
    "lock table public.t": ("lock-table", "lock"),
    "rollback": ("rollback", ""),
    "create function f() returns int language sql as $$ truncate public.t; select 1 $$": None,
}


@pytest.mark.parametrize("statement", HAZARDS)
def test_own_rules(settings: Settings, program: Path, fp: FakeProcess, statement: str) -> None:
    """What squawk has no rule for is found by the statement's words."""
    fp.register([str(program), fp.any()], stdout="[]")
    path = write(settings, f"select 1;\n  {statement};\n")
    found = lint([path], settings, SubprocessRunner())
    expected = HAZARDS[statement]
    assert [(each.rule, each.hazard) for each in found] == ([expected] if expected else [])
    assert all((each.line, each.column) == (2, 3) for each in found)


@pytest.mark.parametrize(("end", "hazard"), [("", ""), (" cascade", "data")])
def test_cascade_takes_data(
    settings: Settings, program: Path, fp: FakeProcess, end: str, hazard: str
) -> None:
    """A type that is dropped with cascade takes columns with it."""
    path = write(settings, f"select 1;\ndrop type public.e{end};\n")
    fp.register(
        [str(program), fp.any()], stdout=json.dumps([said(line=1, rule_name="ban-drop-type")])
    )
    assert [each.hazard for each in lint([path], settings, SubprocessRunner())] == [hazard]


def test_unreadable_files_are_not_given_to_it(
    settings: Settings, program: Path, fp: FakeProcess
) -> None:
    """A file that is not UTF-8, which would end squawk's whole run, is passed over."""
    assert lint([write(settings, b"\xff")], settings, SubprocessRunner()) == ()
    assert lint([], settings, SubprocessRunner()) == ()
    assert len(fp.calls) == 0


@pytest.mark.parametrize(
    ("stderr", "error", "words"),
    [
        ("Configuration error: no such rule x\n", ConfigError, "no such rule x"),
        ("Error: it broke\n\nStack backtrace:\n 0: x", CommandError, "Error: it broke$"),
        ("", CommandError, "exited with 2"),
    ],
)
def test_failures(
    settings: Settings,
    program: Path,
    fp: FakeProcess,
    stderr: str,
    error: type[Exception],
    words: str,
) -> None:
    """Squawk's own failure is told in one line, without its backtrace."""
    path = write(settings, "select 1;")
    fp.register([str(program), fp.any()], stderr=stderr, returncode=2)
    with pytest.raises(error) as caught:
        lint([path], settings, SubprocessRunner())
    import re

    assert re.search(words, caught.value.message)  # type: ignore[attr-defined]


def test_found_beside_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Squawk is looked for beside this Python first, then in the PATH; missing is said."""
    import sysconfig
    from importlib import metadata

    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    here, path = tmp_path / "bin", tmp_path / "path"
    for folder in (here, path):
        folder.mkdir()
        (folder / "squawk").write_text("#!/bin/sh\n")
        (folder / "squawk").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(here / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "none"))
    monkeypatch.setattr(metadata, "files", absent)
    monkeypatch.setenv("PATH", str(path))
    assert find_squawk() == here / "squawk"
    (here / "squawk").unlink()
    assert find_squawk() == path / "squawk"
    (path / "squawk").unlink()
    with pytest.raises(ToolNotFoundError, match="not installed"):
        find_squawk()
