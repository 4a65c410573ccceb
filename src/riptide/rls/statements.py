"""Parts of SQL statements about rows as JSON has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from riptide.rls.probes_sql import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg.sql import Composable, Composed

    from riptide.rls.plan import TablePlan
    from riptide.rls.probes_sql import Row


def insertion(plan: TablePlan, row: Row) -> Composed:
    """Give the insert of a row; of no column for a row of defaults."""
    from psycopg import sql

    if not row:
        return sql.SQL("insert into {} default values").format(table_of(plan))
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(value_of(plan, name, value) for name, value in row.items())
    return sql.SQL("insert into {} ({}) values ({})").format(table_of(plan), columns, values)


def picked(plan: TablePlan, row: Mapping[str, Any]) -> Composable:
    """Give the condition that all these columns have these values."""
    from psycopg import sql

    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), value_of(plan, name, value))
        for name, value in row.items()
    )


def value_of(plan: TablePlan, column: str, value: Any) -> Composable:
    """Give a value as the column's type has it."""
    from psycopg import sql

    return sql.SQL("(json_populate_record(null::{}, {}::json)).{}").format(
        table_of(plan), sql.Literal(json.dumps({column: value})), sql.Identifier(column)
    )
