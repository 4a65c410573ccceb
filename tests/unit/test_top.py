"""The tasks at the top, with every command mocked."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit

from riptide.runner import foreground
from riptide.tasks import top

if TYPE_CHECKING:
    from pytest_subprocess import FakeProcess

NOX = [sys.executable, "-m", "nox"]


@pytest.fixture(autouse=True)
def nox_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nox be found, whether or not these tests are run where it is installed."""
    monkeypatch.setattr(top, "find_spec", lambda name: name)


@pytest.mark.parametrize(
    ("bootstrap", "next_step"),
    [(True, "python3 scripts/bootstrap.py test"), (False, "pip install nox")],
)
def test_test_without_nox_says_what_to_install(
    bootstrap: bool,
    next_step: str,
    fp: FakeProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nox is missing nothing is started, and what brings it is named."""
    monkeypatch.setattr(top, "find_spec", lambda _: None)
    monkeypatch.chdir(tmp_path)
    if bootstrap:
        Path("scripts").mkdir()
        Path("scripts/bootstrap.py").touch()
    with pytest.raises(Exit) as caught:
        top.test(Context())
    assert caught.value.code == 1
    assert f"next:  {next_step}" in capsys.readouterr().err
    assert list(fp.calls) == []


def test_test_runs_nox(fp: FakeProcess) -> None:
    """`inv test` is nox with its default sessions, and returns where that is green."""
    fp.register(NOX)
    top.test(Context())
    assert list(fp.calls) == [NOX]


def test_test_passes_the_sessions_and_the_exit_code_on(fp: FakeProcess) -> None:
    """Sessions are words of their own, and nox's exit code is the task's."""
    argv = [*NOX, "--session", "lint", "unit"]
    fp.register(argv, returncode=3)
    with pytest.raises(Exit) as caught:
        top.test(Context(), sessions="lint,unit")
    assert caught.value.code == 3
    assert list(fp.calls) == [argv]


@pytest.mark.parametrize("python", [r"C:\Users\A B\.venv\Scripts\python.exe", "/tmp/it's/python"])
def test_interpreter_s_path_is_one_word(
    python: str, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell reads the command, so no character of a path means anything to one."""
    monkeypatch.setattr(sys, "executable", python)
    fp.register([python, "-m", "nox"])
    top.test(Context())
    assert list(fp.calls) == [[python, "-m", "nox"]]


def test_dry_runs_nothing(fp: FakeProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """`inv --dry test` prints the command and runs nothing."""
    top.test(Context(Config(overrides={"run": {"dry": True}})), sessions="unit")
    assert "-m nox --session unit" in capsys.readouterr().out
    assert list(fp.calls) == []


def test_command_that_a_signal_ended_has_a_shell_s_exit_code(fp: FakeProcess) -> None:
    """A negative number is no exit code that a caller could see."""
    fp.register(["nox"], returncode=-signal.SIGTERM)
    assert foreground(["nox"]) == 128 + signal.SIGTERM


def test_interrupted_command_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches the command too: it is given time to end, and ended only where it does not."""
    seen: list[str] = []

    class Child:
        def __init__(self, *_: object, **__: object) -> None:
            self.waits = iter((KeyboardInterrupt(), subprocess.TimeoutExpired("nox", 1), 130))

        def wait(self, timeout: float | None = None) -> int:
            answer: Any = next(self.waits)
            if isinstance(answer, BaseException):
                raise answer
            return int(answer)

        def terminate(self) -> None:
            seen.append("terminated")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", Child)
        assert foreground(["nox"]) == 130
    assert seen == ["terminated"]
