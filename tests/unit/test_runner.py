"""Running commands, and what may be shown of them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from riptide.errors import CommandError, ToolNotFoundError
from riptide.runner import Completed, ServiceUser, SubprocessRunner, mask, step_down

if TYPE_CHECKING:
    from pytest_subprocess import FakeProcess


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://u:p@h:5/d", "postgresql://u:***@h:5/d"),
        ("postgresql://u:p%40ss:w@h/d and more", "postgresql://u:***@h/d and more"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("host=h password=hunter2 user=u", "host=h password=*** user=u"),
        (
            "postgresql://h/d?user=u&password=hunter2&x=1",
            "postgresql://h/d?user=u&password=***&x=1",
        ),
        ("sb_secret_N7UND0UgjKTVK", "sb_secret_***"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc", "Bearer eyJ***"),
        ("nothing secret", "nothing secret"),
    ],
)
def test_mask(text: str, masked: str) -> None:
    """Passwords of URLs and connection strings, secret keys and JWTs are replaced."""
    assert mask(text) == masked


def test_run_gives_what_the_command_said(fp: FakeProcess) -> None:
    """Output, exit code and argv come back as they were."""
    fp.register(["tool", "--flag"], stdout="out", stderr="err", returncode=3)
    done = SubprocessRunner().run(["tool", "--flag"])
    assert (done.argv, done.exit_code, done.stdout, done.stderr) == (
        ("tool", "--flag"),
        3,
        "out",
        "err",
    )


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), PermissionError(13, "denied")])
def test_run_tells_what_cannot_be_started(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    """A program that is not there or cannot be run is a ToolNotFoundError that names it."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(ToolNotFoundError, match="tool cannot be run"):
        SubprocessRunner().run(["/opt/tool"])


def test_run_ends_what_takes_too_long(fp: FakeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that does not end in time is stopped, and the error says so."""
    fp.register(["tool"], wait=1)
    stopped: list[object] = []
    monkeypatch.setattr("riptide.runner._end", lambda process, _wait: stopped.append(process))

    def late(self: object, *args: object, timeout: float | None = None) -> tuple[str, str]:
        raise subprocess.TimeoutExpired("tool", timeout or 0)

    monkeypatch.setattr("pytest_subprocess.fake_popen.FakePopen.communicate", late)
    with pytest.raises(CommandError, match=r"did not end within 0\.1 s"):
        SubprocessRunner().run(["tool"], timeout=0.1)
    assert len(stopped) == 1


def test_check_raises_with_masked_words() -> None:
    """A failed command's error has its last lines, and no secret."""
    done = Completed(("tool", "postgresql://u:pw@h/d"), 1, "", "first\nlast postgresql://u:pw@h/d")
    with pytest.raises(CommandError) as caught:
        done.check("it failed", next_step="try again")
    assert caught.value.detail == "  first\n  last postgresql://u:***@h/d"
    assert caught.value.command == "tool 'postgresql://u:***@h/d'"
    assert caught.value.next_step == "try again"


def test_check_gives_success_back() -> None:
    """A command that succeeded is given back as it is."""
    done = Completed(("tool",), 0, "out", "")
    assert done.check("never") is done


def test_step_down() -> None:
    """Nothing is changed without a user; with one, all other groups are given up."""
    assert step_down(None) == {}
    assert step_down(ServiceUser("postgres", 101, 104)) == {
        "user": 101,
        "group": 104,
        "extra_groups": [],
    }
