"""Tries every operation through supabase-py, as each actor, and looks at the effect.

Writes ask for no representation (``returning="minimal"``): PostgREST's ``RETURNING`` needs the
SELECT policy as well and would hide an INSERT policy that lets everybody in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.rls.api import matching, minimal
from riptide.rls.attempts import blind_attempt, no_privilege, shortened
from riptide.rls.blame import Blame
from riptide.rls.probe import BLIND, UNDONE, Probe, key_of
from riptide.rls.probes_exists import ExistsProbe
from riptide.rls.probes_plan import PlanProbe
from riptide.rls.probes_select import select
from riptide.rls.probes_strangers import StrangerProbe
from riptide.rls.probes_upsert import IGNORING, Upserts, can_upsert, representing
from riptide.rls.verdict import DENY, Attempt, Outcome, Reply

if TYPE_CHECKING:
    from riptide.results import RlsCheck
    from riptide.rls.actors import Actor
    from riptide.rls.probes_sql import Row


class TableProbe(Probe):
    """Verifies one table."""

    def run(self) -> list[RlsCheck]:
        """Try everything; the table's rows of this run are gone afterwards."""
        self.restore()  # triggers of other tables may have been at work
        select(self)
        StrangerProbe(self).run(self.base(), self.new_row())
        ExistsProbe(self).run()
        for check in PlanProbe(self).run():
            self.note(check)
        Upserts(self).run()
        self._update()
        self._insert()
        self._delete()
        self.restore()
        return self._sorted()

    # --- the operations --------------------------------------------------------------------------

    def _update(self) -> None:
        plan, owner, other = self.plan, self.actors.owner, self.actors.other
        rules = plan.intent.rules["authenticated"]
        denied: dict[str, list[Attempt]] = {}
        for actor in (owner, other, self.actors.anon):
            if self.expected("update", actor) == DENY:
                denied[actor.name] = self._try_all_columns(actor)
        gift: list[Attempt] = []
        if plan.intent.owner and rules.words["update"] != "all":
            column, to = plan.intent.owner, {plan.intent.owner: other.user_id}
            denied.setdefault(other.name, []).extend(
                (
                    self.renewed(
                        self._try_write(other, f"make {column} of the owner's row their own", to)
                    ),
                    self._try_blind(other, f"make {column} their own", to),
                )
            )
            # With a filter the SELECT policy asks for the new row to be theirs still.
            gift = [
                self.renewed(
                    self._try_write(owner, f"give the row away: {column}", to, changes=True)
                ),
                self._try_blind(owner, f"give it away: {column}", to, changes=True),
            ]
        fixed: list[Attempt] = []
        settled: list[Attempt] = []
        if rules.words["update"] != "none":
            for number, name in enumerate(plan.fixed):
                change = self.change({name: plan.fixed[name]})
                tried = f"update {name} of the owner's row"
                # The owner sees the row, so SQL and a request come to the same: one is enough.
                send = self._try_blind if number else self._try_write
                fixed.append(self.renewed(send(owner, tried, change, changes=True)))
            fixed += self._try_untried()
            settled = self._try_settled()
        # Those who may go last: what they do can settle the row, as revoking does, and it proves
        # that the others' tries would have worked. The service role has the last word.
        last = {
            actor.name: [self._try_allowed(actor)]
            for actor in self.everybody()
            if actor.name not in denied
        }
        proven = any(each[0].effect for each in last.values())
        for actor in self.everybody():
            expected = self.expected("update", actor)
            attempts = denied.get(actor.name) or last[actor.name]
            self.add("update", actor, expected, attempts, proven=proven)
        if gift:
            self.add("update", owner, DENY, gift, proven=proven)
        if fixed:
            mend = Blame(self).columns("update")
            self.add("update", owner, DENY, fixed, proven=proven, mend=mend)
        if settled:
            self.add("update", owner, DENY, settled, proven=proven, about="settled")

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
            attempts.append(self.renewed(self._try_update(actor, self.plan.change)))
        attempts += [
            self._try_blind(actor, f"update {name}", self.change({name: values}))
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
        row = self.base()
        return [
            blind_attempt(
                f"set {name} back to nothing once it is set {UNDONE}",
                self.blind.undo(self.plan, self.actors.owner, row, name, values.make()),
            )
            for name, values in self.plan.settled.items()
        ]

    def _touch(self, actor: Actor, name: str) -> Attempt:
        row = self.base()
        reply = self.blind.update(self.plan, actor, row, {name: row[name]})
        return blind_attempt(f"set {name} to what it is {BLIND}", reply)

    def _insert(self) -> None:
        attempts: dict[str, list[Attempt]] = {}
        for actor in self.everybody():
            # Where a user can have one row only, the one that is there would stand in the way.
            row = self.fresh_row()
            attempts[actor.name] = [self._try_insert(actor, row)]
            attempts[actor.name] += self._insert_otherwise(actor, attempts[actor.name][0])
            owner = self.plan.relation.column(self.plan.intent.owner or "")
            if owner and not owner.not_null and self.expected("insert", actor) == DENY:
                self.clear()
                nobodys = {**self.new_row(), owner.name: None}
                reply = self.blind.insert(self.plan, actor, nobodys)
                attempts[actor.name].append(
                    blind_attempt("insert a row of nobody's (in SQL, undone)", reply)
                )
        proven = any(each[0].effect for each in attempts.values())
        for actor in self.everybody():
            expected = self.expected("insert", actor)
            self.add("insert", actor, expected, attempts[actor.name], proven=proven)

    def _insert_otherwise(self, actor: Actor, first: Attempt) -> list[Attempt]:
        """Insert with a representation, as the default owner, and by an upsert."""
        expected = self.expected("insert", actor)
        users = (self.actors.owner, self.actors.other)
        if actor not in users or first.reply.lacks_privilege or (first.effect and expected == DENY):
            return []
        if expected == DENY:
            # Its own way in, and with what comes back: the plain one was tried before.
            ways = ("upsert", "ignore") if can_upsert(self.plan) else ("representation",)
            return [self._try_insert(actor, self.fresh_row(), how=how) for how in ways]
        # Where members come after what they are members of, nobody sees it in the same breath.
        later = self.plan.intent.through in {each.plan.name for each in self.children}
        if actor is not self.actors.owner or not first.effect or later:
            return []
        row, owner = self.fresh_row(), self.plan.relation.column(self.plan.intent.owner or "")
        # A row of defaults alone is none that the local API takes.
        if owner and "auth." in (owner.default or "") and len(row) > 1:
            row.pop(owner.name, None)
        if self.expected("select", actor) == DENY:
            again = self._try_insert(actor, row)
        else:
            again = self._try_insert(actor, row, how="representation")
        more = [again]
        if can_upsert(self.plan):
            more.append(self._try_insert(actor, self.fresh_row(), how="ignore"))
        # What comes back, and a key to compare, take the privilege to select.
        return [each for each in more if not each.reply.lacks_privilege]

    def fresh_row(self) -> Row:
        """Make up a row for a table that has none of this run's, and note how it is found."""
        self.clear()
        row = self.new_row()
        self.database.remember(self.plan, str(row[self.plan.mark]))
        return row

    def _try_insert(self, actor: Actor, row: Row, *, how: str = "minimal") -> Attempt:
        """Insert a row, and see where it went: a trigger may have made it somebody else's."""
        owner = self.plan.intent.owner
        whose = "a row of their own" if actor is self.actors.owner else "a row of the owner's"
        tried = f"{'upsert' if how == 'upsert' else 'insert'} {whose if owner else 'a row'}"
        if owner and owner not in row:
            tried = f"insert a row without {owner}"
        tried += {"minimal": "", "ignore": IGNORING}.get(how, ", and get it back")
        # Nothing is sent of which nothing could be found again.
        lost = self.blind.loses(self.plan, actor, row)
        if lost is not None:
            effect = "a trigger gave it another owner" if lost.rows > 0 else ""
            return Attempt(tried=f"{tried} {UNDONE}", reply=lost, effect=effect)
        before = self._look()
        table = self.table(actor)
        match how:
            case "upsert":
                upsert = table.upsert(row, on_conflict=",".join(self.plan.key))
                request = representing(upsert, self.plan.key)
            case "ignore":
                request = table.upsert(
                    row,
                    on_conflict=",".join(self.plan.key),
                    returning=minimal(),
                    ignore_duplicates=True,
                )
            case "representation":
                request = representing(table.insert(row), self.plan.key)
            case _:
                request = table.insert(row, returning=minimal())
        attempt = self.attempt(tried, request)
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
        # What hangs on the row is there, as a policy may ask for it, but for what would keep it.
        hung = {self.plan.name, *(each.plan.name for each in self.children)}
        keeping = [
            each
            for each in self.children
            if any(k.target in hung and not k.cascades for k in each.plan.relation.foreign_keys)
        ]
        for actor in order:
            if self.children:
                self.restore()
            for each in reversed(keeping):
                each.clear()
            base = self.base()
            key = key_of(base, self.plan.key)
            attempts[actor.name] = [
                self.attempt(
                    "delete the owner's row by its key",
                    matching(self.table(actor).delete(returning=minimal()), key),
                )
            ]
            if actor.role != "service_role" and self.expected("delete", actor) == DENY:
                # The row may be gone, which is a leak already.
                reply = self.blind.delete(self.plan, actor, self.base())
                attempts[actor.name].append(blind_attempt(f"delete it {BLIND}", reply))
        proven = any(each[0].effect for each in attempts.values())
        for actor in self.everybody():
            expected = self.expected("delete", actor)
            self.add("delete", actor, expected, attempts[actor.name], proven=proven)
