"""All that can be known of migrations before a push, on scratch databases only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from riptide.errors import ConfigError
from riptide.migrations.check_files import read_files
from riptide.migrations.check_run import CHECKS, Check
from riptide.results.check import CheckReport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from riptide.runner import Runner
    from riptide.settings import Settings


def check_migrations(
    *,
    settings: Settings | None = None,
    against_target: bool | None = None,
    skip: Collection[str] = (),
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> CheckReport:
    """Find out all that can be known of the migrations before they are pushed.

    Everything happens on scratch databases that are gone afterwards; the target is only read. One
    check's failure does not keep the others from being carried out where they can be.

    Args:
        settings: The project's; by default those of the current folder. Its target is what the
            check ``target`` looks at.
        against_target: Whether the target has to be looked at: ``True`` makes an error of one
            that cannot be reached, ``False`` leaves it out. By default a local stack is looked at
            where it runs, and any other target always.
        skip: Names of checks to leave out: ``files``, ``lint``, ``apply``, ``twice``,
            ``rollback``, ``cycle``, ``target``.
        runner: Runs the CLI and squawk; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: There is no project here, or no check of a name in ``skip``.
        StackError: No scratch database can be had.
        ToolNotFoundError: There is no supported Supabase CLI, or no Node.js.
    """
    from riptide.runner import SubprocessRunner
    from riptide.settings import Settings

    began = time.monotonic()
    unknown = sorted(set(skip) - CHECKS.keys())
    if unknown:
        raise ConfigError(
            f"there is no check {unknown[0]!r}",
            detail=f"  --skip takes {', '.join(CHECKS)}, with commas between.",
            state="nothing was checked",
        )
    settings = settings or Settings.load()
    run = Check(
        settings=settings,
        runner=runner or SubprocessRunner(),
        progress=progress or (lambda _: None),
        checks=frozenset(CHECKS.keys() - set(skip)),
        against_target=against_target,
        read=read_files(settings),
    )
    run.carry_out()
    return CheckReport(
        files=tuple(each.path.name for each in run.read.files),
        steps=tuple(run.steps()),
        findings=tuple(run.found()),
        seconds=time.monotonic() - began,
    )
