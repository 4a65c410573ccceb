"""A rollback twin: read, refused where it could not be undone, run, its failure placed."""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import DatabaseError, MigrationError, RiptideError
from riptide.migrations.drift import Edit, edit_of
from riptide.migrations.explain import NOT_THE_FILE
from riptide.migrations.files import read_sql
from riptide.migrations.lock import keep_lock
from riptide.migrations.new_files import is_template
from riptide.migrations.sequences import named, sequences_kept
from riptide.migrations.session import for_twin
from riptide.migrations.sql import line_of, split
from riptide.results import Migration, MigrationState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import psycopg

    from riptide.settings import Settings

_COMMENT = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(\w*)\$.*?\$\1\$", re.DOTALL
)
_WORD = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_CLIENT_COPY = re.compile(r"\b(?:from\s+stdin|to\s+stdout)\b", re.IGNORECASE)
# Outside a transaction only, besides what the Supabase CLI knows of: PostgreSQL's manual says so of
# each (https://www.postgresql.org/docs/17/sql-commands.html).
_NEVER_IN_TRANSACTION = (
    ("create", "database"),
    ("drop", "database"),
    ("create", "tablespace"),
    ("drop", "tablespace"),
    ("discard", "all"),
)
# Where a statement failed is looked up by running them one by one; not where it took long, or where
# it was somebody else's doing.
_NOT_REPEATED = ("08", "40", "55P03", "57")


@dataclass(frozen=True)
class Twin:
    """A migration that is to be taken back, with what takes it back.

    Attributes:
        migration: Which one.
        path: The twin.
        text: Its content.
        names: Every word of the migration as stored in the history or in its file: what it may have
            made. Empty where neither is known.
        notes: What a person should know of it.
    """

    migration: Migration
    path: Path
    text: str
    names: frozenset[str]
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``<version>_<name>``."""
        return self.migration.label

    @property
    def version(self) -> str:
        """The migration's version."""
        return self.migration.version


def read_twin(migration: Migration, stored: Sequence[str] | None, settings: Settings) -> Twin:
    """Read a migration's twin.

    Args:
        migration: An applied one.
        stored: Its statements in the history, where there are any.
        settings: The project's.

    Raises:
        MigrationError: There is none, it cannot be read, or it holds what ends or cannot be in the
            transaction that it runs in.
    """
    path = migration.rollback_path or settings.rollbacks_dir / f"{migration.label}.sql"
    shown = settings.relative(path)
    if not path.is_file():
        raise MigrationError(
            f"{migration.label} has no rollback: {shown} is not there",
            file=path,
            state="nothing was changed",
            next_step=f"write {shown} (empty if there is nothing to take back)",
        )
    text = read_sql(path, settings)
    if is_template(path, text) and any(stored or ()):
        raise MigrationError(
            f"{migration.label} has no rollback: {shown} is still the template",
            file=path,
            state="nothing was changed",
            next_step=f"write {shown} (empty if there is nothing to take back)",
        )
    for statement in split(text):
        reason, next_step = _unfit(statement.words, statement.text)
        if statement.controls_transaction:
            reason = f"{statement.words[0]} would end the transaction that the rollback runs in"
            next_step = "remove it: the whole file is one transaction already"
        elif statement.refuses_transaction:
            reason = (
                f"PostgreSQL runs `{' '.join(statement.words[:3])}` outside a transaction only, "
                "where a rollback that fails could not be undone"
            )
            next_step = (
                "leave `concurrently` out"
                if "concurrently" in statement.words
                else ("remove it, and run it by hand afterwards")
            )
        if reason:
            line = line_of(text, statement.code_offset)
            raise MigrationError(
                f"{shown}:{line}: {reason}",
                file=path,
                line=line,
                statement=statement.text,
                state="nothing was changed",
                next_step=next_step,
            )
    local: str | None = None
    notes = []
    if migration.state is MigrationState.MISSING:
        notes.append("its file is missing here; it is taken back with its twin")
    elif migration.path is not None:
        with suppress(RiptideError):  # of the twin alone it depends whether this can be done
            local = read_sql(migration.path, settings)
        if stored and local is not None and edit_of(stored, local) is Edit.REAL:
            notes.append("its file was edited after it was applied")
    return Twin(migration, path, text, _names([*(stored or ()), local or ""]), tuple(notes))


def _unfit(words: tuple[str, ...], text: str) -> tuple[str, str]:
    if words[:2] in _NEVER_IN_TRANSACTION:
        return f"`{' '.join(words[:2])}` cannot be in a transaction", "remove it"
    if words[:1] == ("copy",) and _CLIENT_COPY.search(text):
        return "copy from or to the client has nobody at the other end", "use insert"
    return "", ""


