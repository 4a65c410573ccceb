"""What a push that did not end well has left behind, looked up and not guessed."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from riptide.errors import CommandError, Interrupted, RiptideError
from riptide.migrations.explain import NOT_THE_FILE, database_error, explain
from riptide.migrations.history import applied_versions
from riptide.migrations.lock import wait_for_cli
from riptide.migrations.sql import line_of, not_one_transaction
from riptide.runner import mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psycopg

    from riptide.cli import Answer
    from riptide.migrations.concurrent import Watch
    from riptide.migrations.run import Clock
    from riptide.results import Migration, MigrationList
    from riptide.runner import Runner
    from riptide.settings import Settings

UNKNOWN = "how much was applied is not known"

_ANOTHER_CLI = 60.0  # seconds that a CLI whose push was killed may take to end its file

_SESSION_END = 5.0  # seconds that an interrupted CLI's session may take; it looks once a second


@contextmanager
def nothing_applied(settings: Settings) -> Iterator[None]:
    """Say of an interruption before the CLI is run that nothing was applied."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
        again = f"inv migrate.push{settings.target.flag}"
        raise Interrupted("nothing was applied", again) from None


def failed(
    answer: Answer,
    clock: Clock,
    settings: Settings,
    before: MigrationList,
    texts: Mapping[str, str],
    runner: Runner | None,
    watch: Watch,
) -> RiptideError:
    """Give the error for a push that the CLI ended with one.

    Args:
        answer: The CLI's words.
        clock: What it was at.
        settings: The project's.
        before: Where each version stood.
        texts: The content of each pending file, by its name.
        runner: Runs the CLI, where only it can read the history.
        watch: Looks after what stays of a statement that is no transaction.
    """
    from riptide.cli import failure

    state, now_pending = looked_up(settings, before, runner)
    push = f"inv migrate.push{settings.target.flag}"
    if state == UNKNOWN:  # the connection went: it may have been after the commit
        return failure(
            answer,
            f"the push broke off at {clock.last}" if clock.last else "the push broke off",
            state=state,
            next_step=f"inv migrate.status{settings.target.flag}, once the database answers",
        )
    if answer.error_code != "DbPushApplyError":
        return failure(
            answer, "the push failed", state=state, next_step=_next(answer, settings, push)
        )
    if not now_pending:
        what = f"seed {clock.seed}" if clock.seed else "after the migrations, the push"
        return database_error(answer, what, state=state, next_step=f"mend it, then {push}")
    culprit = next(
        (each for each in now_pending if each.path and each.path.name == clock.last),
        now_pending[0],
    )
    if culprit.path is None:
        return failure(
            answer, "the push failed", state=state, next_step=_next(answer, settings, push)
        )
    text = texts[culprit.path.name]
    halves = _halves(culprit, text)
    again = " (what is applied of it already will run again)" if halves else ""
    error = explain(
        answer.error_message,
        text,
        culprit.path,
        settings,
        state=f"{halves or 'nothing of this file was applied'}; {state}",
        next_step=f"mend the file, then `{push}`{again}",
    )
    if (error.sqlstate or "").startswith(NOT_THE_FILE):
        error.next_step = (
            f"`{push}` again{again}" if again else f"`{push}` again; it goes on from there"
        )
    if error.sqlstate == "55P03":
        error.next_step = (
            f"wait for, or end, the transaction that holds the lock; then `{push}` "
            "(--lock-timeout sets how long a statement waits)"
        )
    watch.explain(error)
    return error


def _next(answer: Answer, settings: Settings, push: str) -> str | None:
    """Give a command where neither the CLI nor the kind of its error has one."""
    if answer.error_code == "DbConnectError":
        remote = f"check the URL, the password and the network, then `{push}`"
        return None if settings.target.is_local else remote
    return None if answer.suggestion.strip() else f"mend what it says, then `{push}`"


