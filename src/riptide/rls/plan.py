"""Joins the intent and the catalog: what to try on which table, with which rows, in which order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from riptide.errors import RlsError
from riptide.rls.agreement import declared_tables
from riptide.rls.partitions import inherited, told_by_parent
from riptide.rls.second import with_second_rows
from riptide.rls.sources import (
    Reference,
    Source,
    TheUser,
    key_as_mark,
    mark_among,
    settled_values,
    source_of,
)
from riptide.rls.values import ColumnValues, Fixed, find_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

    from riptide.rls.catalog import Column, Relation
    from riptide.rls.intent import Intent, TableIntent


@dataclass(frozen=True, kw_only=True)
class TablePlan:
    """One table or view to verify.

    Attributes:
        intent: Who may do what.
        relation: What it is.
        insert: Where each value of a new row comes from.
        change: The columns that a user may change, with values for them.
        fixed: The columns that a user may not change, with values for them.
        settled: The columns that a user may set and then not change, with values for them.
        untried: The columns that a user may not change and for which no two values are known.
        mark: The column by which the rows of this run are found: the owner, or one of which each
            row gets a value of its own.
        parent: Of which declared table this is a partition without a section of its own.
        no_row: Why no row of it can be made, where that is so for such a partition.
        second: Whether the other user gets a row of their own.
    """

    intent: TableIntent
    relation: Relation
    insert: Mapping[str, Source] = field(default_factory=dict)
    change: Mapping[str, ColumnValues] = field(default_factory=dict)
    fixed: Mapping[str, ColumnValues] = field(default_factory=dict)
    settled: Mapping[str, ColumnValues] = field(default_factory=dict)
    untried: tuple[str, ...] = ()
    mark: str = ""
    parent: str = ""
    no_row: str = ""
    second: bool = False

    @property
    def name(self) -> str:
        """``schema.table``."""
        return self.relation.full_name

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that pick out one row."""
        return self.relation.primary_key or ((self.mark,) if self.mark else ())

    def new_row(
        self,
        owner: str,
        parents: Mapping[str, Mapping[str, Any]],
        given: Mapping[str, Any] | None = None,
        other_than: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make up a row.

        Args:
            owner: The id of the user whose row it is to be.
            parents: The row made in each table that this one refers to.
            given: Values that go before those of the plan.
            other_than: A row that is there already: a value made up is none of its.
        """
        row: dict[str, Any] = {}
        sources = {**self.insert, **{key: Fixed(each) for key, each in (given or {}).items()}}
        for column, source in sources.items():
            match source:
                case TheUser():
                    row[column] = owner
                case Reference(table, referred):
                    row[column] = parents[table][referred]
                case Fixed():
                    row[column] = source.make(owner)
                case _ if source.few and not any(column in key for key in self.relation.unique):
                    # A member's role: the next row made is to have the same rights.
                    row[column] = source.values[0]
                case _:
                    row[column] = source.make(other_than=(other_than or {}).get(column))
        return row


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is to be verified.

    Attributes:
        tables: Parents before the tables that refer to them, views last.
        undeclared: What the API exposes and the intent does not name.
    """

    tables: tuple[TablePlan, ...]
    undeclared: tuple[Relation, ...]


def make_plan(connection: Connection[Any], intent: Intent, catalog: Mapping[str, Relation]) -> Plan:
    """Plan the verification; changes nothing.

    Raises:
        ConfigError: The intent names a table or a column that does not exist.
        RlsError: Rows of a table cannot be made.
    """
    declared = declared_tables(connection, intent, catalog)
    parts = inherited(catalog, declared)
    tables = [
        _plan_table(connection, each, catalog[name], declared)
        if catalog[name].is_table
        else TablePlan(intent=each, relation=catalog[name], mark=each.owner or "")
        for name, each in declared.items()
    ]
    tables += [
        _plan_partition(connection, each, catalog[name], declared, parent)
        for name, (parent, each) in parts.items()
    ]
    ordered = _in_order(tables)
    second = with_second_rows(ordered)
    return Plan(
        tables=tuple(replace(each, second=each.name in second) for each in ordered),
        undeclared=tuple(
            each
            for name, each in catalog.items()
            if each.reachable
            and name not in declared
            and name not in parts
            and not told_by_parent(each, catalog, declared)
        ),
    )


def _plan_partition(
    connection: Connection[Any],
    table: TableIntent,
    relation: Relation,
    declared: Mapping[str, TableIntent],
    parent: str,
) -> TablePlan:
    """Plan for a partition that clients can reach and that has no section of its own.

    Values of its key have to fit its bounds: those of the parent's section fit another partition.
    """
    bounds = relation.partition.columns if relation.partition else ()
    free = replace(table, row={key: table.row[key] for key in table.row if key not in bounds})
    try:
        return replace(_plan_table(connection, free, relation, declared), parent=parent)
    except RlsError as error:
        return TablePlan(
            intent=table,
            relation=relation,
            mark=table.owner or "",
            parent=parent,
            no_row=error.message,
        )


def _plan_table(
    connection: Connection[Any],
    table: TableIntent,
    relation: Relation,
    declared: Mapping[str, TableIntent],
) -> TablePlan:
    insert: dict[str, Source] = {}
    bounds = relation.partition.columns if relation.partition else ()
    for column in relation.columns:
        if column.name == table.owner:
            insert[column.name] = TheUser()
        elif column.name in table.row:
            insert[column.name] = Fixed(table.row[column.name])
        elif column.must_be_given or column.name in bounds:
            insert[column.name] = source_of(connection, table, relation, column, declared)
    allowed = table.rules["authenticated"].update_columns
    mark = table.owner or mark_among(insert)
    # What users may change is better left to be changed, where the key does as well.
    if not mark or (not table.owner and (allowed is None or mark in allowed)):
        try:
            mark, source = key_as_mark(connection, table, relation)
        except RlsError:
            if not mark:
                raise
        else:
            insert[mark] = source
    free = [
        each
        for each in relation.columns
        if not each.automatic and each.name not in (table.owner, mark)
    ]
    change: dict[str, ColumnValues] = {}
    fixed: dict[str, ColumnValues] = {}
    untried: list[str] = []
    for column in sorted(free, key=lambda each: _suits_a_change(relation, each)):
        wanted = column.name in allowed if allowed is not None else not change
        if not wanted and allowed is None:
            continue
        # That a made-up value is none of the other table's is no matter where it may not get there.
        if wanted and relation.foreign_key_of(column.name) is not None:
            continue
        values = find_values(connection, relation, column)
        if values.varies:
            (change if wanted else fixed)[column.name] = values
        elif not wanted:
            untried.append(column.name)
    return TablePlan(
        intent=table,
        relation=relation,
        insert=insert,
        change=change,
        fixed=fixed,
        settled={
            name: settled_values(connection, table, relation, name) for name in table.set_once
        },
        untried=tuple(untried),
        mark=mark,
    )


def _suits_a_change(relation: Relation, column: Column) -> tuple[bool, bool, bool, bool]:
    """Sort key: plain texts first, keys and what is checked together with other columns last."""
    return (
        any(column.name in each for each in relation.unique),
        any(column.name in each.columns and len(each.columns) > 1 for each in relation.checks),
        column.category != "S",
        column.must_be_given,
    )


def _in_order(tables: list[TablePlan]) -> list[TablePlan]:
    """Sort: what a table's row needs a row of goes before it, partitions follow the whole.

    Views go last.

    Raises:
        RlsError: Two tables need a row of each other first.
    """
    by_name = {each.name: each for each in tables if each.relation.is_table}
    done: dict[str, TablePlan] = {}

    def visit(plan: TablePlan, above: tuple[str, ...]) -> None:
        if plan.name in done:
            return
        for column in plan.insert:
            key = plan.relation.foreign_key_of(column)
            needed = by_name.get(key.target) if key is not None else None
            if needed is None or needed is plan or isinstance(plan.insert[column], Fixed):
                continue
            if needed.name in (*above, plan.name):
                raise RlsError(
                    f"a row of {plan.name} cannot be made: column {column}: it refers to "
                    f"{needed.name}, whose rows refer to {plan.name}",
                    state="nothing was tried",
                    next_step=f"give {column} the key of a row that exists in supabase/rls.toml, "
                    f"section [{plan.intent.section}.row]",
                )
            visit(needed, (*above, plan.name))
        done[plan.name] = plan
        for part in by_name.values():
            if part.parent == plan.name:
                done[part.name] = part

    for each in by_name.values():
        if not each.parent:
            visit(each, ())
    return [*done.values(), *(each for each in tables if not each.relation.is_table)]
