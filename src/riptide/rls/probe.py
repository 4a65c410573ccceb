"""One table's verification under way: its rows, its tries, its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from riptide._interrupts import deferred
from riptide.results import RlsCheck, Verdict
from riptide.rls.api import matching, minimal, send
from riptide.rls.attempts import blind_attempt
from riptide.rls.blame import Blame
from riptide.rls.blind import Blind
from riptide.rls.intent import OPERATIONS
from riptide.rls.probes_sql import difference
from riptide.rls.rows import Rows
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from riptide.rls.actors import Actor, Actors
    from riptide.rls.blame import About
    from riptide.rls.intent import Operation, Role
    from riptide.rls.plan import TablePlan
    from riptide.rls.probes_sql import Database, Row
    from riptide.rls.values import ColumnValues


UNDONE = "(in SQL, undone)"
BLIND = f"without a filter {UNDONE}"
_ORDER: dict[str, int] = {
    operation: place for place, operation in enumerate((*OPERATIONS, "exists", "plan"))
}


class WrongError(Exception):
    """A check is not ok, which is all that was asked."""

    def __init__(self, check: RlsCheck) -> None:
        super().__init__(check.seen)
        self.check = check


class Probe(Rows):
    """What is tried on one table, by whom, with which rows, and what it came to."""

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
        super().__init__(plan, actors, database, parents, others)
        self._until_wrong = until_wrong
        self.plans = plans
        self.blind = Blind(database)
        self.checks: list[RlsCheck] = []

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
