"""The whole way: a running stack, migrated, its Row Level Security proved."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.errors import (
    ConfigError,
    DriftError,
    Interrupted,
    LockTimeoutError,
    MigrationError,
)
from riptide.results import UpResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.runner import Runner
    from riptide.settings import Settings


@contextmanager
def _told(state: str) -> Iterator[None]:
    """Say what is done already where a step after it is refused or interrupted."""
    try:
        yield
    except (ConfigError, DriftError, LockTimeoutError, MigrationError) as error:
        # What that step left unchanged, the steps before it may have changed.
        known = error.state if error.state != "nothing was changed" else None
        error.state = f"{known}; {state}" if known else state
        raise
    except Interrupted as error:
        raise Interrupted(f"{error.state}; {state}", "inv up") from None
    except KeyboardInterrupt:
        raise Interrupted(f"{state}; the step after that was stopped", "inv up") from None


def bring_up(
    *,
    settings: Settings | None = None,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> UpResult:
    """Start the local stack, push the migrations, verify Row Level Security.

    What is done already is not done again: a second call changes nothing.

    Args:
        settings: The project's; by default those of the current folder.
        runner: Runs the commands; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: The target is not local; nothing was started.
        ToolNotFoundError: There is no supported Supabase CLI; nothing was started.
        RiptideError: Whatever one of the steps raises; the steps before it stay done.
    """
    from riptide.migrations.push import apply_migrations
    from riptide.rls import verify_rls
    from riptide.settings import Settings
    from riptide.stack import open_stack
    from riptide.toolchain import present_cli

    began = time.monotonic()
    settings = settings or Settings.load()
    if not settings.target.is_local:
        raise ConfigError(
            f"only the local database can be brought up, not {settings.target.name}",
            state="nothing was started",
            next_step="settings without a target; a remote one has inv migrate.push --target",
        )
    # The push is what needs it. Whoever has one that cannot be used learns of it before the start;
    # what is missing is installed by the start, once it is known that the ports are free.
    present_cli(settings, runner=runner, state="nothing was started")
    status = open_stack(settings, runner=runner).start(progress=progress)
    # From here on the backend is known: `auto` need not look for Docker again.
    settings = replace(settings, backend=Settings.checked_backend(status.backend))
    with _told("the stack runs"):
        pushed = apply_migrations(settings=settings, runner=runner, progress=progress)
    if progress is not None:
        progress("verifying Row Level Security")
    with _told("the stack runs, and every migration is applied"):
        report = verify_rls(settings=settings, progress=progress)
    return UpResult(
        stack=status,
        push=pushed,
        rls=report,
        changed=status.started or status.renewed or bool(pushed.applied),
        seconds=time.monotonic() - began,
    )
