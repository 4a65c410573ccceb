"""Folders for a while, and what becomes of them when their process is killed."""

from __future__ import annotations

import os
import tempfile
import threading
from typing import TYPE_CHECKING

import pytest

from riptide.stack.embedded.held import held_folder, sweep

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "riptide-held-"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the folder for temporary files be this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_held_folder_is_not_swept_up(temporary: Path) -> None:
    """While somebody holds it nobody else touches it; afterwards it is gone."""
    ended: list[Path] = []
    with held_folder(PREFIX, state="x") as folder:
        (folder / "work").touch()
        sweep(PREFIX, ended.append)
        assert (folder / "work").exists()
    assert (ended, list(temporary.iterdir())) == ([], [])


def test_folder_that_nobody_holds_is_swept_up(temporary: Path) -> None:
    """What worked for it is ended first; folders of another kind stay."""
    left, other = temporary / f"{PREFIX}1", temporary / "riptide-other-1"
    left.mkdir()
    other.mkdir()
    os.utime(left, (0, 0))  # one that was just made has its maker still at work
    ended: list[Path] = []
    sweep(PREFIX, ended.append)
    assert (ended, list(temporary.iterdir())) == ([left], [other])


def test_folder_is_never_lost_to_a_sweep_at_the_same_time() -> None:
    """However often others sweep, whoever takes a folder has it."""
    done = threading.Event()

    def others() -> None:
        while not done.is_set():
            sweep(PREFIX, lambda _: None)

    threads = [threading.Thread(target=others) for _ in range(2)]
    for each in threads:
        each.start()
    try:
        for _ in range(300):
            with held_folder(PREFIX, state="x") as folder:
                assert (folder / "lock").exists()
                (folder / "work").mkdir()
    finally:
        done.set()
        for each in threads:
            each.join()
