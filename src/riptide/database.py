"""The database, spoken to directly: connecting, and the migration history.

The history is the Supabase CLI's own table ``supabase_migrations.schema_migrations``.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riptide.errors import DatabaseError, ToolNotFoundError
from riptide.runner import mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from riptide.target import Target

HISTORY = "supabase_migrations.schema_migrations"
CONNECT_TIMEOUT = 5  # seconds

# What a role or a database may be told for the sake of its applications, and what would cut a
# session of ours short. Not `default_transaction_read_only`: that one is set on purpose (hosted
# Supabase does so when the disk is full), and what it refuses is refused to the CLI, too.
_NO_HURRY = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",  # the session that holds the lock is idle while the CLI works
)

_READ_ONLY = (
    "see who made it read only: show default_transaction_read_only (hosted Supabase does when the "
    "disk is nearly full)"
)


@dataclass(frozen=True)
class HistoryRow:
    """An applied migration, as the database remembers it.

    Attributes:
        statements: What was applied, verbatim; ``None`` where an older CLI did not store it.
    """

    version: str
    name: str
    statements: tuple[str, ...] | None = None


@contextmanager
def connect(
    target: Target, *, autocommit: bool = True, name: str = "riptide"
) -> Iterator[psycopg.Connection]:
    """Open a session, and close it.

    It takes as much time as it needs, whatever the role is told to; a URL's own ``options`` count.

    Args:
        target: Which database; its URL must be known.
        autocommit: Off for a transaction that the caller ends.
        name: The session's ``application_name``, by which others see whose it is.

    Raises:
        ToolNotFoundError: psycopg has no libpq.
        DatabaseError: It cannot be reached, it refused the role or the password, the connection
            was lost on the way, or it refused a statement that the caller did not expect it to.
    """
    try:
        import psycopg
    except ImportError as error:
        raise without_libpq(error) from None

    try:
        connection = _open(target, autocommit=autocommit, name=name)
    except psycopg.Error as error:
        raise unreachable(target, str(error)) from None
    try:
        yield connection
    except psycopg.Error as error:
        raise refused(target, connection, error) from None
    finally:
        connection.close()


def _open(target: Target, *, autocommit: bool, name: str) -> psycopg.Connection:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    def session(options: str | None = None) -> psycopg.Connection:
        more: dict[str, Any] = {} if options is None else {"options": options}
        return psycopg.connect(
            target.url,
            autocommit=autocommit,
            connect_timeout=CONNECT_TIMEOUT,
            application_name=name,
            # A pooler in transaction mode (port 6543) cannot keep a prepared statement.
            prepare_threshold=None,
            **more,
        )

    if target.pools_transactions:  # what is set there is everybody's
        return session()
    # The last one wins: the URL's own, which somebody has written on purpose.
    own = conninfo_to_dict(target.url).get("options") or ""
    try:
        return session(" ".join([*(f"-c {each}=0" for each in _NO_HURRY), str(own)]))
    except psycopg.OperationalError as error:
        if "startup parameter" not in str(error):  # PgBouncer takes none that it does not know
            raise
    connection = session()
    for each in _NO_HURRY:
        connection.execute(f"set {each} = 0".encode())
    if not autocommit:
        connection.commit()
    return connection


def without_libpq(error: ImportError) -> ToolNotFoundError:
    """Give the error for a psycopg that cannot be imported.

    It is installed without PostgreSQL's client library, which may come with it or be the system's:
    https://www.psycopg.org/psycopg3/docs/basic/install.html
    """
    return ToolNotFoundError(
        "psycopg finds no libpq, PostgreSQL's client library",
        detail=_indented(str(error)),
        next_step='pip install "riptide-supabase[binary]", which brings one along, or install '
        "the system's (Debian and Ubuntu: libpq5)",
    )


def refused(target: Target, connection: psycopg.Connection, error: psycopg.Error) -> DatabaseError:
    """Give the error for a statement of our own that failed, or a connection that was lost."""
    words = _indented(error.diag.message_primary or str(error))
    if connection.closed:
        return DatabaseError(
            f"the connection to the database was lost: {target.name}",
            sqlstate=error.sqlstate,
            detail=words,
            next_step="inv stack.status"
            if target.is_local
            else "check the network, then try again",
        )
    return DatabaseError(
        f"the database refused what it was asked: {target.name}",
        sqlstate=error.sqlstate,
        detail=words,
        next_step=_READ_ONLY
        if error.sqlstate == "25006"
        else "is the role the one that owns the schema (postgres)?",
    )


def unreachable(target: Target, reason: str) -> DatabaseError:
    """Give the error for a database that did not let us in."""
    return DatabaseError(
        f"the database cannot be reached: {target.name}",
        detail=_indented(reason),
        state="nothing was changed",
        next_step="inv stack.start"
        if target.is_local
        else "check the URL, the password and the network",
    )


def _indented(text: str) -> str | None:
    lines = [line.strip() for line in mask(text).strip().splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[:4]) or None


def read_history(connection: psycopg.Connection) -> list[HistoryRow]:
    """Give what was applied, oldest first; nothing where there is no history yet.

    Raises:
        DatabaseError: This role may not read it, or it is not the Supabase CLI's table.
    """
    # to_jsonb: an older history has no columns `name` and `statements`
    more = "coalesce(to_jsonb(h) ->> 'name', ''), to_jsonb(h) -> 'statements'"
    return [
        HistoryRow(version, name, None if statements is None else tuple(statements))
        for version, name, statements in _read(connection, f", {more}")
    ]


def read_versions(connection: psycopg.Connection) -> list[str]:
    """Give the versions alone, oldest first: a tenth of the work where there are many.

    Raises:
        DatabaseError: See `read_history`.
    """
    return [version for (version,) in _read(connection, "")]


def _read(connection: psycopg.Connection, more: str) -> list[tuple[Any, ...]]:
    import psycopg

    query = f"select version::text{more} from {HISTORY} as h order by 1"  # noqa: S608 - constants
    try:
        rows = connection.execute(query.encode()).fetchall()
    except psycopg.errors.UndefinedTable:
        return []
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseError(
            "this role may not read the migration history",
            sqlstate=error.sqlstate,
            state="nothing was changed",
            next_step="connect as postgres, who owns it",
        ) from None
    except psycopg.ProgrammingError as error:
        raise _odd(error.sqlstate, error.diag.message_primary or str(error)) from None
    odd = [version for version, *_ in rows if not (version or "").isdigit()]
    if odd:
        raise _odd(None, f"the version {odd[0]!r} is not a number")
    return rows


def _odd(sqlstate: str | None, words: str) -> DatabaseError:
    return DatabaseError(
        f"{HISTORY} is not as the Supabase CLI makes it",
        sqlstate=sqlstate,
        detail=_indented(words),
        state="nothing was changed",
        next_step=f"look at it: inv stack.status, then \\d {HISTORY} in psql",
    )
