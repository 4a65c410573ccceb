"""Tries in SQL what a request cannot show; every one of them is undone.

A request that names its row by a filter needs the SELECT policy as well, so an UPDATE or DELETE
policy that lets everybody write hides behind a good SELECT policy; a request without a filter does
not, and would hit every row. ``where current of`` a cursor that somebody else opened is such a
write without a filter, on one row: https://www.postgresql.org/docs/17/ddl-rowsecurity.html and
https://www.postgresql.org/docs/17/sql-update.html.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from riptide.rls.probes_sql import table_of
from riptide.rls.verdict import Outcome, Reply, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from psycopg.sql import Composable, Composed

    from riptide.rls.actors import Actor
    from riptide.rls.plan import TablePlan
    from riptide.rls.probes_sql import Database, Row

# What Supabase gives a signed-in user's request: a policy that never ends must not hold up the run.
_TIMEOUT = "8s"


class Blind:
    """What each actor could do to one row, as the database itself says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def update(
        self, plan: TablePlan, actor: Actor, row: Row, change: Row, *, changes: bool = False
    ) -> Reply:
        """Try ``update … set …`` without a filter on one row.

        Args:
            plan: The table.
            actor: Who tries.
            row: Which row.
            change: What to set.
            changes: Whether it only counts where a column then has another value: a trigger may
                keep the old one.
        """
        from psycopg import sql

        assignments = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), _value(plan, name, value))
            for name, value in change.items()
        )
        write = sql.SQL("update {table} set {assignments} where current of riptide_row").format(
            table=table_of(plan), assignments=assignments
        )
        return self._on_row(plan, actor, row, write, kept=tuple(change) if changes else ())

    def undo(self, plan: TablePlan, actor: Actor, row: Row, column: str, value: Any) -> Reply:
        """Try to set a column back to nothing that somebody has set to a value."""
        from psycopg import sql

        name = sql.Identifier(column)
        given = sql.SQL("update {} set {} = {} where {}").format(
            table_of(plan),
            name,
            _value(plan, column, value),
            _is(plan, {each: row[each] for each in plan.key}),
        )
        write = sql.SQL("update {} set {} = null where current of riptide_row").format(
            table_of(plan), name
        )
        with self._undone():
            self._database.connection.execute(given)
            return self._on_row(plan, actor, row, write, kept=(column,))

    def delete(self, plan: TablePlan, actor: Actor, row: Row) -> Reply:
        """Try ``delete`` without a filter on one row."""
        from psycopg import sql

        write = sql.SQL("delete from {} where current of riptide_row").format(table_of(plan))
        return self._on_row(plan, actor, row, write)

    def insert(self, plan: TablePlan, actor: Actor, row: Row) -> Reply:
        """Try to insert a row; of no column for a row of defaults."""
        with self._undone():
            return self._as(actor, _insert(plan, row))

    def loses(self, plan: TablePlan, actor: Actor, row: Row) -> Reply | None:
        """Try to insert a row, and say whether it then cannot be found by its mark.

        Returns:
            The reply, of no row where a trigger let nothing be done; ``None`` where all is well,
            or where the insert is refused.
        """
        with self._undone():
            before = self._database.rows(plan)
            reply = self._as(actor, _insert(plan, row))
            if reply.outcome is not Outcome.DONE:
                return None
            found = self._database.rows(plan).keys() - before.keys()
        return None if found else reply

    def select(self, plan: TablePlan, actor: Actor, row: Row) -> Reply:
        """Try to see one row, whatever columns may be selected: what the policies say."""
        from psycopg import sql

        picked = {each: row[each] for each in plan.key}
        query = sql.SQL("select from {} where {}").format(table_of(plan), _is(plan, picked))
        with self._undone():
            self._grant(plan, actor, "select")
            return self._as(actor, query)

    def updatable(self, plan: TablePlan, actor: Actor) -> tuple[str, ...]:
        """Give the columns that the actor's role has the privilege to update."""
        from psycopg import sql

        found = self._database.connection.execute(
            sql.SQL(
                "select attname from pg_attribute where attrelid = {table}::regclass "
                "and attnum > 0 and not attisdropped and attgenerated = '' and attidentity <> 'a' "
                "and has_column_privilege({role}, attrelid, attnum, 'update') "
                "and pg_column_is_updatable(attrelid, attnum, true) order by attnum"
            ).format(
                table=sql.Literal(table_of(plan).as_string(self._database.connection)),
                role=sql.Literal(actor.role),
            )
        )
        return tuple(row[0] for row in found)

    def through_view(
        self, plan: TablePlan, actor: Actor, row: Row, change: str | None = None
    ) -> Reply:
        """Try to delete, or to set a column to what it is, the rows of a view that the row picks.

        Where it picks none it is only asked whether privileges let it pass.
        """
        from psycopg import sql

        where = _is(plan, row) if row else sql.SQL("false")
        write = sql.SQL("delete from {} where {}").format(table_of(plan), where)
        if change is not None:
            write = sql.SQL("update {} set {} = {} where {}").format(
                table_of(plan), sql.Identifier(change), sql.Identifier(change), where
            )
        with self._undone():
            self._grant(plan, actor, "select")
            return self._as(actor, write)

    def _on_row(
        self, plan: TablePlan, actor: Actor, row: Row, write: Composed, kept: tuple[str, ...] = ()
    ) -> Reply:
        from psycopg import sql

        connection = self._database.connection
        picked = _is(plan, {each: row[each] for each in plan.key})
        look = sql.SQL("select to_jsonb(t) from {} as t where {}").format(table_of(plan), picked)
        with self._undone():
            before = connection.execute(look).fetchone()
            connection.execute(
                sql.SQL("declare riptide_row cursor for select from {} where {} for update").format(
                    table_of(plan), picked
                )
            )
            connection.execute("fetch riptide_row")
            reply = self._as(actor, write)
            if kept and reply.outcome is Outcome.DONE and reply.rows > 0:
                after = connection.execute(look).fetchone()
                if before and after and all(before[0][each] == after[0][each] for each in kept):
                    return Reply(outcome=Outcome.DONE, rows=0)
        return reply

    def _as(self, actor: Actor, query: Composed) -> Reply:
        """Run a statement as the actor; afterwards the role is the connection's own again."""
        import psycopg

        connection = self._database.connection
        try:
            with connection.transaction():
                connection.execute(
                    "select set_config('request.jwt.claims', %s, true), "
                    "set_config('role', %s, true), set_config('statement_timeout', %s, true)",
                    (json.dumps(actor.claims), actor.role, _TIMEOUT),
                )
                count = connection.execute(query).rowcount
                connection.execute(
                    "select set_config('request.jwt.claims', '', true), "
                    "set_config('role', 'none', true)"
                )
        except psycopg.Error as error:
            words = error.diag.message_primary or str(error)
            return Reply(outcome=outcome_of(error.sqlstate, words), message=words)
        return Reply(outcome=Outcome.DONE, rows=count)

    def _grant(self, plan: TablePlan, actor: Actor, privilege: str) -> None:
        """Grant what a filter needs for the transaction that is undone."""
        from psycopg import sql

        self._database.connection.execute(
            sql.SQL("grant {} on {} to {}").format(
                sql.SQL(privilege),
                table_of(plan),
                sql.Identifier(actor.role),
            )
        )

    @contextmanager
    def _undone(self) -> Iterator[None]:
        with self._database.connection.transaction(force_rollback=True):
            yield


def _insert(plan: TablePlan, row: Row) -> Composed:
    from psycopg import sql

    if not row:
        return sql.SQL("insert into {} default values").format(table_of(plan))
    columns = sql.SQL(", ").join(map(sql.Identifier, row))
    values = sql.SQL(", ").join(_value(plan, name, value) for name, value in row.items())
    return sql.SQL("insert into {} ({}) values ({})").format(table_of(plan), columns, values)


def _is(plan: TablePlan, row: Mapping[str, Any]) -> Composable:
    from psycopg import sql

    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), _value(plan, name, value))
        for name, value in row.items()
    )


def _value(plan: TablePlan, column: str, value: Any) -> Composable:
    """Give a value as the column's type has it."""
    from psycopg import sql

    return sql.SQL("(json_populate_record(null::{}, {}::json)).{}").format(
        table_of(plan), sql.Literal(json.dumps({column: value})), sql.Identifier(column)
    )
