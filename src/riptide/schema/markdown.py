"""The catalog as a part of a Markdown document, in GitHub's flavour: https://github.github.com/gfm/."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from riptide.schema.diagram import diagram, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from riptide.schema.described import Column, Described, Function, Key, Relation, Type

_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}
_TYPE_KINDS = {"e": "enum", "d": "domain", "c": "composite"}


def document(found: Described) -> str:
    """Give the generated part: a diagram, then tables and views, functions, types."""
    tables = [each for each in found.relations if each.is_table]
    sections: list[str] = []
    if tables:
        sections.append(f"## Diagram\n\n```mermaid\n{diagram(found.relations)}\n```")
    for title, group in (
        ("Tables", tables),
        ("Views", [each for each in found.relations if not each.is_table]),
    ):
        if group:
            sections.append(f"## {title}")
            sections += ["\n\n".join(_relation(each)) for each in group]
    if found.functions:
        header = ("Function", "Gives", "Called by", "")
        rows = [_function(each) for each in found.functions]
        sections.append("## Functions\n\n" + _table(header, rows))
    if found.types:
        rows = [_type(each) for each in found.types]
        sections.append("## Types\n\n" + _table(("Type", "", ""), rows))
    return "\n\n".join(sections) or "There are no tables, functions or types yet."


def uncommented(found: Described) -> list[str]:
    """Give what has no comment, in the words of `comment on`."""
    names: list[str] = []
    for each in found.relations:
        kind = {"r": "table", "p": "table", "f": "foreign table"}.get(each.kind, _KINDS[each.kind])
        names += [] if each.comment else [f"{kind} {each.full_name}"]
        names += [f"column {each.full_name}.{c.name}" for c in each.columns if not c.comment]
        names += [f"policy {p.name} on {each.full_name}" for p in each.policies if not p.comment]
    names += [
        f"{'function' if each.result is not None else 'procedure'} {each.full_name}"
        for each in found.functions
        if not each.comment
    ]
    return names + [f"type {each.full_name}" for each in found.types if not each.comment]


def _relation(each: Relation) -> Iterator[str]:
    yield f"### {_plain(each.full_name)}"
    kind = "" if each.kind == "r" else f"A {_KINDS[each.kind]}. "
    said = kind + _sentence(each.comment)
    if said.strip():
        yield said.strip()
    if each.columns:
        rows = [
            (_code(c.name), _code(shortened(c.type)), _facts(c, each.keys), _sentence(c.comment))
            for c in each.columns
        ]
        yield _table(("Column", "Type", "", ""), rows)
    if each.policies:
        rows = [
            (
                _code(p.name),
                f"{'' if p.permissive else 'restrictive, '}{p.command}",
                ", ".join(map(_code, p.roles)),
                _sentence(p.comment),
            )
            for p in each.policies
        ]
        yield _table(("Policy", "For", "To", ""), rows)
    elif each.is_table:
        yield (
            "Row Level Security is on, and no policy lets anybody in."
            if each.protected
            else "Row Level Security is off."
        )
    if each.policies and not each.protected:
        yield "Row Level Security is off: the policies do nothing."


def _facts(column: Column, keys: Sequence[Key]) -> str:
    """Give what holds for a column's values, in a few words."""
    words = []
    for key in keys:
        if column.name not in key.columns:
            continue
        others = [each for each in key.columns if each != column.name]
        also = f" with {', '.join(map(_code, others))}" if others else ""
        if key.kind == "f":
            deleted = f" on delete {key.on_delete}" if key.on_delete else ""
            words.append(f"refers to {_code(f'{key.schema}.{key.table}')}{also}{deleted}")
        else:
            words.append({"p": "primary key", "u": "unique"}[key.kind] + also)
    is_primary = any(each.kind == "p" and column.name in each.columns for each in keys)
    if column.not_null and not is_primary:
        words.append("not null")
    if column.automatic:
        words.append(column.automatic)
    if column.default is not None:
        words.append(f"default {_code(column.default)}")
    return ", ".join(words)


def _function(each: Function) -> tuple[str, ...]:
    callers = ", ".join(map(_code, each.callers))
    if each.triggered_by:
        triggers = ", ".join(map(_code, each.triggered_by))
        callers = ", ".join(filter(None, [f"triggers on {triggers}", callers]))
    runs = "Runs as its owner. " if each.definer else ""
    return (
        _code(f"{each.full_name}({shortened(each.arguments)})"),
        _code(shortened(each.result)) if each.result is not None else "a procedure",
        callers,
        (runs + _sentence(each.comment)).strip(),
    )


def _type(each: Type) -> tuple[str, ...]:
    kind = _TYPE_KINDS[each.kind]
    parts = ", ".join(_code(part if each.kind == "e" else shortened(part)) for part in each.parts)
    return _code(each.full_name), f"{kind}: {parts}", _sentence(each.comment)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a table. A pipe ends a cell even within code, so it is escaped everywhere."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "|" + "|".join(f" {cell} ".replace("|", r"\|") if cell else " " for cell in line) + "|"
        for line in lines
    )


def _sentence(comment: str | None) -> str:
    """Give a comment as running text, in which no HTML begins."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join((comment or "").split()))


def _plain(name: str) -> str:
    return re.sub(r"([*`<\[\]\\])", r"\\\1", " ".join(name.split()))


def _code(text: str) -> str:
    """Give a code span, its fence longer than any run of backticks in it."""
    text = " ".join(text.split()) or "''"
    runs = re.findall(r"`+", text)
    if not runs:
        return f"`{text}`"
    fence = "`" * (max(map(len, runs)) + 1)
    return f"{fence} {text} {fence}"
