"""One migration taken back: rehearsed, then done, each time measured from inside.

The rehearsal says what will go. The real run trusts it for one thing only, namely which tables to
lock and to look at first; what it finds there and afterwards decides.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from riptide.database import HISTORY
from riptide.errors import DataLossError, MigrationError
from riptide.migrations import footprint as fp
from riptide.migrations.aside import Saving, compare, keep_aside, with_missing
from riptide.migrations.column_sql import listed
from riptide.migrations.inventory import take_inventory
from riptide.migrations.losses import (
    count_rows,
    count_values,
    losses,
    rows_gone,
    sequence_losses,
)
from riptide.migrations.rollback_rehearsal import RefusedByDatabase, Rehearsed
from riptide.migrations.sequences import named, sequences_kept
from riptide.migrations.session import for_us
from riptide.migrations.table_key import primary_key
from riptide.migrations.twin import Twin, place, run_twin

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from riptide.migrations.footprint import Footprint
    from riptide.migrations.inventory import Inventory, Relation
    from riptide.migrations.saved_rows import SavedRows
    from riptide.results import RowLoss

_ATTEMPTS = 4
_NOUNS = {"columns": "value", "values": "value", "sequence": "sequence"}
_WHERE = "select c.relkind = 'p', format('%%I.%%I', n.nspname, c.relname) from pg_class as c "
_WHERE += "join pg_namespace as n on n.oid = c.relnamespace where c.oid = any(%s::oid[]) order by 2"


class _UnforeseenError(Exception):
    """Something goes that the rehearsal did not see go: to be undone, and begun again."""

    def __init__(self, footprint: Footprint) -> None:
        super().__init__()
        self.footprint = footprint


def take_back(
    connection: psycopg.Connection,
    rehearsed: Rehearsed,
    saved: SavedRows,
    *,
    allow_data_loss: bool,
    lock_timeout: float,
) -> None:
    """Take one migration back, in one transaction with its history row, its rows saved first.

    Raises:
        RefusedByDatabase: A statement failed, or the commit did; it is undone whole.
        DataLossError: Rows would be lost that were not there in the rehearsal; it is undone whole.
        RiptideError: The rows could not be saved; it is undone whole.
    """
    import psycopg

    twin, footprint = rehearsed.twin, rehearsed.footprint
    for _ in range(_ATTEMPTS):
        try:
            with connection.transaction():
                _lock(connection, footprint, lock_timeout)
                hold = footprint.positions.keys() | named(connection, [twin.text])
                with sequences_kept(connection, hold, undo=False):
                    _once(connection, twin, footprint, saved, lock_timeout, allow=allow_data_loss)
                    saved.seal()
        except _UnforeseenError as unforeseen:
            footprint = footprint.with_(unforeseen.footprint)
            saved.forget(twin.version)
        except psycopg.Error as error:
            offset = place(connection, twin, error, lock_timeout)
            raise RefusedByDatabase(twin, error, offset) from None
        else:
            return
    raise MigrationError(
        f"what {twin.label} takes with it changes all the time",
        file=twin.path,
        state="nothing of this one was changed",
        next_step="stop what changes the schema, then the same command again",
    )


def _lock(connection: psycopg.Connection, footprint: Footprint, lock_timeout: float) -> None:
    for_us(connection, lock_timeout)
    names = connection.execute(_WHERE, [list(footprint.touched)]).fetchall()
    if names:  # from here on nobody can put a row in
        tables = ", ".join(name if whole else f"only {name}" for whole, name in names)
        connection.execute(f"lock table {tables} in access exclusive mode".encode())


def _once(
    connection: psycopg.Connection,
    twin: Twin,
    footprint: Footprint,
    saved: SavedRows,
    lock_timeout: float,
    *,
    allow: bool,
) -> None:
    before = fp.settle(take_inventory(connection), footprint)
    whole = footprint.emptied.keys() | footprint.shrunk | footprint.altered
    rows = count_rows(connection, before, whole)
    values = count_values(connection, before, footprint)
    saved.positions = {key: each.position for key, each in before.items() if each.position}
    _refuse(twin, losses(before, footprint, rows, values, {}), allow=allow)
    _save_whole(connection, twin, before, footprint, rows, values, saved)
    # Rows that are deleted can be counted without a copy; values that change cannot.
    watched = footprint.altered | (footprint.shrunk if allow else frozenset())
    asides = keep_aside(connection, before, (each for each in watched if rows.get(each)))
    run_twin(connection, twin, lock_timeout)
    for_us(connection, lock_timeout)
    after = take_inventory(connection)
    happened = fp.between(before, after)
    if happened.managed:
        raise managed_refusal(twin.label, happened.managed)
    if not footprint.covers(happened):
        raise _UnforeseenError(happened)
    rows_after = count_rows(connection, after, happened.rewritten)
    gone = rows_gone(before, after, happened, rows, rows_after)
    _refuse(twin, sequence_losses(happened.positions), allow=allow)
    changes = {
        oid: compare(connection, asides[oid], after[oid], gone.get(oid, 0))
        for oid in happened.altered & asides.keys()
    }
    gone = with_missing(gone, changes)
    _refuse(twin, losses(before, fp.Footprint(), {}, {}, gone, changes), allow=allow)
    Saving(connection, twin.version, asides, after, saved).losses(happened, gone, changes)
    for sequence in happened.positions.values():
        _save_position(twin, before, sequence, saved)
    done = connection.execute(f"delete from {HISTORY} where version = %s".encode(), [twin.version])
    if done.rowcount != 1:
        raise MigrationError(
            f"the history row of {twin.label} is gone: somebody else has taken it back",
            file=twin.path,
            state="nothing of this one was changed by this call",
            next_step="inv migrate.status",
        )


def _refuse(twin: Twin, lost: tuple[RowLoss, ...], *, allow: bool) -> None:
    if lost and not allow:
        raise DataLossError(
            f"{twin.label} would take {told(lost)} with it that came in the meantime",
            file=twin.path,
            detail="\n".join(lines(lost)),
        )


def managed_refusal(label: str, tables: Iterable[str]) -> DataLossError:
    """Give the error for a twin that writes rows of the platform's own."""
    return DataLossError(
        f"the rollback of {label} changes rows of the platform's own tables",
        detail="\n".join(f"  {each}" for each in tables),
        next_step="take that out of the twin; no flag allows it",
    )


