"""Tries every operation through supabase-py, as each actor, and looks at the effect.

Writes ask for no representation (``returning="minimal"``): PostgREST's ``RETURNING`` needs the
SELECT policy as well and would hide an INSERT policy that lets everybody in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from riptide.results import RlsCheck
from riptide.rls.api import minimal, send
from riptide.rls.intent import OPERATIONS
from riptide.rls.probes_sql import Snapshot, difference
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome, Reply, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from riptide.rls.actors import Actor, Actors
    from riptide.rls.intent import Operation, Role
    from riptide.rls.plan import TablePlan
    from riptide.rls.probes_sql import Database, Row
    from riptide.rls.values import ColumnValues


BLIND = "without a filter (in SQL, undone)"
_ORDER: dict[str, int] = {operation: place for place, operation in enumerate(OPERATIONS)}


class TableProbe:
    """Verifies one table or view.

    Attributes:
        parents: The row made in each table, by ``schema.table``; this table's own is kept there.
    """

    def __init__(
        self, plan: TablePlan, actors: Actors, database: Database, parents: dict[str, Row]
    ) -> None:
        self.plan = plan
        self.actors = actors
        self.database = database
        self.parents = parents
        self._checks: list[RlsCheck] = []
        # This run's rows as they are now, where that is known: nobody else touches them.
        self._now: Snapshot | None = None

    def run(self) -> list[RlsCheck]:
        """Try everything; the table's rows of this run are gone afterwards."""
        self._now = None  # triggers of other tables may have been at work
        self._select()
        if self.plan.relation.is_table:
            self._update()
            self._insert()
            self._delete()
            self._clear()
        return sorted(self._checks, key=lambda each: _ORDER[each.operation])

    # --- the operations --------------------------------------------------------------------------

    def _select(self) -> None:
        columns = self.plan.key or ((self.plan.mark,) if self.plan.mark else ())
        wanted = self._base() if self.plan.relation.is_table else self._in_view()
        tried = "select the owner's row by its key"
        attempts = {}
        for actor in self._everybody():
            query = self._table(actor).select(",".join(columns)).match(_filter(wanted, columns))
            reply = send(query, counts=True)
            effect = "the row came back" if reply.rows > 0 else ""
            attempts[actor.name] = Attempt(tried=tried, reply=reply, effect=effect)
        # The row is there, as it was made without the API; for a view the service role vouches.
        proven = self.plan.relation.is_table or bool(attempts["service_role"].effect)
        for actor in self._everybody():
            self._add(
                "select",
                actor,
                self._expected("select", actor),
                [attempts[actor.name]],
                proven=proven,
                otherwise="the row is there",
            )

    def _update(self) -> None:
        plan, owner, other = self.plan, self.actors.owner, self.actors.other
        rules = plan.intent.rules["authenticated"]
        denied: dict[str, list[Attempt]] = {}
        for actor in (owner, other, self.actors.anon):
            if self._expected("update", actor) == DENY and plan.change:
                denied[actor.name] = [
                    self._renewed(self._try_update(actor, plan.change)),
                    self._try_blind_updates(actor, {**plan.change, **plan.fixed}),
                ]
        gift: list[Attempt] = []
        if plan.intent.owner and rules.words["update"] != "all":
            column, to = plan.intent.owner, {plan.intent.owner: other.user_id}
            denied.setdefault(other.name, []).extend(
                (
                    self._renewed(
                        self._try_write(other, f"make {column} of the owner's row their own", to)
                    ),
                    self._try_blind(other, f"make {column} their own", to),
                )
            )
            # With a filter the SELECT policy asks for the new row to be theirs still.
            gift = [
                self._renewed(self._try_write(owner, f"give the row away: {column}", to)),
                self._try_blind(owner, f"give it away: {column}", to),
            ]
        fixed = [
            self._renewed(self._try_update(owner, {name: plan.fixed[name]}))
            for name in plan.fixed
            if rules.words["update"] != "none"
        ]
        # Those who may go last: what they do can settle the row, as revoking does, and it proves
        # that the others' tries would have worked. The service role has the last word.
        last = {
            actor.name: [self._try_update(actor, plan.change)]
            for actor in self._everybody()
            if actor.name not in denied and plan.change
        }
        nothing = Reply(
            outcome=Outcome.FAILED,
            message="no column whose change could be seen: name update_columns in rls.toml",
        )
        proven = any(each[0].effect for each in last.values()) or not plan.change
        for actor in self._everybody():
            expected = self._expected("update", actor)
            attempts = denied.get(actor.name) or last.get(actor.name)
            attempts = attempts or [Attempt(tried="update the owner's row", reply=nothing)]
            self._add("update", actor, expected, attempts, proven=proven)
        for extra in (gift, fixed):
            if extra:
                self._add("update", owner, DENY, extra, proven=proven)

    def _insert(self) -> None:
        attempts: dict[str, Attempt] = {}
        for actor in self._everybody():
            # Where a user can have one row only, the one that is there would stand in the way.
            self._clear()
            row = self._new_row()
            self.database.remember(self.plan, str(row[self.plan.mark]))
            whose = "a row of their own" if actor is self.actors.owner else "a row of the owner's"
            attempts[actor.name] = self._try(
                f"insert {whose if self.plan.intent.owner else 'a row'}",
                self._table(actor).insert(row, returning=minimal()),
            )
        proven = any(each.effect for each in attempts.values())
        for actor in self._everybody():
            expected = self._expected("insert", actor)
            self._add("insert", actor, expected, [attempts[actor.name]], proven=proven)

    def _delete(self) -> None:
        attempts: dict[str, list[Attempt]] = {}
        order = (self.actors.other, self.actors.anon, self.actors.owner, self.actors.service_role)
        for actor in order:
            base = self._base()
            key = _filter(base, self.plan.key)
            attempts[actor.name] = [
                self._try(
                    "delete the owner's row by its key",
                    self._table(actor).delete(returning=minimal()).match(key),
                )
            ]
            if actor.role != "service_role" and self._expected("delete", actor) == DENY:
                # The row may be gone, which is a leak already.
                reply = self.database.blind_delete(self.plan, actor, self._base())
                attempts[actor.name].append(_blind("delete it", reply))
        proven = any(each[0].effect for each in attempts.values())
        for actor in self._everybody():
            expected = self._expected("delete", actor)
            self._add("delete", actor, expected, attempts[actor.name], proven=proven)

    # --- one try ---------------------------------------------------------------------------------

    def _try_update(self, actor: Actor, columns: Mapping[str, ColumnValues]) -> Attempt:
        tried = f"update {', '.join(columns)} of the owner's row"
        return self._try_write(actor, tried, self._change(columns))

    def _try_write(self, actor: Actor, tried: str, change: Row) -> Attempt:
        key = _filter(self._base(), self.plan.key)
        request = self._table(actor).update(change, returning=minimal()).match(key)
        return self._try(tried, request)

    def _try_blind(self, actor: Actor, tried: str, change: Row) -> Attempt:
        return _blind(tried, self.database.blind_update(self.plan, actor, self._base(), change))

    def _try_blind_updates(self, actor: Actor, columns: Mapping[str, ColumnValues]) -> Attempt:
        """Try each column by itself: one without a grant would hide the others."""
        for name, values in columns.items():
            change = self._change({name: values})
            attempt = self._try_blind(actor, f"update {name}", change)
            if attempt.effect or attempt.reply.outcome not in (Outcome.DONE, Outcome.REFUSED):
                return attempt
        return replace(attempt, tried=f"update each of {', '.join(columns)} {BLIND}")

    def _try(self, tried: str, request: Any) -> Attempt:
        before = self._look()
        reply = send(request)
        self._now = None
        return Attempt(tried=tried, reply=reply, effect=difference(before, self._look()))

    # --- rows ------------------------------------------------------------------------------------

    def _look(self) -> Snapshot:
        if self._now is None:
            self._now = self.database.rows(self.plan)
        return self._now

    def _renewed(self, attempt: Attempt) -> Attempt:
        """Take a row away that a leak has changed: it may be settled now, for instance revoked."""
        if attempt.effect:
            self._clear()
        return attempt

    def _clear(self) -> None:
        self.database.clear(self.plan)
        self._now = {}

    def _new_row(self) -> Row:
        return self.plan.new_row(self.actors.owner.user_id, self.parents)

    def _base(self) -> Row:
        """Give the owner's row as it is now; make one where there is none (any more)."""
        found = [
            row
            for row in self._look().values()
            if not self.plan.intent.owner
            or str(row[self.plan.intent.owner]) == self.actors.owner.user_id
        ]
        if found:
            row = found[0]
        else:
            row = self.database.add(self.plan, self._new_row())
            self._now = None
        self.parents[self.plan.name] = row
        return row

    def make_base(self) -> None:
        """Make the owner's row, unless a trigger did, for the tables that refer to this one."""
        self.database.remember(self.plan, *(self.actors.user_ids if self.plan.intent.owner else ()))
        self._base()

    def _in_view(self) -> Row:
        owner = self.plan.intent.owner
        return {owner: self.actors.owner.user_id} if owner else {}

    def _change(self, columns: Mapping[str, Any]) -> Row:
        now = self._base()
        return {name: values.make(other_than=now.get(name)) for name, values in columns.items()}

    # --- who, and what is expected ----------------------------------------------------------------

    def _everybody(self) -> tuple[Actor, ...]:
        return (
            self.actors.owner,
            self.actors.other,
            self.actors.anon,
            self.actors.service_role,
        )

    def _expected(self, operation: Operation, actor: Actor) -> str:
        word = self.plan.intent.rules[cast("Role", actor.role)].words[operation]
        # Without owners a row is nobody's own, and "own" is no word for such a table.
        allowed = word == "all" or (word == "own" and actor is self.actors.owner)
        return ALLOW if allowed else DENY

    def _table(self, actor: Actor) -> Any:
        relation = self.plan.relation
        return actor.client.schema(relation.schema).table(relation.name)

    def _add(
        self,
        operation: Operation,
        actor: Actor,
        expected: str,
        attempts: list[Attempt],
        **judging: Any,
    ) -> None:
        verdict, seen = judge(expected, attempts, **judging)
        self._checks.append(
            RlsCheck(
                table=self.plan.name,
                operation=operation,
                actor=actor.name,
                expected=expected,
                verdict=verdict,
                tried="; ".join(each.tried for each in attempts),
                seen=seen,
            )
        )


def _blind(tried: str, reply: Reply) -> Attempt:
    hit = reply.outcome is Outcome.DONE and reply.rows > 0
    return Attempt(
        tried=f"{tried} {BLIND}",
        reply=reply,
        effect="the database would have done it" if hit else "",
    )


def _filter(row: Row, columns: tuple[str, ...]) -> dict[str, Any]:
    return {each: row[each] for each in columns if each in row}
