"""Fixtures for a project's own tests of its policies: pytest loads this where RipTide is installed.

It adds fixtures and nothing else: no option, no hook, nothing that runs unless a test asks for it.
All that is heavy is imported by the fixtures.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from supabase import Client

    from riptide.testing.asserts import AssertAllowed, AssertDenied
    from riptide.testing.rows import ResetDatabase
    from riptide.testing.stack import SupabaseStack
    from riptide.testing.users import NewUser


@pytest.fixture(scope="session")
def supabase_project(pytestconfig: pytest.Config) -> Path:
    """Give the project's folder: the nearest one from rootdir upwards with supabase/config.toml.

    Override it in a conftest.py where the project is somewhere else.
    """
    from riptide.testing.stack import project_of

    with _plainly():
        return project_of(pytestconfig.rootpath)


@pytest.fixture(scope="session")
def supabase_stack(supabase_project: Path) -> Iterator[SupabaseStack]:
    """Give a stack of this run's own: migrated, seeded, on free ports, gone when the run ends.

    One for each worker of pytest-xdist. The developer's own stack is not touched. Where the tools
    for it are missing the tests skip; with ``CI`` set in the environment they fail.
    """
    from riptide.errors import CommandError, ToolNotFoundError
    from riptide.testing.stack import require_tools, stack_of

    with _plainly():
        try:
            require_tools(supabase_project)
        except (ToolNotFoundError, CommandError) as error:
            if _in_ci():
                raise
            pytest.skip(str(error))
        with stack_of(supabase_project) as stack:
            yield stack


@pytest.fixture
def anon(supabase_stack: SupabaseStack) -> Client:
    """Give a supabase-py client of somebody who is not signed in (the publishable key)."""
    return supabase_stack.anon()


@pytest.fixture
def service_role(supabase_stack: SupabaseStack) -> Client:
    """Give a supabase-py client of a server, whom no policy binds (the secret key)."""
    return supabase_stack.service_role()


@pytest.fixture
def new_user(supabase_stack: SupabaseStack) -> Iterator[NewUser]:
    """Give a function that makes a user and signs them in; all go when the test ends."""
    from riptide.testing.users import Users

    users = Users(supabase_stack)
    yield users.make
    with _plainly():
        users.remove()


@pytest.fixture
def assert_denied(supabase_stack: SupabaseStack) -> AssertDenied:
    """Give a function that sends a query and fails unless nothing came of it."""
    from riptide.testing.asserts import Asserts

    return Asserts(supabase_stack).denied


@pytest.fixture
def assert_allowed(supabase_stack: SupabaseStack) -> AssertAllowed:
    """Give a function that sends a query and fails unless it was accepted and has happened."""
    from riptide.testing.asserts import Asserts

    return Asserts(supabase_stack).allowed


@pytest.fixture
def reset_database(supabase_stack: SupabaseStack) -> ResetDatabase:
    """Give a function that gives the database back as the migrations and the seed left it."""

    def reset() -> None:
        with _plainly():
            supabase_stack.baseline.restore()

    return reset


@contextmanager
def _plainly() -> Iterator[None]:
    """Fail with RipTide's own text, which says what to do, and without a traceback."""
    from riptide.errors import RiptideError

    said: str | None = None
    try:
        yield
    except RiptideError as error:
        said = str(error)
    if said is not None:  # outside of the handler, or pytest would show the error a second time
        pytest.fail(said, pytrace=False)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}
