"""Applying what is pending, through the Supabase CLI."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.errors import DriftError, Interrupted, RiptideError, StackError
from riptide.migrations.concurrent import Watch
from riptide.migrations.edited import confirm_texts, marks_of
from riptide.migrations.history import applied_versions, list_migrations
from riptide.migrations.lock import LOCK_WAIT, lockable, push_lock
from riptide.migrations.outcome import count, failed, interrupted, overtaken
from riptide.migrations.plan import digest, listed, refuse_changed, usable
from riptide.migrations.run import Clock, push, session_settings, write_down
from riptide.results import MigrationList, PushResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from riptide.cli import SupabaseCLI
    from riptide.results import PushPlan
    from riptide.runner import Runner
    from riptide.settings import Settings

LOCK_TIMEOUT = 5.0  # seconds


def apply_migrations(
    *,
    settings: Settings | None = None,
    dry_run: bool = False,
    include_all: bool = False,
    include_seed: bool = False,
    rehearse: bool | None = None,
    lock_wait: float = LOCK_WAIT,
    lock_timeout: float = LOCK_TIMEOUT,
    no_lock: bool = False,
    plan: PushPlan | None = None,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> PushResult:
    """Apply every pending migration with ``supabase db push``, oldest first.

    Each file runs in one transaction; the first that fails ends the push and leaves nothing of
    itself behind (https://supabase.com/docs/reference/cli/supabase-db-push). A file that only did
    not get a lock in time is tried again, up to four times. Afterwards history and statements are
    held to what was planned.

    Args:
        settings: The project's; by default those of the current folder.
        dry_run: Say what would be applied, and apply nothing.
        include_all: Apply files too that are older than the newest applied one.
        include_seed: Run the seed files of ``[db.seed]`` afterwards.
        rehearse: Apply all files to a scratch database first; by default where the target is not
            local.
        lock_wait: Seconds to wait for another push or rollback to end.
        lock_timeout: Seconds that a statement waits for a lock.
        no_lock: Push through a pooler in transaction mode, where nothing can keep another push
            out. One of Supabase's own is left aside for its host's port 5432, which can be locked.
        plan: What `plan_push` has just given for these settings: before the lock nothing is looked
            at again, unless it is rehearsed.
        runner: Runs the CLI; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: There is no project here, or the target cannot be locked.
        MigrationError: A file cannot be used, or the database refused it; with file and line.
        DriftError: History and files contradict each other, or files were changed since they were
            planned or rehearsed; nothing was applied. Or one was edited in the moment in which the
            CLI began; its ``state`` says that all are applied.
        StackError: The target is local, and this project's stack does not run.
        DatabaseError: The database cannot be reached.
        LockTimeoutError: Another push or rollback did not end within ``lock_wait``.
        ToolNotFoundError: There is no supported Supabase CLI.
        CommandError: The CLI failed in some other way.
        Interrupted: Ctrl-C; it says what is applied.
    """
    from riptide.runner import SubprocessRunner
    from riptide.settings import Settings

    began = time.monotonic()
    settings = lockable(settings or Settings.load(), no_lock=no_lock, progress=progress)
    runner = runner or SubprocessRunner()
    require_local_stack(settings, runner)
    result = PushResult(target=settings.target.name, dry_run=dry_run)
    wanted = not (settings.target.is_local or dry_run) if rehearse is None else rehearse
    known = None if plan is None else {each.file: each.sha256 for each in plan.files}
    with ExitStack() as stack:
        with _nothing_applied(settings):
            if known is None or wanted:
                found = list_migrations(settings=settings, runner=runner)
                texts = usable(found, settings, include_all=include_all)
                refuse_changed(texts, known, settings)
                known = {name: digest(text) for name, text in texts.items()}
                if not texts and not include_seed:  # nobody need be waited for
                    return replace(result, seconds=time.monotonic() - began)
                if wanted and texts:
                    took = _rehearse(settings, texts, runner, progress)
                    result = replace(result, rehearsed=took)
            lock = push_lock(settings.target, wait=lock_wait, progress=progress)
            session = stack.enter_context(lock)
            # Once more: whoever held the lock may have applied what was pending.
            before = list_migrations(settings=settings, runner=runner)
            marks = marks_of(before)
            texts = usable(before, settings, include_all=include_all)
            refuse_changed(texts, known, settings)
        if before.pending or include_seed:
            cli, clock = _cli(settings, runner, progress), Clock(len(texts), progress)
            argv = cli.push_argv(
                dry_run=dry_run, include_all=include_all, include_seed=include_seed
            )
            windows = settings.target.is_local and sys.platform == "win32"
            variables = session_settings(
                lock_timeout, windows=windows, written_later=session is not None
            )
            watch = Watch.begin(settings, {} if dry_run else texts)
            try:
                answer = push(cli, argv, clock, texts, variables)
                if not answer.ok and overtaken(session, clock, before, settings, runner):
                    if progress is not None:
                        progress("another Supabase CLI was at work: going on after it")
                    answer = push(cli, argv, clock, texts, variables)
                write_down(session)
                if not answer.ok:
                    raise failed(answer, clock, settings, before, texts, runner, watch)
                if not dry_run:
                    _confirm(before, _history_after(settings, before, runner))
                    result = replace(result, edited=confirm_texts(settings, marks, texts))
                    watch.confirm()
            except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
                error = interrupted(session, settings, before, texts, runner)
                write_down(session)
                watch.explain(error)
                raise error from None
            result = replace(
                result,
                applied=tuple(each.path.name for each in before.pending if each.path),
                timings=clock.seconds,
                seeded=tuple(str(each) for each in answer.data.get("seeds", [])),
            )
    return replace(result, seconds=time.monotonic() - began)


@contextmanager
def _nothing_applied(settings: Settings) -> Iterator[None]:
    """Say of an interruption before the CLI is run that nothing was applied."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
        again = f"inv migrate.push{settings.target.flag}"
        raise Interrupted("nothing was applied", again) from None


def _cli(settings: Settings, runner: Runner, progress: Callable[[str], None] | None) -> SupabaseCLI:
    from riptide.cli import SupabaseCLI
    from riptide.toolchain import find_cli

    binary = find_cli(settings, runner=runner, progress=progress, state="nothing was applied")
    return SupabaseCLI(binary, settings, runner)


def _rehearse(
    settings: Settings,
    texts: dict[str, str],
    runner: Runner,
    progress: Callable[[str], None] | None,
) -> float:
    from riptide.migrations.files import scan
    from riptide.migrations.rehearse import rehearse

    return rehearse(
        settings,
        {each.path.name: each for each in scan(settings)},
        texts,
        runner=runner,
        progress=progress or (lambda _: None),
    )


def _history_after(settings: Settings, before: MigrationList, runner: Runner) -> list[str]:
    """Read the history once more; where that fails, what the CLI did is done all the same."""
    try:
        return applied_versions(settings, runner)
    except RiptideError as error:
        error.state = (
            f"the CLI says that it applied {count(before.pending)}; "
            "the history could not be read afterwards"
        )
        error.next_step = "inv migrate.status (has a migration changed this very role?)"
        raise


def _confirm(before: MigrationList, after: Sequence[str]) -> None:
    """Hold the history to the plan: the CLI's word alone is not taken."""
    planned = {each.version for each in before.pending}
    new = set(after) - {each.version for each in before.applied}
    absent = [each for each in before.pending if each.version not in new]
    if absent:
        raise DriftError(
            f"the push ended well, but the history lacks {count(absent)}",
            detail=listed(absent),
            state="the others are applied",
            next_step="inv migrate.status",
        )
    others = sorted(new - planned)
    if others:
        raise DriftError(
            f"the history holds {', '.join(others[:8])} too, which was not planned",
            detail="  A file came in the moment in which the push began, somebody has pushed "
            "without the lock,\n  or a migration wrote it.",
            state="all that was planned is applied too",
            next_step="inv migrate.status",
        )


def require_local_stack(settings: Settings, runner: Runner | None = None) -> None:
    """Refuse a local target that is not this project's own running stack.

    "Local" is whatever listens on the port: it may be another project's database.

    Raises:
        StackError: This project's stack does not run.
    """
    if not settings.target.is_local:
        return
    from riptide.stack import open_stack

    status = open_stack(settings, runner=runner).status()
    if status.services.get("database") and status.db_url == settings.target.url:
        return
    raise StackError(
        "this project's local stack is not running",
        state="nothing was changed",
        next_step="inv stack.start",
    )
