"""The statements that put one file of saved rows back, from its temporary table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from riptide._quote import quoted
from riptide.migrations.column_sql import (
    exact,
    listed,
    numbered,
    place,
    placed,
    row_text,
    unlike,
)

if TYPE_CHECKING:
    from riptide.migrations.saved_manifest import SavedTable
    from riptide.migrations.table_key import Equality

Execute = Callable[[str], Any]


def count(execute: Execute, query: str) -> int:
    """Give a query's one number."""
    row = execute(query).fetchone()
    return int(row[0]) if row else 0


@dataclass
class Stage:
    """A file of saved rows, copied into a temporary table, and the table that they belong to.

    Attributes:
        saved: The file.
        oid: The table.
        name: The temporary table.
        only: ``only`` where the table has rows of its own.
        generated: The table's generated columns.
        always: Its identity columns that take no value but by force.
        defaults: Its columns' defaults.
        equal: How values of the key's columns are compared.
        more: Columns that another file's rows have added to this one's.
    """

    saved: SavedTable
    oid: int
    name: str
    only: str
    generated: frozenset[str]
    always: frozenset[str]
    defaults: Mapping[str, str]
    equal: Mapping[str, Equality]
    more: list[str] = field(default_factory=list)

    @property
    def is_columns(self) -> bool:
        """Whether it has values for rows that are there."""
        return self.saved.kind == "columns"

    @property
    def table(self) -> str:
        """The temporary table in SQL."""
        return f"pg_temp.{self.name}"

    @property
    def _target(self) -> str:
        return f"{self.only}{self.saved.full_name}"

    @property
    def _own(self) -> str:
        """How names of our own begin beside the temporary table's columns."""
        return unlike((*self.saved.names, *self.more, *self.saved.left))

    @property
    def _same_key(self) -> str:
        return " and ".join(
            f"t.{quoted(each)} {self.equal[each].operator} s.{quoted(each)}"
            for each in self.saved.key
        )

    @property
    def _written(self) -> list[str]:
        return [each for each in self.saved.names if each not in self.generated]

    def extend(self, execute: Execute, other: Stage) -> None:
        """Take over another file's values, by the key or by all that tells its rows apart."""
        if self.is_columns:
            columns = [each for each in other.saved.lost if each in self.saved.lost]
        else:
            columns = [each for each in other.saved.lost if each not in self.generated]
        types = dict(other.saved.columns)
        added = [each for each in columns if each not in (*self.saved.names, *self.more)]
        for each in added:
            execute(f"alter table {self.table} add column {quoted(each)} {types[each]}")
        if columns:
            values = ", ".join(f"{quoted(each)} = s.{quoted(each)}" for each in columns)
            pairs = other.pairs_with(self.table)
            execute(
                f"update {self.table} as t set {values} from ({pairs}) as s "
                f"where t.ctid = s.{other._own}_at"
            )
            self.more += added

    def take_over(self, execute: Execute, other: Stage) -> None:
        """Have rows here that another file has older ones for as those; they go from there.

        Nothing tells apart what a later migration's twin had made of its rows, and what was saved
        of that when this one's took it.
        """
        names, (_, instead, *_) = other.saved.names, other.saved.left
        own = unlike((*self.saved.names, *self.more, *self.saved.left, *other.saved.left))
        left = self.saved.left[:1]
        values = [f"{quoted(each)} = p.{quoted(each)}" for each in names]
        values += [f"{quoted(mine)} = p.{quoted(other.saved.left[0])}" for mine in left]
        execute(
            f"with p as materialized (select o.*, e.{own}_here from "
            f"({numbered(names, self.table, own, f'x.ctid as {own}_here')}) as e join "
            f"(select x.*, x.ctid as {own}_there, "
            f"row_number() over (partition by {quoted(instead)}) as {own}_turn "
            f"from {other.table} as x) as o "
            f"on o.{quoted(instead)} = e.{own}_row and o.{own}_turn = e.{own}_number), "
            f"gone as (delete from {other.table} as x using p where x.ctid = p.{own}_there) "
            f"update {self.table} as t set {', '.join(values)} from p where t.ctid = p.{own}_here"
        )
        for mine in map(quoted, left):  # of equal rows as many have stayed for each
            execute(
                f"update {self.table} as t set {mine} = m.least from (select "
                f"{row_text(names, 'x')} as {own}_row, min({mine}::bigint)::text as least "
                f"from {self.table} as x group by 1) as m "
                f"where {row_text(names, 't')} = m.{own}_row"
            )

    def pairs_with(self, target: str) -> str:
        """Give the query that finds each saved row's place in a table: ``_own`` and ``_at``."""
        own = self._own
        if self.saved.key:
            return (
                f"select s.*, {place('t', own)} from {self.table} as s "
                f"join {target} as t on {self._same_key}"
            )
        # Rows that are the same in all that tells them apart may stand for each other.
        names = self.saved.kept if self.is_columns else self.saved.names
        return (
            f"select s.*, t.{own}_at, t.{own}_of "
            f"from ({numbered(names, self.table, own)}) as s join "
            f"({numbered(names, target, own, place('x', own))}) as t "
            f"using ({own}_row, {own}_number)"
        )

    in_place = False
    """Whether a saved row has a row in its place now that is to be the saved one again."""

    @property
    def _in_pairs(self) -> bool:
        """Whether a row can be found and yet be another: not where all of it is what it is."""
        return self.is_columns or bool(self.saved.key)

    def counting_query(self) -> str:
        """Give the query for how many rows are as saved, differ, and are not there.

        Rows that are not there count for ``columns`` only: others are put back.
        """
        own = self._own
        total = f"(select count(*) from {self.table})"
        if not self._in_pairs:
            return f"select {total} - (select count(*) from {self._missing()}), 0, 0"
        absent = f"{total} - count(*)" if self.is_columns else "0"
        return (
            f"select count(*) filter (where {own}_same), "
            f"count(*) filter (where {own}_conflict), {absent} from ({self._compared()}) as p"
        )

    def _compared(self) -> str:
        """Give the pairs, each with whether it is the same and whether something would be lost."""
        own = self._own
        names = self.compared
        same = f"{row_text(names, 's')} is not distinct from {row_text(names, 't')}"
        # A key that is equal and written in another way is nobody's loss.
        rest = [each for each in names if each not in self.saved.key]
        conflict = f"{row_text(rest, 's')} is distinct from {row_text(rest, 't')}"
        if self.is_columns:
            parts = []
            left = dict(zip(self.saved.lost, self.saved.left, strict=False))
            for each in names:
                column = quoted(each)
                now = exact("t", each)
                part = f"t.{column} is not null and {now} is distinct from s.{column}::text"
                if each in self.defaults:
                    part += f" and {now} is distinct from "
                    part += f"({self.defaults[each]})::{self._type(each)}::text"
                if each in left:  # nobody has touched it since
                    part += f" and {now} is distinct from s.{quoted(left[each])}"
                parts.append(f"({part})")
            conflict = " or ".join(parts) or "false"
        return (
            f"select s.*, {same} as {own}_same, ({conflict}) as {own}_conflict "
            f"from ({self.pairs_with(self._target)}) as s join {self._target} as t "
            f"on {placed('t', 's', own)}"
        )

    @property
    def compared(self) -> list[str]:
        """The columns whose values are put back."""
        names = self.saved.lost if self.is_columns else self.saved.names
        return [each for each in names if each not in self.generated]

    def differing_query(self) -> str:
        """Give the query for whether any saved row has another value, for each of ``compared``."""
        own = self._own
        each = ", ".join(
            f"bool_or({exact('s', name)} is distinct from t.{quoted(name)}::text)"
            for name in self.compared
        )
        return (
            f"select {each} from ({self._compared()}) as s join {self._target} as t "
            f"on {placed('t', 's', own)} where s.{own}_conflict"
        )

    def emptying_query(self, names: list[str], *, replace: bool) -> str:
        """Give the statement that makes columns null wherever they are about to be written."""
        if not names or not self._in_pairs:
            return ""
        values = ", ".join(f"{quoted(each)} = null" for each in names)
        return self._update(values, replace=replace)

    def _update(self, values: str, *, replace: bool) -> str:
        own = self._own
        changed = f"not p.{own}_same" + ("" if replace else f" and not p.{own}_conflict")
        return (
            f"update {self._target} as t set {values} from ({self._compared()}) as p "
            f"where {placed('t', 'p', own)} and {changed}"
        )

    def writing_queries(self, *, replace: bool) -> list[str]:
        """Give the statements that write what is missing, and with ``replace`` what differs."""
        # The key as well: what its collation holds to be equal need not be the same.
        fixed = frozenset() if self.is_columns else self.always
        names = [each for each in self.compared if each not in fixed]
        queries = []
        if names and self._in_pairs:
            values = ", ".join(f"{quoted(each)} = p.{quoted(each)}" for each in names)
            queries.append(self._update(values, replace=replace))
        if not self.is_columns:
            columns = [*self._written, *self.more]
            queries.append(
                f"insert into {self.saved.full_name} ({listed(columns)}) overriding system value "
                f"select {listed(columns, 's.')} from {self._missing()}"
            )
        return queries

    def missing_query(self, *, keep: bool) -> str:
        """Give the query for how many saved rows are not in the table as they were saved."""
        own = self._own
        if self.is_columns:
            kept = f" and not {own}_conflict" if keep else ""
            pairs = self._compared()
            return f"select count(*) from ({pairs}) as p where not {own}_same{kept}"
        differing = f"select count(*) from ({self._compared()}) as p where {own}_conflict"
        if keep or not self._in_pairs:
            differing = "0"
        return f"select (select count(*) from {self._missing()}) + ({differing})"

    def _missing(self) -> str:
        if self.saved.key:
            return (
                f"(select s.* from {self.table} as s where not exists "
                f"(select from {self._target} as t where {self._same_key})) as s"
            )
        names, own = self._written, self._own
        rows = numbered(names, self.table, own, order=self._order)
        # Equal rows that were left are not those that went.
        left = f" + s.{quoted(self.saved.left[0])}::bigint" if self.saved.left else ""
        return (
            f"(select s.* from ({rows}) as s left join "
            f"(select {row_text(names, 'x')} as {own}_row, count(*) as {own}_count "
            f"from {self._target} as x group by 1) as t using ({own}_row) "
            f"where {own}_number{left} > coalesce({own}_count, 0)) as s"
        )

    @property
    def _order(self) -> str:
        """The order in which rows of the same text are numbered."""
        return ""

    def _type(self, name: str) -> str:
        return dict(self.saved.columns)[name]
