"""Tries every operation through supabase-py, as each actor, and looks at the effect.

Writes ask for no representation (``returning="minimal"``): PostgREST's ``RETURNING`` needs the
SELECT policy as well and would hide an INSERT policy that lets everybody in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.rls.api import matching, minimal, selected, send
from riptide.rls.probe import (
    BLIND,
    UNDONE,
    Probe,
    blind_attempt,
    key_of,
    no_privilege,
    shortened,
)
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome, Reply

if TYPE_CHECKING:
    from riptide.results import RlsCheck
    from riptide.rls.actors import Actor
    from riptide.rls.probes_sql import Row


class TableProbe(Probe):
    """Verifies one table."""

    def run(self) -> list[RlsCheck]:
        """Try everything; the table's rows of this run are gone afterwards."""
        self._now = None  # triggers of other tables may have been at work
        self._select()
        self._update()
        self._insert()
        self._delete()
        self._clear()
        return self._sorted()

    # --- the operations --------------------------------------------------------------------------

    def _select(self) -> None:
        plan, relation = self.plan, self.plan.relation
        # A materialized view and a foreign table have no policies: who may read, reads everything.
        policies = relation.kind not in ("m", "f")
        wanted: Row = {}
        if relation.is_table:
            wanted = key_of(self._base(), plan.key)
        elif policies and plan.intent.owner:
            wanted = {plan.intent.owner: self.actors.owner.user_id}
        tried = "select the owner's row by its key" if wanted else "select any row"
        attempts = {}
        for actor in self._everybody():
            query = self._table(actor).select(selected(tuple(wanted)))
            query = matching(query, wanted) if wanted else query.limit(1)
            reply = send(query, plan.name, counts=True)
            effect = "the row came back" if reply.rows > 0 else ""
            if reply.outcome is Outcome.DONE and not policies:
                effect = "it has no policies: every row can be read"
            if (
                reply.outcome is Outcome.REFUSED
                and wanted
                and self._expected("select", actor) == DENY
                and f"{actor.role} select" in relation.privileges
                and self.blind.select(plan, actor, wanted).rows > 0
            ):
                effect = "but the row can be read by the columns that may be selected"
            attempts[actor.name] = Attempt(tried=tried, reply=reply, effect=effect)
        # The row is there, as it was made without the API; for a view whoever sees it vouches.
        proven = relation.is_table or any(each.effect for each in attempts.values())
        for actor in self._everybody():
            expected, attempt = self._expected("select", actor), attempts[actor.name]
            if expected == ALLOW and not wanted and not proven and attempt.reply.rows == 0:
                # A view without a row shows all that there is to whoever may ask it.
                attempt = replace(attempt, effect="there is none")
            self._add(
                "select",
                actor,
                expected,
                [attempt],
                proven=proven,
                otherwise="the row is there" if proven else "no row is there",
            )

    def _update(self) -> None:
        plan, owner, other = self.plan, self.actors.owner, self.actors.other
        rules = plan.intent.rules["authenticated"]
        denied: dict[str, list[Attempt]] = {}
        for actor in (owner, other, self.actors.anon):
            if self._expected("update", actor) == DENY:
                denied[actor.name] = self._try_all_columns(actor)
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
                self._renewed(
                    self._try_write(owner, f"give the row away: {column}", to, changes=True)
                ),
                self._try_blind(owner, f"give it away: {column}", to, changes=True),
            ]
        fixed: list[Attempt] = []
        if rules.words["update"] != "none":
            for name in plan.fixed:
                change = self._change({name: plan.fixed[name]})
                tried = f"update {name} of the owner's row"
                fixed.append(self._renewed(self._try_write(owner, tried, change, changes=True)))
            fixed += self._try_untried()
            fixed += self._try_settled()
        # Those who may go last: what they do can settle the row, as revoking does, and it proves
        # that the others' tries would have worked. The service role has the last word.
        last = {
            actor.name: [self._try_allowed(actor)]
            for actor in self._everybody()
            if actor.name not in denied
        }
        proven = any(each[0].effect for each in last.values())
        for actor in self._everybody():
            expected = self._expected("update", actor)
            attempts = denied.get(actor.name) or last[actor.name]
            self._add("update", actor, expected, attempts, proven=proven)
        for extra in (gift, fixed):
            if extra:
                self._add("update", owner, DENY, extra, proven=proven)

    def _try_allowed(self, actor: Actor) -> Attempt:
        """Update as one who may; where no column has room for a change, set one to what it is."""
        if self.plan.change:
            attempt = self._try_update(actor, self.plan.change)
            # A check over several columns may not like the made-up value, which says nothing.
            if attempt.reply.outcome not in (Outcome.CONFLICT, Outcome.INVALID):
                return attempt
            touched = self._touch(actor, next(iter(self.plan.change)))
            return touched if touched.effect else attempt
        columns = self.blind.updatable(self.plan, actor)
        return self._touch(actor, columns[0]) if columns else no_privilege("update the row")

    def _try_all_columns(self, actor: Actor) -> list[Attempt]:
        """Try as one who may change no column at all: a grant on one is a grant."""
        change = {**self.plan.change, **self.plan.fixed}
        attempts = []
        if self.plan.change and not self.plan.parent:
            attempts.append(self._renewed(self._try_update(actor, self.plan.change)))
        attempts += [
            self._try_blind(actor, f"update {name}", self._change({name: values}))
            for name, values in change.items()
        ]
        for name in self.blind.updatable(self.plan, actor):
            if name not in change:
                attempts.append(self._touch(actor, name))
        return shortened(attempts) or [no_privilege("update the owner's row")]

    def _try_untried(self) -> list[Attempt]:
        """Look whether the owner may write columns of which no other value is known."""
        attempts = []
        for name in set(self.blind.updatable(self.plan, self.actors.owner)) & set(
            self.plan.untried
        ):
            attempt = self._touch(self.actors.owner, name)
            if attempt.effect:
                words = (
                    f"{name} may be written, and no other value could be made up: say whether it "
                    f"may change in update_columns, or revoke update on it"
                )
                reply = Reply(outcome=Outcome.FAILED, message=words)
                attempt = Attempt(tried=attempt.tried, reply=reply)
            attempts.append(attempt)
        return attempts

    def _try_settled(self) -> list[Attempt]:
        """Try as the owner to take back what stays once it is set."""
        row = self._base()
        return [
            blind_attempt(
                f"set {name} back to nothing once it is set {UNDONE}",
                self.blind.undo(self.plan, self.actors.owner, row, name, values.make()),
            )
            for name, values in self.plan.settled.items()
        ]

    def _touch(self, actor: Actor, name: str) -> Attempt:
        row = self._base()
        reply = self.blind.update(self.plan, actor, row, {name: row[name]})
        return blind_attempt(f"set {name} to what it is {BLIND}", reply)

    def _insert(self) -> None:
        attempts: dict[str, list[Attempt]] = {}
        for actor in self._everybody():
            # Where a user can have one row only, the one that is there would stand in the way.
            self._clear()
            row = self._new_row()
            self.database.remember(self.plan, str(row[self.plan.mark]))
            attempts[actor.name] = [self._try_insert(actor, row)]
            owner = self.plan.relation.column(self.plan.intent.owner or "")
            if owner and not owner.not_null and self._expected("insert", actor) == DENY:
                self._clear()
                nobodys = {**self._new_row(), owner.name: None}
                reply = self.blind.insert(self.plan, actor, nobodys)
                attempts[actor.name].append(
                    blind_attempt("insert a row of nobody's (in SQL, undone)", reply)
                )
        proven = any(each[0].effect for each in attempts.values())
        for actor in self._everybody():
            expected = self._expected("insert", actor)
            self._add("insert", actor, expected, attempts[actor.name], proven=proven)

    def _try_insert(self, actor: Actor, row: Row) -> Attempt:
        """Insert a row, and see where it went: a trigger may have made it somebody else's."""
        owner = self.plan.intent.owner
        whose = "a row of their own" if actor is self.actors.owner else "a row of the owner's"
        tried = f"insert {whose if owner else 'a row'}"
        # Nothing is sent of which nothing could be found again.
        lost = self.blind.loses(self.plan, actor, row)
        if lost is not None:
            effect = "a trigger gave it another owner" if lost.rows > 0 else ""
            return Attempt(tried=f"{tried} {UNDONE}", reply=lost, effect=effect)
        before = self._look()
        attempt = self._try(tried, self._table(actor).insert(row, returning=minimal()))
        new = [self._look()[key] for key in self._look().keys() - before.keys()]
        if (
            owner
            and actor is self.actors.other
            and self.plan.intent.rules["authenticated"].words["insert"] == "own"
            and new
            and all(str(each[owner]) == actor.user_id for each in new)
        ):
            return replace(attempt, effect="", tried=f"{tried}: a trigger made it their own")
        return attempt

    def _delete(self) -> None:
        attempts: dict[str, list[Attempt]] = {}
        order = (self.actors.other, self.actors.anon, self.actors.owner, self.actors.service_role)
        for actor in order:
            base = self._base()
            key = key_of(base, self.plan.key)
            attempts[actor.name] = [
                self._try(
                    "delete the owner's row by its key",
                    matching(self._table(actor).delete(returning=minimal()), key),
                )
            ]
            if actor.role != "service_role" and self._expected("delete", actor) == DENY:
                # The row may be gone, which is a leak already.
                reply = self.blind.delete(self.plan, actor, self._base())
                attempts[actor.name].append(blind_attempt(f"delete it {BLIND}", reply))
        proven = any(each[0].effect for each in attempts.values())
        for actor in self._everybody():
            expected = self._expected("delete", actor)
            self._add("delete", actor, expected, attempts[actor.name], proven=proven)
