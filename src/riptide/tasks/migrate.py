"""``inv migrate.*``: migrations, pushed by the Supabase CLI and taken back without losing the rest.

With no name after it, ``inv migrate`` is ``inv migrate.status``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from riptide.errors import ConfigError, MigrationError, RiptideError
from riptide.results import PushResult
from riptide.tasks._migrate_back import restore, rollback
from riptide.tasks._migrate_check import check, diff, repair
from riptide.tasks._task import (
    BACKEND_HELP,
    JSON_HELP,
    TARGET_HELP,
    YES_HELP,
    command_line,
    confirm,
    is_dry,
    preview_cli,
    seconds_of,
    settings_for,
    task,
)

if TYPE_CHECKING:
    from invoke.context import Context


__all__ = [
    "check",
    "diff",
    "init",
    "new",
    "push",
    "repair",
    "reset",
    "restore",
    "rollback",
    "status",
]


@task(help={"json": JSON_HELP})
def init(c: Context, json: bool = False) -> None:
    """Make this folder a Supabase project: config.toml, migrations, rollbacks."""
    from riptide import render
    from riptide.migrations.init import initialize_supabase, would_write
    from riptide.render import migrations as show

    if is_dry(c):
        left = would_write(Path.cwd())
        first = ["supabase init"] if "supabase/config.toml" in left else []
        render.lines([*first, *(f"write {each}" for each in left[len(first) :])] or ["nothing"])
        return
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
    from riptide.migrations.new_files import check_name, create_migration
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
    target: str | None = None,
    json: bool = False,
) -> None:
    """Show each migration: applied, pending, out of order, edited or missing."""
    from riptide import render
    from riptide.migrations.history import list_migrations
    from riptide.migrations.problems import problems
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
        more = {"problems": [each.to_dict() for each in problems(found, settings)]} if check else {}
        render.as_json(found, **more)
    else:
        show.migration_list(found)
        if diff:
            show.differences(found)
    if check and found.needs_a_look:
        if not json:
            show.problems(problems(found, settings))
        raise Exit(code=3)


@task(
    help={
        "dry_run": "say what would be applied, apply nothing",
        "include_all": "apply files too that are older than the newest applied one",
        "include_seed": "run the seed files of config.toml afterwards",
        "rehearse": "try all files on a scratch database first (the default where not local)",
        "no_rehearse": "do not, even where the target is not local",
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
    target: str | None = None,
    json: bool = False,
) -> None:
    """Apply what is pending, with `supabase db push`: planned, locked, checked."""
    from riptide import render
    from riptide.migrations.lock import lockable
    from riptide.migrations.plan import plan_push
    from riptide.migrations.push import apply_migrations
    from riptide.render import migrations as show

    if rehearse and no_rehearse:
        raise ConfigError("--rehearse and --no-rehearse contradict each other")
    wait, timeout = seconds_of(lock_wait, "--lock-wait"), seconds_of(lock_timeout, "--lock-timeout")
    settings = lockable(settings_for(target=target), no_lock=no_lock, progress=render.note)
    if is_dry(c):
        argv = preview_cli(settings).push_argv(
            dry_run=dry_run, include_all=include_all, include_seed=include_seed
        )
        render.lines([command_line(argv)])
        return
    plan = plan_push(settings=settings, include_all=include_all)
    if not json and plan.files:
        try:
            show.plan(plan)
        except RiptideError as error:  # no room for it: nobody has read what is about to be done
            error.state = "nothing was applied"
            raise
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
                plan=plan,
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
    c: Context,
    no_seed: bool = False,
    yes: bool = False,
    backend: str | None = None,
    json: bool = False,
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
        cli = preview_cli(settings)
        if stack.backend == "docker":
            steps = [command_line(cli.reset_argv(seed=not no_seed))]
        else:
            argv = cli.push_argv(include_seed=settings.config.seed_enabled and not no_seed)
            steps = [*stack.preview("reset"), command_line(argv)]
        render.lines(steps)
        return
    confirm(f"Delete every row, user and table of {settings.target.name}?", yes=yes)
    with render.progress() as progress:
        result = reset_database(settings=settings, seed=seed, progress=progress)
    if json:
        render.as_json(result)
    else:
        show.reset(result)
