"""Commands that are interrupted while they start."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from riptide.runner import SubprocessRunner, stream
from riptide.stack.process import end, find, spawn

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """Interrupt this process whenever it has just started another; give those it started."""
    found: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[str]:
        found.append(popen(*args, **options))
        signal.raise_signal(signal.SIGINT)
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    return found


SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_signal_while_a_command_starts_leaves_no_process(
    started: list[subprocess.Popen[str]],
) -> None:
    """Ctrl-C between the start of a child and the moment it is known ends that child too."""
    with pytest.raises(KeyboardInterrupt):
        SubprocessRunner().run(SLEEP)
    assert started[0].poll() is not None


def test_signal_while_output_is_followed_leaves_no_process(
    started: list[subprocess.Popen[str]],
) -> None:
    """So it is where several commands are followed at once."""
    with pytest.raises(KeyboardInterrupt):
        list(stream({"one": SLEEP}))
    assert started[0].poll() is not None


def test_signal_while_a_service_starts_lets_it_be_found(
    started: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    """A service that goes on is known by its pid at once, and runs its own program by then."""
    with pytest.raises(KeyboardInterrupt):
        spawn(SLEEP, log=tmp_path / "log", cwd=tmp_path)
    process = find(started[0].pid)
    assert process is not None
    try:
        # Linux closes what is to be closed on exec() before it has the new command line.
        deadline = time.monotonic() + 5
        while not process.cmdline() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.cmdline() == SLEEP
    finally:
        end(process)
