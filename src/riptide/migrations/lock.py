"""The one lock that a push or a rollback needs on a database.

The Supabase CLI takes none: of two pushes at once one dies of a unique violation. This is an
advisory lock of a session
(https://www.postgresql.org/docs/17/explicit-locking.html#ADVISORY-LOCKS), gone with the session
however that ends. The CLI's own sessions know nothing of it, so whoever has the lock also waits for
those: of a push whose `inv` was killed the CLI goes on for a while.
"""

from __future__ import annotations

import getpass
import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.database import connect
from riptide.errors import ConfigError, LockTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from riptide.settings import Settings
    from riptide.target import Target

LOCK_WAIT = 60.0  # seconds
CLI_SESSION = "@effect/sql-pg"  # the application_name of CLI 3's sessions; nothing changes it

_KEY = int.from_bytes(b"riptide", "big")

_HOLDER = """
select a.pid, a.application_name, a.backend_start at time zone 'utc'
from pg_locks as l
join pg_stat_activity as a using (pid)
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.classid::bigint << 32) | l.objid::bigint = %s
"""

# Where this session holds it, and only there: in a pooled one it would be left to a stranger.
_KEEP = """
select pg_advisory_xact_lock(%(key)s), pg_advisory_lock(%(key)s) from pg_catalog.pg_locks
where locktype = 'advisory' and granted and objsubid = 1 and pid = pg_backend_pid()
  and database = (select oid from pg_database where datname = current_database())
  and (classid::bigint << 32) | objid::bigint = %(key)s
limit 1
"""

_CLI_SESSIONS = """
select pid, application_name, backend_start at time zone 'utc' from pg_stat_activity
where application_name = %s and datname = current_database()
order by backend_start
"""


@contextmanager
def push_lock(
    target: Target,
    *,
    purpose: str = "push",
    wait: float = LOCK_WAIT,
    progress: Callable[[str], None] | None = None,
) -> Iterator[psycopg.Connection | None]:
    """Hold the lock; give the session that holds it.

    A pooler in transaction mode cannot keep a session, and of the linked project only the CLI has
    the password: there nothing is locked, and ``None`` given.

    Args:
        target: The database.
        purpose: What for, as others who wait are told it: ``push`` or ``rollback``.
        wait: Seconds to wait for another holder, and for a CLI that is at work.
        progress: Called with a phrase where there is one.

    Raises:
        LockTimeoutError: The other one did not let go in time; it says who.
        DatabaseError: The database cannot be reached.
    """
    if not target.url or target.pools_transactions:
        yield None
        return
    with connect(target, name=session_name(purpose)) as connection:
        deadline = time.monotonic() + wait
        _take(connection, target, wait, progress)
        others = wait_for_cli(connection, deadline, progress)
        if others:
            raise LockTimeoutError(
                f"another Supabase CLI has been at work on {target.name} for {wait:g} s",
                detail=f"  {others}",
                state="nothing was changed by this one",
                next_step="wait for it; a dead one is ended by "
                f"select pg_terminate_backend({others.split()[1].rstrip(',')})",
            )
        yield connection


def lockable(
    settings: Settings,
    *,
    no_lock: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Settings:
    """Give settings whose target can hold the lock of a push.

    Args:
        settings: The project's.
        no_lock: Whether to go without; ``None`` where that cannot be asked for.
        progress: Told where it is not locked, or not the database's given port.

    Raises:
        ConfigError: It is a pooler in transaction mode, and not one of Supabase's.
    """
    from riptide.target import session_target

    if not settings.target.pools_transactions:
        return settings
    tell = progress or (lambda _: None)
    if no_lock:
        tell(f"{settings.target.name} pools transactions: nothing keeps another push out")
        return settings
    direct = session_target(settings.target)
    if direct is None:
        raise ConfigError(
            f"{settings.target.name} pools transactions: no session can keep other pushes out",
            state="nothing was changed",
            next_step="use the database's direct URL (port 5432)"
            + ("" if no_lock is None else ", or --no-lock where nobody else pushes now"),
        )
    tell(f"{settings.target.name} pools transactions and cannot be locked: taking port 5432")
    return replace(settings, target=direct)


def keep_lock(connection: psycopg.Connection) -> None:
    """See to it that SQL of somebody else's, run in the open transaction, cannot let the lock go.

    ``pg_advisory_unlock_all()`` ends a session's locks and leaves a transaction's alone. So call it
    before that SQL and again after it, while the transaction still has the lock: nobody else can
    have had it in between. Nothing is done where the session does not hold it.
    """
    connection.execute(_KEEP, {"key": _KEY})


def session_name(purpose: str) -> str:
    """Give an ``application_name`` that tells others who is at work: 63 bytes at most."""
    try:
        who = f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a user without a name, as in some containers
        who = socket.gethostname()
    return f"riptide {purpose} {who}".encode("ascii", "replace").decode()[:63]


def wait_for_cli(
    connection: psycopg.Connection,
    deadline: float,
    progress: Callable[[str], None] | None = None,
) -> str:
    """Wait until no session of the Supabase CLI is left in this database.

    Returns:
        Who is still there at the monotonic time ``deadline``, for a person; else ``""``.
    """
    told = False
    while rows := connection.execute(_CLI_SESSIONS, [CLI_SESSION]).fetchall():
        if time.monotonic() >= deadline:
            return _who(rows[0])
        if progress is not None and not told:
            progress(f"waiting for another Supabase CLI: {_who(rows[0])}")
            told = True
        time.sleep(0.1)
    return ""


def _take(
    connection: psycopg.Connection,
    target: Target,
    wait: float,
    progress: Callable[[str], None] | None,
) -> None:
    import psycopg

    taken = connection.execute("select pg_try_advisory_lock(%s)", [_KEY]).fetchone()
    if taken == (True,):
        return
    holder = _holder(connection)
    if progress is not None:
        progress(f"waiting for another push or rollback: {holder}")
    connection.execute(f"set lock_timeout = {max(1, int(wait * 1000))}")
    try:
        connection.execute("select pg_advisory_lock(%s)", [_KEY])
    except psycopg.errors.LockNotAvailable:
        raise LockTimeoutError(
            f"another push or rollback has held {target.name} for {wait:g} s",
            detail=f"  {_holder(connection)}",
            state="nothing was changed by this one",
            next_step="inv migrate.status, and again when the other one has ended",
        ) from None
    connection.execute("reset lock_timeout")


def _holder(connection: psycopg.Connection) -> str:
    row = connection.execute(_HOLDER, [_KEY]).fetchone()
    return _who(row) if row else "it has just ended"


def _who(row: tuple[object, ...]) -> str:
    pid, name, since = row
    shown = f", since {since:%H:%M:%S} UTC" if since is not None else ""
    return f"pid {pid}, {name or 'without a name'}{shown}"
