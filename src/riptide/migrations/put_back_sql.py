"""The statements that put one file of saved rows back, from its temporary table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from riptide.migrations.footprint import quoted
from riptide.migrations.saved_rows import listed

if TYPE_CHECKING:
    from riptide.migrations.saved_manifest import SavedTable

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
        more: Columns that another file's rows have added to this one's.
    """

    saved: SavedTable
    oid: int
    name: str
    only: str
    generated: frozenset[str]
    always: frozenset[str]
    defaults: dict[str, str]
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
    def _written(self) -> list[str]:
        return [each for each in self.saved.names if each not in self.generated]

    def extend(self, execute: Execute, other: Stage) -> None:
        """Take over another file's values, by the key or by all that tells its rows apart."""
        if self.is_columns:
            columns = [each for each in other.saved.lost if each in self.saved.lost]
        else:
            columns = list(other.saved.lost)
        types = dict(other.saved.columns)
        added = [each for each in columns if each not in (*self.saved.names, *self.more)]
        for each in added:
            execute(f"alter table {self.table} add column {quoted(each)} {types[each]}")
        if columns:
            values = ", ".join(f"{quoted(each)} = s.{quoted(each)}" for each in columns)
            pairs = other.pairs_with(self.table)
            execute(
                f"update {self.table} as t set {values} from ({pairs}) as s "
                "where t.ctid = s.riptide_at"
            )
            self.more += added

    def pairs_with(self, target: str) -> str:
        """Give the query that finds each saved row's place in a table: ``riptide_at``."""
        if self.saved.key:
            return (
                f"select s.*, t.ctid as riptide_at from {self.table} as s "
                f"join {target} as t on {_same(self.saved.key)}"
            )
        # Rows that are the same in all that tells them apart may stand for each other.
        names = self.saved.kept if self.is_columns else self.saved.names
        return (
            f"select s.*, t.riptide_at from ({_numbered(names, self.table)}) as s join "
            f"({_numbered(names, target, 'x.ctid as riptide_at')}) as t "
            "using (riptide_row, riptide_number)"
        )

    @property
    def _in_pairs(self) -> bool:
        """Whether a row can be found and yet be another: not where all of it is what it is."""
        return self.is_columns or bool(self.saved.key)

    def counting_query(self) -> str:
        """Give the query for how many rows are as saved, differ, and are not there.

        Rows that are not there count for ``columns`` only: others are put back.
        """
        total = f"(select count(*) from {self.table})"
        if not self._in_pairs:
            return f"select {total} - (select count(*) from {self._missing()}), 0, 0"
        absent = f"{total} - count(*)" if self.is_columns else "0"
        return (
            "select count(*) filter (where riptide_same), "
            f"count(*) filter (where riptide_conflict), {absent} from ({self._compared()}) as p"
        )

    def _compared(self) -> str:
        """Give the pairs, each with whether it is the same and whether something would be lost."""
        names = self.saved.lost if self.is_columns else self._written
        same = f"{_row(names, 's')} is not distinct from {_row(names, 't')}"
        conflict = f"not ({same})"
        if self.is_columns:
            parts = []
            left = dict(zip(self.saved.lost, self.saved.left, strict=False))
            for each in names:
                column = quoted(each)
                part = f"t.{column} is not null and t.{column}::text is distinct from "
                part += f"s.{column}::text"
                if each in self.defaults:
                    part += f" and t.{column}::text is distinct from "
                    part += f"({self.defaults[each]})::{self._type(each)}::text"
                if each in left:  # nobody has touched it since
                    part += f" and t.{column}::text is distinct from s.{quoted(left[each])}"
                parts.append(f"({part})")
            conflict = " or ".join(parts) or "false"
        return (
            f"select s.*, {same} as riptide_same, ({conflict}) as riptide_conflict "
            f"from ({self.pairs_with(self._target)}) as s join {self._target} as t "
            "on t.ctid = s.riptide_at"
        )

    @property
    def compared(self) -> list[str]:
        """The columns whose values are put back."""
        return list(self.saved.lost if self.is_columns else self._written)

    def differing_query(self) -> str:
        """Give the query for whether any saved row has another value, for each of ``compared``."""
        each = ", ".join(
            f"bool_or(s.{quoted(name)}::text is distinct from t.{quoted(name)}::text)"
            for name in self.compared
        )
        return (
            f"select {each} from ({self._compared()}) as s join {self._target} as t "
            "on t.ctid = s.riptide_at where s.riptide_conflict"
        )

    def writing_queries(self, *, replace: bool) -> list[str]:
        """Give the statements that write what is missing, and with ``replace`` what differs."""
        changed = "not p.riptide_same" + ("" if replace else " and not p.riptide_conflict")
        names = self.saved.lost if self.is_columns else self._written
        fixed = () if self.is_columns else {*self.saved.key, *self.always}
        names = [each for each in names if each not in fixed]
        queries = []
        if names and self._in_pairs and (replace or self.is_columns):
            values = ", ".join(f"{quoted(each)} = p.{quoted(each)}" for each in names)
            queries.append(
                f"update {self._target} as t set {values} from ({self._compared()}) as p "
                f"where t.ctid = p.riptide_at and {changed}"
            )
        if not self.is_columns:
            columns = [*self._written, *self.more]
            queries.append(
                f"insert into {self.saved.full_name} ({listed(columns)}) overriding system value "
                f"select {listed(columns, 's.')} from {self._missing()}"
            )
        return queries

    def missing_query(self, *, keep: bool) -> str:
        """Give the query for how many saved rows are not in the table as they were saved."""
        if self.is_columns:
            kept = " and not riptide_conflict" if keep else ""
            pairs = self._compared()
            return f"select count(*) from ({pairs}) as p where not riptide_same{kept}"
        differing = f"select count(*) from ({self._compared()}) as p where riptide_conflict"
        if keep or not self._in_pairs:
            differing = "0"
        return f"select (select count(*) from {self._missing()}) + ({differing})"

    def _missing(self) -> str:
        if self.saved.key:
            return (
                f"(select s.* from {self.table} as s where not exists "
                f"(select from {self._target} as t where {_same(self.saved.key)})) as s"
            )
        names = self._written
        return (
            f"(select s.* from ({_numbered(names, self.table)}) as s left join "
            f"(select {_row(names, 'x')} as riptide_row, count(*) as riptide_count "
            f"from {self._target} as x group by 1) as t using (riptide_row) "
            "where riptide_number > coalesce(riptide_count, 0)) as s"
        )

    def _type(self, name: str) -> str:
        return dict(self.saved.columns)[name]


def _same(key: tuple[str, ...]) -> str:
    return " and ".join(f"t.{quoted(each)} = s.{quoted(each)}" for each in key)


def _row(names: list[str] | tuple[str, ...], alias: str) -> str:
    return f"row({listed(names, f'{alias}.')})::text"


def _numbered(names: list[str] | tuple[str, ...], table: str, more: str = "") -> str:
    """Give a table's rows with their text, numbered among those of the same text."""
    row = _row(names, "x")
    columns = more or "x.*"
    return (
        f"select {columns}, {row} as riptide_row, "
        f"row_number() over (partition by {row}) as riptide_number from {table} as x"
    )
