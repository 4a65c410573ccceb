"""Running migrations on scratch databases, file by file, as the Supabase CLI would.

The CLI runs one file as one implicit transaction, unless a statement in it forbids that; this does
the same over psycopg, where a snapshot can be taken in between. `migrate.check` proves that it
comes to the same as ``supabase db push``.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.migrations.sql import line_of, runs_each_alone, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from riptide.migrations.sql import Statement

# What PostgreSQL answers where an extension's files are not installed.
_NO_SUCH_EXTENSION = ("0A000", "58P01")


@dataclass(frozen=True)
class Batch:
    """What the CLI runs at once: the statements of a file, or those up to one that is alone.

    Attributes:
        text: Verbatim.
        offset: Of ``text`` in the file, in characters.
    """

    text: str
    offset: int


class ReplayError(Exception):
    """A file, or a statement of it, that the database refused.

    Attributes:
        words: PostgreSQL's, with its detail.
        sqlstate: Its five-character code.
        line: 1-based line of the file, where known.
        unavailable: Whether the scratch PostgreSQL merely lacks an extension.
    """

    def __init__(self, error: psycopg.Error, line: int | None) -> None:
        primary = error.diag.message_primary or str(error).strip().partition("\n")[0]
        detail = error.diag.message_detail
        super().__init__(primary)
        self.words = f"{primary}: {detail}" if detail else primary
        self.sqlstate = error.sqlstate or ""
        self.line = line
        self.unavailable = error.sqlstate in _NO_SUCH_EXTENSION and "extension" in primary

    def __str__(self) -> str:
        """Give PostgreSQL's words with its code."""
        return f"{self.words} ({self.sqlstate})" if self.sqlstate else self.words


def batches(text: str) -> list[Batch]:
    """Split a file into what the CLI runs at once."""
    statements = split(text)
    if not statements:
        return []
    alone = runs_each_alone(text)
    if not alone and not any(each.refuses_transaction for each in statements):
        return [Batch(text, 0)]
    found: list[Batch] = []
    held: list[Statement] = []

    def flush() -> None:
        if held:
            end = held[-1].offset + len(held[-1].text)
            found.append(Batch(text[held[0].offset : end], held[0].offset))
            held.clear()

    for each in statements:
        if alone or each.refuses_transaction:
            flush()
            found.append(Batch(each.text, each.offset))
        else:
            held.append(each)
    flush()
    return found


def apply(connection: psycopg.Connection, text: str) -> None:
    """Run a file on a connection in autocommit mode.

    Raises:
        ReplayError: The database refused it. What was one transaction has left nothing behind.
    """
    import psycopg

    connection.execute("reset all")  # as the CLI does before each file
    for batch in batches(text):
        try:
            connection.execute(batch.text.encode())
        except psycopg.Error as error:
            if connection.closed:
                raise
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.rollback()  # the file began one of its own
                raise ReplayError(error, _line(text, batch, error, None)) from None
            index = _culprit(connection, batch, error)
            raise ReplayError(error, _line(text, batch, error, index)) from None


@contextmanager
def try_out(connection: psycopg.Connection, text: str) -> Iterator[None]:
    """Run a script in a transaction that is undone when the caller has looked.

    Raises:
        ReplayError: The database refused it.
    """
    import psycopg

    connection.execute("reset all")
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                if text.strip():
                    connection.execute(text.encode())
                connection.execute("set constraints all immediate")
        except psycopg.Error as error:
            if connection.closed:
                raise
            batch = Batch(text, 0)
            index = _culprit(connection, batch, error)
            raise ReplayError(error, _line(text, batch, error, index)) from None
        yield


def _culprit(connection: psycopg.Connection, batch: Batch, error: psycopg.Error) -> int | None:
    """Give the number of the statement that failed, where PostgreSQL gave no position.

    "already exists" comes without one. So each statement is run on its own, and all undone.
    """
    import psycopg

    if error.diag.statement_position:
        return None
    statements = split(batch.text)
    number = 0
    try:
        with connection.transaction(force_rollback=True):
            for number, each in enumerate(statements):  # noqa: B007
                connection.execute(each.text.encode())
    except psycopg.Error as again:
        return number if again.sqlstate == error.sqlstate else None
    return None


def _line(text: str, batch: Batch, error: psycopg.Error, index: int | None) -> int | None:
    position = int(error.diag.statement_position or 0)
    if position:
        return line_of(text, batch.offset + position - 1)
    if index is not None:
        return line_of(text, batch.offset + split(batch.text)[index].code_offset)
    statements = split(batch.text)
    if len(statements) == 1:
        return line_of(text, batch.offset + statements[0].code_offset)
    return None