def told(lost: Iterable[RowLoss]) -> str:
    """Give ``3 rows, 2 values and 1 sequence``; something has to be lost."""
    counts: Counter[str] = Counter()
    for each in lost:
        counts[_NOUNS.get(each.kind, "row")] += each.rows
    *parts, last = [f"{n:,} {noun}{'' if n == 1 else 's'}" for noun, n in counts.items()]
    return f"{', '.join(parts)} and {last}" if parts else last


def lines(lost: Iterable[RowLoss]) -> list[str]:
    """Give a line for each table that loses something."""
    found = []
    for each in lost:
        what = {
            "table": "in a table that goes",
            "columns": f"in {', '.join(each.columns)}",
            "values": f"in {', '.join(each.columns)}, overwritten",
            "sequence": f"whose last number is {each.last_value}",
            "rows": "deleted",
        }[each.kind]
        found.append(f"  {each.table}: {told([each])} {what}")
    return found


def _save_whole(
    connection: psycopg.Connection,
    twin: Twin,
    before: Inventory,
    footprint: Footprint,
    rows: dict[int, int],
    values: dict[int, int],
    saved: SavedRows,
) -> None:
    """Save the tables that go, and the columns that go with what tells their rows apart."""
    for oid in footprint.emptied:
        if rows.get(oid):
            relation = before[oid]
            query = f"select {listed(relation.stored)} from only {relation.full_name}"
            key = primary_key(connection, oid)
            saved.save(connection, twin.version, "table", relation, relation.stored, key, query)
    for oid, lost in footprint.columns.items():
        if values.get(oid):
            relation = before[oid]
            key = primary_key(connection, oid)
            if set(key) & {each.name for each in lost}:
                key = []
            # Without a key rows are told apart by all else that they hold.
            kept = [each for each in relation.stored if each not in lost and each.name in key]
            kept = kept or [each for each in relation.stored if each not in lost]
            query = f"select {listed([*kept, *lost])} from only {relation.full_name}"
            saved.save(
                connection, twin.version, "columns", relation, [*kept, *lost], key, query, lost=lost
            )
    for oid, sequence in footprint.sequences.items():
        position = before[oid].position if oid in before else None
        if saved.folder is not None and position and position.owner:
            saved.save_sequence(twin.version, oid, sequence.full_name)


def _save_position(twin: Twin, before: Inventory, sequence: Relation, saved: SavedRows) -> None:
    """Save where a sequence was, with the column that it numbered."""
    table, column = (sequence.position and sequence.position.owner) or (0, 0)
    owner = None
    if table in before:
        names = [each.name for each in before[table].columns if each.number == column]
        owner = (before[table].schema, before[table].name, names[0]) if names else None
    saved.save_sequence(twin.version, sequence.oid, sequence.full_name, owner, alone=True)
