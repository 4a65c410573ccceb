"""``inv migrate.*``: migrations, pushed by the Supabase CLI and taken back without losing the rest.

With no name after it, ``inv migrate`` is ``inv migrate.status``.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, cast

from invoke.exceptions import Exit

from riptide.errors import ConfigError, MigrationError
from riptide.results import PushResult
from riptide.runner import mask
from riptide.tasks._task import (
    BACKEND_HELP,
    JSON_HELP,
    TARGET_HELP,
    YES_HELP,
    confirm,
    is_dry,
    settings_for,
    task,
)

if TYPE_CHECKING:
    from invoke.context import Context

    from riptide.cli import SupabaseCLI
    from riptide.migrations.restore import Existing
    from riptide.settings import Settings


def _preview_cli(settings: Settings) -> SupabaseCLI:
    """Give a CLI whose command lines are only looked at."""
    from riptide.cli import SupabaseCLI
    from riptide.runner import SubprocessRunner

    return SupabaseCLI(Path("supabase"), settings, SubprocessRunner())


def _command(argv: list[str]) -> str:
    return shlex.join(mask(each) for each in argv)


def _steps(given: str) -> int:
    """Read --steps; Invoke's own way to an integer ends a wrong one with a traceback."""
    try:
        return int(given)
    except ValueError:
        raise ConfigError(
            f"--steps takes a whole number from 1 on, not {given!r}", state="nothing was changed"
        ) from None


def _seconds(given: str, flag: str) -> float:
    """Read a number of seconds."""
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not 0 < number < 86_400:
        raise ConfigError(f"{flag} takes seconds, more than 0, not {given!r}")
    return number


@task(help={"json": JSON_HELP})
def init(c: Context, json: bool = False) -> None:
    """Make this folder a Supabase project: config.toml, migrations, rollbacks."""
    from riptide import render
    from riptide.render import migrations as show

    if is_dry(c):
        render.lines(["supabase init", "mkdir supabase/migrations supabase/rollbacks"])
        return
    from riptide.migrations.init import initialize_supabase

    with render.progress() as progress:
        made = initialize_supabase(progress=progress)
    if json:
        render.as_json(made)
    else:
        show.initialized(made, lambda path: str(path.relative_to(made.root)))


@task("name", help={"name": "letters, digits, underscores: create_teams", "json": JSON_HELP})
def new(c: Context, name: str, json: bool = False) -> None:
    """Write a migration and its rollback twin from a commented template."""
    from riptide import render
    from riptide.migrations.files import check_name, create_migration
    from riptide.render import migrations as show

    settings = settings_for()
    if is_dry(c):
        check_name(name)
        folders = (settings.migrations_dir, settings.rollbacks_dir)
        render.lines([f"write {settings.relative(each)}/<now>_{name}.sql" for each in folders])
        return
    made = create_migration(name, settings=settings)
    if json:
        render.as_json(made)
    else:
        show.new_migration(made, settings.relative)


@task(
    default=True,
    aliases=("list",),
    help={
        "check": "exit with 3 on anything that a push would stumble over, and say what to do",
        "diff": "show what was edited in files after they were applied",
        "target": TARGET_HELP,
        "json": JSON_HELP,
    },
)
def status(
    c: Context,  # noqa: ARG001
    check: bool = False,
    diff: bool = False,
    target: str = "",
    json: bool = False,
) -> None:
    """Show each migration: applied, pending, out of order, edited since, or missing here."""
    from riptide import render
    from riptide.migrations.history import list_migrations, problems
    from riptide.render import migrations as show

    settings = settings_for(target=target)
    try:
        found = list_migrations(settings=settings)
    except MigrationError as error:
        if not check:
            raise
        render.error(error)  # a file that cannot be pushed is what --check looks for
        raise Exit(code=3) from None
    if json:
        render.as_json(found)
    else:
        show.migration_list(found)
        if diff:
            show.differences(found)
    if check and found.needs_a_look:
        if not json:
            show.problems(problems(found))
        raise Exit(code=3)


