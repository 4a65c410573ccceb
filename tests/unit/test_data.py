"""The files of the embedded PostgreSQL: swapped whole, and given back when that is not enough."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from riptide.stack.embedded.data import DataDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


OLD, NEW = 1_600_000_000_123_456_789, 1_700_000_000_123_456_789


def put(folder: Path, contents: dict[str, str], changed: int) -> None:
    """Write files, as if they had been changed at a time (ns)."""
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        os.utime(folder / name, ns=(changed, changed))


def contents(folder: Path) -> dict[str, str]:
    """Give the files below a folder with their texts."""
    return {
        each.relative_to(folder).as_posix(): each.read_text()
        for each in folder.rglob("*")
        if each.is_file()
    }


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Give a prepared data directory."""
    put(tmp_path / "template", {"PG_VERSION": "17", "base/1": "one", "base/2": "two"}, OLD)
    return tmp_path / "template"


@pytest.fixture
def files(tmp_path: Path) -> DataDirectory:
    """Give a data directory made of the template, with a file changed, one gone and one added."""
    made = DataDirectory(home=tmp_path / "home")
    put(made.path, {"PG_VERSION": "17"}, OLD)
    put(made.path, {"base/2": "row", "base/3": "new"}, NEW)
    return made


def fill_and_fail(fill: Callable[[], None]) -> None:
    """Make the new one, and fail."""
    fill()
    raise ZeroDivisionError


CHANGED = {"PG_VERSION": "17", "base/2": "row", "base/3": "new"}


def test_new_one_is_as_the_template(files: DataDirectory, template: Path) -> None:
    """The new directory is the template, file for file; the old one goes in the end."""
    with files.replaced(template) as fill:
        fill()
    assert contents(files.path) == contents(template)
    files.tidy()
    assert [each.name for each in files.home.iterdir()] == ["data"]


def test_what_is_as_in_the_template_is_taken_over(files: DataDirectory, template: Path) -> None:
    """A file with the template's size and time of change is renamed; any other one is copied."""
    kept, changed = (files.path / each for each in ("PG_VERSION", "base/2"))
    inodes = kept.stat().st_ino, changed.stat().st_ino
    with files.replaced(template) as fill:
        fill()
    assert kept.stat().st_ino == inodes[0]
    assert changed.stat().st_ino != inodes[1]
    assert contents(template)["base/2"] == "two"


def test_whole_seconds_tell_nothing(files: DataDirectory, template: Path) -> None:
    """On a file system that keeps whole seconds a change may not show: everything is copied."""
    second = OLD // 10**9 * 10**9
    put(template, {"base/2": "two"}, second)
    put(files.path, {"base/2": "row"}, second)
    with files.replaced(template) as fill:
        fill()
    assert contents(files.path) == contents(template)


@pytest.mark.parametrize("step", ["before", "after", "written to"])
def test_failure_gives_the_old_one_back(files: DataDirectory, template: Path, step: str) -> None:
    """When what is done with the new one fails, also by Ctrl-C, the old one is back whole."""

    def replace() -> None:
        with files.replaced(template) as fill:
            if step != "before":
                fill()
            if step == "written to":
                put(files.path, {"PG_VERSION": "18", "base/2": "xyz", "base/9": "more"}, NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace()
    assert contents(files.path) == CHANGED
    assert [each.name for each in files.home.iterdir()] == ["data"]


def test_copy_cut_short_gives_the_old_one_back(
    files: DataDirectory, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that gets full while the new one is made leaves the old one as it was."""
    full = OSError(errno.ENOSPC, "full")
    monkeypatch.setattr("riptide.stack.embedded.data.shutil.copy", Mock(side_effect=full))
    with pytest.raises(OSError, match="full"), files.replaced(template) as fill:
        fill()
    assert contents(files.path) == CHANGED


def test_what_a_killed_reset_left_is_never_given_back(files: DataDirectory, template: Path) -> None:
    """An older directory that lies aside is not taken for the one that was replaced."""
    put(files.home / "data.old", {"ancient": ""}, OLD)
    with pytest.raises(ZeroDivisionError), files.replaced(template) as fill:
        fill_and_fail(fill)
    assert contents(files.path) == CHANGED


def test_first_one_has_nothing_to_put_aside(template: Path, tmp_path: Path) -> None:
    """The first data directory of a stack is made whole."""
    files = DataDirectory(home=tmp_path / "home")
    with files.replaced(template) as fill:
        fill()
    assert contents(files.path) == contents(template)
    assert [each.name for each in files.home.iterdir()] == ["data"]


def test_old_one_that_cannot_be_put_aside_stays(
    files: DataDirectory, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the old one cannot be renamed it is in its place, untouched."""
    monkeypatch.setattr("pathlib.Path.rename", Mock(side_effect=PermissionError("held")))
    with pytest.raises(PermissionError), files.replaced(template) as fill:
        fill()
    assert contents(files.path) == CHANGED


def test_room_is_looked_for_first(
    files: DataDirectory, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk with less room than a copy takes is refused as full."""
    files.require_room(template)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Mock(free=7))
    with pytest.raises(OSError, match="No space left"):
        files.require_room(template)
