"""Rollback twins tried in a transaction that is undone, to see what each would take away."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from riptide.migrations import footprint as fp
from riptide.migrations.aside import compare as see
from riptide.migrations.aside import drop_asides, keep_aside, with_missing
from riptide.migrations.inventory import take_inventory
from riptide.migrations.losses import (
    count_rows,
    count_values,
    losses,
    rows_gone,
    sequence_losses,
)
from riptide.migrations.sequences import named, sequences_kept
from riptide.migrations.session import for_us
from riptide.migrations.snapshot import Difference, Snapshot, compare, take
from riptide.migrations.twin import Twin, place, run_twin
from riptide.results import RowLoss, TakenBack

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from riptide.migrations.comparison import Change
    from riptide.migrations.footprint import Footprint
    from riptide.migrations.inventory import Inventory

_NO_KEY = {
    True: "its rows are told apart by their other values",
    False: "nothing tells which of its rows were changed",
}

_DEFERRED = """
select format('%I.%I', n.nspname, k.conname)
from pg_constraint as k join pg_namespace as n on n.oid = k.connamespace where k.condeferred
"""


@dataclass(frozen=True)
class Rehearsed:
    """A twin, what it did when it was tried, and what a person is told of it."""

    twin: Twin
    footprint: Footprint
    report: TakenBack


class RefusedByDatabase(Exception):  # noqa: N818  it carries an error, and is none to be shown
    """A twin's own statement failed.

    Attributes:
        twin: Whose.
        error: PostgreSQL's words.
        offset: In the twin, of the statement that failed; -1 where that is not known.
    """

    def __init__(self, twin: Twin, error: psycopg.Error, offset: int) -> None:
        super().__init__(twin.label)
        self.twin = twin
        self.error = error
        self.offset = offset


def rehearse(
    connection: psycopg.Connection, twins: Iterable[Twin], lock_timeout: float
) -> list[Rehearsed]:
    """Run twins, newest first, in one transaction that is undone, and see what each does.

    Raises:
        RefusedByDatabase: One of them failed.
    """
    import psycopg

    left = list(twins)
    with connection.transaction(force_rollback=True), ExitStack() as stack:
        try:
            for_us(connection, lock_timeout)
            set_by_them = named(connection, (each.text for each in left))
            stack.enter_context(sequences_kept(connection, set_by_them, undo=True))
            schema = take(connection)
        except psycopg.Error as error:  # a definition cannot be read while others hold its table
            raise RefusedByDatabase(left[0], error, -1) from None
        return _all(connection, left, schema, lock_timeout)


def _all(
    connection: psycopg.Connection, twins: list[Twin], schema: Snapshot, lock_timeout: float
) -> list[Rehearsed]:
    import psycopg

    found: list[Rehearsed] = []
    for number, twin in enumerate(twins, 1):
        try:
            last = number == len(twins)
            rehearsed, schema = _try(connection, twin, schema, lock_timeout, last=last)
        except psycopg.Error as error:
            offset = place(connection, twin, error, lock_timeout)
            raise RefusedByDatabase(twin, error, offset) from None
        found.append(rehearsed)
    return found


def _defer_again(connection: psycopg.Connection) -> None:
    """Let constraints wait for the end again that do so by themselves in a new transaction."""
    names = [name for (name,) in connection.execute(_DEFERRED).fetchall()]
    if names:
        connection.execute(f"set constraints {', '.join(names)} deferred".encode())


def _try(
    connection: psycopg.Connection,
    twin: Twin,
    schema: Snapshot,
    lock_timeout: float,
    *,
    last: bool,
) -> tuple[Rehearsed, Snapshot]:
    """Run a twin, undo it, and only then count what there was.

    It is run again, and not undone, where another one is to find what this one leaves; or where it
    has changed values, which can only be compared if they were kept aside before.
    """
    before = take_inventory(connection)
    with connection.transaction(force_rollback=True):
        run_twin(connection, twin, lock_timeout)
        for_us(connection, lock_timeout)
        after = take_inventory(connection)
        footprint = fp.between(before, after)
        rows_after = count_rows(connection, after, footprint.rewritten)
        schema_after = take(connection)
    before = fp.settle(before, footprint)
    for_us(connection, lock_timeout)
    rows = count_rows(connection, before, footprint.emptied.keys() | footprint.rewritten)
    values = count_values(connection, before, footprint)
    gone = rows_gone(before, after, footprint, rows, rows_after)
    report = _report(twin, before, footprint, compare(schema, schema_after))
    changes: dict[int, Change] = {}
    asides = keep_aside(connection, before, footprint.altered)
    if asides or not last:
        run_twin(connection, twin, lock_timeout)
        for_us(connection, lock_timeout)
        now = take_inventory(connection) if asides else {}
        for oid in asides.keys() & now.keys():
            changes[oid] = see(connection, asides[oid], now[oid], gone.get(oid, 0))
        drop_asides(connection, asides.values())
        _defer_again(connection)
    lost = losses(before, footprint, rows, values, with_missing(gone, changes), changes)
    lost += sequence_losses(footprint.positions)
    unkeyed = [oid for oid, each in changes.items() if not each.keyed and each.lost]
    notes = [
        f"{before[oid].full_name} has no primary key: {_NO_KEY[bool(changes[oid].columns)]}"
        for oid in sorted(unkeyed)
    ]
    report = replace(report, lost=lost, notes=(*report.notes, *notes))
    return Rehearsed(twin, footprint, report), schema_after


def _report(
    twin: Twin, before: Inventory, footprint: Footprint, differences: list[Difference]
) -> TakenBack:
    gone = [each for each in differences if each.after is None]
    made = [each for each in differences if each.before is None]
    names = [(f"table {each.full_name}", each.name) for each in footprint.dropped.values()]
    names += [
        (f"column {before[key].full_name}.{each.name}", each.name)
        for key, columns in footprint.columns.items()
        for each in columns
    ]
    return TakenBack(
        label=twin.label,
        tables=tuple(each.name for each in gone if each.kind == "table"),
        columns=tuple(each.name for each in gone if each.kind == "column"),
        others=tuple(_named(each) for each in gone if each.kind not in ("table", "column")),
        made=tuple(_named(each) for each in made),
        changed=tuple(_named(each) for each in differences if each.before and each.after),
        updated=tuple(
            RowLoss(table=before[key].full_name, kind="updated", rows=number)
            for key, number in footprint.updated.items()
        ),
        foreign=tuple(sorted(shown for shown, name in names if name not in twin.names)),
        managed=footprint.managed,
        notes=twin.notes,
    )


def _named(difference: Difference) -> str:
    return f"{difference.kind} {difference.name}"