def killed(
    answer: Answer,
    session: psycopg.Connection | None,
    settings: Settings,
    before: MigrationList,
    texts: Mapping[str, str],
    runner: Runner | None,
    watch: Watch,
) -> CommandError:
    """Give the error for a CLI that a signal ended; its own last words are of its progress.

    As after an interruption its session may still be at work.
    """
    number = -answer.completed.exit_code
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    error = CommandError(
        f"the push broke off: the Supabase CLI was ended by {name}",
        argv=[mask(each) for each in answer.completed.argv],
        exit_code_of_command=answer.completed.exit_code,
        stdout=mask(answer.completed.stdout),
        stderr=mask(answer.completed.stderr),
        state=_state_after_interruption(session, settings, before, texts, runner),
        next_step=f"`inv migrate.push{settings.target.flag}` again; it goes on from there",
    )
    watch.explain(error)
    return error


def overtaken(
    session: psycopg.Connection | None,
    clock: Clock,
    before: MigrationList,
    settings: Settings,
    runner: Runner | None,
) -> bool:
    """Whether another CLI applied the very file that ours failed at; waits until it has ended.

    The CLI of a push that was killed goes on without the lock. Where it is not connected yet nobody
    sees it, and both apply the same file: one of them fails, its transaction undone.

    Args:
        session: The one that holds the lock.
        clock: What ours was at.
        before: Where each version stood.
        settings: The project's.
        runner: Runs the CLI, where only it can read the history.
    """
    import psycopg

    if session is None or clock.seed:
        return False
    try:
        if wait_for_cli(session, time.monotonic() + _ANOTHER_CLI):
            return False
        applied = set(applied_versions(settings, runner))
    except (RiptideError, psycopg.Error):  # the push's own error is the one to tell
        return False
    taken = [each for each in before.pending if each.version in applied]
    if not clock.last:
        return bool(taken)
    return any(each.path is not None and each.path.name == clock.last for each in taken)


def interrupted(
    session: psycopg.Connection | None,
    settings: Settings,
    before: MigrationList,
    texts: Mapping[str, str],
    runner: Runner | None,
) -> Interrupted:
    """Give the interruption of a push, with what is applied.

    Args:
        session: The one that holds the lock; it sees when the CLI's own is gone.
        settings: The project's.
        before: Where each version stood.
        texts: The content of each pending file, by its name.
        runner: Runs the CLI, where only it can read the history.
    """
    return Interrupted(
        _state_after_interruption(session, settings, before, texts, runner),
        f"inv migrate.push{settings.target.flag}",
    )


def count(migrations: Sequence[Migration]) -> str:
    """Give ``1 migration``, ``2 migrations``."""
    return f"{len(migrations)} migration{'' if len(migrations) == 1 else 's'}"


def looked_up(
    settings: Settings, before: MigrationList, runner: Runner | None
) -> tuple[str, tuple[Migration, ...]]:
    """Look how much of a push is applied; give that in words, and what is not.

    By the history alone: files may have been renamed or deleted meanwhile.
    """
    try:
        applied = set(applied_versions(settings, runner))
    except RiptideError:  # the database is gone: the push's own error is the one to tell
        return UNKNOWN, before.pending
    pending = tuple(each for each in before.pending if each.version not in applied)
    done = len(before.pending) - len(pending)
    others = ", nothing of the others" if done and pending else ""
    return f"{done} of {count(before.pending)} applied{others}", pending


def _state_after_interruption(
    session: psycopg.Connection | None,
    settings: Settings,
    before: MigrationList,
    texts: Mapping[str, str],
    runner: Runner | None,
) -> str:
    import psycopg

    if session is None:  # whether the server has noticed yet cannot be seen
        return "how much was applied is not known: `inv migrate.status` will tell in some seconds"
    try:
        busy = wait_for_cli(session, time.monotonic() + _SESSION_END)
    except psycopg.Error:
        return UNKNOWN
    if busy:
        return f"a session is still at work on the database ({busy}); what it does may be applied"
    state, pending = looked_up(settings, before, runner)
    halves = ""
    if pending and pending[0].path is not None:
        halves = _halves(pending[0], texts[pending[0].path.name])
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
