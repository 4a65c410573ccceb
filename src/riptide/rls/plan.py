"""Joins the intent and the catalog: what to try on which table, with which rows, in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from riptide.errors import RlsError
from riptide.rls.intent import nearest
from riptide.rls.values import ColumnValues, find_values, fresh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

    from riptide.rls.catalog import Column, Relation
    from riptide.rls.intent import Intent, TableIntent

USERS = "auth.users"


@dataclass(frozen=True)
class Fixed:
    """A value from ``[tables.x.row]``; ``{random}`` in a text becomes something new each time."""

    value: Any

    def make(self) -> Any:
        """Give the value for one row."""
        if isinstance(self.value, str):
            return self.value.replace("{random}", fresh()[:12])
        return self.value


@dataclass(frozen=True)
class Reference:
    """The value is that of a column of the row made in another table."""

    table: str
    column: str


@dataclass(frozen=True)
class TheUser:
    """The value is the id of the user whose row it is."""


Source = ColumnValues | Fixed | Reference | TheUser


@dataclass(frozen=True, kw_only=True)
class TablePlan:
    """One table or view to verify.

    Attributes:
        intent: Who may do what.
        relation: What it is.
        insert: Where each value of a new row comes from.
        change: The columns that a user may change, with values for them.
        fixed: The columns that a user may not change, with values for them.
        mark: The column by which the rows of this run are found: the owner, or one of which each
            row gets a value of its own.
    """

    intent: TableIntent
    relation: Relation
    insert: Mapping[str, Source] = field(default_factory=dict)
    change: Mapping[str, ColumnValues] = field(default_factory=dict)
    fixed: Mapping[str, ColumnValues] = field(default_factory=dict)
    mark: str = ""

    @property
    def name(self) -> str:
        """``schema.table``."""
        return self.relation.full_name

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that pick out one row."""
        return self.relation.primary_key or ((self.mark,) if self.mark else ())

    def new_row(self, owner: str, parents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Make up a row.

        Args:
            owner: The id of the user whose row it is to be.
            parents: The row made in each table that this one refers to.
        """
        row: dict[str, Any] = {}
        for column, source in self.insert.items():
            match source:
                case TheUser():
                    row[column] = owner
                case Reference(table, referred):
                    row[column] = parents[table][referred]
                case _:
                    row[column] = source.make()
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
    declared: dict[str, TableIntent] = {}
    for each in intent.tables:
        relation = catalog.get(each.full_name)
        if relation is None:
            known = [*catalog, *(other.name for other in catalog.values())]
            raise intent.error(
                each.section,
                None,
                "is no table or view of a schema that the API exposes"
                + (nearest(each.full_name, catalog) or nearest(each.name, known))
                + " (a migration that makes it may be pending: `inv migrate.status`)",
            )
        _check_columns(intent, each, relation)
        declared[each.full_name] = each
    tables = [
        _plan_table(connection, each, catalog[name], declared)
        if catalog[name].is_table
        else TablePlan(intent=each, relation=catalog[name], mark=each.owner or "")
        for name, each in declared.items()
    ]
    return Plan(
        tables=tuple(_in_order(tables)),
        undeclared=tuple(
            each for name, each in catalog.items() if each.reachable and name not in declared
        ),
    )


def _check_columns(intent: Intent, table: TableIntent, relation: Relation) -> None:
    known = [each.name for each in relation.columns]

    def check(section: str, key: str, column: str) -> None:
        if column not in known:
            raise intent.error(
                section, key, f"names a column that is not there: {column}{nearest(column, known)}"
            )

    if table.owner is not None:
        check(table.section, "owner", table.owner)
    for role, rules in table.rules.items():
        section = table.section if role == "authenticated" else f"{table.section}.{role}"
        for column in rules.update_columns or ():
            check(section, "update_columns", column)
    for column in table.row:
        check(f"{table.section}.row", column, column)


def _plan_table(
    connection: Connection[Any],
    table: TableIntent,
    relation: Relation,
    declared: Mapping[str, TableIntent],
) -> TablePlan:
    insert: dict[str, Source] = {}
    for column in relation.columns:
        if column.name == table.owner:
            insert[column.name] = TheUser()
        elif column.name in table.row:
            value = table.row[column.name]
            insert[column.name] = Fixed(value.isoformat() if hasattr(value, "isoformat") else value)
        elif column.must_be_given:
            insert[column.name] = _source(connection, table, relation, column, declared)
    mark = table.owner or _mark(insert)
    if not mark:
        mark, source = _key_as_mark(connection, table, relation)
        insert[mark] = source
    allowed = table.rules["authenticated"].update_columns
    free = [
        each
        for each in relation.columns
        if not each.automatic and each.name not in (table.owner, mark)
    ]
    change: dict[str, ColumnValues] = {}
    fixed: dict[str, ColumnValues] = {}
    for column in sorted(free, key=lambda each: _suits_a_change(relation, each)):
        wanted = column.name in allowed if allowed is not None else not change
        if not wanted and allowed is None:
            continue
        if relation.foreign_key_of(column.name) is not None:
            continue
        values = find_values(connection, relation, column)
        if values.varies:
            (change if wanted else fixed)[column.name] = values
    return TablePlan(
        intent=table, relation=relation, insert=insert, change=change, fixed=fixed, mark=mark
    )


def _suits_a_change(relation: Relation, column: Column) -> tuple[bool, bool, bool]:
    """Sort key: plain texts first, keys last."""
    return (
        any(column.name in each for each in relation.unique),
        column.category != "S",
        column.must_be_given,
    )


def _source(
    connection: Connection[Any],
    table: TableIntent,
    relation: Relation,
    column: Column,
    declared: Mapping[str, TableIntent],
) -> Source:
    key = relation.foreign_key_of(column.name)
    if key is not None:
        referred = key.target_columns[key.columns.index(column.name)]
        if key.target == USERS:
            return TheUser()
        if key.target in declared and key.target != relation.full_name:
            return Reference(key.target, referred)
        raise _cannot_make(table, column, f"it refers to {key.target}")
    values = find_values(connection, relation, column)
    if not values.values:
        checks = [each.name for each in relation.checks if column.name in each.columns]
        raise _cannot_make(
            table,
            column,
            f"no value of type {column.type} could be made up"
            + (f" that {', '.join(checks)} accepts" if checks else ""),
        )
    return values


def _cannot_make(table: TableIntent, column: Column, why: str) -> RlsError:
    return RlsError(
        f"a row of {table.full_name} cannot be made: column {column.name}: {why}",
        state="nothing was tried",
        next_step=f"give {column.name} a value in supabase/rls.toml, section [{table.section}.row]",
    )


def _mark(insert: Mapping[str, Source]) -> str:
    """Choose a column for a table without owners whose values are in nobody else's row.

    Rows are found, and removed, by it.
    """
    for name, source in insert.items():
        if isinstance(source, ColumnValues) and source.random:
            return name
        if isinstance(source, Fixed) and "{random}" in str(source.value):
            return name
    return ""


def _key_as_mark(
    connection: Connection[Any], table: TableIntent, relation: Relation
) -> tuple[str, ColumnValues]:
    for name in relation.primary_key:
        column = relation.column(name)
        if column is None or column.automatic or relation.foreign_key_of(name) is not None:
            continue
        values = find_values(connection, relation, column)
        if values.random:
            return name, values
    raise RlsError(
        f"the rows made in {table.full_name} could not be told from others: it has no owner and "
        "no column that differs from row to row",
        state="nothing was tried",
        next_step='say owner = "<column>" in supabase/rls.toml, or give a text column a value '
        f"with {{random}} in it in section [{table.section}.row]",
    )


def _in_order(tables: list[TablePlan]) -> list[TablePlan]:
    """Sort: what a table refers to goes before it, views go last."""
    by_name = {each.name: each for each in tables if each.relation.is_table}
    done: dict[str, TablePlan] = {}

    def visit(plan: TablePlan, above: frozenset[str]) -> None:
        if plan.name in done or plan.name in above:
            return
        for key in plan.relation.foreign_keys:
            if key.target in by_name:
                visit(by_name[key.target], above | {plan.name})
        done[plan.name] = plan

    for each in by_name.values():
        visit(each, frozenset())
    return [*done.values(), *(each for each in tables if not each.relation.is_table)]
