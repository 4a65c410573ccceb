"""Selects from a table or a view as everybody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.rls.api import matching, selected, send
from riptide.rls.probe import key_of
from riptide.rls.probes_read import Reader, came
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome

if TYPE_CHECKING:
    from riptide.rls.probe import Probe
    from riptide.rls.probes_sql import Row


def select(probe: Probe) -> None:
    """Read as everybody who may and may not, and note what came of it."""
    plan, relation = probe.plan, probe.plan.relation
    # A materialized view and a foreign table have no policies: who may read, reads everything.
    policies = relation.kind not in ("m", "f")
    reader = Reader(probe)
    wanted: Row = {}
    if relation.is_table:
        wanted = key_of(probe.base(), plan.key)
    elif policies and plan.intent.owner:
        wanted = {plan.intent.owner: probe.actors.owner.user_id}
    tried = "select the owner's rows" if wanted else "select any row"
    attempts: dict[str, list[Attempt]] = {}
    for actor in probe.everybody():
        if relation.is_table:
            attempt = reader.single(actor, wanted)
        else:
            query = probe.table(actor).select(selected(tuple(wanted)))
            query = matching(query, wanted) if wanted else query.limit(1)
            reply = send(query, plan.name, counts=True)
            effect = came(reply)
            if reply.outcome is Outcome.DONE and not policies:
                effect = "it has no policies: every row can be read"
            attempt = Attempt(tried=tried, reply=reply, effect=effect)
        reply, expected = attempt.reply, probe.expected("select", actor)
        if (
            reply.outcome is Outcome.REFUSED
            and wanted
            and expected == DENY
            and f"{actor.role} select" in relation.privileges
            and probe.blind.select(plan, actor, wanted).rows > 0
        ):
            effect = "but the row can be read by the columns that may be selected"
            attempt = replace(attempt, effect=effect)
        attempts[actor.name] = [attempt]
        # A count of all that everybody may see would only take its time.
        counts = expected == DENY or (
            actor is probe.actors.owner
            and plan.intent.rules["authenticated"].words["select"] == "own"
        )
        if relation.is_table and counts and not reply.lacks_privilege:
            attempts[actor.name] += reader.every(actor, expected=expected)
    # The row is there, as it was made without the API; for a view whoever sees it vouches.
    proven = relation.is_table or any(each[0].effect for each in attempts.values())
    for actor in probe.everybody():
        expected, (attempt, *more) = probe.expected("select", actor), attempts[actor.name]
        if expected == ALLOW and not wanted and not proven and attempt.reply.rows == 0:
            # A view without a row shows all that there is to whoever may ask it.
            attempt = replace(attempt, effect="there is none")
        probe.add(
            "select",
            actor,
            expected,
            [attempt, *more],
            proven=proven,
            otherwise="the row is there" if proven else "no row is there",
        )
    if relation.is_table:
        _embedded(probe, reader)


def _embedded(probe: Probe, reader: Reader) -> None:
    """Read the row with those that foreign keys tie it to."""
    users = (probe.actors.owner, probe.actors.other, probe.actors.anon)
    for key in probe.plan.relation.foreign_keys:
        parent = probe.plans.get(key.target)
        if (
            parent is None
            or parent is probe.plan
            or not parent.relation.is_table
            or parent.relation.schema != probe.plan.relation.schema
            or parent.name not in probe.parents
            or any(probe.base()[each] is None for each in key.columns)
        ):
            continue
        for target, actor, expected, attempt in reader.embedded(key, parent, users):
            probe.add("select", actor, expected, [attempt], table=target.name, proven=True)
