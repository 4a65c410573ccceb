"""Tries in SQL what a request cannot show; every one of them is undone.

A request that names its row by a filter needs the SELECT policy as well, so an UPDATE or DELETE
policy that lets everybody write hides behind a good SELECT policy; a request without a filter does
not, and would hit every row. ``where current of`` a cursor that somebody else opened is such a
write without a filter, on one row: https://www.postgresql.org/docs/17/ddl-rowsecurity.html and
https://www.postgresql.org/docs/17/sql-update.html.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from riptide.rls.probes_sql import table_of
from riptide.rls.statements import insertion, picked, value_of
from riptide.rls.verdict import Outcome, Reply, hidden_by, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg.sql import Composable, Composed

    from riptide.rls.actors import Actor
    from riptide.rls.intent import Operation
    from riptide.rls.plan import TablePlan
    from riptide.rls.probes_sql import Database, Row

# What Supabase gives a signed-in user's request: a policy that never ends must not hold up the run.
_TIMEOUT = "8s"


class Blind:
    """What each actor could do to one row of one table, as the database itself says."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._updatable: dict[str, tuple[str, ...]] = {}

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
            sql.SQL("{} = {}").format(sql.Identifier(name), value_of(plan, name, value))
            for name, value in change.items()
        )
        write = sql.SQL("update {table} set {assignments}").format(
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
            value_of(plan, column, value),
            picked(plan, {each: row[each] for each in plan.key}),
        )
        write = sql.SQL("update {} set {} = null").format(table_of(plan), name)
        with self.undone():
            self._database.connection.execute(given)
            return self._on_row(plan, actor, row, write, kept=(column,))

    def delete(self, plan: TablePlan, actor: Actor, row: Row) -> Reply:
        """Try ``delete`` without a filter on one row."""
        from psycopg import sql

        write = sql.SQL("delete from {}").format(table_of(plan))
        return self._on_row(plan, actor, row, write)

    def insert(self, plan: TablePlan, actor: Actor, row: Row) -> Reply:
        """Try to insert a row; of no column for a row of defaults."""
        with self.undone():
            return self._as(actor, insertion(plan, row))

    def loses(self, plan: TablePlan, actor: Actor, row: Row) -> Reply | None:
        """Try to insert a row, and say whether it then cannot be found by its mark.

        Returns:
            The reply, of no row where a trigger let nothing be done; ``None`` where all is well,
            or where the insert is refused.
        """
        with self.undone():
            before = self._database.rows(plan)
            reply = self._as(actor, insertion(plan, row))
            if reply.outcome is not Outcome.DONE:
                return None
            found = self._database.rows(plan).keys() - before.keys()
        return None if found else reply

    def select(self, plan: TablePlan, actor: Actor, row: Row) -> Reply:
        """Try to see one row, whatever columns may be selected: what the policies say."""
        from psycopg import sql

        key = {each: row[each] for each in plan.key}
        query = sql.SQL("select from {} where {}").format(table_of(plan), picked(plan, key))
        with self.undone():
            self._grant_select(plan, actor)
            return self._as(actor, query)

    def updatable(self, plan: TablePlan, actor: Actor) -> tuple[str, ...]:
        """Give the columns that the actor's role has the privilege to update."""
        from psycopg import sql

        if actor.role in self._updatable:
            return self._updatable[actor.role]
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
        self._updatable[actor.role] = tuple(row[0] for row in found)
        return self._updatable[actor.role]

    def through_view(
        self, plan: TablePlan, actor: Actor, row: Row, change: str | None = None
    ) -> Reply:
        """Try to delete, or to set a column to what it is, the rows of a view that the row picks.

        Where it picks none it is only asked whether privileges let it pass.
        """
        from psycopg import sql

        where = picked(plan, row) if row else sql.SQL("false")
        write = sql.SQL("delete from {} where {}").format(table_of(plan), where)
        if change is not None:
            write = sql.SQL("update {} set {} = {} where {}").format(
                table_of(plan), sql.Identifier(change), sql.Identifier(change), where
            )
        with self.undone():
            self._grant_select(plan, actor)
            return self._as(actor, write)

    def everything(
        self, plan: TablePlan, actor: Actor, row: Row, new: Row, operations: Sequence[Operation]
    ) -> dict[Operation, Reply]:
        """Try several operations on one row, each of them undone before the next.

        Args:
            plan: The table.
            actor: Who tries.
            row: Which row.
            new: What to insert.
            operations: Which ones.
        """
        from psycopg import sql

        where = picked(plan, {each: row[each] for each in plan.key})
        held = sql.SQL(" where current of riptide_row")
        found: dict[Operation, Reply] = {}
        writes: dict[Operation, Composed] = {"insert": insertion(plan, new)}
        if columns := self.updatable(plan, actor):
            name = sql.Identifier(columns[0])
            writes["update"] = sql.SQL("update {} set {} = {}").format(table_of(plan), name, name)
        writes["delete"] = sql.SQL("delete from {}").format(table_of(plan))
        with self.undone():
            self._hold(plan, where)
            for operation in operations:
                if f"{actor.role} {operation}" not in plan.relation.privileges:
                    words = f"permission denied for {plan.name}"
                    found[operation] = Reply(outcome=Outcome.REFUSED, message=words, code="42501")
                elif operation == "select":
                    with self.undone():
                        self._grant_select(plan, actor)
                        query = sql.SQL("select from {} where {}").format(table_of(plan), where)
                        found[operation] = self._as(actor, query)
                elif operation == "insert":
                    found[operation] = self._insert_for(plan, actor, new)
                elif write := writes.get(operation):
                    with self.undone():
                        reply = self._as(actor, write + held)
                    if reply.outcome is Outcome.DONE and reply.rows > 0:
                        filtered = write + sql.SQL(" where ") + where
                        reply = replace(reply, hidden=hidden_by(self._as(actor, filtered)))
                    found[operation] = reply
        return found

    def _insert_for(self, plan: TablePlan, actor: Actor, new: Row) -> Reply:
        """Insert a row of somebody's; of no row where a trigger made it somebody else's."""
        owner = plan.intent.owner
        with self.undone():
            reply = self._as(actor, insertion(plan, new))
            done = reply.outcome is Outcome.DONE and reply.rows > 0
            after = self._count(plan, {owner: new[owner]}) if done and owner else 1
        before = self._count(plan, {owner: new[owner]}) if done and owner else 0
        return reply if after > before else replace(reply, rows=0)

    def _count(self, plan: TablePlan, row: Row) -> int:
        from psycopg import sql

        query = sql.SQL("select from {} where {}").format(table_of(plan), picked(plan, row))
        return self._database.connection.execute(query).rowcount

    def _hold(self, plan: TablePlan, where: Composable) -> None:
        """Open a cursor that stands on the row."""
        from psycopg import sql

        self._database.connection.execute(
            sql.SQL("declare riptide_row cursor for select from {} where {} for update").format(
                table_of(plan), where
            )
        )
        self._database.connection.execute("fetch riptide_row")

    def _on_row(
        self, plan: TablePlan, actor: Actor, row: Row, write: Composed, kept: tuple[str, ...] = ()
    ) -> Reply:
        from psycopg import sql

        connection = self._database.connection
        where = picked(plan, {each: row[each] for each in plan.key})
        look = sql.SQL("select to_jsonb(t) from {} as t where {}").format(table_of(plan), where)
        with self.undone():
            before = connection.execute(look).fetchone() if kept else None
            self._hold(plan, where)
            with self.undone():
                reply = self._as(actor, write + sql.SQL(" where current of riptide_row"))
                if kept and reply.outcome is Outcome.DONE and reply.rows > 0:
                    after = connection.execute(look).fetchone()
                    if before and after and all(before[0][e] == after[0][e] for e in kept):
                        return Reply(outcome=Outcome.DONE, rows=0)
            if reply.outcome is not Outcome.DONE or reply.rows < 1:
                return reply
            # The same with a filter, as a request has it: that asks the SELECT policies too.
            return replace(
                reply, hidden=hidden_by(self._as(actor, write + sql.SQL(" where ") + where))
            )

    def _as(self, actor: Actor, query: Composed, found: list[Any] | None = None) -> Reply:
        """Run a statement as the actor; afterwards the role is the connection's own again."""
        import psycopg
        from psycopg import sql

        # In few trips, as this is most of what is tried; always within a transaction.
        become = sql.SQL(
            "savepoint riptide_try; select set_config('request.jwt.claims', {}, true), "
            "set_config('role', {}, true), set_config('statement_timeout', {}, true)"
        ).format(*map(sql.Literal, (actor.claims_text, actor.role, _TIMEOUT)))
        connection = self._database.connection
        connection.execute(become, prepare=False)
        try:
            cursor = connection.execute(query)
            count = cursor.rowcount
            if found is not None:
                found.extend(row[0] for row in cursor)
            connection.execute(
                "select set_config('request.jwt.claims', '', true), "
                "set_config('role', 'none', true); release savepoint riptide_try",
                prepare=False,
            )
        except psycopg.Error as error:
            if connection.closed:
                raise
            connection.execute("rollback to savepoint riptide_try")
            words = error.diag.message_primary or str(error)
            code = error.sqlstate or ""
            return Reply(outcome=outcome_of(code, words), message=words, code=code)
        return Reply(outcome=Outcome.DONE, rows=count)

    def fetch(self, actor: Actor, query: str, found: list[Any]) -> Reply:
        """Run a query as the actor; the first column of what it gives is added to a list."""
        from psycopg import sql

        return self._as(actor, sql.Composed([sql.SQL(query)]), found)

    def _grant_select(self, plan: TablePlan, actor: Actor) -> None:
        """Grant what a filter needs for the transaction that is undone."""
        from psycopg import sql

        grant = sql.SQL("grant select on {} to {}")
        self._database.connection.execute(grant.format(table_of(plan), sql.Identifier(actor.role)))

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo at its end what is done within it."""
        with self._database.connection.transaction(force_rollback=True):
            yield
