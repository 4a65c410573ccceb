"""What is verified in another way than a table: views, and partitions asked by their own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.errors import RlsError
from riptide.rls.attempts import blind_attempt, no_privilege
from riptide.rls.partitions import without_rows
from riptide.rls.probe import UNDONE
from riptide.rls.probes_http import TableProbe
from riptide.rls.probes_select import select
from riptide.rls.verdict import DENY, Attempt, Outcome, Reply

if TYPE_CHECKING:
    from riptide.results import RlsCheck
    from riptide.rls.actors import Actor
    from riptide.rls.intent import Operation


class ViewProbe(TableProbe):
    """Verifies a view, a materialized view or a foreign table.

    What may be read is tried through the API. What is denied is also tried through the view in SQL:
    one that asks its tables as its owner passes their policies by. What may be written through it
    is its tables' affair.
    """

    def run(self) -> list[RlsCheck]:
        """Try everything."""
        select(self)
        self._write()
        return self._sorted()

    def _write(self) -> None:
        relation = self.plan.relation
        for operation in ("insert", "update", "delete"):
            if operation not in relation.writable and relation.kind != "f":
                continue
            for actor in self.everybody():
                if self.expected(operation, actor) == DENY:
                    attempts = self._through(operation, actor)
                    self.add(operation, actor, DENY, attempts, proven=True, otherwise="undone")

    def _through(self, operation: Operation, actor: Actor) -> list[Attempt]:
        plan, blind = self.plan, self.blind
        tried = f"{operation} through it {UNDONE}"
        if f"{actor.role} {operation}" not in plan.relation.privileges:
            refused = Reply(outcome=Outcome.REFUSED, message="no privilege")
            return [Attempt(tried="look at its privileges", reply=refused)]
        if plan.relation.kind == "f":
            done = Reply(outcome=Outcome.DONE)
            effect = "a foreign table has no policies, and the privilege is there"
            return [Attempt(tried="look at its privileges", reply=done, effect=effect)]
        owner = plan.intent.owner
        row = {owner: self.actors.owner.user_id} if owner else {}
        columns = blind.updatable(plan, actor)
        match operation:
            case "insert":
                reply = blind.insert(plan, actor, row if owner in columns else {})
                return [blind_attempt(tried, reply)]
            case "update":
                replies = [blind.through_view(plan, actor, row, each) for each in columns]
            case _:
                replies = [blind.through_view(plan, actor, row)]
        if row or plan.relation.invoker:
            return [blind_attempt(tried, each) for each in replies] or [no_privilege(tried)]
        # Nothing picks out a row that is this run's. But for the privilege nothing protects the
        # rows: the tables are asked as the view's owner, whom their policies do not concern.
        return [
            Attempt(
                tried=tried,
                reply=each,
                effect="nothing but the view itself stands before its tables"
                if each.outcome is Outcome.DONE
                else "",
            )
            for each in replies
        ] or [no_privilege(tried)]


class PartitionProbe(TableProbe):
    """Verifies a partition that clients can reach: it may give nobody more than the whole does.

    In SQL alone: PostgREST serves partitions or does not, as its version has it
    (https://github.com/PostgREST/postgrest/pull/2022), and a hole should not wait for another one.
    """

    def run(self) -> list[RlsCheck]:
        """Try what is denied; the partition's rows of this run are gone afterwards."""
        self._now = None
        why = self.plan.no_row
        if not why:
            try:
                self.base()
            except RlsError as error:
                why = error.message
        if why:
            return without_rows(self.plan, why)
        for actor in self.everybody():
            if self.expected("select", actor) == DENY:
                self._deny("select", actor, [self._look_as(actor)])
            if self.expected("update", actor) == DENY:
                self._deny("update", actor, self._try_all_columns(actor))
            if self.expected("delete", actor) == DENY:
                reply = self.blind.delete(self.plan, actor, self.base())
                self._deny(
                    "delete", actor, [blind_attempt(f"delete the owner's row {UNDONE}", reply)]
                )
        # Where a user can have one row only, the one that is there would stand in the way.
        base = self.base()
        row = {name: base[name] for name in self.plan.insert}
        self.clear()
        for actor in self.everybody():
            if self.expected("insert", actor) == DENY:
                reply = self.blind.insert(self.plan, actor, row)
                tried = f"insert a row of the owner's {UNDONE}"
                self._deny("insert", actor, [blind_attempt(tried, reply)])
        return self._sorted()

    def _look_as(self, actor: Actor) -> Attempt:
        tried = f"select the owner's row {UNDONE}"
        if f"{actor.role} select" not in self.plan.relation.privileges:
            return Attempt(
                tried=tried, reply=Reply(outcome=Outcome.REFUSED, message="no privilege")
            )
        return blind_attempt(tried, self.blind.select(self.plan, actor, self.base()))

    def _deny(self, operation: Operation, actor: Actor, attempts: list[Attempt]) -> None:
        self.add(operation, actor, DENY, attempts, proven=True)
