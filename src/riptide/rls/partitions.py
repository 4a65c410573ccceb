"""Partitions that clients can reach by their own names, where the whole's policies do not hold.

PostgREST exposes a partition as a table of its own, and PostgreSQL applies the policies of the
table that a query names (https://www.postgresql.org/docs/17/ddl-rowsecurity.html). So such a
partition stands under the whole's declaration and is verified by itself: it may give nobody more.
That it gives less is no fault, for the whole is the way to its rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.results import RlsCheck, Verdict
from riptide.rls.intent import OPERATIONS
from riptide.rls.verdict import DENY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from riptide.rls.catalog import Relation
    from riptide.rls.intent import Operation, Role, TableIntent
    from riptide.rls.plan import TablePlan


def inherited(
    catalog: Mapping[str, Relation], declared: Mapping[str, TableIntent]
) -> dict[str, tuple[str, TableIntent]]:
    """Give the partitions that stand under another table's section: its name, and what it says."""
    found = {}
    for name, each in catalog.items():
        if not each.reachable or name in declared:
            continue
        parent = next((above for above in _above(each, catalog) if above in declared), "")
        if parent:
            intent = replace(declared[parent], schema=each.schema, name=each.name)
            found[name] = (parent, intent)
    return found


def told_by_parent(
    relation: Relation, catalog: Mapping[str, Relation], declared: Mapping[str, TableIntent]
) -> bool:
    """Whether the table that this is a partition of is itself reported as undeclared."""
    return any(
        above in catalog and catalog[above].reachable and above not in declared
        for above in _above(relation, catalog)
    )


def _above(relation: Relation, catalog: Mapping[str, Relation]) -> Iterator[str]:
    partition = relation.partition
    while partition is not None:
        yield partition.parent
        parent = catalog.get(partition.parent)
        partition = parent.partition if parent is not None else None


_WHO: tuple[tuple[str, Role], ...] = (
    ("owner", "authenticated"),
    ("other", "authenticated"),
    ("anon", "anon"),
)


def without_rows(plan: TablePlan, why: str) -> list[RlsCheck]:
    """Verify by the catalog alone what is denied in a partition of which no row can be made."""
    checks = []
    for actor, role in _WHO:
        for operation in OPERATIONS:
            word = plan.intent.rules[role].words[operation]
            if word == "all" or (word == "own" and actor == "owner"):
                continue
            verdict, seen = _judge(plan, role, operation, why)
            checks.append(
                RlsCheck(
                    table=plan.name,
                    operation=operation,
                    actor=actor,
                    expected=DENY,
                    verdict=verdict,
                    tried="look at its privileges and policies: no row fits into this partition",
                    seen=seen,
                )
            )
    return checks


def _judge(plan: TablePlan, role: Role, operation: Operation, why: str) -> tuple[Verdict, str]:
    partition = plan.relation.partition
    if f"{role} {operation}" not in plan.relation.privileges:
        return Verdict.OK, f"{role} has no privilege"
    remedy = f"revoke all on {plan.name} from anon, authenticated"
    if partition is None or not partition.protected:
        words = (
            f"{role} has the privilege and RLS is off here; the policies of {plan.parent} do not "
            f"hold in a partition that is asked by its own name: {remedy}"
        )
        return Verdict.LEAK, words
    if not {f"{role} {operation}", f"{role} *"} & partition.policies:
        return Verdict.OK, "RLS is on, and no policy lets it pass"
    return Verdict.ERROR, f"its own policies could not be tried ({why}): {remedy}"
