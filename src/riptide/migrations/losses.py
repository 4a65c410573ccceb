"""How many rows, values and sequences a twin takes with it.

Where a sequence is, is data, too: made again, or set back, it would give numbers twice. One that
goes with its column is not counted: the column's values are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide._quote import quoted
from riptide.results import RowLoss

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

    from riptide.migrations.comparison import Change
    from riptide.migrations.footprint import Footprint
    from riptide.migrations.inventory import Inventory, Relation


def count_rows(
    connection: psycopg.Connection, inventory: Inventory, which: Iterable[int]
) -> dict[int, int]:
    """Count the rows of tables, those of their own only where others inherit from them.

    A partitioned table has those of its partitions.
    """
    counted: dict[int, int] = {}
    for key in which:
        relation = inventory.get(key)
        if relation is not None and relation.kind != "S":
            query = f"select count(*) from {relation.rows}"
            row = connection.execute(query.encode()).fetchone()
            counted[key] = row[0] if row else 0
    return counted


def count_values(
    connection: psycopg.Connection, inventory: Inventory, footprint: Footprint
) -> dict[int, int]:
    """Count the rows that have a value in one of the columns that go, by table."""
    counted: dict[int, int] = {}
    for key, columns in footprint.columns.items():
        relation = inventory.get(key)
        if relation is not None:
            # Not `row is not null`: that is about every field of a composite value.
            some = " or ".join(f"num_nonnulls({quoted(each.name)}) > 0" for each in columns)
            query = f"select count(*) from only {relation.full_name} where {some}"
            row = connection.execute(query.encode()).fetchone()
            counted[key] = row[0] if row else 0
    return counted


def rows_gone(
    before: Inventory,
    after: Inventory,
    footprint: Footprint,
    rows_before: dict[int, int],
    rows_after: dict[int, int],
) -> dict[int, int]:
    """Give how many rows were deleted or truncated, by table that stays."""
    gone: dict[int, int] = {}
    for key in footprint.shrunk:
        old, new = before[key], after[key]
        number = new.deleted - old.deleted
        if key in footprint.rewritten and key in rows_before:
            made = new.inserted - old.inserted
            number = max(number, rows_before[key] + made - rows_after[key])
        if number > 0:
            gone[key] = number
    return gone


def losses(
    before: Inventory,
    footprint: Footprint,
    rows: dict[int, int],
    values: dict[int, int],
    gone: dict[int, int],
    overwritten: Mapping[int, Change] | None = None,
) -> tuple[RowLoss, ...]:
    """Give what is lost, sorted by table; tables that lose nothing are left out."""
    found = [
        RowLoss(table=each.full_name, kind="table", rows=rows.get(key, 0))
        for key, each in footprint.emptied.items()
    ]
    found += [
        RowLoss(
            table=before[key].full_name,
            kind="columns",
            rows=values.get(key, 0),
            columns=tuple(each.name for each in columns),
        )
        for key, columns in footprint.columns.items()
        if key in before
    ]
    found += [
        RowLoss(table=before[key].full_name, kind="rows", rows=number)
        for key, number in gone.items()
    ]
    found += [
        RowLoss(
            table=before[key].full_name,
            kind="values",
            rows=change.values,
            columns=tuple(each.name for each in change.columns),
        )
        for key, change in (overwritten or {}).items()
    ]
    return tuple(sorted((each for each in found if each.rows), key=lambda each: each.table))


def sequence_losses(positions: Mapping[int, Relation]) -> tuple[RowLoss, ...]:
    """Give what is lost with the positions of sequences, as they were before."""
    return tuple(
        RowLoss(table=each.full_name, kind="sequence", rows=1, last_value=each.position.last)
        for each in positions.values()
        if each.position
    )
