"""An entity-relationship diagram in Mermaid: https://mermaid.js.org/syntax/entityRelationshipDiagram.html."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from riptide.schema.described import Column, Key, Relation

# PostgreSQL's long names, for a narrow box.
_SHORT = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "time with time zone": "timetz",
    "time without time zone": "time",
    "character varying": "varchar",
    "double precision": "float8",
}


_LONG = re.compile(
    r"\b(timestamp|time|character varying|double precision)\b(\(\d+\))?( with(?:out)? time zone)?"
)


def diagram(relations: Sequence[Relation]) -> str:
    """Give the diagram of the tables among them; another table that they refer to is a bare box."""
    tables = [each for each in relations if each.is_table]
    lines = ["erDiagram"]
    for table in tables:
        lines += [f"    {line}" for line in _relationships(table)]
    for table in tables:
        lines.append(f"    {entity(table.full_name)} {{")
        lines += [f"        {_attribute(each, table.keys)}" for each in table.columns]
        lines.append("    }")
    return "\n".join(lines)


def entity(full_name: str) -> str:
    """Give a table's name as an entity's; schema public goes without saying.

    Between quotes all may stand but a quote, a percent sign and a backslash.
    """
    name = full_name.removeprefix("public.")
    return '"' + re.sub(r'["%\\\n\r]', "_", name) + '"'


def _relationships(table: Relation) -> Iterator[str]:
    for key in table.keys:
        if key.kind != "f":
            continue
        whole = [each for each in table.columns if each.name in key.columns]
        parent = "||" if all(each.not_null for each in whole) else "|o"
        child = "o|" if _is_unique(key, table.keys) else "o{"
        label = ", ".join(key.columns) + (f", on delete {key.on_delete}" if key.on_delete else "")
        to = entity(f"{key.schema}.{key.table}")
        yield f'{to} {parent}--{child} {entity(table.full_name)} : "{_text(label)}"'


def _is_unique(key: Key, keys: Sequence[Key]) -> bool:
    """Whether at most one row can have the same values."""
    return any(each.kind in ("p", "u") and set(each.columns) <= set(key.columns) for each in keys)


def _attribute(column: Column, keys: Sequence[Key]) -> str:
    roles = [
        word
        for kind, word in (("p", "PK"), ("f", "FK"), ("u", "UK"))
        if any(
            each.kind == kind and column.name in each.columns and (kind != "u" or _alone(each))
            for each in keys
        )
    ]
    name = re.sub(r"\W", "_", column.name, flags=re.ASCII)
    if not re.match(r"[A-Za-z_]", name):
        name = f"_{name}"
    return f"{short_type(column.type)} {name} {', '.join(roles)}".rstrip()


def _alone(key: Key) -> bool:
    return len(key.columns) == 1


def short_type(kind: str) -> str:
    """Give a type as one word of letters, digits, brackets and underscores."""
    bare = shortened(kind).rpartition(".")[2].replace('"', "")
    word = re.sub(r"[^A-Za-z0-9_\[\]()]+", "_", bare).strip("_")
    return word if re.match(r"[A-Za-z_]", word) else f"_{word}"


def shortened(kind: str) -> str:
    """Give a type by PostgreSQL's shorter name for it."""
    return _LONG.sub(_shorter, kind)


def _shorter(found: re.Match[str]) -> str:
    """``timestamp(3) with time zone`` is ``timestamptz(3)``."""
    return _SHORT[f"{found[1]}{found[3] or ''}"] + (found[2] or "")


def _text(label: str) -> str:
    return re.sub(r'["\n\r]', " ", label)