def _names(texts: Sequence[str]) -> frozenset[str]:
    """Give every word of SQL, as PostgreSQL would fold it; of comments none."""
    found: set[str] = set()
    for text in texts:
        code = _COMMENT.sub(lambda each: " " if each[0][:2] in ("--", "/*") else each[0], text)
        for quoted, word in _WORD.findall(code):
            if quoted:
                found.add(quoted.replace('""', '"'))
                found.update(each.lower() for _, each in _WORD.findall(quoted))
            else:
                found.add(word.lower())
    return frozenset(found)


def run_twin(connection: psycopg.Connection, twin: Twin, lock_timeout: float) -> None:
    """Run a twin in the open transaction, deferred constraints checked at its end.

    Raises:
        psycopg.Error: The database refused it.
    """
    for_twin(connection, lock_timeout)
    keep_lock(connection)
    if twin.text.strip():
        connection.execute(twin.text.encode())
    for_twin(connection, lock_timeout)
    keep_lock(connection)
    # What would else fail at the commit, when less can be told.
    connection.execute("set constraints all immediate")


def refusal(
    twin: Twin,
    error: psycopg.Error,
    offset: int,
    settings: Settings,
    *,
    lost: bool,
    state: str,
    next_step: str,
) -> RiptideError:
    """Give the error for a twin that the database refused, with the place where it can be told.

    Args:
        twin: Which one.
        error: PostgreSQL's words.
        offset: Where `place` found it to be.
        settings: The project's.
        lost: Whether the connection is gone.
        state: What state things are in.
        next_step: What to do once it is mended.
    """
    if lost:
        return DatabaseError(
            f"the connection was lost while {twin.label} was taken back",
            sqlstate=error.sqlstate,
            detail=f"  {str(error).strip().splitlines()[0]}",
            state=state,
            next_step="inv migrate.status",
        )
    diagnostic = error.diag
    line = line_of(twin.text, offset) if offset >= 0 else None
    lines = []
    if line is not None:
        lines.append(f"{line:>4} │ {_line(twin.text, offset)}")
        column = offset - 1 - twin.text.rfind("\n", 0, offset)
        lines.append(f"     │ {' ' * column}^")
    lines += [f"     {each}" for each in (diagnostic.message_detail or "").splitlines()]
    lines += [f"     hint: {each}" for each in (diagnostic.message_hint or "").splitlines()]
    code = f" ({error.sqlstate})" if error.sqlstate else ""
    where = settings.relative(twin.path) + (f":{line}" if line else "")
    # A statement's own place is found; what is left is a constraint that waited for the end.
    deferred = line is None and (error.sqlstate or "").startswith("23")
    when = "at its end, " if deferred else ""
    if error.sqlstate == "55P03":
        next_step = f"see who holds it (pg_locks), then {next_step.partition(', then ')[2]}"
    if (error.sqlstate or "").startswith(NOT_THE_FILE):
        next_step = f"{next_step.partition(', then ')[2]} again"
    return MigrationError(
        f"{where}: {when}{diagnostic.message_primary or str(error).strip()}{code}",
        file=twin.path,
        line=line,
        sqlstate=error.sqlstate,
        statement=_statement(twin.text, offset) if offset >= 0 else None,
        detail="\n".join(lines) or None,
        state=state,
        next_step=next_step,
    )


def place(
    connection: psycopg.Connection, twin: Twin, error: psycopg.Error, lock_timeout: float
) -> int:
    """Give the offset of what failed: PostgreSQL's, else its statement's; -1 where nobody knows.

    What fails while it runs has no position. Its statement is found by running them one by one in
    a transaction, or a savepoint, that is undone.

    Args:
        connection: As it was before the twin ran.
        twin: Which one.
        error: PostgreSQL's words.
        lock_timeout: As for the run.
    """
    import psycopg

    if error.diag.statement_position:
        return int(error.diag.statement_position) - 1
    found = -1
    if (error.sqlstate or "08").startswith(_NOT_REPEATED):
        return found
    with ExitStack() as stack:
        stack.enter_context(suppress(psycopg.Error))
        stack.enter_context(connection.transaction(force_rollback=True))
        for_twin(connection, lock_timeout)
        hold = named(connection, [twin.text])
        stack.enter_context(sequences_kept(connection, hold, undo=True))
        for statement in split(twin.text):
            try:
                connection.execute(statement.text.encode())
            except psycopg.Error as again:
                if again.sqlstate == error.sqlstate:
                    found = statement.code_offset
                raise
    return found


def _line(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)].rstrip("\r").replace("\t", " ")
    return line if len(line) <= 1000 else f"{line[:1000]}…"


def _statement(text: str, position: int) -> str | None:
    for each in split(text):
        if each.offset <= position <= each.offset + len(each.text):
            return each.text
    return None
