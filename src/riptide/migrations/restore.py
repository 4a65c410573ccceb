"""Putting back the rows that a rollback saved, once the migration is applied again.

All of it in one transaction, and only what is not there: a second call finds nothing to do.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from riptide.errors import ConfigError, DatabaseError, Interrupted, MigrationError
from riptide.migrations.lock import LOCK_WAIT, lockable, push_lock, session_name
from riptide.migrations.push import require_local_stack
from riptide.migrations.rollback_plan import check_waits
from riptide.migrations.saved_manifest import Manifest, read_manifest, verify_files
from riptide.migrations.saved_renames import flags, with_renames
from riptide.migrations.saved_rows import MANIFEST, identity, rollback_dir
from riptide.results import RestoreResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg

    from riptide.results import RestoredTable
    from riptide.runner import Runner
    from riptide.settings import Settings

LOCK_TIMEOUT = 5.0  # seconds

Existing = Literal["refuse", "keep", "replace"]
"""What to do where a row is there already with other values."""


def restore_rows(
    folder: Path | str,
    *,
    settings: Settings | None = None,
    existing: Existing = "refuse",
    other_database: bool = False,
    rename: Mapping[str, str] | None = None,
    lock_wait: float = LOCK_WAIT,
    lock_timeout: float = LOCK_TIMEOUT,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> RestoreResult:
    """Put back the rows that a rollback saved, all or none of them.

    Rows that are there already are not put back twice. Triggers of the user's do not fire, foreign
    keys are checked, and sequences go on from where they were at least.

    Args:
        folder: What `RollbackResult.saved_to` said; the name alone is enough.
        settings: The project's; by default those of the current folder.
        existing: What to do where a row of the same key is there with other values: ``refuse`` it
            all, ``keep`` what is there, or ``replace`` it by what was saved.
        other_database: Go on where the rows were saved from another database.
        rename: New names by old ones, for what has another name now: ``table``, ``schema.table``,
            ``table.column``, ``schema.table.column``. The new name of a column is its own alone.
        lock_wait: Seconds to wait for another push or rollback.
        lock_timeout: Seconds that a statement waits for a table that others hold.
        runner: Runs commands, where the local stack has to be asked.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: The folder is not one of saved rows, one of its files is missing or altered, or
            the rows are another database's; ``rename`` names what the folder does not have; or the
            target is the linked project.
        MigrationError: A table or a column is not there (the migration is not applied again), or
            the database refused a row; nothing was changed.
        DataLossError: Rows are there with other values, and ``existing`` is ``refuse``.
        DatabaseError: The database cannot be reached.
        LockTimeoutError: Another push or rollback did not end within ``lock_wait``.
        StackError: The target is local and its stack does not run.
    """
    from riptide.settings import Settings

    began = time.monotonic()
    settings = lockable(settings or Settings.load(), progress=progress)
    check_waits(settings, lock_wait=lock_wait, lock_timeout=lock_timeout)
    if existing not in get_args(Existing):
        raise ConfigError(
            f"--existing takes refuse, keep or replace, not {existing!r}",
            state="nothing was changed",
        )
    place = _find(folder, settings)
    manifest = with_renames(read_manifest(place, settings), rename or {})
    verify_files(manifest, settings)
    require_local_stack(settings, runner)
    say = progress or (lambda _: None)
    with ExitStack() as stack:
        connection = stack.enter_context(
            push_lock(settings.target, purpose="restore", wait=lock_wait, progress=progress)
        )
        if connection is None:
            from riptide.database import connect

            name = session_name("restore")
            connection = stack.enter_context(connect(settings.target, name=name))
        if not other_database:
            _refuse_other(manifest, identity(connection, settings), settings)
        again = f"inv migrate.restore {settings.relative(place)}{flags(rename or {})}"
        again += settings.target.flag
        tables, moved = _restore(connection, manifest, settings, existing, lock_timeout, say, again)
    return RestoreResult(
        target=settings.target.name,
        folder=place,
        tables=tables,
        sequences=moved,
        seconds=time.monotonic() - began,
    )


def _find(folder: Path | str, settings: Settings) -> Path:
    given = Path(folder)
    places = (given, settings.root / given, rollback_dir(settings) / given)
    found = next((each for each in places if each.is_dir()), None)
    if found is not None and str(folder).strip():
        return found.resolve()
    base = rollback_dir(settings)
    # One without a manifest was being written when its rollback was killed, and took nothing.
    there = sorted(each.parent.name for each in base.glob(f"*/{MANIFEST}"))
    raise ConfigError(
        f"there is no folder {str(folder)!r}",
        detail=f"  The newest of {settings.relative(base)} is {there[-1]}." if there else None,
        state="nothing was changed",
        next_step=f"inv migrate.restore {there[-1]}{settings.target.flag}"
        if there
        else "look for the folder that the rollback named",
    )


def _refuse_other(manifest: Manifest, now: dict[str, str], settings: Settings) -> None:
    then = manifest.identity
    differing = [key for key in then.keys() & now.keys() if then[key] != now[key]]
    if not differing:
        return
    shown = ", ".join(f"{key} {then[key]}, not {now[key]}" for key in sorted(differing))
    raise ConfigError(
        f"these rows were saved from another database: {manifest.target}",
        detail=f"  {shown}",
        state="nothing was changed",
        next_step=f"choose it with --target; or, if {settings.target.name} is meant, "
        "--other-database",
    )


def _restore(
    connection: psycopg.Connection,
    manifest: Manifest,
    settings: Settings,
    existing: Existing,
    lock_timeout: float,
    say: Callable[[str], None],
    again: str,
) -> tuple[tuple[RestoredTable, ...], tuple[str, ...]]:
    import psycopg

    from riptide.migrations.put_back import PutBack

    committing = False
    push = f"inv migrate.push{settings.target.flag}"
    work = PutBack(connection, manifest, existing, lock_timeout, say, push, again)
    try:
        with connection.transaction():
            tables = work.run()
            committing = True
    except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
        state = "all rows are back, or none" if committing else "nothing was changed"
        raise Interrupted(state, again) from None
    except psycopg.Error as error:
        if connection.closed:
            raise DatabaseError(
                "the connection was lost while rows were put back",
                sqlstate=error.sqlstate,
                detail=f"  {str(error).strip().splitlines()[0]}",
                state="all rows are back, or none" if committing else "nothing was changed",
                next_step=again,
            ) from None
        diagnostic = error.diag
        words = [*(diagnostic.message_detail or "").splitlines()]
        words += (diagnostic.context or "").splitlines()[:1]
        where = f"{work.at}: " if work.at else ""
        code = f" ({error.sqlstate})" if error.sqlstate else ""
        raise MigrationError(
            f"{where}{diagnostic.message_primary or str(error).strip()}{code}",
            sqlstate=error.sqlstate,
            detail="\n".join(f"  {each}" for each in words) or None,
            state="nothing was changed",
            next_step=f"mend what it names, then {again}",
        ) from None
    return tables, tuple(work.moved)
