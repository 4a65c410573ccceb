"""Rows kept aside while a twin runs, to see afterwards which of them, or of their values, are gone.

Of each table that may lose some a temporary copy is made, on the server and gone with the
transaction. It holds text, as each type writes itself: a twin may drop the type. Rows are told
apart by their primary key; without one, only sets of equal values can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide._quote import quoted
from riptide.migrations.saved_rows import listed, primary_key, unlike

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psycopg

    from riptide.migrations.footprint import Column, Inventory, Relation
    from riptide.migrations.saved_rows import SavedRows


# A table has up to 1,600 (https://www.postgresql.org/docs/17/limits.html), and so has the one that
# they are read into.
_MOST_COLUMNS = 1590


@dataclass(frozen=True)
class Aside:
    """The rows of one table.

    Attributes:
        table: As it was before the twin ran.
        key: Its primary key then; empty where it had none.
    """

    table: Relation
    key: tuple[Column, ...]

    @property
    def copy(self) -> str:
        """The temporary table in SQL."""
        return f"pg_temp.riptide_before_{self.table.oid}"


@dataclass(frozen=True)
class Change:
    """What became of the rows of a table that stayed.

    Attributes:
        columns: Those, as they were before, in which some row has another value now.
        values: Rows that had a value in one of them, and have another one now.
        missing: Rows that are not there any more: under their key, or as they were.
        keyed: Whether rows could be told apart by a key.
    """

    columns: tuple[Column, ...] = ()
    values: int = 0
    missing: int = 0
    keyed: bool = True

    @property
    def lost(self) -> int:
        """How many rows, or values of rows, are not there any more."""
        return self.values + self.missing


def keep_aside(
    connection: psycopg.Connection, before: Inventory, which: Iterable[int]
) -> dict[int, Aside]:
    """Copy the rows of tables; the search path has to be empty."""
    kept: dict[int, Aside] = {}
    for oid in sorted(which):
        table = before.get(oid)
        if table is None or table.kind != "r" or not table.stored:
            continue
        names = primary_key(connection, oid)
        aside = Aside(table, tuple(each for each in table.stored if each.name in names))
        values = ", ".join(
            f"{_text(quoted(each.name))} as {quoted(each.name)}" for each in table.stored
        )
        _run(
            connection,
            f"create temp table riptide_before_{oid} on commit drop as "
            f"select {values} from only {table.full_name}",
        )
        _run(connection, f"analyze {aside.copy}")
        kept[oid] = aside
    return kept


def drop_asides(connection: psycopg.Connection, asides: Iterable[Aside]) -> None:
    """Let copies go before the transaction ends."""
    for each in asides:
        _run(connection, f"drop table {each.copy}")


def compare(connection: psycopg.Connection, aside: Aside, now: Relation, gone: int) -> Change:
    """See what became of the rows kept aside.

    Args:
        connection: After the twin has run.
        aside: The copy.
        now: The table as it is now.
        gone: How many of its rows are known to be deleted.
    """
    work = _Comparison(connection, aside, now)
    return work.by_key() if work.keyed else work.by_values(gone)


def with_missing(gone: dict[int, int], changes: Mapping[int, Change]) -> dict[int, int]:
    """Give how many rows are gone by table: where rows were compared that is exact."""
    exact = {oid: each.missing for oid, each in changes.items()}
    return {oid: number for oid, number in {**gone, **exact}.items() if number}


def save_gone(
    connection: psycopg.Connection, version: str, aside: Aside, now: Relation, saved: SavedRows
) -> None:
    """Save the rows that are not there any more, whole."""
    work = _Comparison(connection, aside, now)
    key = [each.name for each in aside.key] if work.keyed else []
    # How many equal rows have stayed, so that those are not taken for these; not where a column
    # has gone, and rows that are equal now were not.
    whole = len(work.pairs) == len(aside.table.stored)
    left = [f"{work.own}_left_0"] if whole and not work.keyed else []
    query = work.missing_query() if work.keyed else work.excess_query(*left)
    saved.save(connection, version, "rows", aside.table, aside.table.stored, key, query, left=left)


def save_changed(
    connection: psycopg.Connection,
    version: str,
    aside: Aside,
    now: Relation,
    change: Change,
    saved: SavedRows,
) -> None:
    """Save the values that rows had, with what tells those rows apart."""
    work, lost = _Comparison(connection, aside, now), change.columns
    if change.keyed:
        kept = list(aside.key)
        fits = len(kept) + 2 * len(lost) <= _MOST_COLUMNS
        left = [f"{work.own}_left_{number}" for number, _ in enumerate(lost)] if fits else []
        query = work.changed_query(lost, left)
    else:  # all rows: those that were the same in all that tells them apart are one set
        kept = [each for each, _ in work.pairs if each not in lost]
        left, query = [], f"select {listed([*kept, *lost])} from {aside.copy}"
    key = [each.name for each in aside.key] if change.keyed else []
    columns = [*kept, *lost]
    saved.save(
        connection, version, "columns", aside.table, columns, key, query, lost=lost, left=left
    )


class _Comparison:
    """The queries that compare a copy, ``b``, with its table as it is now, ``n``."""

    def __init__(self, connection: psycopg.Connection, aside: Aside, now: Relation) -> None:
        self.connection = connection
        self.aside = aside
        self.now = now
        there = {each.number: each for each in now.columns}
        pairs = [(each, there[each.number]) for each in aside.table.stored if each.number in there]
        self.pairs = [(old, self._as_it_was(old, new)) for old, new in pairs]
        numbers = {each.number for each, _ in pairs}
        self.own = unlike(each.name for each in (*aside.table.columns, *now.columns))
        self.keyed = bool(aside.key) and all(each.number in numbers for each in aside.key)

    def _as_it_was(self, old: Column, new: Column) -> str:
        """Give a column's present value as SQL; of another type, turned back into the old one.

        So that a type which holds the same in another form is no change. Where nothing turns it
        back the two are compared as they are written.
        """
        import psycopg

        name = f"n.{quoted(new.name)}"
        if old.type == new.type:
            return name
        for attempt in (f"({name})::{old.type}", f"({_text(name)})::{old.type}"):
            try:
                with self.connection.transaction():
                    _run(
                        self.connection,
                        f"select count({_text(attempt)}) from only {self.now.full_name} as n",
                    )
            except psycopg.Error:
                continue
            return attempt
        return _text(name)

    @property
    def _others(self) -> list[tuple[Column, str]]:
        return [each for each in self.pairs if each[0] not in self.aside.key]

    def _join(self, outer: str = "") -> str:
        current = dict(self.pairs)
        same = " and ".join(
            f"{_text(current[each])} = b.{quoted(each.name)}" for each in self.aside.key
        )
        return f"{self.aside.copy} as b {outer} join only {self.now.full_name} as n on {same}"

    def by_key(self) -> Change:
        """Compare row by row."""
        # One number a column, as a query gives 1,664 and a table has up to 1,600: 1 for another
        # value than before, 2 where there was one.
        numbers = range(len(self._others))
        differs = ", ".join(
            f"case when {_differs(old, now)} "
            f"then 1 + num_nonnulls(b.{quoted(old.name)}) else 0 end as c{number}"
            for number, (old, now) in enumerate(self._others)
        )
        lost = " or ".join(f"c{each} = 2" for each in numbers)
        more = "".join(f", coalesce(bool_or(c{each} > 0), false)" for each in numbers)
        count = f"count(*) filter (where {lost})" if lost else "0"
        # OFFSET keeps PostgreSQL from writing out each value anew wherever it is named.
        rows = f"(select {differs} from {self._join()} offset 0) as pairs"
        row = _run(self.connection, f"select count(*), {count}{more} from {rows}")
        found = row.fetchone() or (0, 0)
        total = _number(self.connection, f"select count(*) from {self.aside.copy}")
        return Change(
            columns=tuple(
                old for (old, _), differs in zip(self._others, found[2:], strict=True) if differs
            ),
            values=found[1],
            missing=max(0, total - found[0]),
        )

    def by_values(self, gone: int) -> Change:
        """Compare how often each value is there."""
        excess = f"select count(*) from ({self.excess_query()}) as e"
        missing = _number(self.connection, excess)
        if gone or not missing:  # of rows that went their values went, too
            return Change(missing=missing, keyed=False)
        changed, most = [], 0
        for old, now in self.pairs:
            then = f"coalesce('=' || b.{quoted(old.name)}, '')"
            today = f"coalesce('=' || {_text(now)}, '')"
            query = (
                "select coalesce(sum(o.m - coalesce(w.m, 0)), 0), "
                "coalesce(sum(o.m - coalesce(w.m, 0)) filter (where o.v <> ''), 0) from "
                f"(select {then} as v, count(*) as m from {self.aside.copy} as b group by 1) as o "
                f"left join (select {today} as v, count(*) as m "
                f"from only {self.now.full_name} as n group by 1) as w using (v) "
                "where o.m > coalesce(w.m, 0)"
            )
            differing, lost = _run(self.connection, query).fetchone() or (0, 0)
            if differing:
                changed.append(old)
                most = max(most, int(lost))
        if not changed or len(changed) == len(self.pairs):  # nothing tells whose they were
            return Change(missing=missing, keyed=False)
        return Change(columns=tuple(changed), values=most, keyed=False)

    def missing_query(self) -> str:
        """Give the query for the rows that are not there under their key."""
        columns = listed(self.aside.table.stored, "b.")
        some = f"n.{quoted(next(new.name for new in self.now.columns if self._in_key(new)))}"
        return f"select {columns} from {self._join('left')} where {some} is null"

    def _in_key(self, column: Column) -> bool:
        return any(each.number == column.number for each in self.aside.key)

    def excess_query(self, left: str = "") -> str:
        """Give the query for the rows that are not there, or not so often, as they were.

        Args:
            left: A further column's name: how many of the same there are still.
        """
        own = self.own
        columns = listed(self.aside.table.stored, "b.")
        if left:
            columns += f", coalesce({own}_count, 0) as {left}"
        then = f"row({', '.join(f'b.{quoted(old.name)}' for old, _ in self.pairs)})::text"
        today = f"row({', '.join(_text(now) for _, now in self.pairs)})::text"
        return (
            f"select {columns} from (select b.*, {then} as {own}_row, "
            f"row_number() over (partition by {then}) as {own}_number "
            f"from {self.aside.copy} as b) as b left join (select {today} as {own}_row, "
            f"count(*) as {own}_count from only {self.now.full_name} as n group by 1) as n "
            f"using ({own}_row) where {own}_number > coalesce({own}_count, 0)"
        )

    def changed_query(self, lost: tuple[Column, ...], left: list[str]) -> str:
        """Give the query for keys, old values, and what the twin left in their place."""
        current = dict(self.pairs)
        columns = [f"b.{quoted(each.name)}" for each in (*self.aside.key, *lost)]
        if left:
            pairs = zip(lost, left, strict=True)
            columns += [f"({current[each]})::text as {name}" for each, name in pairs]
        some = " or ".join(_differs(each, current[each]) for each in lost)
        return f"select {', '.join(columns)} from {self._join()} where {some}"


def _differs(old: Column, now: str) -> str:
    return f"b.{quoted(old.name)} is distinct from {_text(now)}"


def _text(value: str) -> str:
    """Give a value as its type writes it, as COPY does; a cast may be somebody's own."""
    # Not `is null`: a composite value of nulls is one, and is not nothing.
    # The collation, since a column's own may hold different texts to be equal.
    text = f"case when num_nonnulls({value}) > 0 then pg_catalog.format('%s', {value}) end"
    return f'({text}) collate "C"'


def _run(connection: psycopg.Connection, statement: str) -> psycopg.Cursor:
    return connection.execute(statement.encode())


def _number(connection: psycopg.Connection, query: str) -> int:
    row = _run(connection, query).fetchone()
    return int(row[0]) if row else 0
