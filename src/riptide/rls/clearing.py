"""Takes a run's rows away, whatever has become of its connection."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from riptide.rls.plan import Plan
    from riptide.rls.probes_sql import Database
    from riptide.target import Target


def clear(plan: Plan, database: Database, target: Target) -> bool:
    """Delete the rows, children first; tell whether they are gone.

    A connection on which an interruption has left a query under way is given up for a new one, as
    one that is lost is: its transaction holds locks that the deletion would wait for. Where the
    database is gone, so are the means to delete anything.
    """
    import psycopg

    from riptide.database import connect
    from riptide.errors import DatabaseError

    connection = database.connection
    if connection.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
        connection.cancel()
        connection.close()
    if not connection.closed:
        try:
            _clear_tables(plan, database)
        except psycopg.OperationalError:
            if not connection.closed:
                raise
        else:
            return True
    with suppress(DatabaseError), connect(target) as another:
        database.connection = another
        _clear_tables(plan, database)
        return True
    return False


def _clear_tables(plan: Plan, database: Database) -> None:
    for each in reversed(plan.tables):
        if each.relation.is_table:
            database.clear(each)
