"""What a test needs from the machine: missing on a laptop skips, missing in CI fails."""

from __future__ import annotations

import os
import sys

import pytest


def in_ci() -> bool:
    """Whether this runs in CI, by the variable that the common services set."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def require(condition: object, reason: str) -> None:
    """Skip the test where ``condition`` is false; in CI, where nothing may be missing, fail it.

    Args:
        condition: Whether the machine has what the test needs.
        reason: What is missing, for the report.
    """
    if condition:
        return
    if in_ci():
        pytest.fail(f"CI must have this: {reason}", pytrace=False)
    pytest.skip(reason)


def require_root() -> None:
    """Skip the test where this is an ordinary user, in CI too: the checks are to run as either."""
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("root")
