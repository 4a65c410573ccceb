"""Starting over: an empty local database, every migration replayed, the seed run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from riptide.errors import ConfigError, Interrupted, RiptideError
from riptide.migrations.files import read_sql, scan
from riptide.migrations.plan import text_of
from riptide.migrations.push import apply_migrations
from riptide.results import ResetResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.runner import Runner
    from riptide.settings import Settings


def reset_database(
    *,
    settings: Settings | None = None,
    seed: bool | None = None,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> ResetResult:
    """Empty the local database, replay every migration, run the seed. All rows are lost.

    On Docker this is ``supabase db reset``; the embedded stack gets a new data directory, and the
    migrations go through ``supabase db push``.

    Args:
        settings: The project's; by default those of the current folder.
        seed: Whether to run the seed; by default what ``[db.seed] enabled`` says.
        runner: Runs the commands; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: The target is not local.
        MigrationError: A file cannot be used (nothing was changed), or failed when replayed.
        StackError: The stack cannot be reset.
        ToolNotFoundError: There is no supported Supabase CLI; nothing was changed.
        CommandError: The CLI failed.
    """
    from riptide.settings import Settings
    from riptide.stack import open_stack
    from riptide.stack.docker import DockerStack
    from riptide.toolchain import find_cli

    began = time.monotonic()
    settings = settings or Settings.load()
    if not settings.target.is_local:
        raise ConfigError(
            "only the local database can be reset, not " + settings.target.name,
            state="nothing was changed",
            next_step="inv migrate.reset, without --target",
        )
    files = scan(settings)
    for each in files:  # refused before anything is dropped
        read_sql(each.path, settings)
    seeded = settings.config.seed_enabled if seed is None else seed
    stack = open_stack(settings, runner=runner)
    if isinstance(stack, DockerStack):
        stack.reset_database(seed=seeded, progress=progress)
        applied = tuple(each.path.name for each in files)
        return ResetResult(
            target=settings.target.name,
            applied=applied,
            seeded=settings.config.seed_paths if seeded else (),
            seconds=time.monotonic() - began,
        )
    # The replay needs it, and would refuse these; by then the rows would be gone.
    for each in files:
        text_of(each.path, settings)
    find_cli(settings, runner=runner, progress=progress, state="nothing was changed")
    stack.reset(progress=progress)
    try:
        pushed = apply_migrations(
            settings=settings, include_seed=seeded, runner=runner, progress=progress
        )
    except Interrupted as error:
        raise Interrupted(f"the database was emptied; {error.state}", "inv migrate.reset") from None
    except RiptideError as error:
        error.state = f"the database was emptied; {error.state or 'nothing was applied'}"
        raise
    return ResetResult(
        target=settings.target.name,
        applied=pushed.applied,
        seeded=pushed.seeded,
        edited=pushed.edited,
        seconds=time.monotonic() - began,
    )
