"""What takes a database connection: the rows made, and what became of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from riptide._interrupts import deferred
from riptide.errors import RlsError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from psycopg import Connection
    from psycopg.sql import Composable

    from riptide.rls.plan import TablePlan
    from riptide.rls.remains import Notes

Row = dict[str, Any]
Snapshot = dict[str, Row]


class Database:
    """The database behind the API, for one run.

    Attributes:
        connection: As a role that owns the tables and may become the API's roles; autocommit.
    """

    def __init__(self, connection: Connection[Any], notes: Notes | None = None) -> None:
        self.connection = connection
        # For a run that is killed: what it had made.
        self._notes = notes
        # For each table the values of `TablePlan.mark` that this run has used.
        self._marks: dict[str, set[str]] = {}
        self._lookers: dict[str, str] = {}

    def remember(self, plan: TablePlan, *marks: str) -> None:
        """Note values of `TablePlan.mark`: rows that have one are this run's."""
        self._marks.setdefault(plan.name, set()).update(marks)
        if self._notes is not None:
            self._notes.add(plan.name, marks)

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
            "select {columns} from json_populate_record(null::{table}, {row}::json) "
            "returning to_jsonb(t)"
        ).format(table=table_of(plan), columns=columns, row=sql.Literal(json.dumps(row)))
        try:
            # Cut off on its way it could be done after the cleaning up.
            with deferred(), self.connection.transaction():
                found = self.connection.execute(query).fetchone()
                if found is None:
                    raise _cannot_make(plan, "a trigger or a rule let the insert do nothing")
                if str(found[0][plan.mark]) != str(row[plan.mark]):
                    raise _cannot_make(
                        plan, f"a trigger changed {plan.mark}, by which the row would be found"
                    )
        except psycopg.Error as error:
            blame = error.diag.column_name or error.diag.constraint_name
            words = error.diag.message_primary or str(error)
            raise _cannot_make(plan, f"{blame}: {words}" if blame else words) from error
        return dict(found[0])

    def fits(self, plan: TablePlan, row: Mapping[str, Any]) -> bool:
        """Whether a row is within the bounds of the partition that the plan is about."""
        from psycopg import sql

        partition = plan.relation.partition
        if partition is None or not partition.expression:
            return True
        found = self.connection.execute(
            sql.SQL("select {bounds} from json_populate_record(null::{table}, {row}::json)").format(
                bounds=sql.SQL(partition.expression),
                table=table_of(plan),
                row=sql.Literal(json.dumps(row)),
            )
        ).fetchone()
        return found == (True,)

    def rows(self, plan: TablePlan) -> Snapshot:
        """Give this run's rows of a table as the service role sees them, by their key."""
        from psycopg import sql

        marks = self._marks.get(plan.name, ())
        # In one go: it is asked before and after everything that is tried. Where a grant to the
        # service role is what is missing, look as the tables' owner.
        cursor = self.connection.execute(
            sql.SQL(
                "set role {role}; select to_jsonb(t) from {table} as t where {found}; set role none"
            ).format(
                role=sql.SQL(self._looker(plan)),
                table=table_of(plan),
                found=_one_of(plan.mark, marks),
            ),
            prepare=False,
        )
        cursor.nextset()
        rows = [dict(each[0]) for each in cursor]
        return {json.dumps([row.get(each) for each in plan.key]): row for row in rows}

    def _looker(self, plan: TablePlan) -> str:
        """Give the role that looks at a table's rows."""
        if plan.name not in self._lookers:
            found = self.connection.execute(
                "select has_table_privilege('service_role', %s, 'select')",
                (table_of(plan).as_string(self.connection),),
            ).fetchone()
            self._lookers[plan.name] = "service_role" if found == (True,) else "none"
        return self._lookers[plan.name]

    def clear(self, plan: TablePlan, keep: str | None = None) -> None:
        """Delete this run's rows of a table, also where a trigger lets nobody delete any.

        Args:
            plan: The table.
            keep: The value of `TablePlan.mark` whose rows stay.
        """
        import psycopg
        from psycopg import sql

        found = _one_of(plan.mark, self._marks.get(plan.name, set()) - {keep})
        query = sql.SQL("delete from {table} where {found}").format(
            table=table_of(plan), found=found
        )
        left = sql.SQL("select from {} where {}").format(table_of(plan), found)
        refusal: psycopg.Error | None = None
        try:
            self.connection.execute(query)
            if not self.connection.execute(left).rowcount:
                return
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            refusal = error
        triggers = self.connection.execute(
            sql.SQL(
                "select tgname, tgenabled = 'A' from pg_trigger where tgrelid = {}::regclass "
                "and not tgisinternal and tgparentid = 0 and tgenabled in ('O', 'A')"
            ).format(sql.Literal(table_of(plan).as_string(self.connection)))
        ).fetchall()
        if refusal and not triggers:
            raise refusal
        # Off for this transaction only: nobody else ever sees them off.
        with self.connection.transaction():
            for how, chosen in (("disable", triggers), ("enable", triggers)):
                for name, always in chosen:
                    word = "enable always" if how == "enable" and always else how
                    self.connection.execute(
                        sql.SQL("alter table {} {} trigger {}").format(
                            table_of(plan), sql.SQL(word), sql.Identifier(name)
                        )
                    )
                if how == "disable":
                    self.connection.execute(query)


def difference(before: Snapshot, after: Snapshot, only: Collection[str] = ()) -> str:
    """Say what changed between two looks at the same rows; empty for nothing.

    Names columns and counts rows, never values.

    Args:
        before: The first look.
        after: The second.
        only: The columns whose change counts; none for every one.
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
            if before[key][column] != after[key].get(column) and (not only or column in only)
        }
    )
    if columns:
        words.append(f"the service role saw {', '.join(columns)} changed")
    return "; ".join(words)


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _cannot_make(plan: TablePlan, why: str) -> RlsError:
    return RlsError(
        f"a row of {plan.name} cannot be made: {why}",
        state="no row and no user is left behind",
        next_step="give the columns concerned values in supabase/rls.toml, section "
        f"[{plan.intent.section}.row]",
    )


def _one_of(column: str, values: Collection[str]) -> Composable:
    from psycopg import sql

    # No parameters: a % in a name would be taken for a placeholder.
    return sql.SQL("{}::text = any({}::text[])").format(
        sql.Identifier(column), sql.Literal(sorted(values))
    )


def table_of(plan: TablePlan) -> Composable:
    """Give the relation's whole name, quoted."""
    from psycopg import sql

    return sql.Identifier(plan.relation.schema, plan.relation.name)
