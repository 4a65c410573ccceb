"""Where the values of a row that is made up come from, and by which column it is found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import RlsError
from riptide.rls.values import ColumnValues, Fixed, find_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from psycopg import Connection

    from riptide.rls.catalog import Column, Relation
    from riptide.rls.intent import TableIntent

USERS = "auth.users"


@dataclass(frozen=True)
class Reference:
    """The value is that of a column of the row made in another table."""

    table: str
    column: str


@dataclass(frozen=True)
class TheUser:
    """The value is the id of the user whose row it is."""


Source = ColumnValues | Fixed | Reference | TheUser


def settled_values(
    connection: Connection[Any], table: TableIntent, relation: Relation, name: str
) -> ColumnValues:
    """Give values for a column that stays as it is once it is set.

    Raises:
        RlsError: None could be made up.
    """
    column = next(each for each in relation.columns if each.name == name)
    values = find_values(connection, relation, column)
    if not values.values:
        raise _cannot_make(table, column, "no value could be made up that it could be set to")
    return values


def source_of(
    connection: Connection[Any],
    table: TableIntent,
    relation: Relation,
    column: Column,
    declared: Mapping[str, TableIntent],
) -> Source:
    """Give where the value of a column that has to be given comes from.

    Args:
        connection: As the owner of the tables.
        table: What is declared of the table.
        relation: What it is.
        column: The column.
        declared: All that is declared, by ``schema.table``: rows are made in these.

    Raises:
        RlsError: No value can be had; names the column.
    """
    key = relation.foreign_key_of(column.name)
    if key is not None:
        referred = key.target_columns[key.columns.index(column.name)]
        if key.target == USERS:
            return TheUser()
        if key.target in declared and key.target != relation.full_name:
            return Reference(key.target, referred)
        raise _cannot_make(
            table,
            column,
            f"it refers to {key.target}"
            + (" itself" if key.target == relation.full_name else ", which is not declared"),
        )
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


def mark_among(insert: Mapping[str, Source]) -> str:
    """Choose a column for a table without owners whose values are in nobody else's row.

    Rows are found, and removed, by it.
    """
    return next((name for name, source in insert.items() if _is_random(source)), "")


def _is_random(source: Source) -> bool:
    match source:
        case ColumnValues():
            return source.random
        case Fixed():
            return "{random}" in str(source.value)
    return False


def key_as_mark(
    connection: Connection[Any], table: TableIntent, relation: Relation
) -> tuple[str, ColumnValues]:
    """Give a column of the primary key as the mark, with values for it.

    Raises:
        RlsError: None of its values differ from row to row.
    """
    for name in relation.primary_key:
        column = relation.column(name)
        if column is None or column.automatic or relation.foreign_key_of(name) is not None:
            continue
        values = find_values(connection, relation, column)
        if values.random:
            return name, values
    raise RlsError(
        f"the rows made in {table.full_name} could not be told from others: it has no owner and "
        "no column for a value that nobody else has (a text or a uuid)",
        state="nothing was tried",
        next_step='say owner = "<column>" in supabase/rls.toml; or give a text column a value '
        f"with {{random}} in it in section [{table.section}.row]; or take [{table.section}] out",
    )
