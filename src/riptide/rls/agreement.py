"""Holds what a section of the intent says of columns and values against the catalog."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from riptide.rls.intent import nearest
from riptide.rls.values import Fixed

if TYPE_CHECKING:
    from psycopg import Connection

    from riptide.rls.catalog import Relation
    from riptide.rls.intent import Intent, TableIntent


def check_columns(
    connection: Connection[Any], intent: Intent, table: TableIntent, relation: Relation
) -> None:
    """Refuse columns and values that the relation cannot have, with their line.

    Raises:
        ConfigError: The section names a column that is not there or cannot be an owner, or gives a
            value that its column does not take.
    """
    known = [each.name for each in relation.columns]
    if not known:
        raise intent.error(
            table.section,
            None,
            f"has no columns, so there is nothing to try; take the section away, and drop "
            f"{table.full_name} or revoke all on it from anon, authenticated",
        )

    def check(section: str, key: str, column: str) -> None:
        if column not in known:
            raise intent.error(
                section, key, f"names a column that is not there: {column}{nearest(column, known)}"
            )

    def accept(section: str, key: str, column: str, value: Any) -> None:
        problem = _refusal(connection, relation, column, value)
        if problem:
            raise intent.error(section, key, problem)

    if table.owner is not None:
        check(table.section, "owner", table.owner)
        owner = relation.column(table.owner)
        if owner is not None and owner.automatic:
            raise intent.error(
                table.section,
                "owner",
                f"names a column that the database fills by itself: {table.owner}; name the one "
                "that says whose row it is",
            )
        if owner is not None and owner.base != "uuid":
            accept(table.section, "owner", table.owner, str(uuid.UUID(int=0)))
    for role, rules in table.rules.items():
        section = table.section if role == "authenticated" else f"{table.section}.{role}"
        for column in rules.update_columns or ():
            check(section, "update_columns", column)
    for column, value in table.row.items():
        section = f"{table.section}.row"
        check(section, column, column)
        if column == table.owner:
            raise intent.error(section, column, "is the owner: its value is the user's id")
        accept(section, column, column, Fixed(value).make())


def _refusal(connection: Connection[Any], relation: Relation, column: str, value: Any) -> str:
    """Say why a column does not take a value; empty where it does."""
    import psycopg
    from psycopg import sql

    try:
        connection.execute(
            sql.SQL("select (json_populate_record(null::{table}, {row}::json)).{column}").format(
                table=sql.Identifier(relation.schema, relation.name),
                row=sql.Literal(json.dumps({column: value})),
                column=sql.Identifier(column),
            )
        )
    except psycopg.DataError as error:
        found = relation.column(column)
        what = found.type if found else "another type"
        return f"is of type {what}: {error.diag.message_primary}"
    except psycopg.errors.CheckViolation as error:  # a domain's
        return f"cannot be that: {error.diag.message_primary}"
    except psycopg.IntegrityError:  # another column's domain that is never null
        return ""
    return ""
