"""One table's verification under way: its rows, its tries, its checks."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Literal, cast

from riptide._interrupts import deferred
from riptide.errors import RlsError
from riptide.results import RlsCheck, Verdict
from riptide.rls.api import matching, minimal, send
from riptide.rls.attempts import blind_attempt
from riptide.rls.blame import Blame
from riptide.rls.blind import Blind
from riptide.rls.intent import OPERATIONS
from riptide.rls.probes_sql import Snapshot, difference
from riptide.rls.second import referred_by
from riptide.rls.values import ColumnValues
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from riptide.rls.actors import Actor, Actors
    from riptide.rls.blame import About
    from riptide.rls.intent import Operation, Role
    from riptide.rls.plan import TablePlan
    from riptide.rls.probes_sql import Database, Row


UNDONE = "(in SQL, undone)"
BLIND = f"without a filter {UNDONE}"
# Rows made up at most until one is within a partition's bounds.
_TRIES = 1000
_ORDER: dict[str, int] = {
    operation: place for place, operation in enumerate((*OPERATIONS, "exists", "plan"))
}


class WrongError(Exception):
    """A check is not ok, which is all that was asked."""

    def __init__(self, check: RlsCheck) -> None:
        super().__init__(check.seen)
        self.check = check


class Probe:
    """What is tried on one table, by whom, with which rows, and what it came to.

    Attributes:
        parents: The row made in each table, by ``schema.table``; this table's own is kept there.
        plans: That of each table, by ``schema.table``.
        others: The row that the other user has of their own in each table, likewise.
        children: The probes of the tables whose rows hang on this one's, parents first.
        lacks: Why the other user has no row of their own here, where one was to be made.
    """

    def __init__(
        self,
        plan: TablePlan,
        actors: Actors,
        database: Database,
        parents: dict[str, Row],
        plans: Mapping[str, TablePlan],
        others: dict[str, Row],
        *,
        until_wrong: bool = False,
    ) -> None:
        self.plan = plan
        self._until_wrong = until_wrong
        self.plans = plans
        self.actors = actors
        self.database = database
        self.blind = Blind(database)
        self.parents = parents
        self.others = others
        self.children: tuple[Probe, ...] = ()
        self.lacks = ""
        self.checks: list[RlsCheck] = []
        # This run's rows as they are now, where that is known: nobody else touches them.
        self._now: Snapshot | None = None

    # --- one try ---------------------------------------------------------------------------------

    def _try_update(self, actor: Actor, columns: Mapping[str, ColumnValues]) -> Attempt:
        tried = f"update {', '.join(columns)} of the owner's row"
        return self._try_write(actor, tried, self.change(columns))

    def _try_write(
        self, actor: Actor, tried: str, change: Row, *, changes: bool = False
    ) -> Attempt:
        key = key_of(self.base(), self.plan.key)
        request = matching(self.table(actor).update(change, returning=minimal()), key)
        return self.attempt(tried, request, only=tuple(change) if changes else ())

    def _try_blind(
        self, actor: Actor, tried: str, change: Row, *, changes: bool = False
    ) -> Attempt:
        row = self.base()
        reply = self.blind.update(self.plan, actor, row, change, changes=changes)
        return blind_attempt(f"{tried} {BLIND}", reply)

    def attempt(self, tried: str, request: Any, *, only: tuple[str, ...] = ()) -> Attempt:
        """Send a write, and look what it did to this run's rows.

        Args:
            tried: It, for a person.
            request: It, for supabase-py.
            only: The columns whose change counts; none for every one.
        """
        before = self._look()
        # Cut off on its way it would have its effect after the cleaning up.
        with deferred():
            reply = send(request, self.plan.name)
        self._now = None
        return Attempt(tried=tried, reply=reply, effect=difference(before, self._look(), only))

    # --- rows ------------------------------------------------------------------------------------

    def _look(self) -> Snapshot:
        if self._now is None:
            self._now = self.database.rows(self.plan)
        return self._now

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

    # --- who, and what is expected ----------------------------------------------------------------

    def everybody(self) -> tuple[Actor, ...]:
        """Give those who try all operations."""
        return (
            self.actors.owner,
            self.actors.other,
            self.actors.anon,
            self.actors.service_role,
        )

    def expected(self, operation: Operation, actor: Actor, plan: TablePlan | None = None) -> str:
        """Give ``allow`` or ``deny``, for this table or another one."""
        word = (plan or self.plan).intent.rules[cast("Role", actor.role)].words[operation]
        # Without owners a row is nobody's own, and "own" is no word for such a table.
        allowed = word == "all" or (word == "own" and actor is self.actors.owner)
        return ALLOW if allowed else DENY

    def table(self, actor: Actor) -> Any:
        """Give supabase-py's table, for a request of the actor's."""
        relation = self.plan.relation
        if actor.client is None:
            raise ValueError(f"{actor.name} has no token here")
        return actor.client.schema(relation.schema).table(relation.name)

    def _sorted(self) -> list[RlsCheck]:
        return sorted(self.checks, key=lambda each: _ORDER[each.operation])

    def add(
        self,
        operation: Operation | Literal["exists"],
        actor: Actor,
        expected: str,
        attempts: list[Attempt],
        *,
        table: str = "",
        mend: str = "",
        about: About = "rows",
        **judging: Any,
    ) -> None:
        """Judge a cell, and note the check.

        Args:
            operation: What was tried.
            actor: By whom.
            expected: ``allow`` or ``deny``.
            attempts: How, and what came of it.
            table: On which table, where not on this one.
            mend: The SQL that mends it, where that is known beforehand.
            about: What a denied update of the owner's own row would do.
            **judging: As for `judge`.
        """
        # Where nobody is meant to, or into a partition nobody has to, there is no control: then a
        # plain no is proof, and so is a blind write that passed the row over.
        nobody = operation != "exists" and (
            bool(self.plan.parent)
            or not any(self.expected(operation, each) == ALLOW for each in self.everybody())
        )
        plain = (Outcome.REFUSED, Outcome.DONE)
        if nobody and operation != "select" and all(a.reply.outcome in plain for a in attempts):
            judging["proven"] = True
        verdict, seen = judge(expected, attempts, **judging)
        policies: tuple[str, ...] = ()
        blames = verdict is not Verdict.OK and not (self._until_wrong or table or mend)
        if blames and operation != "exists":
            policies, mend = Blame(self).of(operation, actor, expected, verdict, about=about)
        self.note(
            RlsCheck(
                table=table or self.plan.name,
                operation=operation,
                actor=actor.name,
                expected=expected,
                verdict=verdict,
                tried="; ".join(each.tried for each in attempts),
                seen=seen,
                policies=policies,
                mend=mend if verdict is not Verdict.OK else "",
                attempts=tuple(each.to_result() for each in attempts),
            )
        )

    def note(self, check: RlsCheck) -> None:
        """Keep a check.

        Raises:
            WrongError: It is not ok, and the rest is then not wanted.
        """
        if self._until_wrong and check.verdict is not Verdict.OK:
            raise WrongError(check)
        self.checks.append(check)


def key_of(row: Row, columns: tuple[str, ...]) -> dict[str, Any]:
    """Give the values of all the columns: with one left out a filter would pick more rows."""
    return {each: row[each] for each in columns}


def descendants(probe: Probe, probes: Sequence[Probe]) -> tuple[Probe, ...]:
    """Give the probes of the tables whose rows hang on this one's, in the order of all."""
    above = {probe.plan.name}
    found = []
    for each in probes:
        if each.plan.relation.is_table and referred_by(each.plan) & above:
            above.add(each.plan.name)
            found.append(each)
    return tuple(found)
