"""What the fault tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from _stacks import fill

from riptide import open_stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.results import StackStatus
    from riptide.settings import Settings


@pytest.fixture
def started(make_project: Callable[..., Settings]) -> tuple[Settings, StackStatus]:
    """Give a project and its started stack, with one row in it."""
    settings = make_project()
    status = open_stack(settings).start()
    fill(status)
    return settings, status
