"""What was changed by hand in the local database, as a migration with its rollback."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from riptide.database import connect
from riptide.errors import ConfigError, DriftError, MigrationError, ToolNotFoundError
from riptide.migrations import against
from riptide.migrations.files import scan
from riptide.migrations.guards import guarded, new_values
from riptide.migrations.listing import listed
from riptide.migrations.new_files import check_name, next_version, refuse_taken, write_pair
from riptide.migrations.replay import ReplayError, apply, try_out
from riptide.migrations.snapshot import Snapshot, compare, take
from riptide.migrations.sql import split
from riptide.results.diff import DiffResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from riptide.migrations.files import MigrationFile
    from riptide.results import Finding
    from riptide.runner import Runner
    from riptide.settings import Settings
    from riptide.stack.embedded.scratch import Scratch
    from riptide.target import Target

_HEADER = """\
-- {name}
--
-- What this is for: …
-- What was changed by hand in the local database, as `inv migrate.diff` found it. Read it: a
-- renamed column is a new one and a dropped one here, and its rows are lost.
-- Taken back by supabase/rollbacks/{file}

"""
_ROLLBACK_HEADER = """\
-- Takes {file} back.
--
-- `inv migrate.rollback` runs it in one transaction with the removal of its history row.

"""


_NEW_VALUE_USED = "55P04"  # unsafe_new_enum_value_usage


@dataclass(frozen=True)
class _Trial:
    not_covered: tuple[str, ...]
    not_taken_back: tuple[str, ...]
    not_twice: str


def diff_migration(
    name: str,
    *,
    settings: Settings | None = None,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> DiffResult:
    """Write what was changed by hand in the local database as a new migration and its twin.

    The database is compared with its migrations, replayed on a scratch database, by
    ``supabase db diff``; it is only read. What comes of it is made so that it may run twice, and
    both files are tried on the scratch database before they are written.

    Args:
        name: As for `create_migration`.
        settings: The project's; by default those of the current folder.
        runner: Runs the CLI; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Returns:
        The two files; none where nothing was changed by hand.

    Raises:
        ConfigError: The name cannot be used or is taken, or the target is not the local stack.
        StackError: The local stack does not run, or no scratch database can be had.
        DriftError: A migration is pending, missing or was edited: files and history have to agree.
        MigrationError: A file cannot be used, or what the CLI made cannot be applied.
        DatabaseError: The database cannot be reached.
        ToolNotFoundError: There is no supported Supabase CLI.
        CommandError: The CLI could not compare.
    """
    from riptide.migrations.push import require_local_stack
    from riptide.runner import SubprocessRunner
    from riptide.settings import Settings
    from riptide.stack.embedded.scratch import scratch_server
    from riptide.toolchain import find_cli

    began = time.monotonic()
    check_name(name)
    settings = settings or Settings.load()
    runner = runner or SubprocessRunner()
    progress = progress or (lambda _: None)
    if not settings.target.is_local:
        raise ConfigError(
            "migrate.diff is about the local database only",
            state="nothing was written",
            next_step="supabase db pull, for another one",
        )
    files = scan(settings)
    refuse_taken(name, files, settings)
    require_local_stack(settings, runner)
    progress("looking at the local database")
    actual, texts = _agreed(files, settings)
    binary = find_cli(settings, runner=runner)
    with scratch_server(settings, runner=runner, progress=progress) as scratch:
        base = scratch.database("base")
        expected = _replay(base, files, texts, settings)
        progress("supabase db diff, forth and back")
        with ThreadPoolExecutor(2) as pool:
            ways = ((base, settings.target), (settings.target, base))
            up, down = pool.map(
                lambda way: against.diff(settings, runner, binary, origin=way[0], wanted=way[1]),
                ways,
            )
        if not up:
            return DiffResult(
                target=settings.target.name,
                not_covered=_listed(expected, actual),
                seconds=time.monotonic() - began,
            )
        up, down = guarded(up), guarded(down)
        progress("trying both on a scratch database")
        trial = _try(scratch, base, up, down, expected, actual)
    path, twin, version = _write(name, up, down, settings)
    return DiffResult(
        target=settings.target.name,
        version=version,
        path=path,
        rollback_path=twin,
        statements=len(split(up)),
        not_covered=trial.not_covered,
        not_taken_back=trial.not_taken_back,
        not_twice=trial.not_twice,
        findings=_linted(path, settings, runner),
        seconds=time.monotonic() - began,
    )


def _agreed(files: Sequence[MigrationFile], settings: Settings) -> tuple[Snapshot, dict[str, str]]:
    """Look at the database; refuse one whose history is not what the files say."""
    from riptide.migrations.check_files import read_files

    read = read_files(settings)
    bad = next((each for each in read.findings if each.level == "error"), None)
    if bad is not None and not read.usable:
        raise MigrationError(
            f"{settings.relative(bad.file) if bad.file else 'a migration'}: {bad.message}",
            file=bad.file,
            line=bad.line,
            state="nothing was written",
            next_step=bad.next_step,
        )
    actual, rows = against.look(settings.target)
    history = against.applied(rows, read)
    pending = [each for each in files if each.version not in history.texts]
    if pending:
        raise DriftError(
            f"{pending[0].path.name} is not applied to the local database: "
            "what it makes would be taken for a change by hand",
            state="nothing was written",
            next_step="inv migrate.push; or, if the database has that change already, "
            f"inv migrate.repair --versions {pending[0].version} --status applied",
        )
    if history.findings:
        first = history.findings[0]
        where = f"{first.file.name} " if first.file else ""
        raise DriftError(
            f"{where}{first.message}",
            file=first.file,
            state="nothing was written",
            next_step=first.next_step,
        )
    return actual, read.texts


def _replay(
    base: Target, files: Sequence[MigrationFile], texts: dict[str, str], settings: Settings
) -> Snapshot:
    with connect(base, name="riptide diff") as connection:
        for each in files:
            try:
                apply(connection, texts[each.version])
            except ReplayError as error:
                raise MigrationError(
                    f"{settings.relative(each.path)}{f':{error.line}' if error.line else ''}: "
                    f"cannot be replayed: {error}",
                    file=each.path,
                    line=error.line,
                    sqlstate=error.sqlstate,
                    state="nothing was written",
                    next_step="inv migrate.check",
                ) from None
        return take(connection)


def _try(
    scratch: Scratch, base: Target, up: str, down: str, expected: Snapshot, actual: Snapshot
) -> _Trial:
    with connect(scratch.copy(base, "tried"), name="riptide diff") as connection:
        try:
            apply(connection, up)
        except ReplayError as error:
            raise _unusable(error, up) from None
        after = take(connection)
        not_twice = ""
        try:
            with try_out(connection, up):
                if again := compare(after, take(connection)):
                    not_twice = listed(again, "changed", "gone", "new")[0]
        except ReplayError as error:
            not_twice = str(error)
        try:
            with try_out(connection, down):
                left = _listed(take(connection), expected)
        except ReplayError as error:
            left = (f"the rollback fails: {error}",)
    return _Trial(_listed(after, actual), left, not_twice)


def _unusable(error: ReplayError, up: str) -> MigrationError:
    values = new_values(up) if error.sqlstate == _NEW_VALUE_USED else []
    shown = [f"{each};" for each in values] or up.splitlines()[:40]
    next_step = "inv migrate.new <name>, and write it by hand"
    if values:
        next_step = (
            "inv migrate.new <another name>, for these statements alone, "
            "inv migrate.repair --versions <its version> --status applied, then this again"
        )
    return MigrationError(
        f"what `supabase db diff` made of the change cannot be applied: {error}",
        sqlstate=error.sqlstate,
        detail="\n".join(f"  {each}" for each in shown),
        state="nothing was written",
        next_step=next_step,
    )


def _listed(have: Snapshot, want: Snapshot) -> tuple[str, ...]:
    differences = [each for each in compare(have, want) if not against.is_the_platforms(each)]
    return listed(differences, "differs", "too much", "missing")


def _write(name: str, up: str, down: str, settings: Settings) -> tuple[Path, Path, str]:
    from filelock import FileLock

    try:
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        settings.migrations_dir.mkdir(exist_ok=True)
        settings.rollbacks_dir.mkdir(exist_ok=True)
        with FileLock(settings.run_dir / "migrations.lock", timeout=10):
            files = scan(settings)
            refuse_taken(name, files, settings)
            version = next_version(files)
            file = f"{version}_{name}.sql"
            twin, path = settings.rollbacks_dir / file, settings.migrations_dir / file
            write_pair(
                path,
                _HEADER.format(name=name, file=file) + up.rstrip() + "\n",
                twin,
                _ROLLBACK_HEADER.format(file=file) + down.rstrip() + "\n",
            )
    except OSError as error:
        raise ConfigError(
            f"{settings.relative(Path(error.filename or settings.migrations_dir))} "
            f"cannot be written: {error.strerror}",
            state="no migration was made",
        ) from error
    return path, twin, version


def _linted(path: Path, settings: Settings, runner: Runner) -> tuple[Finding, ...]:
    from riptide.migrations.lint import lint

    try:
        return lint([path], settings, runner)
    except (ToolNotFoundError, ConfigError):
        return ()
