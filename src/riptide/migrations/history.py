"""Files and history, joined: where each version stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.errors import MigrationError
from riptide.migrations.files import MigrationFile, scan
from riptide.results import Migration, MigrationList, MigrationState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from riptide.database import HistoryRow
    from riptide.runner import Runner
    from riptide.settings import Settings


def list_migrations(
    *, settings: Settings | None = None, runner: Runner | None = None
) -> MigrationList:
    """Give every version that the files or the database's history know, oldest first.

    The history is read from the database itself; of the linked project, whose password only the
    CLI has, by ``supabase migration list``.

    Args:
        settings: The project's; by default those of the current folder.
        runner: Runs the CLI for a linked project; by default a `SubprocessRunner`.

    Raises:
        ConfigError: There is no project here.
        MigrationError: The files cannot be used.
        DatabaseError: The database cannot be reached.
        CommandError: The CLI failed (linked project only).
    """
    from riptide.settings import Settings
    from riptide.target import LINKED

    settings = settings or Settings.load()
    files = scan(settings)
    if settings.target.kind == LINKED:
        rows = _linked_history(settings, runner)
    else:
        from riptide.database import connect, read_history

        with connect(settings.target) as connection:
            rows = read_history(connection)
    return MigrationList(target=settings.target.name, migrations=join(files, rows))


def applied_versions(settings: Settings, runner: Runner | None = None) -> list[str]:
    """Give the versions that the database's history holds, whatever the files say.

    Raises:
        DatabaseError: The database cannot be reached.
        CommandError: The CLI failed (linked project only).
    """
    from riptide.database import connect, read_versions
    from riptide.target import LINKED

    if settings.target.kind == LINKED:
        return [each.version for each in _linked_history(settings, runner)]
    with connect(settings.target) as connection:
        return read_versions(connection)


def join(files: Iterable[MigrationFile], rows: Iterable[HistoryRow]) -> tuple[Migration, ...]:
    """Join files and history by version, oldest first."""
    by_version = {each.version: each for each in files}
    applied = {each.version: each for each in rows}
    latest = max(applied, default="")
    joined = []
    for version in sorted(by_version.keys() | applied.keys()):
        file, row = by_version.get(version), applied.get(version)
        if file is None:
            name = row.name if row else ""
            joined.append(Migration(version=version, name=name, state=MigrationState.MISSING))
        elif row is None:
            late = version < latest
            joined.append(
                Migration(
                    version=version,
                    name=file.name,
                    state=MigrationState.OUT_OF_ORDER if late else MigrationState.PENDING,
                    path=file.path,
                    rollback_path=file.rollback_path,
                )
            )
        else:
            joined.append(_applied(file, row))
    return tuple(joined)


def _applied(file: MigrationFile, row: HistoryRow) -> Migration:
    """Compare a file with what was applied of it."""
    from riptide.migrations.drift import Edit, difference, edit_of

    edit, diff = Edit.NONE, ""
    if row.statements is not None:
        try:
            # A byte that is not UTF-8 was applied as the CLI read it: replaced.
            text = file.path.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff")
        except OSError as error:
            raise MigrationError(
                f"{file.path.name} cannot be read: {error.strerror}",
                file=file.path,
                state="nothing was changed",
            ) from None
        edit = edit_of(row.statements, text)
        if edit is not Edit.NONE:
            diff = difference(row.statements, text, file.path.name)
    notes = []
    if edit is not Edit.NONE:
        notes.append(edit.value)
    if row.name not in ("", file.name):
        notes.append(f"applied as {row.name}")
    return Migration(
        version=file.version,
        name=file.name,
        state=MigrationState.DRIFTED if edit is Edit.REAL else MigrationState.APPLIED,
        path=file.path,
        rollback_path=file.rollback_path,
        note="; ".join(notes),
        diff=diff,
    )


def _linked_history(settings: Settings, runner: Runner | None) -> list[HistoryRow]:
    from riptide.cli import SupabaseCLI, failure
    from riptide.database import HistoryRow
    from riptide.runner import SubprocessRunner
    from riptide.toolchain import find_cli

    runner = runner or SubprocessRunner()
    binary = find_cli(settings, runner=runner, state="nothing was changed")
    cli = SupabaseCLI(binary, settings, runner)
    answer = cli.run(cli.list_argv())
    if not answer.ok:
        raise failure(
            answer,
            "the linked project's migrations could not be listed",
            state="nothing was changed",
            next_step="supabase link, or SUPABASE_DB_URL and `--target remote`",
        )
    rows = answer.data.get("migrations", [])
    return [HistoryRow(str(each["remote"]), "") for each in rows if each.get("remote")]
