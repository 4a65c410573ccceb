"""Files and history, joined: where each version stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from riptide.settings import LINKED, Settings

    settings = settings or Settings.load()
    files = scan(settings)
    if settings.target.kind == LINKED:
        rows = _linked_history(settings, runner)
    else:
        from riptide.database import connect, read_history

        with connect(settings.target) as connection:
            rows = read_history(connection)
    return MigrationList(target=settings.target.name, migrations=join(files, rows))


def join(files: Iterable[MigrationFile], rows: Iterable[HistoryRow]) -> tuple[Migration, ...]:
    """Join files and history by version, oldest first."""
    by_version = {each.version: each for each in files}
    applied = {each.version: each.name for each in rows}
    latest = max(applied, default="")
    joined = []
    for version in sorted(by_version.keys() | applied.keys()):
        file = by_version.get(version)
        if file is None:
            state = MigrationState.MISSING
        elif version in applied:
            state = MigrationState.APPLIED
        else:
            state = MigrationState.OUT_OF_ORDER if version < latest else MigrationState.PENDING
        joined.append(
            Migration(
                version=version,
                name=file.name if file else applied[version],
                state=state,
                path=file.path if file else None,
                rollback_path=file.rollback_path if file else None,
            )
        )
    return tuple(joined)


def _linked_history(settings: Settings, runner: Runner | None) -> list[HistoryRow]:
    from riptide.cli import SupabaseCLI, failure
    from riptide.database import HistoryRow
    from riptide.runner import SubprocessRunner
    from riptide.toolchain import find_cli

    runner = runner or SubprocessRunner()
    cli = SupabaseCLI(find_cli(settings, runner=runner), settings, runner)
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
