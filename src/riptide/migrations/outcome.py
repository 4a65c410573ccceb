"""What a push that did not end well has left behind, looked up and not guessed."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from riptide.errors import Interrupted, RiptideError
from riptide.migrations.explain import NOT_THE_FILE, database_error, explain
from riptide.migrations.history import applied_versions
from riptide.migrations.lock import wait_for_cli
from riptide.migrations.sql import line_of, not_one_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from riptide.cli import Answer
    from riptide.errors import CommandError
    from riptide.migrations.concurrent import Watch
    from riptide.migrations.locked_push import LockedPush
    from riptide.results import Migration
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


def failed(answer: Answer, push: LockedPush, watch: Watch) -> RiptideError:
    """Give the error for a push that the CLI ended with one.

    Args:
        answer: The CLI's words.
        push: What was to be done.
        watch: Looks after what stays of a statement that is no transaction.
    """
    from riptide.cli import failure

    settings, clock, again = push.settings, push.clock, _again(push)
    state, now_pending = looked_up(push)
    following = _next(answer, push)
    if state == UNKNOWN:  # the connection went: it may have been after the commit
        return failure(
            answer,
            f"the push broke off at {clock.last}" if clock.last else "the push broke off",
            state=state,
            next_step=f"inv migrate.status{settings.target.flag}, once the database answers",
        )
    if answer.error_code != "DbPushApplyError":
        return failure(answer, "the push failed", state=state, next_step=following)
    if not now_pending:
        what = f"seed {clock.seed}" if clock.seed else "after the migrations, the push"
        return database_error(answer, what, state=state, next_step=f"mend it, then {again}")
    culprit = next(
        (each for each in now_pending if each.path and each.path.name == clock.last),
        now_pending[0],
    )
    if culprit.path is None:
        return failure(answer, "the push failed", state=state, next_step=following)
    text = push.texts[culprit.path.name]
    halves = _halves(culprit, text)
    twice = " (what is applied of it already will run again)" if halves else ""
    error = explain(
        answer.error_message,
        text,
        culprit.path,
        settings,
        state=f"{halves or 'nothing of this file was applied'}; {state}",
        next_step=f"mend the file, then `{again}`{twice}",
    )
    if (error.sqlstate or "").startswith(NOT_THE_FILE):
        error.next_step = f"`{again}` again{twice or '; it goes on from there'}"
    if error.sqlstate == "55P03":
        error.next_step = (
            f"wait for, or end, the transaction that holds the lock; then `{again}` "
            "(--lock-timeout sets how long a statement waits)"
        )
    watch.explain(error)
    return error


def _again(push: LockedPush) -> str:
    return f"inv migrate.push{push.settings.target.flag}"


def _next(answer: Answer, push: LockedPush) -> str | None:
    """Give a command where neither the CLI nor the kind of its error has one."""
    if answer.error_code == "DbConnectError":
        remote = f"check the URL, the password and the network, then `{_again(push)}`"
        return None if push.settings.target.is_local else remote
    return None if answer.suggestion.strip() else f"mend what it says, then `{_again(push)}`"


def killed(answer: Answer, push: LockedPush, watch: Watch) -> CommandError:
    """Give the error for a CLI that a signal ended; its own last words are of its progress.

    As after an interruption its session may still be at work.
    """
    number = -answer.completed.exit_code
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    error = answer.completed.error(
        f"the push broke off: the Supabase CLI was ended by {name}",
        state=_state_after_interruption(push),
        next_step=f"`{_again(push)}` again; it goes on from there",
    )
    watch.explain(error)
    return error


def overtaken(push: LockedPush) -> bool:
    """Whether another CLI applied the very file that ours failed at; waits until it has ended.

    The CLI of a push that was killed goes on without the lock. Where it is not connected yet nobody
    sees it, and both apply the same file: one of them fails, its transaction undone.
    """
    import psycopg

    clock = push.clock
    if push.session is None or clock.seed:
        return False
    try:
        if wait_for_cli(push.session, time.monotonic() + _ANOTHER_CLI):
            return False
        applied = set(applied_versions(push.settings, push.runner))
    except (RiptideError, psycopg.Error):  # the push's own error is the one to tell
        return False
    taken = [each for each in push.before.pending if each.version in applied]
    if not clock.last:
        return bool(taken)
    return any(each.path is not None and each.path.name == clock.last for each in taken)


def interrupted(push: LockedPush) -> Interrupted:
    """Give the interruption of a push, with what is applied."""
    return Interrupted(_state_after_interruption(push), _again(push))


def count(migrations: Sequence[Migration]) -> str:
    """Give ``1 migration``, ``2 migrations``."""
    return f"{len(migrations)} migration{'' if len(migrations) == 1 else 's'}"


def looked_up(push: LockedPush) -> tuple[str, tuple[Migration, ...]]:
    """Look how much of a push is applied; give that in words, and what is not.

    By the history alone: files may have been renamed or deleted meanwhile.
    """
    planned = push.before.pending
    try:
        applied = set(applied_versions(push.settings, push.runner))
    except RiptideError:  # the database is gone: the push's own error is the one to tell
        return UNKNOWN, planned
    pending = tuple(each for each in planned if each.version not in applied)
    done = len(planned) - len(pending)
    others = ", nothing of the others" if done and pending else ""
    return f"{done} of {count(planned)} applied{others}", pending


def _state_after_interruption(push: LockedPush) -> str:
    import psycopg

    if push.session is None:  # whether the server has noticed yet cannot be seen
        return "how much was applied is not known: `inv migrate.status` will tell in some seconds"
    try:
        busy = wait_for_cli(push.session, time.monotonic() + _SESSION_END)
    except psycopg.Error:
        return UNKNOWN
    if busy:
        return f"a session is still at work on the database ({busy}); what it does may be applied"
    state, pending = looked_up(push)
    halves = ""
    if pending and pending[0].path is not None:
        halves = _halves(pending[0], push.texts[pending[0].path.name])
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
