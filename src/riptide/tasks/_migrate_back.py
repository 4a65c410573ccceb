"""``inv migrate.rollback`` and ``inv migrate.restore``."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

from invoke.exceptions import Exit

from riptide.errors import ConfigError, DataLossError, RiptideError
from riptide.tasks._task import (
    JSON_HELP,
    TARGET_HELP,
    confirm,
    is_dry,
    seconds_of,
    settings_for,
    task,
)

if TYPE_CHECKING:
    from invoke.context import Context

    from riptide.migrations.restore import Existing


def _steps(given: str) -> int:
    """Read --steps; Invoke's own way to an integer ends a wrong one with a traceback."""
    try:
        return int(given)
    except ValueError:
        raise ConfigError(
            f"--steps takes a whole number from 1 on, not {given!r}", state="nothing was changed"
        ) from None


@task(
    help={
        "steps": "how many migrations to take back, newest first (default 1)",
        "to": "take back all that is newer than this version, which stays; 0 for every one",
        "dry_run": "say what would go, change nothing",
        "allow_data_loss": "go on where rows are lost; they are saved first",
        "yes": "do not ask before a database that is not local is changed",
        "target": TARGET_HELP,
        "lock_wait": "seconds to wait for another push or rollback (default 60)",
        "lock_timeout": "seconds that a statement waits for a table that others hold (default 5)",
        "json": JSON_HELP,
    }
)
def rollback(
    c: Context,
    steps: str | None = None,
    to: str | None = None,
    dry_run: bool = False,
    allow_data_loss: bool = False,
    yes: bool = False,
    target: str | None = None,
    lock_wait: str = "60",
    lock_timeout: str = "5",
    json: bool = False,
) -> None:
    """Take the last migration back with its twin, unless rows would be lost."""
    from riptide import render
    from riptide.migrations.lock import lockable
    from riptide.migrations.rollback import rollback_migrations
    from riptide.render import rollback as show

    if steps is not None and to is not None:
        raise ConfigError(
            "--steps and --to cannot both be given: each says how far to go",
            state="nothing was changed",
        )
    number = _steps("1" if steps is None else steps)
    waits = seconds_of(lock_wait, "--lock-wait"), seconds_of(lock_timeout, "--lock-timeout")
    settings = lockable(settings_for(target=target), progress=render.note)
    dry_run = dry_run or is_dry(c)
    if settings.target.url and not settings.target.is_local and not dry_run:
        what = f"Take all migrations newer than {to}" if to else f"Take {number} migration(s)"
        confirm(f"{what} of {settings.target.name} back?", yes=yes)
    try:
        with render.progress() as progress:
            result = rollback_migrations(
                settings=settings,
                steps=number,
                to=to,
                dry_run=dry_run,
                allow_data_loss=allow_data_loss,
                lock_wait=waits[0],
                lock_timeout=waits[1],
                progress=progress,
            )
    except DataLossError as error:
        if json and error.result is not None:
            with suppress(RiptideError):  # no room for it: the refusal is what is to be told
                render.as_json(error.result)
        raise
    if json:
        render.as_json(result)
    else:
        show.rollback(result, settings.relative, settings.target.flag)
    if result.refused:
        raise Exit(code=3)


@task(
    "folder",
    iterable=["rename"],
    help={
        "folder": "the folder that the rollback named",
        "existing": "rows that are there with other values: refuse (the default), keep or replace",
        "other_database": "go on where the rows were saved from another database",
        "rename": "old=new, where a table or a table.column has another name now; repeatable",
        "yes": "do not ask before a database that is not local is changed",
        "target": TARGET_HELP,
        "lock_wait": "seconds to wait for another push or rollback (default 60)",
        "lock_timeout": "seconds that a statement waits for a table that others hold (default 5)",
        "json": JSON_HELP,
    },
)
def restore(
    c: Context,
    folder: str,
    rename: list[str],
    existing: str = "refuse",
    other_database: bool = False,
    yes: bool = False,
    target: str | None = None,
    lock_wait: str = "60",
    lock_timeout: str = "5",
    json: bool = False,
) -> None:
    """Put back the rows that a rollback saved, after the next push."""
    from riptide import render
    from riptide.migrations.lock import lockable
    from riptide.migrations.restore import restore_rows
    from riptide.migrations.saved_renames import read_renames
    from riptide.render import rollback as show

    waits = seconds_of(lock_wait, "--lock-wait"), seconds_of(lock_timeout, "--lock-timeout")
    renames = read_renames(rename)
    settings = lockable(settings_for(target=target), progress=render.note)
    if is_dry(c):
        render.lines([f"put the rows of {folder} back into {settings.target.name}"])
        return
    if settings.target.url and not settings.target.is_local:
        confirm(f"Put saved rows back into {settings.target.name}?", yes=yes)
    with render.progress() as progress:
        result = restore_rows(
            folder,
            settings=settings,
            existing=cast("Existing", existing),
            other_database=other_database,
            rename=renames,
            lock_wait=waits[0],
            lock_timeout=waits[1],
            progress=progress,
        )
    if json:
        render.as_json(result)
    else:
        show.restore(result)
