"""A table's rows as they were and as they are, compared by queries on the server.

Rows are told apart by their primary key; without one, only sets of equal values can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from riptide._quote import quoted
from riptide.migrations.column_sql import listed, text, unlike
from riptide.migrations.table_key import Equality, equalities

if TYPE_CHECKING:
    import psycopg

    from riptide.migrations.inventory import Column, Relation

# PostgreSQL's limit is 1,664 values to a query, and a column takes two.
_MOST_COLUMNS = 800


@dataclass(frozen=True)
class Aside:
    """The rows of one table.

    Attributes:
        table: As it was before the twin ran.
        key: Its primary key then; empty where it had none.
        places: Of a partitioned table: the columns that say in which partition a row is.
    """

    table: Relation
    key: tuple[Column, ...]
    places: frozenset[str] = frozenset()

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


class Comparison:
    """The queries that compare a copy, ``b``, with its table as it is now, ``n``."""

    def __init__(self, connection: psycopg.Connection, aside: Aside, now: Relation) -> None:
        self.connection = connection
        self.aside = aside
        self.now = now
        there = {each.number: each for each in now.columns}
        pairs = [(each, there[each.number]) for each in aside.table.stored if each.number in there]
        self._names = {old: new.name for old, new in pairs}
        self._retyped = {old for old, new in pairs if old.type != new.type}
        self.pairs = [(old, self._as_it_was(old, new)) for old, new in pairs]
        numbers = {each.number for each, _ in pairs}
        self.own = unlike(each.name for each in (*aside.table.columns, *now.columns))
        self.keyed = bool(aside.key) and all(each.number in numbers for each in aside.key)

    @property
    def whole(self) -> bool:
        """Whether every column is still there."""
        return len(self.pairs) == len(self.aside.table.stored)

    @cached_property
    def key(self) -> tuple[Column, ...]:
        """What tells the rows apart.

        Of a partitioned table the primary key has to have the columns in it that say where a row
        belongs. Where the others do without them, a row that has moved is still the same.
        """
        fewer = tuple(each for each in self.aside.key if each.name not in self.aside.places)
        if not fewer or len(fewer) == len(self.aside.key):
            return self.aside.key
        now = ", ".join(f"n.{quoted(self._names[each])}" for each in fewer)
        for columns, rows in (
            (listed(fewer, "b."), f"{self.aside.copy} as b"),
            (now, f"{self.now.rows} as n"),
        ):
            query = f"select 1 from {rows} group by {columns} having count(*) > 1 limit 1"
            if run(self.connection, query).fetchone():
                return self.aside.key
        return fewer

    def _as_it_was(self, old: Column, new: Column) -> str:
        """Give a column's present value as SQL; of another type, turned back into the old one.

        So that a type which holds the same in another form is no change. Where nothing turns it
        back the two are compared as they are written.
        """
        import psycopg

        name = f"n.{quoted(new.name)}"
        if old.type == new.type:
            return name
        for attempt in (f"({name})::{old.type}", f"({text(name)})::{old.type}"):
            try:
                with self.connection.transaction():
                    run(
                        self.connection,
                        f"select count({text(attempt)}) from {self.now.rows} as n",
                    )
            except psycopg.Error:
                continue
            return attempt
        return text(name)

    @cached_property
    def _same_key(self) -> str:
        """When a row is the same as it was: by the type's own equality, while the type is there."""
        current, same = dict(self.pairs), []
        known = equalities(self.connection, self.now.oid, self._names.values())
        for each in self.key:
            then = f"b.{quoted(each.name)}"
            if each in self._retyped:
                same.append(f"{text(current[each])} = {then}")
                continue
            equal = known.get(self._names[each], Equality())
            then = f"({then})::{each.type} {equal.collate}".rstrip()
            same.append(f"{current[each]} {equal.operator} {then}")
        return " and ".join(same)

    def _join(self, outer: str = "") -> str:
        return f"{self.aside.copy} as b {outer} join {self.now.rows} as n on {self._same_key}"

    def by_key(self) -> Change:
        """Compare row by row; a key may be equal and be written in another way."""
        numbers = range(len(self.pairs))
        then, now = (
            [f"b.{quoted(old.name)}" for old, _ in self.pairs],
            [text(value) for _, value in self.pairs],
        )
        # OFFSET keeps PostgreSQL from writing out each value anew wherever it is named.
        if len(self.pairs) <= _MOST_COLUMNS:
            pairs = ", ".join(
                f"{then[each]} as then{each}, {now[each]} as now{each}" for each in numbers
            )
            names = [(f"then{each}", f"now{each}") for each in numbers]
        else:
            pairs = f"array[{', '.join(then)}] as was, array[{', '.join(now)}] as is_now"
            names = [(f"was[{each + 1}]", f"is_now[{each + 1}]") for each in numbers]
        differs = [f'{old} is distinct from {new} collate "C"' for old, new in names]
        lost = " or ".join(
            f"({differs[each]} and {old} is not null)" for each, (old, _) in enumerate(names)
        )
        more = "".join(f", coalesce(bool_or({each}), false)" for each in differs)
        query = f"select count(*), count(*) filter (where {lost}){more} "
        query += f"from (select {pairs} from {self._join()} offset 0) as pairs"
        found = run(self.connection, query).fetchone() or (0, 0)
        total = _number(self.connection, f"select count(*) from {self.aside.copy}")
        return Change(
            columns=tuple(
                old for (old, _), differs in zip(self.pairs, found[2:], strict=True) if differs
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
            today = f"coalesce('=' || {text(now)}, '')"
            query = (
                "select coalesce(sum(o.m - coalesce(w.m, 0)), 0), "
                "coalesce(sum(o.m - coalesce(w.m, 0)) filter (where o.v <> ''), 0) from "
                f"(select {then} as v, count(*) as m from {self.aside.copy} as b group by 1) as o "
                f"left join (select {today} as v, count(*) as m "
                f"from {self.now.rows} as n group by 1) as w using (v) "
                "where o.m > coalesce(w.m, 0)"
            )
            differing, lost = run(self.connection, query).fetchone() or (0, 0)
            if differing:
                changed.append(old)
                most = max(most, int(lost))
        if not changed or len(changed) == len(self.pairs):  # nothing tells whose they were
            return Change(missing=missing, keyed=False)
        return Change(columns=tuple(changed), values=most, keyed=False)

    def missing_query(self) -> str:
        """Give the query for the rows that are not there under their key."""
        columns = listed(self.aside.table.stored, "b.")
        some = f"n.{quoted(self._names[self.key[0]])}"
        return f"select {columns} from {self._join('left')} where {some} is null"

    def excess_query(self, left: str = "") -> str:
        """Give the query for the rows that are not there, or not so often, as they were.

        Args:
            left: A further column's name: how many of the same there are still.
        """
        own = self.own
        columns = listed(self.aside.table.stored, "b.")
        if left:
            columns += f", coalesce({own}_count, 0) as {left}"
        return (
            f"select {columns} from ({self._then()}) as b "
            f"left join ({_counted(self._now(), own)}) as n "
            f"using ({own}_row) where {own}_number > coalesce({own}_count, 0)"
        )

    def in_place_query(self, left: str, instead: str, before: str) -> str:
        """Give the rows that are not there any more, each with one that is there instead.

        Args:
            left: A further column's name: how many of the same there are still.
            instead: The text of the row that is there instead; null where there are fewer.
            before: How many of the same as that there had been.
        """
        own = self.own
        columns = listed(self.aside.table.stored, "b.")
        order = f"row_number() over (order by {own}_row, {own}_number) as {own}_place"
        gone = (
            f"select b.*, coalesce({own}_count, 0) as {left}, {order} from ({self._then()}) as b "
            f"left join ({_counted(self._now(), own)}) as n using ({own}_row) "
            f"where {own}_number > coalesce({own}_count, 0)"
        )
        made = (
            f"select {own}_row as {instead}, coalesce({own}_count, 0) as {before}, {order} "
            f"from ({self._now()}) as n left join ({_counted(self._then(), own)}) as b "
            f"using ({own}_row) where {own}_number > coalesce({own}_count, 0)"
        )
        return (
            f"select {columns}, b.{left}, m.{instead}, m.{before} "
            f"from ({gone}) as b left join ({made}) as m using ({own}_place)"
        )

    def _then(self) -> str:
        """Give the rows as they were, with their text, numbered among those of the same text."""
        row = f"row({', '.join(f'b.{quoted(old.name)}' for old, _ in self.pairs)})::text"
        return _numbered(f"{self.aside.copy} as b", row, self.own, "b.*, ")

    def _now(self) -> str:
        row = f"row({', '.join(text(now) for _, now in self.pairs)})::text"
        return _numbered(f"{self.now.rows} as n", row, self.own)

    def changed_query(self, lost: tuple[Column, ...], left: list[str]) -> str:
        """Give the query for keys, old values, and what the twin left in their place."""
        current = dict(self.pairs)
        columns = listed(dict.fromkeys((*self.key, *lost)), "b.")
        new = ", ".join(
            f"({current[each]})::text as {name}" for each, name in zip(lost, left, strict=True)
        )
        some = " or ".join(
            f"b.{quoted(each.name)} is distinct from {text(current[each])}" for each in lost
        )
        return f"select {columns}, {new} from {self._join()} where {some}"


def run(connection: psycopg.Connection, statement: str) -> psycopg.Cursor:
    """Run a statement in which nothing stands for a parameter."""
    return connection.execute(statement.encode())


def _numbered(rows: str, row: str, own: str, columns: str = "") -> str:
    return (
        f"select {columns}{row} as {own}_row, "
        f"row_number() over (partition by {row}) as {own}_number from {rows}"
    )


def _counted(numbered: str, own: str) -> str:
    return f"select {own}_row, count(*) as {own}_count from ({numbered}) as c group by 1"


def _number(connection: psycopg.Connection, query: str) -> int:
    row = run(connection, query).fetchone()
    return int(row[0]) if row else 0