@task(
    help={
        "dry_run": "say what would be applied, apply nothing",
        "include_all": "apply files too that are older than the newest applied one",
        "include_seed": "run the seed files of config.toml afterwards",
        "rehearse": "try all files on a scratch database first (the default where not local)",
        "no_rehearse": "do not",
        "lock_wait": "seconds to wait for another push or rollback to end (default 60)",
        "lock_timeout": "seconds that a statement waits for a lock (default 5)",
        "no_lock": "push through a pooler that cannot keep other pushes out",
        "yes": "do not ask before a database that is not local is changed",
        "target": TARGET_HELP,
        "json": JSON_HELP,
    }
)
def push(
    c: Context,
    dry_run: bool = False,
    include_all: bool = False,
    include_seed: bool = False,
    rehearse: bool = False,
    no_rehearse: bool = False,
    lock_wait: str = "60",
    lock_timeout: str = "5",
    no_lock: bool = False,
    yes: bool = False,
    target: str = "",
    json: bool = False,
) -> None:
    """Apply what is pending, with `supabase db push`: planned, locked, checked."""
    from riptide import render
    from riptide.migrations.plan import plan_push
    from riptide.migrations.push import apply_migrations, lockable
    from riptide.render import migrations as show

    if rehearse and no_rehearse:
        raise ConfigError("--rehearse and --no-rehearse contradict each other")
    wait, timeout = _seconds(lock_wait, "--lock-wait"), _seconds(lock_timeout, "--lock-timeout")
    settings = settings_for(target=target)
    if is_dry(c):
        argv = _preview_cli(settings).push_argv(
            dry_run=dry_run, include_all=include_all, include_seed=include_seed
        )
        render.lines([_command(argv)])
        return
    settings = lockable(settings, no_lock=no_lock)
    plan = plan_push(settings=settings, include_all=include_all)
    if not json and plan.files:
        show.plan(plan)
    if plan.files or include_seed:
        if not settings.target.is_local and not dry_run:
            confirm(f"Push to {settings.target.name}?", yes=yes)
        with render.progress() as progress:
            result = apply_migrations(
                settings=settings,
                dry_run=dry_run,
                include_all=include_all,
                include_seed=include_seed,
                rehearse=True if rehearse else False if no_rehearse else None,
                lock_wait=wait,
                lock_timeout=timeout,
                no_lock=no_lock,
                progress=progress,
            )
    else:
        result = PushResult(target=plan.target, dry_run=dry_run)
    if json:
        render.as_json(result, plan=plan.to_dict())
    else:
        show.push(result)


@task(
    help={
        "no_seed": "leave the seed out",
        "yes": YES_HELP,
        "backend": BACKEND_HELP,
        "json": JSON_HELP,
    }
)
def reset(
    c: Context, no_seed: bool = False, yes: bool = False, backend: str = "", json: bool = False
) -> None:
    """Empty the local database, replay every migration, run the seed. Asks first."""
    from riptide import render
    from riptide.migrations.reset import reset_database
    from riptide.render import migrations as show
    from riptide.stack import open_stack

    settings = settings_for(backend=backend)
    seed = False if no_seed else None
    if is_dry(c):
        stack = open_stack(settings)
        cli = _preview_cli(settings)
        if stack.backend == "docker":
            steps = [_command(cli.reset_argv(seed=not no_seed))]
        else:
            argv = cli.push_argv(include_seed=settings.config.seed_enabled and not no_seed)
            steps = [*stack.preview("reset"), _command(argv)]
        render.lines(steps)
        return
    confirm(f"Delete every row, user and table of {settings.target.name}?", yes=yes)
    with render.progress() as progress:
        result = reset_database(settings=settings, seed=seed, progress=progress)
    if json:
        render.as_json(result)
    else:
        show.reset(result)


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
    steps: str = "",
    to: str = "",
    dry_run: bool = False,
    allow_data_loss: bool = False,
    yes: bool = False,
    target: str = "",
    lock_wait: str = "60",
    lock_timeout: str = "5",
    json: bool = False,
) -> None:
    """Take the last migration back with its twin, unless rows would be lost."""
    from riptide import render
    from riptide.migrations.rollback import rollback_migrations
    from riptide.render import rollback as show

    if steps and to:
        raise ConfigError(
            "--steps and --to cannot both be given: each says how far to go",
            state="nothing was changed",
        )
    number = _steps(steps or "1")
    waits = _seconds(lock_wait, "--lock-wait"), _seconds(lock_timeout, "--lock-timeout")
    settings = settings_for(target=target)
    dry_run = dry_run or is_dry(c)
    if not settings.target.is_local and not dry_run:
        what = f"Take all migrations newer than {to}" if to else f"Take {number} migration(s)"
        confirm(f"{what} of {settings.target.name} back?", yes=yes)
    with render.progress() as progress:
        result = rollback_migrations(
            settings=settings,
            steps=number,
            to=to or None,
            dry_run=dry_run,
            allow_data_loss=allow_data_loss,
            lock_wait=waits[0],
            lock_timeout=waits[1],
            progress=progress,
        )
    if json:
        render.as_json(result)
    else:
        show.rollback(result, settings.relative)
    if result.refused:
        raise Exit(code=3)


