"""A check that is interrupted or killed leaves nothing behind."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from _inv import inv
from _stacks import living

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from riptide.settings import Settings


@pytest.fixture
def slow(make_project: Callable[..., Settings]) -> tuple[Settings, Path]:
    """Give a project whose check takes long, and the folder that its scratch servers are in."""
    settings = make_project()
    for folder, text in (
        (settings.migrations_dir, "select pg_sleep(20);"),
        (settings.rollbacks_dir, "select 1;"),
    ):
        (folder / "20250101000000_slow.sql").write_text(text)
    folder = settings.root / "tmp"
    folder.mkdir(mode=0o755)
    return settings, folder


def begin(settings: Settings, folder: Path) -> subprocess.Popen[str]:
    """Start a check, and wait until the CLI and the replay are both in the slow migration."""
    process = inv(settings, "migrate.check", TMPDIR=str(folder))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(servers(folder)) > 0 and len(children(process)) > 0:
            time.sleep(1.5)
            return process
        time.sleep(0.1)
    process.kill()
    pytest.fail("the check did not get to the migration")


def servers(folder: Path) -> list[psutil.Process]:
    """Give the PostgreSQL servers whose data is in ``folder``."""
    found = []
    for each in psutil.process_iter(["cmdline"]):
        words = each.info["cmdline"] or []
        if any(str(folder) in word for word in words) and "postgres" in words[0]:
            found.append(each)
    return found


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Give the Supabase CLIs that ``process`` has started."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [each for each in below if each.is_running() and each.name().startswith("supabase")]


def test_interrupted_check_leaves_nothing(slow: tuple[Settings, Path]) -> None:
    """After Ctrl-C the server, its folder and the CLI are gone, and soon."""
    settings, folder = slow
    process = begin(settings, folder)
    below = children(process)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert time.monotonic() - began < 15  # the migration alone would have slept for longer
    assert list(folder.glob("riptide-scratch-*")) == []
    assert servers(folder) == []
    assert living(each.pid for each in below) == set()


def test_killed_check_is_swept_up_by_the_next(slow: tuple[Settings, Path]) -> None:
    """What a kill -9 leaves is gone when the next scratch server starts."""
    settings, folder = slow
    process = begin(settings, folder)
    process.kill()
    process.communicate()
    left = servers(folder)
    assert left
    (settings.migrations_dir / "20250101000000_slow.sql").write_text("select 1;")
    process = inv(settings, "migrate.check", TMPDIR=str(folder))
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert list(folder.glob("riptide-scratch-*")) == []
    # Dead, whether or not somebody has taken its exit code yet.
    assert living(each.pid for each in left) == set()
