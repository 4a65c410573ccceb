"""The rows of one table that a verification has made: the owner's, and the other user's own."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from riptide.errors import RlsError
from riptide.rls.second import referred_by
from riptide.rls.values import ColumnValues

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from riptide.rls.actors import Actor, Actors
    from riptide.rls.plan import TablePlan
    from riptide.rls.probes_sql import Database, Row, Snapshot
    from riptide.rls.verdict import Attempt

# Rows made up at most until one is within a partition's bounds.
_TRIES = 1000


class Rows:
    """The rows of one table, which are there while others are tried.

    Attributes:
        parents: The row made in each table, by ``schema.table``; this table's own is kept there.
        others: The row that the other user has of their own in each table, likewise.
        children: Those of the tables whose rows hang on this one's, parents first.
        lacks: Why the other user has no row of their own here, where one was to be made.
    """

    def __init__(
        self,
        plan: TablePlan,
        actors: Actors,
        database: Database,
        parents: dict[str, Row],
        others: dict[str, Row],
    ) -> None:
        self.plan = plan
        self.actors = actors
        self.database = database
        self.parents = parents
        self.others = others
        self.children: tuple[Rows, ...] = ()
        self.lacks = ""
        # This run's rows as they are now, where that is known: nobody else touches them.
        self._now: Snapshot | None = None

    def _look(self) -> Snapshot:
        if self._now is None:
            self._now = self.database.rows(self.plan)
        return self._now

    @property
    def lacking(self) -> str:
        """Say what is not tried for want of the other user's own row, and what to do about it."""
        return (
            f"{self.plan.name} as another user with a row of their own, as none could be made"
            f" ({self.lacks}): give [{self.plan.intent.section}.other_row] values"
        )

    def number_of(self, actor: Actor) -> int:
        """Give how many rows a user has in this table, whoever may see them."""
        if actor is self.actors.other and not self.plan.intent.owner:
            return sum(map(self._is_others, self._look().values()))
        owner = self.plan.intent.owner
        if owner is None:
            return 0
        return sum(str(row[owner]) == actor.user_id for row in self._look().values())

    def renewed(self, attempt: Attempt) -> Attempt:
        """Take a row away that a leak has changed: it may be settled now, for instance revoked."""
        if attempt.effect:
            self.clear()
            self.restore()
        return attempt

    def clear(self) -> None:
        """Delete this run's rows, and those that hang on them; the other user keeps their own."""
        for each in (*reversed(self.children), self):
            mine = self.others.get(each.plan.name)
            self.database.clear(each.plan, str(mine[each.plan.mark]) if mine else None)
            each.forget()

    def restore(self) -> None:
        """Make the rows anew that are gone: policies of other tables may ask for them."""
        for each in (self, *self.children):
            each.forget()
            each.make_base()

    def forget(self) -> None:
        """Look again before the next try: others have been at work."""
        self._now = None

    def new_row(self) -> Row:
        """Make up a row of the owner's.

        Raises:
            RlsError: None fits the bounds of the partition.
        """
        partition = self.plan.relation.partition
        for _ in range(_TRIES):
            row = self.plan.new_row(
                self.actors.owner.user_id, self.parents, other_than=self.others.get(self.plan.name)
            )
            for name in partition.columns if partition else ():
                source = self.plan.insert[name]
                if isinstance(source, ColumnValues):
                    row[name] = secrets.choice(source.values)
            if self.database.fits(self.plan, row):
                return row
        raise RlsError(
            f"a row of {self.plan.name} cannot be made: no row was found that fits its bounds",
            state="no row and no user is left behind",
            next_step="give the columns of the partition key values in supabase/rls.toml, section "
            f"[{self.plan.intent.section}.row]",
        )

    def base(self) -> Row:
        """Give the owner's row as it is now; make one where there is none (any more)."""
        found = [
            row
            for row in self._look().values()
            if not self._is_others(row)
            and (
                not self.plan.intent.owner
                or str(row[self.plan.intent.owner]) == self.actors.owner.user_id
            )
        ]
        if found:
            row = found[0]
        else:
            row = self.database.add(self.plan, self.new_row())
            self._now = None
        self.parents[self.plan.name] = row
        return row

    def make_base(self) -> None:
        """Make the owner's row and the other's own, unless a trigger did.

        Tables refer to this one, and policies ask for what is in it.
        """
        if self.plan.intent.owner:
            self.database.remember(self.plan, *self.actors.user_ids)
        if not self.plan.parent:
            self.base()
        if self.plan.second and not self.lacks:
            self._make_second()

    def _make_second(self) -> None:
        found = [row for row in self._look().values() if self._is_others(row)]
        if found:
            self.others[self.plan.name] = found[0]
            return
        missing = referred_by(self.plan) - self.others.keys()
        if missing and not self.plan.intent.other_row:
            self.lacks = f"it needs one of theirs in {min(missing)}"
            return
        try:
            self.others[self.plan.name] = self.database.add(self.plan, self.others_row())
        except RlsError as error:
            self.lacks = error.message
            self.others.pop(self.plan.name, None)
        self._now = None

    def others_row(self) -> Row:
        """Make up a row of the other user's own: of their team, where they have one."""
        parents = {**self.parents, **self.others}
        given = self.plan.intent.other_row
        owners = self.parents.get(self.plan.name)
        return self.plan.new_row(self.actors.other.user_id, parents, given, owners)

    def _is_others(self, row: Row) -> bool:
        owner, mark = self.plan.intent.owner, self.plan.mark
        if owner:
            return str(row[owner]) == self.actors.other.user_id
        mine = self.others.get(self.plan.name)
        return mine is not None and row[mark] == mine[mark]

    def clear_empty(self) -> None:
        """Take away what a trigger made for the user who is to have no row."""
        if self.plan.intent.owner:
            self.database.remember(self.plan, self.actors.empty.user_id)
            self.database.clear(self.plan)

    def change(self, columns: Mapping[str, Any]) -> Row:
        """Give other values than the owner's row has, for some columns."""
        now = self.base()
        return {name: values.make(other_than=now.get(name)) for name, values in columns.items()}


def descendants(rows: Rows, tables: Sequence[Rows]) -> tuple[Rows, ...]:
    """Give the tables whose rows hang on this one's, in the order of all."""
    above = {rows.plan.name}
    found = []
    for each in tables:
        if each.plan.relation.is_table and referred_by(each.plan) & above:
            above.add(each.plan.name)
            found.append(each)
    return tuple(found)
