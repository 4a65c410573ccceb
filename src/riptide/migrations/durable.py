"""A push of many files waits for the server's disk once, at its end, and not after each file.

A server that crashes meanwhile forgets the last files as if they had never been pushed, each with
its row of the history; the next push applies them
(https://www.postgresql.org/docs/17/wal-async-commit.html). The push itself says nothing to be
applied before it is on the disk.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from riptide.migrations.concurrent import leaves_something
from riptide.migrations.sql import not_one_transaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from riptide.target import Target

MANY = 50  # files; of fewer the wait is not felt

# Everybody may, unless somebody has taken it from them.
_MAY_FLUSH = """
select coalesce(bool_and(has_function_privilege(oid, 'execute')), false) from pg_catalog.pg_proc
where proname = 'pg_logical_emit_message' and pronamespace = 'pg_catalog'::regnamespace
"""

# A commit is only waited for where something was written; a message that nobody listens to is.
# Consumers of a logical replication slot that ask for messages see it.
_FLUSH = """
select set_config('synchronous_commit', 'on', true)
where current_setting('synchronous_commit') = 'off';
select pg_logical_emit_message(true, 'riptide', 'push');
"""


def commits_asynchronously(session: psycopg.Connection | None, texts: Iterable[str]) -> bool:
    """Whether the CLI's session may go on before its commits are on the disk: `flush` follows.

    Not where a file commits apart from its row in the history: a crash might keep the one and lose
    the other.

    Args:
        session: The one that holds the push's lock; ``None`` where none can.
        texts: The content of each pending file.
    """
    import psycopg

    files = list(texts)
    if session is None or len(files) < MANY:
        return False
    if any(not_one_transaction(each) or leaves_something(each) for each in files):
        return False
    try:
        return session.execute(_MAY_FLUSH).fetchone() == (True,)
    except psycopg.Error:  # the session is gone: the push goes on as without this
        return False


def flush(target: Target, session: psycopg.Connection | None) -> None:
    """Have the server write to its disk all that was committed before.

    Args:
        target: The database.
        session: The one that holds the lock. Where it is gone, or its role may not, it is done in
            a new one.

    Raises:
        DatabaseError: The database cannot be reached, or refuses.
    """
    import psycopg

    from riptide.database import connect

    if session is not None:
        with suppress(psycopg.Error):
            _flush(session)
            return
    with connect(target) as connection:
        _flush(connection)


def _flush(session: psycopg.Connection) -> None:
    with session.transaction():
        session.execute(_FLUSH)
