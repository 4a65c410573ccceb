"""What a project's own tests of its policies are made of; the fixtures are in `pytest_plugin`.

Nothing in here imports pytest. The names below are for annotations in tests::

    from riptide.testing import AssertDenied, NewUser


    def test_notes_are_private(new_user: NewUser, assert_denied: AssertDenied) -> None: ...
"""

from __future__ import annotations

from riptide.testing.asserts import AssertAllowed, AssertDenied
from riptide.testing.rows import ResetDatabase
from riptide.testing.stack import SupabaseStack
from riptide.testing.users import NewUser, User

__all__ = [
    "AssertAllowed",
    "AssertDenied",
    "NewUser",
    "ResetDatabase",
    "SupabaseStack",
    "User",
]
