"""The files of the embedded PostgreSQL: swapped whole, and given back when that is not enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from riptide.stack.embedded.data import DataDirectory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> DataDirectory:
    """Give a data directory with something in it, and a new one staged beside it."""
    template = tmp_path / "template"
    template.mkdir()
    (template / "PG_VERSION").write_text("17\n")
    made = DataDirectory(home=tmp_path / "home")
    made.make_home()
    made.path.mkdir()
    (made.path / "row").write_text("7")
    made.stage(template)
    return made


def names(files: DataDirectory) -> dict[str, list[str]]:
    """Give what is in each folder of the home."""
    return {each.name: [file.name for file in each.iterdir()] for each in files.home.iterdir()}


def test_swap_keeps_the_old_until_it_is_tidied(files: DataDirectory) -> None:
    """While the new one is tried the old one is aside; then it goes."""
    with files.swapped():
        assert names(files) == {"data": ["PG_VERSION"], "data.old": ["row"]}
    files.tidy()
    assert names(files) == {"data": ["PG_VERSION"]}


def test_failed_swap_gives_the_old_back(files: DataDirectory) -> None:
    """When what is done with the new one fails, also by Ctrl-C, the old one is back alone."""
    with pytest.raises(KeyboardInterrupt), files.swapped():
        raise KeyboardInterrupt
    assert names(files) == {"data": ["row"]}


def test_what_a_killed_reset_left_is_never_given_back(files: DataDirectory) -> None:
    """An older directory that lies aside is not taken for the one that was replaced."""
    (files.home / "data.old").mkdir()
    (files.home / "data.old" / "ancient").touch()
    with pytest.raises(ValueError, match="it failed"), files.swapped():
        raise ValueError("it failed")
    assert names(files) == {"data": ["row"]}


def test_swap_without_an_old_one(files: DataDirectory) -> None:
    """The first data directory of a stack has nothing to put aside."""
    (files.path / "row").unlink()
    files.path.rmdir()
    with files.swapped():
        assert names(files) == {"data": ["PG_VERSION"]}
