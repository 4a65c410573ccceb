"""What an embedded stack writes down: whose it is after a copy and after a move."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from riptide._write import write_whole
from riptide.stack.embedded.state import State

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Give the state of a stack that was started, written down."""
    run_dir = tmp_path / "a" / "supabase" / ".temp" / "riptide"
    run_dir.mkdir(parents=True)
    made = State(
        instance="0123",
        api_port=54321,
        db_port=54322,
        run_dir=run_dir,
        home=run_dir / "postgres",
        gateway_mark=run_dir,
        postgres_mark=run_dir / "postgres" / "data",
        toolchain=tmp_path / "toolchain-1",
        template="abc",
        gateway_pid=7,
    )
    made.write()
    return made


def test_state_is_read_as_it_was_written(state: State) -> None:
    """What was written comes back, and nothing says that it was moved."""
    assert State.read(state.run_dir) == state
    assert state.moved_from is None


def test_state_of_a_copy_is_none(state: State, tmp_path: Path) -> None:
    """Where the folder that it names has its own state, it is a copy's."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "stack.json").write_bytes((state.run_dir / "stack.json").read_bytes())
    assert State.read(tmp_path / "b") is None


def test_state_of_a_moved_folder_is_its_own(state: State, tmp_path: Path) -> None:
    """After a move the paths are the new ones, and the marks those of the processes."""
    (tmp_path / "a").rename(tmp_path / "b")
    here = tmp_path / "b" / "supabase" / ".temp" / "riptide"
    found = State.read(here)
    assert found == replace(state, run_dir=here, home=here / "postgres")
    assert found is not None
    assert found.moved_from == state.run_dir
    found.write()
    (tmp_path / "a").mkdir()
    assert State.read(here) == found


def test_moved_state_keeps_data_that_is_elsewhere(state: State, tmp_path: Path) -> None:
    """Data outside of the project did not move with it."""
    outside = replace(state, home=tmp_path / "data")
    outside.write()
    (tmp_path / "a").rename(tmp_path / "b")
    found = State.read(tmp_path / "b" / "supabase" / ".temp" / "riptide")
    assert found is not None
    assert found.home == tmp_path / "data"


def test_linked_folder_is_the_same(state: State, tmp_path: Path) -> None:
    """Through another name of the same folder it is the same state, not a copy's."""
    link = tmp_path / "link"
    link.symlink_to(state.run_dir)
    found = State.read(link)
    assert found is not None
    assert found.gateway_mark == state.run_dir


def test_unreadable_state_is_no_absent_one(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that this user may not read is an error: a stack may run."""

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied", "stack.json")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(PermissionError):
        State.read(state.run_dir)


def test_half_written_file_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the file before it stays, and nothing is beside it."""
    file = tmp_path / "stack.json"
    write_whole(file, "old", mode=0o600)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new", mode=0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["stack.json"]
    assert file.read_text(encoding="utf-8") == "old"
