"""What `supabase gen types --lang=python` prints, made into a module that Python can use.

Measured with CLI 3.1.0 and Pydantic 2: the CLI names types that it does not define (``inet`` and
every other that it does not know), and takes columns' names as they are: keywords, digits first,
``uuid`` (which hides the module in the annotations after it), attributes of Pydantic's own. Such a
module cannot be imported, or fails when a model is used.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from typing import TYPE_CHECKING

from riptide.schema.outputs import some

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEADER = '''\
"""Tables, views and types of the database, as Pydantic models.

Written by `inv db.types` with `supabase gen types --lang=python`; run it again, do not edit.
"""

# ruff: noqa
# fmt: off

'''
MARK = "Written by `inv db.types`"

# What the module's own annotations use: a field of that name would be found in their place.
_USED = frozenset({"bool", "bytes", "datetime", "float", "int", "str", "uuid"})

# https://docs.pydantic.dev/latest/api/config/#pydantic.config.ConfigDict.protected_namespaces
_PROTECTED = ("model_dump", "model_validate")

_CLASS = re.compile(r"class (\w+)\((\w+)\):")
_FIELD = re.compile(r"    (?P<name>[^\s:]+): (?P<rest>.+)")
_ALIAS = re.compile(r"(\w+): TypeAlias = ")


def mend(text: str, schemas: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Give a module that can be imported and whose models work.

    Args:
        text: What the CLI printed.
        schemas: The schemas that were asked for. The CLI prints the enums of all others, too,
            which differ from stack to stack.

    Returns:
        The module, and what was changed, for a person.

    Raises:
        SyntaxError: It is no Python all the same.
    """
    lines = _without_foreign(text.splitlines(), schemas)
    lines, renamed = _rename(lines)
    body = _with_typed_dict("\n".join(lines).strip("\n") + "\n")
    undefined = _undefined(ast.parse(body))
    body = _with_aliases(body, [f"{name}: TypeAlias = {_json_type(name)}" for name in undefined])
    notes = []
    if renamed:
        notes.append(f"renamed, with the column's name as alias: {some(renamed)}")
    if undefined:
        notes.append(f"left open by the CLI, typed as the API's JSON has them: {some(undefined)}")
    return HEADER + body, tuple(notes)


def _without_foreign(lines: list[str], schemas: Sequence[str]) -> list[str]:
    """Leave out the enums of other schemas that nothing here uses."""
    prefixes = tuple(_pascal(each) for each in schemas)
    text = "\n".join(lines)
    kept: list[str] = []
    for line in lines:
        alias = _ALIAS.match(line)
        if (
            alias
            and not alias[1].startswith(prefixes)
            and len(re.findall(rf"\b{alias[1]}\b", text)) == 1
        ):
            continue
        if not (line == "" and kept[-1:] == [""]):  # no gap where one was left out
            kept.append(line)
    return kept


def _pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def _rename(lines: list[str]) -> tuple[list[str], list[str]]:
    """Give fields names that Python and Pydantic take; the alias is the column's own."""
    from pydantic import BaseModel

    result, renamed, taken, owner, is_model = [], [], set[str](), "", False
    for line in lines:
        if begins := _CLASS.match(line):
            owner, is_model, taken = begins[1], begins[2] == "BaseModel", set()
        field = _FIELD.fullmatch(line) if owner else None
        if field is None or line == "    pass":
            result.append(line)
            continue
        name = _valid(field["name"], model=BaseModel if is_model else None)
        while name in taken:
            name += "_"
        taken.add(name)
        if name != field["name"]:
            renamed.append(f"{owner}.{name}")
        result.append(f"    {name}: {field['rest']}")
    return result, renamed


def _valid(name: str, model: type | None) -> str:
    """Give a name for a field; a key of a `TypedDict` keeps its own as long as Python takes it."""
    usable = name.isidentifier() and not keyword.iskeyword(name)
    if model is None and usable and not name.startswith("__"):  # it would get the class's name
        return name
    # https://docs.pydantic.dev/latest/concepts/models/#automatically-excluded-attributes
    name = name.lstrip("_") or "field"
    if not name.isidentifier() or (model is not None and name.startswith(_PROTECTED)):
        return f"field_{name}"
    hidden = model is not None and (name in _USED or hasattr(model, name))
    return f"{name}_" if hidden or keyword.iskeyword(name) else name


def _with_typed_dict(text: str) -> str:
    """Take ``TypedDict`` from where Pydantic can use it before Python 3.12.

    https://docs.pydantic.dev/latest/errors/usage_errors/#typed-dict-version
    """
    ours = "from typing_extensions import NotRequired, TypeAlias"
    if "    TypedDict,\n" not in text or f"{ours}\n" not in text:
        return text
    return text.replace("    TypedDict,\n", "", 1).replace(ours, f"{ours}, TypedDict", 1)


def _undefined(tree: ast.Module) -> list[str]:
    """Give the names that the module uses and neither makes nor imports."""
    return sorted(set(_loaded(tree)) - set(_defined(tree)) - set(vars(builtins)))


def _loaded(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (each.asname or each.name for each in node.names)


def _json_type(name: str) -> str:
    """Give what the API sends for a type that the CLI does not know.

    PostgreSQL writes every type of its own as a JSON string, but for those that the CLI knows;
    another's may have a cast to json (https://www.postgresql.org/docs/17/functions-json.html).
    """
    return "str" if name.startswith("PgCatalog") else "JsonValue"


def _with_aliases(text: str, aliases: list[str]) -> str:
    if not aliases:
        return text
    imports = [
        node.end_lineno or 0
        for node in ast.parse(text).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    last = max(imports, default=0)
    told = "# Types that the CLI leaves open, as the API's JSON has them."
    lines = text.splitlines()
    return "\n".join([*lines[:last], "", told, *aliases, *lines[last:]]) + "\n"
