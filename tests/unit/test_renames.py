"""What is said about names that have changed since rows were saved."""

from __future__ import annotations

import pytest

from riptide import ConfigError
from riptide.migrations.saved_renames import flags, read_renames


def test_renames_are_read() -> None:
    """What stands before the first sign outside of quotes is the old name."""
    given = ["a=b", "s.a.c=d", '"x=y".z="1=2"', "e=f=g"]
    assert read_renames(given) == {"a": "b", "s.a.c": "d", '"x=y".z': '"1=2"', "e": "f=g"}


@pytest.mark.parametrize("wrong", ["", "a", "=", "=b", "a.=b", ".a=b", '"a=b', "a..b=c"])
def test_rename_that_is_none(wrong: str) -> None:
    """What has no old name is refused."""
    with pytest.raises(ConfigError, match="--rename takes OLD=NEW, not"):
        read_renames([wrong])


def test_rename_that_is_said_twice() -> None:
    """One old name has one new one."""
    with pytest.raises(ConfigError, match="a is named twice"):
        read_renames(["a=b", "a=c"])


def test_renames_as_flags() -> None:
    """The next command says them again, as a shell takes them."""
    assert flags({"a": "b", "c d": "e"}) == " --rename a=b --rename 'c d=e'"
    assert flags({}) == ""
