"""Columns and rows of tables, written as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide._quote import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from riptide.migrations.inventory import Column


def listed(
    columns: Iterable[Column] | Iterable[str],
    prefix: str = "",
    wrapped: Callable[[str], str] | None = None,
) -> str:
    """Give columns as SQL.

    Args:
        columns: They or their names.
        prefix: What stands before each: a table's alias with its dot.
        wrapped: Makes an expression of each, which gets the column's name.
    """
    names = (quoted(each if isinstance(each, str) else each.name) for each in columns)
    if wrapped is None:
        return ", ".join(prefix + each for each in names)
    return ", ".join(f"{wrapped(prefix + each)} as {each}" for each in names)


def unlike(names: Iterable[str]) -> str:
    """Give how names of our own begin in a query that has a table's columns, too."""
    taken, own = tuple(names), "riptide"
    while any(each.startswith(f"{own}_") for each in taken):
        own += "_"
    return own


def text(value: str) -> str:
    """Give a value as its type writes it, as COPY does; a cast may be somebody's own."""
    # Not `is null`: a composite value of nulls is one, and is not nothing.
    # The collation, since a column's own may hold different texts to be equal.
    written = f"case when num_nonnulls({value}) > 0 then pg_catalog.format('%s', {value}) end"
    return f'({written}) collate "C"'


def place(alias: str, own: str) -> str:
    """Give where a row is: in a partitioned table that takes the partition, too."""
    return f"{alias}.ctid as {own}_at, {alias}.tableoid as {own}_of"


def placed(alias: str, place: str, own: str) -> str:
    """Give the condition that a row is at a place."""
    return f"{alias}.ctid = {place}.{own}_at and {alias}.tableoid = {place}.{own}_of"


def row_text(names: list[str] | tuple[str, ...], alias: str) -> str:
    """Give a row's columns as one text."""
    return f"row({listed(names, f'{alias}.')})::text"


def exact(alias: str, name: str) -> str:
    """Give a column's text, not compared as its own collation would."""
    return f'{alias}.{quoted(name)}::text collate "C"'


def numbered(
    names: list[str] | tuple[str, ...], table: str, own: str, more: str = "", order: str = ""
) -> str:
    """Give a table's rows with their text, numbered among those of the same text."""
    row = row_text(names, "x")
    columns = more or "x.*"
    return (
        f"select {columns}, {row} as {own}_row, "
        f"row_number() over (partition by {row}{order}) as {own}_number from {table} as x"
    )
