"""Looks in EXPLAIN how the owner's rows are found: by an index, and asking once who they are.

No rows are made for it. With ``enable_seqscan`` off the planner takes an index wherever one can be
used, as it would by itself on a large table, and where it still reads the whole table there is none
(https://www.postgresql.org/docs/17/runtime-config-query.html). With the indexes off, all that a
policy asks stands in the filter of the scan: a call there is one for each row, and what
``(select …)`` wraps is an InitPlan, which runs once
(https://supabase.com/docs/guides/database/postgres/row-level-security#call-functions-with-select).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from riptide._quote import quoted
from riptide.results import RlsAttempt, RlsCheck, Verdict
from riptide.rls.blame import Blame
from riptide.rls.probes_sql import table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from riptide.rls.audit.facts import Policy
    from riptide.rls.probe import Probe

_CALL = re.compile(r"(?<![\w.])(?:auth\.(?:uid|jwt|role|email)|current_setting)\(")
_BARE = re.compile(r"(?<!select )(?<!\w)auth\.(?:uid|jwt|role|email)\(\)", re.IGNORECASE)
_WITH_INDEXES = ("enable_seqscan",)
_WITHOUT = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")
_QUERY = "select the owner's rows"


class PlanProbe:
    """Looks at one table."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._plan = probe.plan
        self._on = table_of(self._plan).as_string(probe.database.connection)

    def run(self) -> Iterator[RlsCheck]:
        """Look, where users have rows of their own and may select them."""
        plan, actor = self._plan, self._probe.actors.owner
        owner = plan.intent.owner
        own = plan.intent.rules["authenticated"].words["select"] == "own"
        if not owner or not own or "authenticated select" not in plan.relation.privileges:
            return
        with_indexes, scanned = self._explain(_WITH_INDEXES), self._explain(_WITHOUT)
        if with_indexes is None or scanned is None:
            return
        filters = " ".join(str(node.get("Filter", "")) for node in _scans(scanned))
        indexed = any("Index Cond" in node for node in _nodes(with_indexes))
        policies = Blame(self._probe).permissive("select", actor)
        missing = not indexed and self._is_by(owner, filters) and not self._has_index(owner)
        calls = sorted({each.rstrip("(") for each in _CALL.findall(filters)})
        seen, mend, guilty = "an index finds them; auth.uid() is called once", "", []
        if missing:
            seen = f"every row of the table is looked at: no index begins with {owner}"
            mend = f"create index on {self._on} ({quoted(owner)});"
        elif calls:
            guilty = [each for each in policies if _BARE.search(each.using or "")] or policies
            seen = f"{', '.join(calls)} is called for each row: {filters}"
            mend = "\n".join(filter(None, (self._wrapped(each) for each in guilty)))
        elif not indexed:
            # Several ways to a row, as through a team: a scan is what they come to.
            seen = "auth.uid() is called once; no index finds them alone"
        tried = f"explain: {_QUERY}"
        yield RlsCheck(
            table=plan.name,
            operation="plan",
            actor=actor.name,
            expected="allow",
            verdict=Verdict.SLOW if missing or calls else Verdict.OK,
            tried=tried,
            seen=seen,
            policies=tuple(f"{plan.name}: {each.name}" for each in guilty),
            mend=mend,
            attempts=(RlsAttempt(request=tried, reply=seen),),
        )

    def _explain(self, off: tuple[str, ...]) -> dict[str, Any] | None:
        """Give the plan with some ways of the planner off; ``None`` where it may not be asked."""
        connection, blind = self._probe.database.connection, self._probe.blind
        with blind.undone():
            for name in off:
                connection.execute(f"set local {name} = off".encode())
            found: list[Any] = []
            # A policy may ask more than its user may: the plan is not shown then either.
            query = f"explain (format json, costs off) select from {self._on}"
            blind.fetch(self._probe.actors.owner, query, found)
        return dict(found[0][0]["Plan"]) if found else None

    def _is_by(self, owner: str, filters: str) -> bool:
        """Whether the filter compares the owner column, and nothing else would do as well."""
        name = re.escape(quoted(owner)) + "|" + re.escape(owner)
        compared = re.search(rf"(?:= \(?(?:{name})\b)|(?:\b(?:{name})\)? =)", filters)
        return bool(compared) and " OR " not in filters and "SubPlan" not in filters

    def _has_index(self, owner: str) -> bool:
        found = self._probe.database.connection.execute(
            "select from pg_index as i join pg_attribute as a on a.attrelid = i.indrelid "
            "and a.attnum = i.indkey[0] where i.indrelid = %s::regclass and a.attname = %s "
            "and i.indisvalid and i.indpred is null",
            (self._on, owner),
        )
        return found.rowcount > 0

    def _wrapped(self, policy: Policy) -> str:
        using = policy.using or ""
        once = _BARE.sub(lambda call: f"(select {call[0]})", using)
        if once == using:
            return ""
        return f"alter policy {policy.quoted} on {self._on} using ({once});"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the nodes that go through the rows; not what runs once or asks other tables."""
    yield plan
    for each in plan.get("Plans", ()):
        if each.get("Parent Relationship") not in ("InitPlan", "SubPlan"):
            yield from _nodes(each)


def _scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (each for each in _nodes(plan) if "Relation Name" in each)
