"""``inv migrate.check``, ``inv migrate.diff`` and ``inv migrate.repair``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from riptide.runner import mask
from riptide.tasks._task import (
    JSON_HELP,
    TARGET_HELP,
    YES_HELP,
    command_line,
    confirm,
    is_dry,
    preview_cli,
    reported,
    settings_for,
    task,
)

if TYPE_CHECKING:
    from invoke.context import Context


@task(
    help={
        "target": TARGET_HELP + "; looked at, never changed",
        "skip": "checks to leave out, with commas: lint,target",
        "junit": "write a JUnit XML report to this file, too",
        "json": JSON_HELP,
    }
)
def check(
    c: Context,
    target: str | None = None,
    skip: str = "",
    junit: str | None = None,
    json: bool = False,
) -> None:
    """Try every migration and rollback on scratch databases; 3 when one is wrong."""
    from riptide import render
    from riptide.migrations.check import check_migrations
    from riptide.migrations.check_run import CHECKS
    from riptide.render import check as show

    settings = settings_for(target=target)
    if is_dry(c):
        render.lines([f"{name}: {about}" for name, about in CHECKS.items()])
        return
    with render.progress() as progress:
        report = check_migrations(
            settings=settings,
            against_target=True if target else None,
            skip=[each.strip() for each in skip.split(",") if each.strip()],
            progress=progress,
        )
    if junit:
        show.junit(report, settings, Path(junit))
    reported(report, json=json, show=lambda: show.report(report, settings))


@task("name", help={"name": "letters, digits, underscores: add_teams", "json": JSON_HELP})
def diff(c: Context, name: str, json: bool = False) -> None:
    """Write what was changed by hand in the database as a migration and its twin."""
    from riptide import render
    from riptide.migrations.diff import diff_migration
    from riptide.migrations.new_files import check_name
    from riptide.render import diff as show

    settings = settings_for()
    if is_dry(c):
        check_name(name)
        folders = (settings.migrations_dir, settings.rollbacks_dir)
        words = "supabase db diff --from=<scratch database> --to="
        render.lines(
            [
                words + mask(settings.local_db_url),
                *(f"write {settings.relative(each)}/<now>_{name}.sql" for each in folders),
            ]
        )
        return
    with render.progress() as progress:
        made = diff_migration(name, settings=settings, progress=progress)
    if json:
        render.as_json(made)
    else:
        show.diff(made, settings)


@task(
    help={
        "versions": "those to record, with commas between; none: say what probably happened",
        "status": "applied or reverted: what to record them as",
        "yes": YES_HELP,
        "target": TARGET_HELP,
        "json": JSON_HELP,
    }
)
def repair(
    c: Context,
    versions: str | None = None,
    status: str | None = None,
    yes: bool = False,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Say why history and files do not match (3); record named versions anew."""
    from riptide import render
    from riptide.migrations.diagnose import diagnose_history
    from riptide.migrations.repair import check_request, repair_history
    from riptide.render import repair as show

    settings = settings_for(target=target)
    if versions is None and status is None:
        found = diagnose_history(settings=settings)
        if json:
            render.as_json(found)
        else:
            show.diagnosis(found)
        if not found.ok:
            raise Exit(code=3)
        return
    status = status or ""
    named = [each.strip() for each in (versions or "").split(",")]
    wanted = check_request([each for each in named if each], status)
    if is_dry(c):
        render.lines([command_line(preview_cli(settings).repair_argv(status, wanted))])
        return
    confirm(f"Record {', '.join(wanted)} of {settings.target.name} as {status}?", yes=yes)
    with render.progress() as progress:
        result = repair_history(wanted, status=status, settings=settings, progress=progress)
    if json:
        render.as_json(result)
    else:
        show.repaired(result)
