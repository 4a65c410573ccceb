"""What takes a database connection: the rows made, what became of them, and blind writes.

A request that names its row by a filter needs the SELECT policy as well, so an UPDATE or DELETE
policy that lets everybody write hides behind a good SELECT policy; a request without a filter does
not, and would hit every row. ``where current of`` a cursor that somebody else opened is such a
write without a filter, on one row: https://www.postgresql.org/docs/17/ddl-rowsecurity.html and
https://www.postgresql.org/docs/17/sql-update.html.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from riptide.errors import RlsError
from riptide.rls.verdict import Outcome, Reply, outcome_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection
    from psycopg.sql import Composable, Composed

    from riptide.rls.actors import Actor
    from riptide.rls.plan import TablePlan

Row = dict[str, Any]
Snapshot = dict[str, Row]


class Database:
    """The database behind the API, for one run.

    Attributes:
        connection: As a role that owns the tables and may become the API's roles; autocommit.
    """

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        # For each table the values of `TablePlan.mark` that this run has used.
        self._marks: dict[str, set[str]] = {}

    def remember(self, plan: TablePlan, *marks: str) -> None:
        """Note values of `TablePlan.mark`: rows that have one are this run's."""
        self._marks.setdefault(plan.name, set()).update(marks)

    def add(self, plan: TablePlan, row: Mapping[str, Any]) -> Row:
        """Insert a row past all policies; give it with what the database added.

        Raises:
            RlsError: The database would not take it; names the column or the constraint.
        """
        import psycopg
        from psycopg import sql

        self.remember(plan, str(row[plan.mark]))
        columns = sql.SQL(", ").join(sql.Identifier(each) for each in row)
        query = sql.SQL(
            "insert into {table} as t ({columns}) "
            "select {columns} from json_populate_record(null::{table}, %s::json) "
            "returning to_jsonb(t)"
        ).format(table=_table(plan), columns=columns)
        try:
            found = self.connection.execute(query, (json.dumps(row),)).fetchone()
        except psycopg.Error as error:
            blame = error.diag.column_name or error.diag.constraint_name or "a value"
            raise RlsError(
                f"a row of {plan.name} cannot be made: {blame}: {error.diag.message_primary}",
                state="no row and no user is left behind",
                next_step="give the columns concerned values in supabase/rls.toml, section "
                f"[{plan.intent.section}.row]",
            ) from error
        return dict(found[0]) if found else {}

    def rows(self, plan: TablePlan) -> Snapshot:
        """Give this run's rows of a table as the service role sees them, by their key."""
        from psycopg import sql

        query = sql.SQL("select to_jsonb(t) from {table} as t where {mark}::text = any(%s)").format(
            table=_table(plan), mark=sql.Identifier(plan.mark)
        )
        with self.connection.transaction():
            # Where a grant to the service role is what is missing, look as the tables' owner.
            self.connection.execute(
                sql.SQL(
                    "select set_config('role', 'service_role', true) "
                    "where has_table_privilege('service_role', {}, 'select')"
                ).format(sql.Literal(_table(plan).as_string(self.connection)))
            )
            found = self.connection.execute(query, (sorted(self._marks.get(plan.name, ())),))
            rows = [dict(each[0]) for each in found]
        return {json.dumps([row.get(each) for each in plan.key]): row for row in rows}

    def clear(self, plan: TablePlan) -> None:
        """Delete this run's rows of a table."""
        from psycopg import sql

        self.connection.execute(
            sql.SQL("delete from {table} where {mark}::text = any(%s)").format(
                table=_table(plan), mark=sql.Identifier(plan.mark)
            ),
            (sorted(self._marks.get(plan.name, ())),),
        )

    def blind_update(self, plan: TablePlan, actor: Actor, row: Row, change: Row) -> Reply:
        """Try ``update … set …`` without a filter on one row; it is undone."""
        from psycopg import sql

        assignments = sql.SQL(", ").join(
            sql.SQL(
                "{column} = (json_populate_record(null::{table}, {value}::json)).{column}"
            ).format(
                column=sql.Identifier(name),
                table=_table(plan),
                value=sql.Literal(json.dumps({name: value})),
            )
            for name, value in change.items()
        )
        return self._blind(
            plan,
            actor,
            row,
            sql.SQL("update {table} set {assignments} where current of riptide_row").format(
                table=_table(plan), assignments=assignments
            ),
        )

    def blind_delete(self, plan: TablePlan, actor: Actor, row: Row) -> Reply:
        """Try ``delete`` without a filter on one row; it is undone."""
        from psycopg import sql

        return self._blind(
            plan,
            actor,
            row,
            sql.SQL("delete from {table} where current of riptide_row").format(table=_table(plan)),
        )

    def _blind(self, plan: TablePlan, actor: Actor, row: Row, write: Composed) -> Reply:
        import psycopg
        from psycopg import sql

        where = sql.SQL(" and ").join(
            sql.SQL(
                "{column} = (json_populate_record(null::{table}, {value}::json)).{column}"
            ).format(
                column=sql.Identifier(each),
                table=_table(plan),
                value=sql.Literal(json.dumps({each: row[each]})),
            )
            for each in plan.key
        )
        connection = self.connection
        with connection.transaction(force_rollback=True):
            connection.execute(
                sql.SQL(
                    "declare riptide_row cursor for select from {table} where {where} for update"
                ).format(table=_table(plan), where=where)
            )
            connection.execute("fetch riptide_row")
            connection.execute(
                "select set_config('request.jwt.claims', %s, true), set_config('role', %s, true)",
                (json.dumps(actor.claims), actor.role),
            )
            try:
                with connection.transaction():
                    count = connection.execute(write).rowcount
            except psycopg.Error as error:
                return Reply(
                    outcome=outcome_of(error.sqlstate),
                    message=error.diag.message_primary or str(error),
                )
        return Reply(outcome=Outcome.DONE, rows=count)


def difference(before: Snapshot, after: Snapshot) -> str:
    """Say what changed between two looks at the same rows; empty for nothing.

    Names columns and counts rows, never values.
    """
    words = []
    added = after.keys() - before.keys()
    gone = before.keys() - after.keys()
    if added:
        words.append(f"the service role saw {_rows(len(added))} more")
    if gone:
        words.append(f"the service role saw {_rows(len(gone))} less")
    columns = sorted(
        {
            column
            for key in before.keys() & after.keys()
            for column in before[key]
            if before[key][column] != after[key].get(column)
        }
    )
    if columns:
        words.append(f"the service role saw {', '.join(columns)} changed")
    return "; ".join(words)


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _table(plan: TablePlan) -> Composable:
    from psycopg import sql

    return sql.Identifier(plan.relation.schema, plan.relation.name)
