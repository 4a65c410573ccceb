"""What a session is told before work of ours, and before a twin's own statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

# The server gives up on a client that is gone, and lets its locks go
# (https://www.postgresql.org/docs/17/runtime-config-connection.html). `transaction_timeout` came
# with PostgreSQL 17.
_BOTH = """
reset all;
reset role;
set local client_encoding = 'UTF8';
set local client_connection_check_interval = '1s';
set local lock_timeout = {lock_timeout};
select set_config('transaction_timeout', '0', true)
where current_setting('transaction_timeout', true) is not null;
"""

# Text that means the same whoever reads it, every name with its schema, all rows or an error, and
# as much time as it takes.
_OURS = """
set local search_path = '';
set local row_security = off;
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'postgres';
set local timezone = 'UTC';
set local bytea_output = 'hex';
set local extra_float_digits = 1;
set local xmloption = 'content';
"""


def for_twin(connection: psycopg.Connection, lock_timeout: float) -> None:
    """Give the session the role's own settings, as the Supabase CLI does before each file.

    All but how long it may take: a twin is not cut short where the migration was not.

    Args:
        connection: In a transaction, with whose end this ends.
        lock_timeout: Seconds to wait for a lock: a session that waits for one makes all that come
            after it wait, too.
    """
    connection.execute(_settings(_BOTH, lock_timeout))


def for_us(connection: psycopg.Connection, lock_timeout: float) -> None:
    """Give the session what reading, saving and putting back rows needs.

    Args:
        connection: In a transaction, with whose end this ends.
        lock_timeout: Seconds to wait for a lock.
    """
    connection.execute(_settings(_BOTH + _OURS, lock_timeout))


def _settings(text: str, lock_timeout: float) -> bytes:
    return text.format(lock_timeout=max(1, int(lock_timeout * 1000))).encode()
