"""Applying what is pending, through the Supabase CLI."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.errors import DatabaseError, StackError
from riptide.migrations.durable import MANY, flush
from riptide.migrations.edited import marks_of
from riptide.migrations.history import list_migrations
from riptide.migrations.lock import LOCK_WAIT, lockable, push_lock
from riptide.migrations.locked_push import LockedPush
from riptide.migrations.outcome import nothing_applied
from riptide.migrations.plan import digest, refuse_changed, usable
from riptide.results import PushResult

if TYPE_CHECKING:
    from collections.abc import Callable

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
            planned or rehearsed; nothing was applied. Or one was edited before the CLI came to it;
            its ``state`` says that all are applied.
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
        with nothing_applied(settings):
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
            if session is not None and not dry_run and len(texts) < len(known) >= MANY:
                # Whoever has applied some may have been killed before that.
                with suppress(DatabaseError):  # the server does it by itself, some tenths later
                    flush(settings.target, session)
        if before.pending or include_seed:
            locked = LockedPush(
                settings=settings,
                runner=runner,
                session=session,
                before=before,
                texts=texts,
                marks=marks,
                dry_run=dry_run,
                progress=progress,
            )
            answer = locked.run(lock_timeout, include_all=include_all, include_seed=include_seed)
            result = replace(
                result,
                applied=tuple(each.path.name for each in before.pending if each.path),
                timings=locked.clock.seconds,
                # It names there also those that it passed over.
                seeded=tuple(answer.data.get("seeds", []) if dry_run else locked.clock.seeds),
                not_seeded=tuple(locked.clock.not_seeded),
                edited=locked.edited,
            )
    return replace(result, seconds=time.monotonic() - began)


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
