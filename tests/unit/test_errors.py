"""The error tree: what an error is made of outlives a trip to another process."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from riptide import errors
from riptide.errors import ConfigError, Interrupted, RiptideError
from riptide.results import RlsCheck, RlsReport, Verdict

REPORT = RlsReport(
    target="local",
    checks=(
        RlsCheck(
            table="public.teams",
            operation="select",
            actor="anon",
            expected="deny",
            verdict=Verdict.LEAK,
        ),
    ),
)
TOLD: dict[str, Any] = {"detail": "  more", "state": "as it was", "next_step": "inv up"}
MORE: dict[str, dict[str, Any]] = {
    "CommandError": {"argv": ["supabase", "db"], "exit_code_of_command": 1, "stderr": "no"},
    "MigrationError": {
        "file": Path("a.sql"),
        "line": 3,
        "sqlstate": "42P01",
        "statement": "select",
    },
    "DatabaseError": {"sqlstate": "57P01"},
}
TREE = sorted(
    name
    for name, each in vars(errors).items()
    if isinstance(each, type) and issubclass(each, RiptideError)
)


def made(name: str) -> RiptideError:
    """Give an error of a class with everything that it can say."""
    first: Any = REPORT if name == "RlsViolationError" else "it failed"
    error: RiptideError = getattr(errors, name)(first, **MORE.get(name, {}), **TOLD)
    return error


def test_the_tree_is_there() -> None:
    """The classes are found, or the tests below would pass for nothing."""
    assert {"RiptideError", "RlsViolationError", *MORE} <= set(TREE)


@pytest.mark.parametrize("name", TREE)
@pytest.mark.parametrize("travel", [lambda each: pickle.loads(pickle.dumps(each)), copy.deepcopy])
def test_error_travels(name: str, travel: Any) -> None:
    """An error that a worker process raises reaches its caller as it was."""
    error = made(name)
    error.add_note("seen on the way")
    again = travel(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.args == error.args
    assert vars(again) == vars(error)


def test_interruption_travels() -> None:
    """So does an interruption, which is no Exception."""
    again = pickle.loads(pickle.dumps(Interrupted("half of it is done", "inv up")))
    assert type(again) is Interrupted
    assert (again.state, again.next_step) == ("half of it is done", "inv up")


def test_what_cannot_be_used_always_says_what_state_and_what_next() -> None:
    """A setting or an argument that cannot be used is told in all three lines of the form."""
    assert str(ConfigError("no such thing")).splitlines() == [
        "error: no such thing",
        "state: nothing was changed",
        "next:  mend that, then the same command again",
    ]
