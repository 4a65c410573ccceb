"""The embedded stack whose folder is moved, copied or deleted while it runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from _inv import inv
from _stacks import fill, living, processes_of, rows

from riptide import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.results import StackStatus
    from riptide.settings import Settings

    Started = tuple[Settings, StackStatus]


@pytest.fixture
def move() -> Iterator[Callable[[Settings, str], Settings]]:
    """Give a function that moves a project; its new place is stopped and deleted in the end."""
    made: list[Settings] = []

    def moved(settings: Settings, suffix: str) -> Settings:
        root = settings.root.with_name(f"{settings.root.name}-{suffix}")
        settings.root.rename(root)
        made.append(replace(settings, root=root))
        return made[-1]

    yield moved
    for each in made:
        if each.root.exists():
            open_stack(each).stop(delete_data=True)
            shutil.rmtree(each.root)


def test_moved_project_is_known_and_stopped(
    started: Started, move: Callable[[Settings, str], Settings]
) -> None:
    """A project that is moved while it runs shows the same processes, serves, and stops them."""
    settings, before = started
    moved = move(settings, "moved")
    stack = open_stack(moved)
    status = stack.status()
    assert (status.running, status.pids) == (True, before.pids)
    assert str(status.data_dir).startswith(str(moved.root))
    assert str(settings.root) in status.note
    assert rows(status) == [(7,)]
    assert not stack.start().started
    assert not stack.stop().pids
    assert not living(before.pids.values())
    again = stack.start()
    assert (again.running, rows(again)) == (True, [(7,)])
    assert "started in" not in again.note


def test_moved_project_can_be_reset(
    started: Started, move: Callable[[Settings, str], Settings]
) -> None:
    """A reset after a move ends the old processes and gives an empty stack at the new place."""
    settings, before = started
    moved = move(settings, "reset")
    status = open_stack(moved).reset()
    assert status.running
    assert not living(before.pids.values())
    assert {each.pid for each in processes_of(moved)} == set(status.pids.values())


def test_project_made_again_at_the_old_place(
    started: Started,
    make_project: Callable[..., Settings],
    move: Callable[[Settings, str], Settings],
) -> None:
    """A new project at a moved one's old place never ends its processes, nor the other way."""
    settings, before = started
    moved = move(settings, "away")
    assert open_stack(moved).start().pids == before.pids  # it writes down that it was moved
    shutil.copytree(moved.supabase_dir, settings.supabase_dir, ignore=lambda *_: [".temp"])
    other = replace(settings, config=make_project().config)
    assert not open_stack(other).status().pids
    second = open_stack(other).start()
    assert living(before.pids.values()) == set(before.pids.values())
    assert open_stack(moved).status().pids == before.pids
    open_stack(moved).stop()
    assert not living(before.pids.values())
    assert open_stack(other).status().pids == second.pids


@pytest.mark.parametrize("lost", ["supabase/.temp", "supabase/.temp/riptide/postgres"])
def test_stop_ends_what_works_for_a_deleted_folder(started: Started, lost: str) -> None:
    """After the folder of state and data is deleted a stop still ends the processes."""
    settings, before = started
    shutil.rmtree(settings.root / lost)
    stack = open_stack(settings)
    status = stack.status()
    assert not status.running
    assert set(status.pids.values()) == set(before.pids.values())
    assert not stack.stop().pids
    assert not living(before.pids.values())
    assert stack.start().running


def test_start_after_the_folder_was_deleted(started: Started) -> None:
    """A start ends what works for a deleted folder, and gives a whole stack."""
    settings, before = started
    shutil.rmtree(settings.supabase_dir / ".temp")
    process = inv(settings, "stack.status")
    output, _ = process.communicate(timeout=30)
    assert "broken: nothing answers" in output
    status = open_stack(settings).start()
    assert status.running
    assert not living(before.pids.values())
    assert {each.pid for each in processes_of(settings)} == set(status.pids.values())


def test_data_outside_follows_a_moved_project(
    make_project: Callable[..., Settings], move: Callable[[Settings, str], Settings]
) -> None:
    """Data that is kept outside of the project is found again after a move and a stop."""
    settings = make_project()
    settings = replace(settings, data_dir=settings.root.with_name(f"{settings.root.name}-data"))
    status = open_stack(settings).start()
    fill(status)
    moved = move(settings, "outside")
    open_stack(moved).stop()
    assert not living(status.pids.values())
    assert rows(open_stack(moved).start()) == [(7,)]
