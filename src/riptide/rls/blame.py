"""Says which policies are to blame for a verdict, and which SQL would mend it.

Who is to blame is found by trying, in a transaction that is undone: a policy without which the hole
is shut. Only where something is wrong, as it takes a lock on the table for a moment.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, cast

from riptide._quote import quoted
from riptide.errors import RlsError
from riptide.results import Verdict
from riptide.rls.audit.facts import read_policies
from riptide.rls.ownership import own_condition
from riptide.rls.probes_sql import table_of
from riptide.rls.verdict import ALLOW, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from riptide.rls.actors import Actor
    from riptide.rls.audit.facts import Policy
    from riptide.rls.intent import Operation, Role
    from riptide.rls.probe import Probe

About = Literal["rows", "settled"]
Found = tuple[tuple[str, ...], str]
"""The policies, as ``schema.table: policy``, and the SQL."""


class Blame:
    """Looks for what is to blame on one table."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._plan = probe.plan
        self._connection = probe.database.connection
        self._on = table_of(self._plan).as_string(self._connection)

    def of(
        self,
        operation: Operation,
        actor: Actor,
        expected: str,
        verdict: Verdict,
        *,
        about: About = "rows",
    ) -> Found:
        """Give whom to blame for a cell of the four operations, and what mends it.

        Args:
            operation: Which.
            actor: Who tried.
            expected: ``allow`` or ``deny``.
            verdict: What it came to.
            about: What the owner did with their own row, where that was denied.
        """
        plan = self._plan
        if not plan.relation.is_table:
            return (), self._of_view(operation, actor) if verdict is Verdict.LEAK else ""
        policies = self._policies(operation, actor)
        if verdict is Verdict.ERROR:
            asked = [*policies, *(self._policies("select", actor) if operation != "select" else [])]
            return self._named(dict.fromkeys(asked)), ""
        if verdict is Verdict.LOCKOUT:
            return self._of_lockout(operation, actor, policies)
        if expected == ALLOW:
            return (), ""
        if about == "settled" and self._protected():
            return self._of_settled(policies)
        return self._of_hole(operation, actor, policies)

    def columns(self, operation: Operation) -> str:
        """Give the SQL that leaves clients the columns that the intent names."""
        columns = self._plan.intent.rules["authenticated"].columns(operation)
        if columns is None:
            return ""
        listed = ", ".join(map(quoted, columns))
        return (
            f"revoke {operation} on {self._on} from authenticated;\n"
            f"grant {operation} ({listed}) on {self._on} to authenticated;"
        )

    # --- holes -----------------------------------------------------------------------------------

    def _of_hole(self, operation: Operation, actor: Actor, policies: list[Policy]) -> Found:
        intent, role = self._plan.intent, actor.role
        if not self._protected():
            return (), f"alter table {self._on} enable row level security;"
        word = intent.rules[cast("Role", role)].words[operation]
        if word != "own" or not intent.has_owners:
            return self._named(policies), f"revoke {operation} on {self._on} from {role};"
        # What the owner may not do with their own row is to give it away.
        gift = actor is self._probe.actors.owner
        guilty = [
            each for each in policies if not self._passes(operation, actor, each, gift=gift)
        ] or policies
        mend = [self._shut(operation, each) for each in guilty]
        return self._named(guilty), "\n".join(mend)

    def _of_settled(self, policies: list[Policy]) -> Found:
        """Blame those that let the owner take back what is settled."""
        probe, owner = self._probe, self._probe.actors.owner

        def undone(without: Policy, column: str) -> bool:
            row, value = probe.base(), self._plan.settled[column].make()
            with probe.blind.undone():
                self._run(f"drop policy {without.quoted} on {self._on}")
                return probe.blind.undo(self._plan, owner, row, column, value).rows > 0

        guilty = [p for p in policies if not all(undone(p, c) for c in self._plan.settled)]
        unset = " and ".join(f"{quoted(each)} is null" for each in self._plan.settled)
        condition = f"{self.own()} and {unset}"
        mend = [
            f"drop policy {each.quoted} on {self._on};"
            if self._passes("update", owner, each)
            else f"alter policy {each.quoted} on {self._on} using ({condition});"
            for each in guilty
        ]
        return self._named(guilty or policies), "\n".join(mend)

    def _shut(self, operation: Operation, policy: Policy) -> str:
        owner = self._probe.actors.owner
        if self._passes(operation, owner, policy):
            return f"drop policy {policy.quoted} on {self._on};"
        return f"alter policy {policy.quoted} on {self._on}{self._clauses(policy.command)};"

    def _passes(
        self,
        operation: Operation,
        actor: Actor,
        without: Policy | None = None,
        *,
        gift: bool = False,
    ) -> bool:
        """Whether the database would let it happen, without a policy.

        Args:
            operation: What.
            actor: Who.
            without: The policy that is not there.
            gift: Whether only a new owner counts.
        """
        probe = self._probe
        try:
            row, new = probe.base(), probe.new_row()
        except RlsError:
            return False
        with self._undone():
            if without is not None:
                self._run(f"drop policy {without.quoted} on {self._on}")
            reply = probe.blind.everything(self._plan, actor, row, new, [operation]).get(operation)
            if reply is None:
                return False
            done = reply.outcome is Outcome.DONE and reply.rows > 0
            other = actor is not probe.actors.owner
            if operation == "update" and self._plan.intent.owner and (gift or (other and not done)):
                # It may only be open for a new owner.
                to = {self._plan.intent.owner or "": probe.actors.other.user_id}
                reply = probe.blind.update(self._plan, actor, row, to)
        return reply.outcome is Outcome.CONFLICT or (
            reply.outcome is Outcome.DONE and reply.rows > 0
        )

    def _of_view(self, operation: Operation, actor: Actor) -> str:
        if self._plan.relation.kind == "v" and not self._plan.relation.invoker:
            return f"alter view {self._on} set (security_invoker = true);"
        return f"revoke {operation} on {self._on} from {actor.role};"

    # --- lockouts --------------------------------------------------------------------------------

    def _of_lockout(self, operation: Operation, actor: Actor, policies: list[Policy]) -> Found:
        if f"{actor.role} {operation}" not in self._plan.relation.privileges:
            return (), f"grant {operation} on {self._on} to {actor.role};"
        if actor.role == "service_role":
            return (), ""
        if operation != "select" and self._passes(operation, actor):
            # It is done, but not with a filter, nor with a row that comes back.
            return self._of_lockout("select", actor, self._policies("select", actor))
        restrictive = [each for each in policies if not each.permissive]
        permissive = self.permissive(operation, actor)
        guilty = [each for each in restrictive if self._passes(operation, actor, each)]
        if guilty:
            drop = "\n".join(f"drop policy {each.quoted} on {self._on};" for each in guilty)
            return self._named(guilty), drop
        clauses = self._clauses(operation, self._condition(operation, actor))
        if not permissive:
            name = quoted(f"{self._plan.relation.name}_{operation}")
            create = f"create policy {name} on {self._on} for {operation} to {actor.role}{clauses};"
            return (), create
        clauses = self._clauses(permissive[0].command, self._condition(operation, actor))
        mend = f"alter policy {permissive[0].quoted} on {self._on}{clauses};"
        return self._named(permissive), mend

    def _condition(self, operation: Operation, actor: Actor) -> str:
        word = self._plan.intent.rules[cast("Role", actor.role)].words[operation]
        return "true" if word == "all" else self.own()

    # --- what they share -------------------------------------------------------------------------

    def own(self) -> str:
        """Give the condition for the rows of the user who asks."""
        return own_condition(self._plan, self._probe.plans)

    def permissive(self, operation: Operation, actor: Actor) -> list[Policy]:
        """Give the policies that let an actor do something."""
        return [each for each in self._policies(operation, actor) if each.permissive]

    def _clauses(self, command: str, condition: str = "") -> str:
        condition = condition or self.own()
        using = "" if command == "insert" else f" using ({condition})"
        check = "" if command in ("select", "delete") else f" with check ({condition})"
        return using + check

    def _policies(self, operation: Operation, actor: Actor) -> list[Policy]:
        schema = self._plan.relation.schema
        return [
            each
            for each in read_policies(self._connection, [schema])
            if each.table == self._plan.name and each.is_for(actor.role, operation)
        ]

    def _named(self, policies: list[Policy] | dict[Policy, None]) -> tuple[str, ...]:
        return tuple(f"{self._plan.name}: {each.name}" for each in policies)

    def _protected(self) -> bool:
        query = "select relrowsecurity from pg_class where oid = %s::regclass"
        return self._connection.execute(query, (self._on,)).fetchone() == (True,)

    def _run(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    @contextmanager
    def _undone(self) -> Iterator[None]:
        with self._connection.transaction(force_rollback=True):
            yield
