"""Upserts: what PostgREST makes of ``on conflict``, on somebody else's key.

``on conflict do update`` needs the INSERT policy for the row that is sent and the UPDATE policy for
the one that is there (https://www.postgresql.org/docs/17/sql-createpolicy.html, policies applied by
command type). ``do nothing`` (``resolution=ignore-duplicates``) needs the INSERT policy, and leaves
the row that is there as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from riptide.rls.api import minimal, selected
from riptide.rls.verdict import ALLOW, DENY, Attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from riptide.rls.actors import Actor
    from riptide.rls.plan import TablePlan
    from riptide.rls.probes_http import TableProbe
    from riptide.rls.probes_sql import Row

IGNORING = ", duplicates ignored"
_PLAIN = re.compile(r"\w+")


class Upserts:
    """Tries upserts on the owner's row, which is there."""

    def __init__(self, probe: TableProbe) -> None:
        self._probe = probe

    def run(self) -> None:
        """Try as those who may not update, and as the owner, who shows that it works."""
        probe = self._probe
        if not can_upsert(probe.plan):
            return
        for actor in (probe.actors.other, probe.actors.anon):
            if f"{actor.role} insert" not in probe.plan.relation.privileges:
                continue
            if probe.expected("update", actor) == DENY:
                attempts = [
                    probe.renewed(self._upsert(actor, self._others(actor), ignore=ignore))
                    for ignore in (False, True)
                ]
                probe.add("update", actor, DENY, attempts, proven=True)
        self._own()

    def _own(self) -> None:
        probe, owner = self._probe, self._probe.actors.owner
        rules = probe.plan.intent.rules["authenticated"]
        may = all(probe.expected(each, owner) == ALLOW for each in ("insert", "update"))
        if not may or rules.update_columns is not None or not probe.plan.change:
            return
        base = probe.base()
        row = {name: base[name] for name in (*probe.plan.insert, *probe.plan.key)}
        attempt = self._upsert(owner, {**row, **probe.change(probe.plan.change)})
        # It needs more than the intent has words for: the privilege to update the key, and an
        # INSERT policy for what is only to be updated. So a no says nothing.
        if attempt.effect:
            probe.add("update", owner, ALLOW, [attempt], proven=True)

    def _others(self, actor: Actor) -> Row:
        """Give a row of the actor's own with the key of the owner's."""
        plan, base = self._probe.plan, self._probe.base()
        second = plan.second and actor is self._probe.actors.other
        new = self._probe.others_row() if second else self._probe.new_row()
        row = {**new, **{name: base[name] for name in plan.key}}
        if plan.intent.owner and plan.intent.owner not in plan.key and actor.user_id:
            row[plan.intent.owner] = actor.user_id
        return row

    def _upsert(self, actor: Actor, row: Row, *, ignore: bool = False) -> Attempt:
        probe = self._probe
        request = probe.table(actor).upsert(
            row,
            on_conflict=",".join(probe.plan.key),
            returning=minimal(),
            ignore_duplicates=ignore,
        )
        whose = "their own" if actor is probe.actors.owner else "the owner's"
        tried = f"upsert over {whose} row{IGNORING if ignore else ''}"
        return probe.attempt(tried, request)


def can_upsert(plan: TablePlan) -> bool:
    """Whether there is a key to upsert by, which a request can name and give.

    The local API knows no quotes in ``on_conflict``.
    """
    key = plan.relation.primary_key
    automatic = {each.name for each in plan.relation.columns if each.automatic}
    return bool(key) and not automatic & set(key) and all(map(_PLAIN.fullmatch, key))


def representing(request: Any, columns: Sequence[str]) -> Any:
    """Let a write give back these columns: there may be others that nobody may select.

    Where a name has to be quoted it gives back all: the local API knows no quotes there.
    """
    if not all(map(_PLAIN.fullmatch, columns)):
        return request
    config = request.request
    config.params = config.params.set("select", selected(tuple(columns)))
    return request