@task(
    "folder",
    help={
        "folder": "the folder that the rollback named",
        "existing": "rows that are there with other values: refuse (the default), keep or replace",
        "other_database": "go on where the rows were saved from another database",
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
    existing: str = "refuse",
    other_database: bool = False,
    yes: bool = False,
    target: str = "",
    lock_wait: str = "60",
    lock_timeout: str = "5",
    json: bool = False,
) -> None:
    """Put back the rows that a rollback saved, after the next push."""
    from riptide import render
    from riptide.migrations.restore import restore_rows
    from riptide.render import rollback as show

    waits = _seconds(lock_wait, "--lock-wait"), _seconds(lock_timeout, "--lock-timeout")
    settings = settings_for(target=target)
    if is_dry(c):
        render.lines([f"put the rows of {folder} back into {settings.target.name}"])
        return
    if not settings.target.is_local:
        confirm(f"Put saved rows back into {settings.target.name}?", yes=yes)
    with render.progress() as progress:
        result = restore_rows(
            folder,
            settings=settings,
            existing=cast("Existing", existing),
            other_database=other_database,
            lock_wait=waits[0],
            lock_timeout=waits[1],
            progress=progress,
        )
    if json:
        render.as_json(result)
    else:
        show.restore(result)


@task(
    help={
        "target": TARGET_HELP + "; looked at, never changed",
        "skip": "checks to leave out, with commas: lint,target",
        "junit": "write a JUnit XML report to this file, too",
        "json": JSON_HELP,
    }
)
def check(
    c: Context, target: str = "", skip: str = "", junit: str = "", json: bool = False
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
    if json:
        render.as_json(report)
    else:
        show.report(report, settings)
    if not report.ok:
        raise Exit(code=3)


@task("name", help={"name": "letters, digits, underscores: add_teams", "json": JSON_HELP})
def diff(c: Context, name: str, json: bool = False) -> None:
    """Write what was changed by hand in the local database as a migration and its twin."""
    from riptide import render
    from riptide.migrations.diff import diff_migration
    from riptide.migrations.files import check_name
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
    versions: str = "",
    status: str = "",
    yes: bool = False,
    target: str = "",
    json: bool = False,
) -> None:
    """Say why history and files do not match (3); record named versions anew."""
    from riptide import render
    from riptide.migrations.diagnose import diagnose_history
    from riptide.migrations.repair import check_request, repair_history
    from riptide.render import repair as show

    settings = settings_for(target=target)
    if not versions and not status:
        found = diagnose_history(settings=settings)
        if json:
            render.as_json(found)
        else:
            show.diagnosis(found)
        if not found.ok:
            raise Exit(code=3)
        return
    wanted = check_request([each.strip() for each in versions.split(",") if each.strip()], status)
    if is_dry(c):
        render.lines([_command(_preview_cli(settings).repair_argv(status, wanted))])
        return
    confirm(f"Record {', '.join(wanted)} of {settings.target.name} as {status}?", yes=yes)
    with render.progress() as progress:
        result = repair_history(wanted, status=status, settings=settings, progress=progress)
    if json:
        render.as_json(result)
    else:
        show.repaired(result)
