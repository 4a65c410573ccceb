"""The local stack: one protocol, two backends.

``docker`` is ``supabase start`` itself; ``embedded`` is a real PostgreSQL and Supabase's own
@supabase/lite, for where there is no Docker. `open_stack` chooses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from riptide.results import StackStatus
    from riptide.runner import Runner
    from riptide.settings import Settings


class Stack(Protocol):
    """A local Supabase: a database, and an API in front of it."""

    backend: str
    reason: str

    def start(self, *, progress: Callable[[str], None] | None = None) -> StackStatus:
        """Start what is not running; give the status.

        Args:
            progress: Called with a short phrase whenever another step begins.

        Raises:
            StackError: It could not be started; what this call had started is stopped again.
            ToolNotFoundError: A tool is missing or not supported.
        """
        ...

    def stop(self, *, delete_data: bool = False) -> StackStatus:
        """Stop what is running; the data stays unless ``delete_data``."""
        ...

    def status(self) -> StackStatus:
        """Look at it without changing anything."""
        ...

    def reset(self, *, progress: Callable[[str], None] | None = None) -> StackStatus:
        """Give the stack back empty, as after its first start: no user, no table, no history."""
        ...

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """Give the log lines of all services; with ``follow``, go on until interrupted."""
        ...

    def preview(self, action: str) -> list[str]:
        """Say what an action would do, a line a step, and do nothing.

        Args:
            action: ``start``, ``stop``, ``stop and delete`` or ``reset``.
        """
        ...


def open_stack(
    settings: Settings | None = None, *, backend: str | None = None, runner: Runner | None = None
) -> Stack:
    """Choose this project's local stack; starts nothing.

    Args:
        settings: The project's; by default those of the current folder.
        backend: ``docker`` or ``embedded`` to choose it; ``auto`` or ``None`` to take what the
            settings say. ``auto`` keeps to what runs in this project: an embedded stack, or half
            of one, or what was started with Docker and not stopped. Then it keeps to an embedded
            stack's data, then takes Docker where a daemon answers within 2 s, else
            embedded. `Stack.reason` says why.
        runner: Runs the commands; by default a `SubprocessRunner`.

    Raises:
        ConfigError: There is no project here, or its settings cannot be used.
    """
    from riptide.runner import SubprocessRunner
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack

    if settings is None:
        settings = Settings.load(backend=backend)
    elif backend is not None:
        settings = replace(settings, backend=Settings.checked_backend(backend))
    runner = runner or SubprocessRunner()
    if settings.backend == "docker":
        from riptide.stack.docker import DockerStack

        return DockerStack(settings, reason="asked for", runner=runner)
    if settings.backend == "embedded":
        return EmbeddedStack(settings, reason="asked for", runner=runner)
    embedded = EmbeddedStack(settings)
    if docker_mark(settings).exists() and not embedded.runs():
        from riptide.stack.docker import DockerStack

        reason = "it was started with Docker in this project"
        return DockerStack(settings, reason=reason, runner=runner)
    kept = embedded.kept()
    if kept is not None:  # with Docker, its data and processes would be out of every task's reach
        return EmbeddedStack(settings, reason=kept, runner=runner)
    from riptide.stack.docker import DAEMON_WAIT, DockerStack, daemon_version

    version = daemon_version(runner)
    if version is not None:
        return DockerStack(settings, reason=f"Docker {version} answers", runner=runner)
    reason = f"no Docker daemon answers within {DAEMON_WAIT:g} s"
    return EmbeddedStack(settings, reason=reason, runner=runner)


def docker_mark(settings: Settings) -> Path:
    """Give the file that is there while the project's stack is Docker's: from a start to a stop."""
    return settings.run_dir / "docker"
