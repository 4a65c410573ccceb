"""The database, spoken to directly: connecting, and the migration history.

The history is the Supabase CLI's own table ``supabase_migrations.schema_migrations``.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import DatabaseError
from riptide.runner import mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from riptide.settings import Target

HISTORY = "supabase_migrations.schema_migrations"
CONNECT_TIMEOUT = 5  # seconds


@dataclass(frozen=True)
class HistoryRow:
    """An applied migration, as the database remembers it."""

    version: str
    name: str


@contextmanager
def connect(target: Target, *, autocommit: bool = True) -> Iterator[psycopg.Connection]:
    """Open a session, and close it.

    Args:
        target: Which database; its URL must be known.
        autocommit: Off for a transaction that the caller ends.

    Raises:
        DatabaseError: It cannot be reached, or it refused the role or the password.
    """
    import psycopg

    try:
        connection = psycopg.connect(
            target.url,
            autocommit=autocommit,
            connect_timeout=CONNECT_TIMEOUT,
            application_name="riptide",
            # A pooler in transaction mode (port 6543) cannot keep a prepared statement.
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        raise unreachable(target, str(error)) from None
    except psycopg.ProgrammingError as error:  # a URL that is none, or options that are not known
        raise DatabaseError(
            "the database's URL cannot be used",
            detail=f"  {mask(str(error)).strip()}",
            state="nothing was changed",
            next_step="check SUPABASE_DB_URL or --target",
        ) from None
    try:
        yield connection
    finally:
        connection.close()


def unreachable(target: Target, reason: str) -> DatabaseError:
    """Give the error for a database that did not let us in."""
    lines = [line.strip() for line in mask(reason).strip().splitlines() if line.strip()]
    local = target.is_local
    return DatabaseError(
        f"the database cannot be reached: {target.name}",
        detail="\n".join(f"  {line}" for line in lines[:4]) or None,
        state="nothing was changed",
        next_step="inv stack.start" if local else "check the URL, the password and the network",
    )


def read_history(connection: psycopg.Connection) -> list[HistoryRow]:
    """Give what was applied, oldest first; nothing where there is no history yet."""
    import psycopg

    try:
        rows = connection.execute(
            # to_jsonb: an older history has no column `name`
            "select version, coalesce(to_jsonb(h) ->> 'name', '') "
            "from supabase_migrations.schema_migrations h order by version"
        ).fetchall()
    except psycopg.errors.UndefinedTable:
        return []
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            "this role may not read the migration history",
            sqlstate=error.sqlstate,
            state="nothing was changed",
            next_step="connect as postgres, who owns it",
        ) from None
    return [HistoryRow(version, name) for version, name in rows]
