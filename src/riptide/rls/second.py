"""Says where the other user is to have rows of their own: another team, another tenant.

A policy that asks whether the caller is in some team, and forgets in which, lets in whoever is in
any: it takes a caller with a team of their own to see that. What must not come of it is a caller
who rightly has more rights than the plainest user, as an alarm would then be false. So no row is
made for them that might say what they are (``admins (user_id)``, a role that hangs on no team), nor
one that would tie them to what is the owner's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.rls.sources import Reference
from riptide.rls.values import ColumnValues, Fixed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from riptide.rls.plan import TablePlan
    from riptide.rls.sources import Source


def with_second_rows(tables: Iterable[TablePlan]) -> frozenset[str]:
    """Give the tables in which the other user gets a row of their own.

    Args:
        tables: Each before those that refer to it, as rows are made.
    """
    plans = [each for each in tables if each.relation.is_table and not each.parent]
    referred = {name for each in plans for name in referred_by(each) if name != each.name}
    chosen: set[str] = set()
    for each in plans:
        if each.intent.other_row or _is_safe(each, referred, chosen):
            chosen.add(each.name)
    return frozenset(chosen)


def referred_by(plan: TablePlan) -> set[str]:
    """Give the tables of which a row has to be there for a row of this one."""
    return {each.table for each in plan.insert.values() if isinstance(each, Reference)}


def _is_safe(plan: TablePlan, referred: Collection[str], chosen: Collection[str]) -> bool:
    if any(_ties(plan, name, source) for name, source in plan.insert.items()):
        return False
    parents = referred_by(plan)
    if parents:
        return parents <= set(chosen)
    # What hangs on no team holds everywhere: no more than that the row is there, for others to
    # hang on, and a row of one's own by which nobody can be told from another.
    owner = plan.intent.owner
    tells = any(key <= {owner} for key in plan.relation.unique) if owner else False
    return plan.name in referred and not tells and not _has_a_kind(plan)


def _ties(plan: TablePlan, name: str, source: Source) -> bool:
    """Whether a value of rls.toml is that of the owner's row too, and part of a key."""
    if not isinstance(source, Fixed) or any(
        word in str(source.value) for word in ("{random}", "{owner}")
    ):
        return False
    relation = plan.relation
    return relation.foreign_key_of(name) is not None or any(name in key for key in relation.unique)


def _has_a_kind(plan: TablePlan) -> bool:
    """Whether a row has to be given one of few values: one of them may be that of an admin."""
    for name, source in plan.insert.items():
        column = plan.relation.column(name)
        if column is not None and isinstance(source, ColumnValues):
            few = column.category in ("B", "E", "S") and not source.random
            if few and column.base != "uuid":
                return True
    return False
