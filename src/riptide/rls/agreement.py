"""Holds what a section of the intent says of columns and values against the catalog."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from riptide.errors import ConfigError
from riptide.rls.intent import nearest
from riptide.rls.values import Fixed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from psycopg import Connection

    from riptide.rls.catalog import Relation
    from riptide.rls.intent import Intent, TableIntent
    from riptide.settings import Settings


def check_schemas(connection: Connection[Any], settings: Settings) -> None:
    """Refuse an exposed schema that does not exist: what is meant by it would go unverified.

    Raises:
        ConfigError: There is one.
    """
    from riptide.rls.catalog import missing_schemas

    # `supabase init` names graphql_public, which comes with an extension.
    missing = [
        each
        for each in missing_schemas(connection, settings.config.schemas)
        if each != "graphql_public"
    ]
    if missing:
        known = [row[0] for row in connection.execute("select nspname from pg_namespace")]
        raise ConfigError(
            f"supabase/config.toml: [api] schemas names a schema that does not exist: {missing[0]}"
            + nearest(missing[0], known),
            state="nothing was tried",
            next_step="mend the name, or make the schema in a migration (`inv migrate.status` "
            "shows those that are pending)",
        )


def declared_tables(
    connection: Connection[Any], intent: Intent, catalog: Mapping[str, Relation]
) -> dict[str, TableIntent]:
    """Give what the intent says of each table that it names, by ``schema.table``.

    Raises:
        ConfigError: It names a table or a column that does not exist.
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
        check_columns(connection, intent, each, relation)
        declared[each.full_name] = each
    for each in declared.values():
        check_through(intent, each, declared, catalog)
    return declared


def check_through(
    intent: Intent,
    table: TableIntent,
    declared: Mapping[str, TableIntent],
    catalog: Mapping[str, Relation],
) -> None:
    """Refuse a table of members that says of no row whose it is.

    Raises:
        ConfigError: It is not declared, its rows are nobody's, or no foreign key ties the two.
    """
    if table.through is None:
        return
    members, relation = declared.get(table.through), catalog[table.full_name]
    if members is None:
        problem = f"names a table that is not declared: {table.through}"
        raise intent.error(table.section, "through", problem + nearest(table.through, declared))
    if not relation.is_table or not catalog[members.full_name].is_table:
        raise intent.error(table.section, "through", "is for tables, not for views")
    seen, last = {table.full_name}, members
    while last.through and last.through in declared and last.full_name not in seen:
        seen.add(last.full_name)
        last = declared[last.through]
    if not last.owner:
        problem = f"names a table whose rows are nobody's: say owner in [{members.section}]"
        raise intent.error(table.section, "through", problem)
    here = {each.target for each in relation.foreign_keys} | {table.full_name}
    there = {each.target for each in catalog[members.full_name].foreign_keys} | {table.through}
    if not (here & there) - {"auth.users"}:
        problem = f"names {table.through}, and no foreign key ties the two"
        raise intent.error(table.section, "through", problem)


def check_functions(intent: Intent, known: Collection[str]) -> None:
    """Refuse a function in the intent that does not exist.

    Args:
        intent: The file.
        known: Each function of the database as ``schema.name``.

    Raises:
        ConfigError: There is one.
    """
    for each in intent.functions:
        if each.full_name not in known:
            raise intent.error(
                each.section,
                None,
                f"is no function of the database{nearest(each.full_name, known)} (a migration "
                "that makes it may be pending: `inv migrate.status`)",
            )


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
        for key, columns in (
            ("insert_columns", rules.insert_columns),
            ("update_columns", rules.update_columns),
        ):
            for column in columns or ():
                check(section, key, column)
    for column in table.set_once:
        check(table.section, "set_once", column)
        found = relation.column(column)
        if found is not None and (found.not_null or found.automatic):
            raise intent.error(
                table.section, "set_once", f"names a column that is set from the start: {column}"
            )
    for column in table.reveals:
        check(f"{table.section}.reveals", column, column)
    given = [("row", *each) for each in table.row.items()]
    given += [("other_row", *each) for each in table.other_row.items()]
    for key, column, value in given:
        section = f"{table.section}.{key}"
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
