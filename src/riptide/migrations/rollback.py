"""Taking migrations back, with the scripts in ``supabase/rollbacks``.

The Supabase CLI cannot: its ``migration down`` drops every object of the user's, empties
``auth.users`` and replays the rest. So this is the one write to a schema that does not go through
it. Each twin runs in one transaction with the removal of its history row.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from riptide.errors import ConfigError, DatabaseError, MigrationError
from riptide.migrations.files import read_sql
from riptide.migrations.history import join
from riptide.migrations.push import require_local_stack
from riptide.migrations.sql import line_of, split
from riptide.results import Migration, MigrationState, RollbackResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import psycopg

    from riptide.runner import Runner
    from riptide.settings import Settings


LOCK_TIMEOUT = 5  # seconds


def rollback_migrations(
    *,
    settings: Settings | None = None,
    steps: int = 1,
    dry_run: bool = False,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> RollbackResult:
    """Take the newest applied migrations back, newest first.

    Args:
        settings: The project's; by default those of the current folder.
        steps: How many, from 1 on.
        dry_run: Say what would be taken back, and change nothing.
        runner: Runs commands, where the local stack has to be asked.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: ``steps`` is not possible, or the target is the linked project, whose
            password only the CLI has.
        MigrationError: A twin is missing, cannot be used or failed; that one is undone whole.
        DatabaseError: The database cannot be reached.
        LockTimeoutError: Another push or rollback did not end within 60 s.
        StackError: The target is local and its stack does not run.
    """
    from riptide.database import connect, read_history
    from riptide.migrations.files import scan
    from riptide.migrations.lock import push_lock
    from riptide.settings import Settings

    began = time.monotonic()
    settings = settings or Settings.load()
    if steps < 1:
        raise ConfigError(
            f"{steps} steps cannot be taken back", detail="  --steps takes 1 or more."
        )
    if not settings.target.url:
        raise ConfigError(
            "a rollback speaks to the database itself, and needs its URL",
            state="nothing was changed",
            next_step="set SUPABASE_DB_URL, then --target remote",
        )
    require_local_stack(settings, runner)
    files = scan(settings)
    lock = push_lock(settings.target, purpose="rollback", progress=progress)
    with lock, connect(settings.target) as connection:
        plan = _plan(join(files, read_history(connection)), steps)
        scripts = [(each, _script(each, settings)) for each in plan]
        if not dry_run:
            for done, (migration, script) in enumerate(scripts):
                if progress is not None:
                    progress(f"taking back {migration.label}")
                _take_back(connection, migration, script, settings, done, len(scripts))
    return RollbackResult(
        target=settings.target.name,
        rolled_back=tuple(each.label for each in plan),
        dry_run=dry_run,
        seconds=time.monotonic() - began,
    )


def _plan(migrations: Sequence[Migration], steps: int) -> list[Migration]:
    applied = [
        each
        for each in reversed(migrations)
        if each.state in (MigrationState.APPLIED, MigrationState.MISSING)
    ]
    if not applied:
        raise ConfigError(
            "there is nothing to take back: no migration is applied", state="nothing was changed"
        )
    if steps > len(applied):
        raise ConfigError(
            f"{steps} steps cannot be taken back: {len(applied)} applied",
            state="nothing was changed",
            next_step=f"inv migrate.rollback --steps {len(applied)}",
        )
    return applied[:steps]


def _script(migration: Migration, settings: Settings) -> str:
    """Read a twin and refuse one that would end the transaction it runs in."""
    twin = settings.rollbacks_dir / f"{migration.label}.sql"
    if migration.rollback_path is None and not twin.is_file():
        raise MigrationError(
            f"{migration.label} has no rollback: {settings.relative(twin)} is not there",
            file=twin,
            state="nothing was changed",
            next_step=f"write {settings.relative(twin)} (empty if there is nothing to take back)",
        )
    text = read_sql(twin, settings)
    for statement in split(text):
        if statement.controls_transaction:
            line = line_of(text, statement.code_offset)
            raise MigrationError(
                f"{settings.relative(twin)}:{line}: {statement.words[0]} would end the "
                "transaction that the rollback runs in",
                file=twin,
                line=line,
                statement=statement.text,
                state="nothing was changed",
                next_step="remove it: the whole file is one transaction already",
            )
    return text


def _take_back(
    connection: psycopg.Connection,
    migration: Migration,
    script: str,
    settings: Settings,
    done: int,
    total: int,
) -> None:
    import psycopg

    twin = settings.rollbacks_dir / f"{migration.label}.sql"
    state = f"nothing of this one was changed; {done} of {total} taken back"
    try:
        with connection.transaction():
            # A lock that another session holds must not make this, and others behind it, wait.
            connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}s'")
            connection.execute(script.encode())
            connection.execute(
                "delete from supabase_migrations.schema_migrations where version = %s",
                [migration.version],
            )
    except psycopg.OperationalError as error:
        if connection.closed:
            raise DatabaseError(
                f"the connection was lost while {migration.label} was taken back",
                detail=f"  {str(error).strip().splitlines()[0]}",
                state=f"{state}, unless its commit was under way",
                next_step="inv migrate.status",
            ) from None
        raise _refused(error, script, twin, settings, state) from None
    except psycopg.Error as error:
        raise _refused(error, script, twin, settings, state) from None


def _refused(
    error: psycopg.Error, script: str, twin: Path, settings: Settings, state: str
) -> MigrationError:
    diagnostic = error.diag
    position = int(diagnostic.statement_position or 0)
    line = line_of(script, position - 1) if position else None
    lines = []
    if line is not None:
        shown = script.splitlines()[line - 1].replace("\t", " ")
        lines.append(f"{line:>4} │ {shown}")
        column = position - 1 - (script.rfind("\n", 0, position - 1) + 1)
        lines.append(f"     │ {' ' * column}^")
    lines += [f"     {each}" for each in (diagnostic.message_detail or "").splitlines()]
    return MigrationError(
        f"{settings.relative(twin)}{f':{line}' if line else ''}: "
        f"{diagnostic.message_primary or error} ({error.sqlstate})",
        file=twin,
        line=line,
        sqlstate=error.sqlstate,
        detail="\n".join(lines) or None,
        state=state,
        next_step="mend the file, then `inv migrate.rollback`",
    )
