"""A reset that cannot succeed: it must find out before anything is gone, or give all back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from _requires import require, require_root
from _stacks import fill, living, processes_of, rows

from riptide import RiptideError, StackError, open_stack
from riptide.migrations.reset import reset_database
from riptide.stack.embedded.gateway import Gateway
from riptide.stack.ports import port_is_free

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from riptide.results import StackStatus
    from riptide.settings import Settings

    Started = tuple[Settings, StackStatus]


def assert_untouched(settings: Settings, before: StackStatus) -> None:
    """Assert that the same processes still run, with the row."""
    after = open_stack(settings).status()
    assert (after.running, after.pids) == (True, before.pids)
    assert rows(after) == [(7,)]


@pytest.mark.parametrize("reset", ["stack", "migrate"])
@pytest.mark.parametrize("cause", ["node", "user", "cache", "folder"])
def test_reset_that_cannot_start_again_changes_nothing(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cause: str, reset: str
) -> None:
    """Without Node, a user, a cache or a folder a reset is refused with the stack as it was."""
    settings, before = started
    broken = settings
    if cause == "node":
        monkeypatch.setattr("riptide.node._wheel_node", lambda: None)
        monkeypatch.setattr("riptide.node.shutil.which", lambda *_, **__: None)
    elif cause == "user":
        require_root()
        broken = replace(settings, run_as="nobody-of-that-name")
    elif cause == "cache":
        (tmp_path / "file").touch()
        broken = replace(settings, cache_dir=tmp_path / "file" / "cache")
    else:
        (tmp_path / "file").touch()
        broken = replace(settings, data_dir=tmp_path / "file" / "data")
    calls: dict[str, Callable[[], object]] = {
        "stack": open_stack(broken).reset,
        "migrate": partial(reset_database, settings=broken),
    }
    with pytest.raises(RiptideError) as caught:
        calls[reset]()
    assert caught.value.next_step
    assert_untouched(settings, before)


def test_migrate_reset_looks_for_the_cli_first(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a supported Supabase CLI `migrate.reset` is refused before the data goes."""
    settings, before = started
    with pytest.raises(RiptideError, match="RIPTIDE_SUPABASE_CLI"):
        reset_database(settings=replace(settings, cli_path=tmp_path / "none"))
    assert_untouched(settings, before)


def test_reset_with_a_port_taken_by_another(started: Started) -> None:
    """A reset of a half stack whose other port a stranger has leaves the data and says whose."""
    settings, before = started
    pid = before.pids["gateway"]
    os.kill(pid, 9)
    while living([pid]) or not port_is_free(settings.config.api_port):
        time.sleep(0.02)
    with (
        socket.create_server(("127.0.0.1", settings.config.api_port)),
        pytest.raises(StackError, match="is taken by"),
    ):
        open_stack(settings).reset()
    assert open_stack(settings).status().pids == {"postgres": before.pids["postgres"]}
    assert rows(before) == [(7,)]


def test_reset_that_fails_at_the_start_gives_the_data_back(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the new stack does not come up the old data is put back, and nothing runs."""
    settings, _ = started
    refuse = StackError("the API gateway ended while it started")
    monkeypatch.setattr(Gateway, "wait_ready", lambda *_: (_ for _ in ()).throw(refuse))
    with pytest.raises(StackError, match="ended while it started"):
        open_stack(settings).reset()
    monkeypatch.undo()
    assert processes_of(settings) == []
    assert rows(open_stack(settings).start()) == [(7,)]


def test_reset_leaves_no_second_copy(started: Started) -> None:
    """After a reset neither the old data nor what was prepared is left beside the new."""
    settings, _ = started
    status = open_stack(settings).reset()
    assert status.data_dir is not None
    assert {each.name for each in status.data_dir.parent.iterdir()} == {"data", "postgres.log"}


@pytest.fixture
def small_disk(make_project: Callable[..., Settings]) -> Iterator[Path]:
    """Give a folder on a disk of its own that a data directory fits into once, not twice."""
    require_root()
    require(shutil.which("mount"), "mount")
    folder = make_project().root / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80m,mode=755", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_reset_on_a_full_disk_changes_nothing(
    make_project: Callable[..., Settings], small_disk: Path
) -> None:
    """A disk without room for a second data directory leaves the first one, and says so."""
    settings = replace(make_project(), data_dir=small_disk)
    stack = open_stack(settings)
    before = stack.start()
    fill(before)
    rest = small_disk / "rest"
    with suppress(OSError), rest.open("wb") as file:
        while file.write(b"0" * 1_000_000):
            pass
    with pytest.raises(StackError) as caught:
        stack.reset()
    assert "the disk is full" in caught.value.message
    assert caught.value.state == "nothing was changed"
    assert "RIPTIDE_DATA_DIR" in str(caught.value.next_step)
    rest.unlink()
    assert_untouched(settings, before)
    stack.stop(delete_data=True)
