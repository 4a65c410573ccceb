"""The database, spoken to directly: connecting, and the migration history.

The history is the Supabase CLI's own table ``supabase_migrations.schema_migrations``.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import DatabaseError, LockTimeoutError
from riptide.runner import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from riptide.settings import Target

HISTORY = "supabase_migrations.schema_migrations"
CONNECT_TIMEOUT = 5  # seconds
LOCK_WAIT = 60.0  # seconds
TRANSACTION_POOLER_PORT = 6543  # https://supabase.com/docs/guides/database/connecting-to-postgres

_LOCK_KEY = int.from_bytes(b"riptide", "big")


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


@contextmanager
def push_lock(
    target: Target, *, wait: float = LOCK_WAIT, progress: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the one lock that a push or a rollback of this package needs on a database.

    The Supabase CLI takes none: of two pushes at once one dies of a unique violation. This is an
    advisory lock of a session (https://www.postgresql.org/docs/17/explicit-locking.html#ADVISORY-LOCKS),
    gone with the session however that ends. A pooler in transaction mode cannot keep a session, and
    of the linked project only the CLI has the password: there nothing is locked.

    Args:
        target: The database.
        wait: Seconds to wait for another holder.
        progress: Called with a phrase where there is one.

    Raises:
        LockTimeoutError: The other one did not let go in time.
        DatabaseError: The database cannot be reached.
    """
    from urllib.parse import urlsplit

    if not target.url or urlsplit(target.url).port == TRANSACTION_POOLER_PORT:
        yield
        return
    import psycopg

    with connect(target) as connection:
        taken = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK_KEY]).fetchone()
        if taken != (True,):
            if progress is not None:
                progress("waiting for another push or rollback of this database")
            connection.execute(f"set lock_timeout = {int(wait * 1000)}")
            try:
                connection.execute("select pg_advisory_lock(%s)", [_LOCK_KEY])
            except psycopg.errors.LockNotAvailable:
                raise LockTimeoutError(
                    f"another push or rollback has held {target.name} for {wait:g} s",
                    state="nothing was changed by this one",
                    next_step="inv migrate.status, and again when the other one has ended",
                ) from None
        yield


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
