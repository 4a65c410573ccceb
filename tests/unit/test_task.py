"""The way out of a task: signals, streams that are closed, what the system refuses."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from riptide.results import StackStatus
from riptide.stack.embedded.stack import EmbeddedStack
from riptide.tasks import _streams
from riptide.tasks._signals import unwinding
from riptide.tasks._task import task
from riptide.tasks.stack import start

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.settings import Settings

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def run(body: Callable[[], object]) -> int:
    """Run a function as a task; give the code it exits with."""

    @task()
    def made(c: Context) -> None:
        """Run it."""
        body()

    try:
        made(Context())
    except Exit as ended:
        return ended.code
    return 0


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("running", [True, False])
def test_start_that_is_ended_too_late_says_that_the_stack_runs(
    number: signal.Signals,
    running: bool,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A signal that comes while the result is told has not stopped what was started."""
    found = StackStatus(backend="embedded", running=running)
    embedded = replace(settings, backend="embedded")
    monkeypatch.setattr("riptide.tasks.stack.settings_for", lambda **_: embedded)
    monkeypatch.setattr(EmbeddedStack, "start", lambda *_, **__: found)
    monkeypatch.setattr(EmbeddedStack, "status", lambda _: found)
    monkeypatch.setattr("riptide.render.stack", lambda *_, **__: signal.raise_signal(number))
    # Of a shell's background job SIGINT is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(Exit) as caught:
            start(Context())
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught.value.code == 128 + number
    assert ("state: the stack runs\nnext:  inv stack.stop" in capsys.readouterr().err) == running


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_signal_unwinds_and_gives_its_code(
    name: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal lets the cleaning up run, those that follow are ignored, the old handlers return."""
    number = getattr(signal, name)
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    cleaned = []

    def body() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append(True)

    assert run(body) == code
    assert cleaned == [True]
    after = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    assert after == before
    text = capsys.readouterr().err
    assert "error: " in text
    assert "next:  the same command again" in text


@posix
def test_somebody_else_s_handler_stays() -> None:
    """What nohup ignores and what a program handles itself is left to them."""
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with unwinding():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, old)


def test_another_thread_sets_no_handler() -> None:
    """In a thread a task leaves the signals alone, as Python wants."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(lambda: None)))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/a"), "the disk is full: /tmp/a"),
        (OSError(errno.EROFS, "Read-only file system", "/tmp/a"), "read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "/tmp"), "/tmp: Permission denied"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (TimeoutError("it took too long"), "it took too long"),
    ],
)
def test_what_the_system_refuses_is_told(
    error: OSError, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An OSError is an error with state and next step, not a mistake of RipTide's."""

    def body() -> None:
        raise error

    assert run(body) == 1
    text = capsys.readouterr().err
    assert word in text
    assert "unexpected" not in text
    assert "\nstate: " in text
    assert "\nnext:  " in text


def test_streams_that_are_none_are_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that was closed when Python began is opened on its number."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    _streams.prepare()
    assert [each.fileno() for each in (sys.stdin, sys.stdout, sys.stderr)] == [0, 1, 2]


def test_stderr_that_fails_changes_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even the error cannot be written the code still tells."""

    class Broken:
        def isatty(self) -> bool:
            return False

        def write(self, _: str) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def flush(self) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(sys, "stderr", Broken())
    assert run(lambda: Path("/nowhere/at/all").stat()) == 1
    assert run(lambda: signal.raise_signal(signal.SIGINT)) == 130


def test_flag_that_was_given_nothing_is_not_taken_for_unset(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``--to ""``, as an unset variable gives it, is used wrongly and not what no flag means."""

    @task()
    def made(c: Context, only_to: str | None = None) -> None:
        """Do something."""
        done.append(only_to)

    done: list[str | None] = []
    with pytest.raises(Exit) as ended:
        made(Context(), only_to="")
    assert (ended.value.code, done) == (2, [])
    assert "--only-to was given an empty text" in capsys.readouterr().err
    made(Context())
    assert done == [None]
