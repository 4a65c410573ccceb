"""Changing what the history says, through ``supabase migration repair``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from riptide.errors import ConfigError, DriftError
from riptide.results.repair import RepairResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from riptide.runner import Runner
    from riptide.settings import Settings

STATUSES = ("applied", "reverted")


def repair_history(
    versions: Sequence[str],
    *,
    status: str,
    settings: Settings | None = None,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> RepairResult:
    """Record versions as applied, or as not applied; the schema stays as it is.

    Runs ``supabase migration repair`` under the lock that a push takes, for these versions only.

    Args:
        versions: At least one. With ``applied`` each needs its file, whose statements the history
            then keeps; with ``reverted`` each has to be in the history.
        status: ``applied`` or ``reverted``.
        settings: The project's; by default those of the current folder.
        runner: Runs the CLI; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: A version or the status cannot be meant; nothing was changed.
        DatabaseError: The database cannot be reached.
        StackError: The target is local, and this project's stack does not run.
        LockTimeoutError: Another push or rollback did not end within 60 s.
        DriftError: The CLI ended well, but the history is not as it should be.
        CommandError: The CLI failed.
        ToolNotFoundError: There is no supported Supabase CLI.
    """
    from riptide.cli import SupabaseCLI, failure
    from riptide.migrations.files import scan
    from riptide.migrations.history import list_migrations
    from riptide.migrations.lock import lockable, push_lock
    from riptide.migrations.push import require_local_stack
    from riptide.runner import SubprocessRunner
    from riptide.settings import Settings
    from riptide.toolchain import find_cli

    began = time.monotonic()
    wanted = check_request(versions, status)
    settings = lockable(settings or Settings.load(), progress=progress)
    runner = runner or SubprocessRunner()
    files = {each.version for each in scan(settings)}
    if status == "applied":
        _refuse_absent(wanted, files, "this project has no file for")
    require_local_stack(settings, runner)
    cli = SupabaseCLI(find_cli(settings, runner=runner), settings, runner)
    with push_lock(settings.target, purpose="repair", progress=progress):
        if status == "reverted":
            known = {
                each.version for each in list_migrations(settings=settings, runner=runner).applied
            }
            _refuse_absent(wanted, known, f"the history of {settings.target.name} does not have")
        if progress is not None:
            progress("supabase migration repair")
        answer = cli.run(cli.repair_argv(status, wanted))
        if not answer.ok:
            raise failure(answer, "the history was not repaired", state="nothing was changed")
        now = {each.version for each in list_migrations(settings=settings, runner=runner).applied}
    wrong = [each for each in wanted if (each in now) != (status == "applied")]
    if wrong:
        raise DriftError(
            f"the CLI ended well, but {wrong[0]} is not {status}",
            state="the others are",
            next_step="inv migrate.status",
        )
    return RepairResult(
        target=settings.target.name,
        status=status,
        versions=tuple(wanted),
        seconds=time.monotonic() - began,
    )


def check_request(versions: Sequence[str], status: str) -> list[str]:
    """Give each version once, if the request can be carried out.

    Raises:
        ConfigError: The status or a version cannot be meant.
    """
    if status not in STATUSES:
        raise ConfigError(
            f"--status takes {' or '.join(STATUSES)}, not {status!r}"
            if status
            else "--versions needs --status applied or --status reverted",
            state="nothing was changed",
            next_step="inv migrate.repair, which says what probably happened",
        )
    wanted = list(dict.fromkeys(versions))
    if not wanted:  # without one, the CLI would repair all
        raise ConfigError(
            "a repair needs the versions that it is about",
            state="nothing was changed",
            next_step="inv migrate.repair, which says what probably happened",
        )
    for each in wanted:
        if not (each.isascii() and each.isdigit()):
            raise ConfigError(
                f"{each!r} is no version", state="nothing was changed", next_step="only its digits"
            )
    return wanted


def _refuse_absent(wanted: Sequence[str], there: Collection[str], what: str) -> None:
    absent = [each for each in wanted if each not in there]
    if absent:
        raise ConfigError(
            f"{what} {', '.join(absent)}",
            state="nothing was changed",
            next_step="inv migrate.status",
        )
