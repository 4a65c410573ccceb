"""Tasks that a signal ends, and tasks without standard streams."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from _inv import TASKS, inv
from _requires import require
from _stacks import processes_of

from riptide import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.results import StackStatus
    from riptide.settings import Settings

    Started = tuple[Settings, StackStatus]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and descriptors")


def test_ctrl_c_while_a_library_makes_a_class_exits_with_130(tmp_path: Path) -> None:
    """CPython remembers a Ctrl-C in an `exec` of a library's, and would end `-m invoke` by it."""
    (tmp_path / "tasks.py").write_text(
        "from riptide.tasks._task import task\n\n\n@task()\ndef load(context):\n"
        "    exec('import signal; signal.raise_signal(signal.SIGINT)')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "load"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130
    assert "error: interrupted" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_start_that_is_ended_leaves_nothing(
    make_project: Callable[..., Settings], number: signal.Signals
) -> None:
    """A start that SIGTERM or SIGHUP ends stops what it had started, and exits with its code.

    Where it had come to its end already it says that the stack runs.
    """
    settings = make_project()
    codes = set()
    for seconds in (0.4, 0.6, 0.8, 1.0):
        process = inv(settings, "stack.start")
        assert process.stdout is not None
        seen = process.stdout.readline()  # the task runs
        time.sleep(seconds - 0.4)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        if "stack     running" in output and "error: " not in output:
            # It was done; the signal may have come while Python itself ended.
            codes.add(0)
        else:
            codes.add(process.returncode)
            assert f"error: ended by {number.name}" in output, seen + output
            too_late = "state: the stack runs\nnext:  inv stack.stop" in output
            assert bool(processes_of(settings)) == too_late, seen + output
        open_stack(settings).stop(delete_data=True)
    assert codes <= {0, 128 + number}
    assert 128 + number in codes


def test_push_that_is_ended_takes_its_cli_along(started: Started) -> None:
    """A push that SIGTERM ends leaves no Supabase CLI behind."""
    settings, _ = started
    (settings.migrations_dir / "20250101000000_slow.sql").write_text("select pg_sleep(60);\n")
    process = inv(settings, "migrate.push")
    assert process.stdout is not None
    while "supabase db push" not in process.stdout.readline():
        pass
    deadline = time.monotonic() + 20
    while not _clis(settings) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _clis(settings)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, "ended by SIGTERM" in output) == (143, True), output
    assert not _clis(settings)


def _clis(settings: Settings) -> list[int]:
    """Give the Supabase CLIs that push for a project."""
    root = str(settings.root)
    return [
        each.pid
        for each in psutil.process_iter(["cmdline", "cwd"])
        if "push" in (each.info["cmdline"] or []) and each.info["cwd"] == root
    ]


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_task_without_a_stream_does_its_work(started: Started, closed: str) -> None:
    """With any of the three streams closed a task does what it is for, without a traceback."""
    settings, _ = started
    for words, code in (("stack.status", 0), ("stack.stop --delete-data", 2), ("stack.stop", 0)):
        found, output = shell(settings, f"{words} {closed} {'' if '<' in closed else '</dev/null'}")
        assert found == code, output
        assert "Traceback" not in output
        assert "unexpected" not in output
    assert shell(settings, f"stack.start {closed}")[0] == 0
    assert open_stack(settings).status().running


def test_result_that_cannot_be_written(started: Started) -> None:
    """A full stdout is an error in the usual form, not a traceback."""
    require(Path("/dev/full").exists(), "/dev/full")
    settings, _ = started
    code, output = shell(settings, "stack.status >/dev/full")
    assert code == 1
    assert re.match(r"error: .*stdout.*: No space left on device\nstate: .*\nnext: ", output)
    assert "Exception ignored" not in output
    assert shell(settings, "stack.status >/dev/full 2>&1")[0] == 1
    code, output = shell(settings, "migrate.status --json >/dev/full")
    assert (code, "state: what was asked for is done" in output) == (1, True), output


def test_list_whose_reader_goes(started: Started) -> None:
    """A reader of `inv --list` that has seen enough gets no traceback."""
    settings, _ = started
    for _ in range(3):
        _, output = shell(settings, "--list | head -n 1")
        assert output == ""


def shell(settings: Settings, words: str) -> tuple[int, str]:
    """Run `inv` as a shell does, for its redirections; give the code and any error."""
    (settings.root / "tasks.py").write_text(TASKS, encoding="utf-8")
    done = subprocess.run(
        ["sh", "-c", f"{shlex.quote(sys.executable)} -m invoke {words}"],
        cwd=settings.root,
        env={
            **os.environ,
            "RIPTIDE_STACK": "embedded",
            "SUPABASE_API_PORT": str(settings.config.api_port),
            "SUPABASE_DB_PORT": str(settings.config.db_port),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, "".join(
        line for line in done.stderr.splitlines(keepends=True) if not line.startswith("[")
    )
