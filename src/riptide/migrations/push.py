"""Applying what is pending, through the Supabase CLI."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from riptide.errors import DriftError, Interrupted, MigrationError, RiptideError, StackError
from riptide.migrations.explain import database_error, explain
from riptide.migrations.files import read_sql
from riptide.migrations.history import list_migrations
from riptide.migrations.lock import push_lock, wait_for_cli
from riptide.migrations.sql import line_of, not_one_transaction
from riptide.results import Migration, MigrationList, MigrationState, PushResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    from riptide.cli import Answer
    from riptide.runner import Runner
    from riptide.settings import Settings

# What the CLI's own session is told. A statement that waits for a lock makes all others of that
# table wait behind it; and without the check the server works on, and commits, for a client that is
# gone (https://www.postgresql.org/docs/17/runtime-config-connection.html).
LOCK_TIMEOUT = 5.0  # seconds
_SESSION = {"lock_timeout": f"{LOCK_TIMEOUT:g}s", "client_connection_check_interval": "1s"}
_SESSION_END = 5.0  # seconds that an interrupted CLI's session may take to end; twice the above

_APPLYING = re.compile(r"^Applying migration (\S+\.sql)", re.MULTILINE)
_SEEDING = re.compile(r"^Seeding data from (\S+)", re.MULTILINE)


def apply_migrations(
    *,
    settings: Settings | None = None,
    dry_run: bool = False,
    include_all: bool = False,
    include_seed: bool = False,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> PushResult:
    """Apply every pending migration with ``supabase db push``, oldest first.

    Each file runs in one transaction; the first that fails ends the push and leaves nothing of
    itself behind (https://supabase.com/docs/reference/cli/supabase-db-push).

    Args:
        settings: The project's; by default those of the current folder.
        dry_run: Say what would be applied, and apply nothing.
        include_all: Apply files too that are older than the newest applied one.
        include_seed: Run the seed files of ``[db.seed]`` afterwards.
        runner: Runs the CLI; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: There is no project here.
        MigrationError: A file cannot be used, or the database refused it; with file and line.
        DriftError: History and files contradict each other; nothing was applied.
        StackError: The target is local, and this project's stack does not run.
        DatabaseError: The database cannot be reached.
        LockTimeoutError: Another push or rollback did not end within 60 s.
        ToolNotFoundError: There is no supported Supabase CLI.
        CommandError: The CLI failed in some other way.
    """
    from riptide.settings import Settings

    began = time.monotonic()
    settings = settings or Settings.load()
    require_local_stack(settings, runner)
    applied: tuple[str, ...] = ()
    seeded: tuple[str, ...] = ()
    if include_seed or list_migrations(settings=settings, runner=runner).needs_a_look:
        with push_lock(settings.target, progress=progress) as session:
            # Looked at once more: whoever held the lock may have applied what was pending.
            before = list_migrations(settings=settings, runner=runner)
            _refuse_contradictions(before, include_all=include_all)
            texts = {
                each.version: read_sql(each.path, settings) for each in before.pending if each.path
            }
            _refuse_mixed(before.pending, texts, settings)
            if before.pending or include_seed:
                try:
                    answer = _push(
                        settings,
                        runner,
                        progress,
                        dry_run=dry_run,
                        include_all=include_all,
                        seed=include_seed,
                    )
                except KeyboardInterrupt:
                    state = _state_after_interruption(session, settings, before, texts, runner)
                    raise Interrupted(state, "inv migrate.push") from None
                if not answer.ok:
                    raise _push_error(answer, settings, before, texts, runner)
                applied = tuple(str(each) for each in answer.data.get("migrations", []))
                seeded = tuple(str(each) for each in answer.data.get("seeds", []))
                if not dry_run:
                    _confirm(before.pending, list_migrations(settings=settings, runner=runner))
    return PushResult(
        target=settings.target.name,
        applied=applied,
        seeded=seeded,
        dry_run=dry_run,
        seconds=time.monotonic() - began,
    )


def _push(
    settings: Settings,
    runner: Runner | None,
    progress: Callable[[str], None] | None,
    *,
    dry_run: bool,
    include_all: bool,
    seed: bool,
) -> Answer:
    from riptide.cli import SupabaseCLI
    from riptide.runner import SubprocessRunner
    from riptide.toolchain import find_cli

    runner = runner or SubprocessRunner()
    cli = SupabaseCLI(find_cli(settings, runner=runner, progress=progress), settings, runner)
    if progress is not None:
        progress("supabase db push")
    argv = cli.push_argv(dry_run=dry_run, include_all=include_all, include_seed=seed)
    return cli.run(argv, session=_SESSION)


def _refuse_contradictions(found: MigrationList, *, include_all: bool) -> None:
    missing = found.in_state(MigrationState.MISSING)
    if missing:
        raise DriftError(
            f"the database has {_count(missing)} that this project has no file for",
            detail=_listed(missing),
            state="nothing was applied",
            next_step="get the files (git pull?); or, if they are gone for good: "
            f"supabase migration repair --status reverted {missing[0].version}",
        )
    late = found.in_state(MigrationState.OUT_OF_ORDER)
    if late and not include_all:
        raise DriftError(
            f"{_count(late)} would be applied after newer ones",
            detail=_listed(late),
            state="nothing was applied",
            next_step="give them a later version, or `inv migrate.push --include-all`",
        )


def _push_error(
    answer: Answer,
    settings: Settings,
    before: MigrationList,
    texts: dict[str, str],
    runner: Runner | None,
) -> RiptideError:
    from riptide.cli import failure

    state, now_pending = _state_after(settings, before, runner)
    if answer.error_code == "DbPushApplyError" and not now_pending:
        seeds = _SEEDING.findall(answer.completed.stderr)
        what = f"seed {seeds[-1]}" if seeds else "after the migrations, the push"
        return database_error(answer, what, state=state, next_step="mend it, then push again")
    if answer.error_code == "DbPushApplyError":
        names = _APPLYING.findall(answer.completed.stderr)
        failed = next(
            (each for each in now_pending if each.path and each.path.name in names[-1:]),
            now_pending[0],
        )
        if failed.path is not None:
            text = texts[failed.version]
            halves = _halves(failed, text)
            return explain(
                answer.error_message,
                text,
                failed.path,
                settings,
                state=f"{halves or 'nothing of this file was applied'}; {state}",
                next_step="mend the file, then `inv migrate.push`"
                + (" (what is applied of it already will run again)" if halves else ""),
            )
    return failure(answer, "the push failed", state=state)


def _state_after(
    settings: Settings, before: MigrationList, runner: Runner | None
) -> tuple[str, tuple[Migration, ...]]:
    """Say how much of a push that ended early is applied; give what is not."""
    try:
        after = list_migrations(settings=settings, runner=runner)
    except RiptideError:  # the database is gone: the push's own error is the one to tell
        return "how much was applied is not known", before.pending
    planned = {each.version for each in before.pending}
    pending = tuple(each for each in after.pending if each.version in planned)
    done = len(before.pending) - len(pending)
    return f"{done} of {_count(before.pending)} applied, nothing of the others", pending


def _state_after_interruption(
    session: psycopg.Connection | None,
    settings: Settings,
    before: MigrationList,
    texts: dict[str, str],
    runner: Runner | None,
) -> str:
    import psycopg

    if session is None:  # whether the server has noticed yet cannot be seen
        return "how much was applied is not known: `inv migrate.status` will tell in some seconds"
    try:
        busy = wait_for_cli(session, time.monotonic() + _SESSION_END)
    except psycopg.Error:
        return "how much was applied is not known"
    if busy:
        return f"a session is still at work on the database ({busy}); what it does may be applied"
    state, pending = _state_after(settings, before, runner)
    halves = _halves(pending[0], texts[pending[0].version]) if pending else ""
    return f"{halves}; {state}" if halves else state


def _halves(migration: Migration, text: str) -> str:
    """Say what a file that is not one transaction may have left behind; else nothing."""
    breaker = not_one_transaction(text)
    if breaker is None:
        return ""
    return (
        f"{migration.label} is not one transaction (line {line_of(text, breaker.code_offset)}: "
        f"{' '.join(breaker.words[:3])}), and a part of it may be applied and is not recorded"
    )


def _refuse_mixed(pending: Sequence[Migration], texts: dict[str, str], settings: Settings) -> None:
    """Refuse a file that has other statements beside one that runs outside a transaction.

    The CLI commits those on their own. Where a later one fails, half the file is applied and
    nothing of it is recorded.
    """
    for each in pending:
        text = texts.get(each.version, "")
        breaker = not_one_transaction(text)
        if each.path is None or breaker is None or not breaker.refuses_transaction:
            continue
        line = line_of(text, breaker.code_offset)
        raise MigrationError(
            f"{settings.relative(each.path)}:{line}: `{' '.join(breaker.words[:3])}` "
            "has to be in a file of its own",
            file=each.path,
            line=line,
            statement=breaker.text,
            detail="  PostgreSQL runs it outside a transaction only. Beside other statements a "
            "failure would\n  leave the file half applied and not recorded.",
            state="nothing was applied",
            next_step="inv migrate.new <name>, and move the statement there",
        )


def _confirm(planned: Sequence[Migration], after: MigrationList) -> None:
    versions = {each.version for each in after.applied}
    absent = [each for each in planned if each.version not in versions]
    if absent:
        raise DriftError(
            f"the push ended well, but the history lacks {_count(absent)}",
            detail=_listed(absent),
            state="the others are applied",
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


def _count(migrations: Sequence[Migration]) -> str:
    return f"{len(migrations)} migration{'' if len(migrations) == 1 else 's'}"


def _listed(migrations: Sequence[Migration], most: int = 8) -> str:
    lines = [f"  {each.label}" for each in migrations[:most]]
    if len(migrations) > most:
        lines.append(f"  … and {len(migrations) - most} more")
    return "\n".join(lines)
