"""Writes in SQL whose row it is: by a column, or through a table of members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide._quote import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from riptide.rls.catalog import Relation
    from riptide.rls.plan import TablePlan


def own_condition(plan: TablePlan, plans: Mapping[str, TablePlan], *, prefix: str = "") -> str:
    """Give the condition for the rows of the user who asks; ``false`` where none are anybody's.

    Args:
        plan: Whose rows.
        plans: That of each table, by ``schema.table``.
        prefix: What stands before the names of its columns.
    """
    intent, relation = plan.intent, plan.relation
    column = relation.column(intent.owner or "")
    if column is not None:
        cast = "" if column.base == "uuid" else f"::{column.type}"
        return f"(select auth.uid()){cast} = {prefix}{quoted(column.name)}"
    members = plans.get(intent.through or "")
    if members is None:
        return "false"
    here, there = f"{prefix or f'{quoted(relation.name)}.'}", f"{quoted(members.relation.name)}."
    ties = " and ".join(
        f"{there}{quoted(one)} = {here}{quoted(another)}"
        for one, another in _ties(members.relation, relation)
    )
    on = f"{quoted(members.relation.schema)}.{quoted(members.relation.name)}"
    theirs = own_condition(members, plans, prefix=there)
    return f"exists (select from {on} where {ties} and {theirs})"


def _ties(members: Relation, relation: Relation) -> Iterator[tuple[str, str]]:
    """Give the columns of both that say the same: by a key of one to the other, or of both."""
    for key in members.foreign_keys:
        if key.target == relation.full_name:
            yield from zip(key.columns, key.target_columns, strict=True)
            return
    for key in relation.foreign_keys:
        if key.target == members.full_name:
            yield from zip(key.target_columns, key.columns, strict=True)
            return
    for one in members.foreign_keys:
        for another in relation.foreign_keys:
            if one.target == another.target != "auth.users":
                by_target = dict(zip(another.target_columns, another.columns, strict=True))
                for name, target in zip(one.columns, one.target_columns, strict=True):
                    if target in by_target:
                        yield name, by_target[target]
                return
