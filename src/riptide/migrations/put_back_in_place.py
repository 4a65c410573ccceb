"""The statements that put rows without a key back in the place of what a twin made of them.

Nothing tells which row has become which, only which rows there were and which there were instead.
So a row is put back where one of those still is exactly as the twin left it, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide._quote import quoted
from riptide.migrations.column_sql import listed, numbered, place, placed
from riptide.migrations.put_back_sql import Stage

if TYPE_CHECKING:
    from riptide.migrations.saved_manifest import SavedTable


def is_in_place(saved: SavedTable) -> bool:
    """Whether a file says what there was in the place of its rows."""
    return saved.kind == "rows" and len(saved.left) == 3


class InPlace(Stage):
    """A file of rows without a key, with the text of the row that was there instead of each."""

    in_place = True

    @property
    def _instead(self) -> str:
        return quoted(self.saved.left[1])

    @property
    def _order(self) -> str:
        return f" order by {self._instead} nulls last"

    def _stand_ins(self) -> str:
        """Give the rows that are not there, each with the place of what is there instead.

        There may have been equal ones before: of so many as that it is not the place.
        """
        own = self._own
        return (
            f"select m.*, n.{own}_at, n.{own}_of from (select s.*, "
            f"row_number() over (partition by {self._instead}) as {own}_turn "
            f"from {self._missing()} where {self._instead} is not null) as m left join "
            f"({numbered(self.saved.names, self._target, own, place('x', own))}) as n "
            f"on n.{own}_row = m.{self._instead} "
            f"and n.{own}_number = m.{own}_turn + m.{quoted(self.saved.left[2])}::bigint"
        )

    def counting_query(self) -> str:
        """Give the query for how many rows are there, have lost their place, and 0."""
        total = f"(select count(*) from {self.table})"
        lost = f"select count(*) from ({self._stand_ins()}) as p where {self._own}_at is null"
        return f"select {total} - (select count(*) from {self._missing()}), ({lost}), 0"

    def emptying_query(self, names: list[str], *, replace: bool) -> str:  # noqa: ARG002
        """Give none: a row that was made null has lost what says that it is the one."""
        return ""

    def writing_queries(self, *, replace: bool) -> list[str]:
        """Give the statements: first those that have a place; with ``replace`` all others, too."""
        own, names = self._own, [each for each in self._written if each not in self.always]
        values = ", ".join(f"{quoted(each)} = p.{quoted(each)}" for each in names)
        columns = [*self._written, *self.more]
        which = "" if replace else f" where s.{self._instead} is null"
        queries = []
        if names:
            queries.append(
                f"update {self._target} as t set {values} from ({self._stand_ins()}) as p "
                f"where {placed('t', 'p', own)}"
            )
        queries.append(
            f"insert into {self.saved.full_name} ({listed(columns)}) overriding system value "
            f"select {listed(columns, 's.')} from {self._missing()}{which}"
        )
        return queries

    def missing_query(self, *, keep: bool) -> str:  # noqa: ARG002
        """Give the query for how many saved rows are not there, those that were kept among them."""
        return f"select count(*) from {self._missing()}"
