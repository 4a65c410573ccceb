"""New migration files: a name, a version, and the template with its rollback twin."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._oserror import explain
from riptide._write import write_whole
from riptide.errors import ConfigError, LockTimeoutError
from riptide.migrations.files import scan
from riptide.results import NewMigration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from riptide.migrations.files import MigrationFile
    from riptide.settings import Settings

_SLUG = re.compile(r"[A-Za-z0-9_]+")
_VERSION_FORMAT = "%Y%m%d%H%M%S"
_LONGEST_NAME = 120  # characters; a file name has room for 255 bytes on every common system

LOCK_WAIT = 10.0  # seconds that another process may take to write its migration: milliseconds

_MIGRATION_TEMPLATE = """\
-- {name}
--
-- What this is for: …
-- Taken back by supabase/rollbacks/{file}
--
-- Write it so that it may run twice: `if not exists`, `create or replace`,
-- `drop policy if exists` before `create policy`. The Supabase CLI runs the whole file in one
-- transaction. A new table of an exposed schema wants, in this order: create, comment, indexes,
-- `enable row level security`, revoke and grant, policies.

"""

_ROLLBACK_TEMPLATE = """\
-- Takes {file} back: drops what it made, newest first, and nothing else.
--
-- `inv migrate.rollback` runs it in one transaction with the removal of its history row.
-- Where there is nothing to take back, say so here in place of these lines.

"""


# A sentence of each: to look for one is quicker than to write both out.
_TEMPLATES_ONLY = ("-- What this is for: …", "-- Where there is nothing to take back, say so here")


def is_template(path: Path, text: str) -> bool:
    """Whether a migration or a rollback twin is as `create_migration` wrote it: still empty."""
    if not any(each in text for each in _TEMPLATES_ONLY):
        return False
    name = path.stem.partition("_")[2]
    templates = (_MIGRATION_TEMPLATE, _ROLLBACK_TEMPLATE)
    return text.split() in [each.format(name=name, file=path.name).split() for each in templates]


def create_migration(name: str, *, settings: Settings | None = None) -> NewMigration:
    """Write a new migration and its rollback twin, both from a commented template.

    Args:
        name: Letters, digits and underscores, at most 120; by convention ``<verb>_<noun>``.
        settings: The project's; by default those of the current folder.

    Returns:
        The two files. The version is the time in UTC, moved on by seconds where needed to be
        later than every version there is: two migrations never share one.

    Raises:
        ConfigError: The name cannot be used or is taken, or there is no project here.
        MigrationError: A file that is there cannot be used.
        LockTimeoutError: Another process did not end writing one within 10 s.
    """
    from filelock import FileLock, Timeout

    from riptide.settings import Settings

    check_name(name)
    settings = settings or Settings.load()
    try:
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        settings.migrations_dir.mkdir(exist_ok=True)
        settings.rollbacks_dir.mkdir(exist_ok=True)
        with FileLock(settings.run_dir / "migrations.lock", timeout=LOCK_WAIT):
            files = scan(settings)
            refuse_taken(name, files, settings)
            version = next_version(files)
            file = f"{version}_{name}.sql"
            twin = settings.rollbacks_dir / file
            path = settings.migrations_dir / file
            write_pair(
                path,
                _MIGRATION_TEMPLATE.format(name=name, file=file),
                twin,
                _ROLLBACK_TEMPLATE.format(file=file),
            )
    except Timeout as error:  # which is an OSError
        raise LockTimeoutError(
            f"another process has been writing a migration for {LOCK_WAIT:g} s",
            state="no migration was made",
            next_step=f"end that process: it holds {settings.relative(Path(error.lock_file))}",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{settings.relative(Path(error.filename or settings.migrations_dir))} "
            f"cannot be written: {error.strerror}",
            state="no migration was made",
            next_step=explain(error, settings.migrations_dir)[1],
        ) from error
    return NewMigration(version=version, name=name, path=path, rollback_path=twin)


def write_pair(path: Path, text: str, twin: Path, twin_text: str) -> None:
    """Write a migration and its twin, each whole or not at all, and never the one alone.

    The twin comes first: a migration without one must not come of an interruption either.

    Raises:
        OSError: One of them cannot be written; neither is there.
    """
    try:
        write_whole(twin, twin_text)
        write_whole(path, text)
    except BaseException:
        with suppress(OSError):
            twin.unlink(missing_ok=True)
        raise


def refuse_taken(name: str, files: Sequence[MigrationFile], settings: Settings) -> None:
    """Refuse a migration name that another one has, in whatever case.

    Raises:
        ConfigError: One has it.
    """
    for each in files:
        if each.name.lower() == name.lower():
            raise ConfigError(
                f"the name {name} is taken by {settings.relative(each.path)}",
                state="nothing was written",
                next_step="choose another name",
            )


def check_name(name: str) -> None:
    """Refuse a migration name that is empty, a path, or more than letters, digits, underscores.

    Raises:
        ConfigError: It is one of these.
    """
    problem = None
    if not name:
        problem = "a migration needs a name"
    elif not _SLUG.fullmatch(name):
        problem = f"{name!r} cannot be a migration's name"
    elif len(name) > _LONGEST_NAME:
        problem = f"a migration's name has at most {_LONGEST_NAME} characters, not {len(name)}"
    if problem:
        raise ConfigError(
            problem,
            detail="  Letters, digits and underscores, such as create_teams.",
            state="nothing was written",
            next_step="inv migrate.new <verb>_<noun>",
        )


def next_version(files: Sequence[MigrationFile], now: datetime | None = None) -> str:
    """Give a version later than all of ``files``: the time in UTC where that is."""
    version = (now or datetime.now(UTC)).strftime(_VERSION_FORMAT)
    latest = max((each.version for each in files), default="")
    if version > latest:
        return version
    try:
        after = datetime.strptime(latest, _VERSION_FORMAT).replace(tzinfo=UTC)
    except ValueError:  # digits, but not a time: the CLI allows that
        return str(int(latest) + 1).zfill(len(latest))
    return (after + timedelta(seconds=1)).strftime(_VERSION_FORMAT)
