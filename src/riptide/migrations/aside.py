"""Rows kept aside while a twin runs, to see afterwards which of them, or of their values, are gone.

Of each table that may lose some a temporary copy is made, on the server and gone with the
transaction. It holds text, as each type writes itself: a twin may drop the type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.migrations.column_sql import listed, text
from riptide.migrations.comparison import Aside, Change, Comparison, run
from riptide.migrations.table_key import partition_key, primary_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

    from riptide.migrations.footprint import Footprint
    from riptide.migrations.inventory import Inventory, Relation
    from riptide.migrations.saved_rows import SavedRows

_AT_ONCE = 400  # columns whose values are saved in one file: a table takes 1,600


def keep_aside(
    connection: psycopg.Connection, before: Inventory, which: Iterable[int]
) -> dict[int, Aside]:
    """Copy the rows of tables; the search path has to be empty."""
    kept: dict[int, Aside] = {}
    for oid in sorted(which):
        table = before.get(oid)
        if table is None or table.kind == "S" or not table.stored:
            continue
        names = primary_key(connection, oid)
        aside = Aside(
            table,
            key=tuple(each for each in table.stored if each.name in names),
            places=partition_key(connection, oid) if table.kind == "p" else frozenset(),
        )
        values = listed(table.stored, wrapped=text)
        run(
            connection,
            f"create temp table riptide_before_{oid} on commit drop as "
            f"select {values} from {table.rows}",
        )
        run(connection, f"analyze {aside.copy}")
        kept[oid] = aside
    return kept


def drop_asides(connection: psycopg.Connection, asides: Iterable[Aside]) -> None:
    """Let copies go before the transaction ends."""
    for each in asides:
        run(connection, f"drop table {each.copy}")


def compare(connection: psycopg.Connection, aside: Aside, now: Relation, gone: int) -> Change:
    """See what became of the rows kept aside.

    Args:
        connection: After the twin has run.
        aside: The copy.
        now: The table as it is now.
        gone: How many of its rows are known to be deleted.
    """
    work = Comparison(connection, aside, now)
    return work.by_key() if work.keyed else work.by_values(gone)


def with_missing(gone: dict[int, int], changes: Mapping[int, Change]) -> dict[int, int]:
    """Give how many rows are gone by table: where rows were compared that is exact."""
    exact = {oid: each.missing for oid, each in changes.items()}
    return {oid: number for oid, number in {**gone, **exact}.items() if number}


@dataclass(frozen=True)
class Saving:
    """What is saved of tables that stay.

    Attributes:
        connection: After the twin has run.
        version: The migration's.
        asides: The copies.
        after: What is there now.
        saved: Where to.
    """

    connection: psycopg.Connection
    version: str
    asides: Mapping[int, Aside]
    after: Inventory
    saved: SavedRows

    def losses(
        self, happened: Footprint, gone: Mapping[int, int], changes: Mapping[int, Change]
    ) -> None:
        """Save the rows that are gone, then the values that rows had."""
        overwritten = {
            oid: each
            for oid, each in changes.items()
            if each.lost and self._in_place(oid, happened)
        }
        for oid in sorted(gone.keys() & self.asides.keys()):
            if oid not in overwritten:
                self._gone(oid)
        for oid, change in changes.items():
            if oid in overwritten:
                self._gone(oid, in_place=True)
            elif change.values:
                self._changed(oid, change)

    def _in_place(self, oid: int, happened: Footprint) -> bool:
        """Whether rows that nothing tells apart have others in their place now.

        Not where the twin did no more than delete some and insert others.
        """
        work = self._comparison(oid)
        written = happened.updated.keys() | happened.rewritten | set(happened.moved.values())
        return not work.keyed and work.whole and oid in written

    def _comparison(self, oid: int) -> Comparison:
        return Comparison(self.connection, self.asides[oid], self.after[oid])

    def _gone(self, oid: int, *, in_place: bool = False) -> None:
        """Save the rows that are not there any more, whole."""
        work = self._comparison(oid)
        table, left = work.aside.table, []
        if work.keyed:
            query = work.missing_query()
        elif in_place:
            left = [f"{work.own}_left_{number}" for number in range(3)]
            query = work.in_place_query(*left)
        else:
            # How many equal rows have stayed, so that those are not taken for these; not where a
            # column has gone, and rows that are equal now were not.
            left = [f"{work.own}_left_0"] if work.whole else []
            query = work.excess_query(*left)
        key = [each.name for each in work.key] if work.keyed else []
        self.saved.save(
            self.connection, self.version, "rows", table, table.stored, key, query, left=left
        )

    def _changed(self, oid: int, change: Change) -> None:
        """Save the values that rows had, with what tells those rows apart."""
        work, table = self._comparison(oid), self.asides[oid].table
        for first in range(0, len(change.columns), _AT_ONCE):
            lost = change.columns[first : first + _AT_ONCE]
            if change.keyed:
                kept = list(work.key)
                left = [f"{work.own}_left_{number}" for number, _ in enumerate(lost)]
                query = work.changed_query(lost, left)
            else:  # all rows: those that were the same in all that tells them apart are one set
                kept = [each for each, _ in work.pairs if each not in change.columns]
                left = []
                columns = listed(dict.fromkeys((*kept, *lost)))
                query = f"select {columns} from {work.aside.copy}"
            self.saved.save(
                self.connection,
                self.version,
                "columns",
                table,
                dict.fromkeys((*kept, *lost)),
                [each.name for each in work.key] if change.keyed else [],
                query,
                lost=lost,
                left=left,
            )
