"""Standard streams that are closed, full, or lack a character: no task fails for them."""

from __future__ import annotations

import io
import os
import sys

from riptide._oserror import unprinted
from riptide.errors import RiptideError
from riptide.render import discard, tell


def prepare() -> None:
    """Open what was closed (``>&-``) on the null device; show what an encoding lacks as something.

    Python has ``None`` for a stream that was closed when it began, and the next file that is opened
    would get its number: a child's output would go there.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            _occupy(number)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - a number
            setattr(sys, name, stream)
    for each in (sys.stdout, sys.stderr):
        if isinstance(each, io.TextIOWrapper):
            each.reconfigure(errors="replace")


def _occupy(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)


def flush() -> None:
    """Write what a task printed, while there is still somebody to tell when that fails.

    Raises:
        RiptideError: It cannot be written.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # `inv … | head`: the reader has seen enough
        discard(sys.stdout)
    except OSError as error:
        discard(sys.stdout)
        raise unprinted(error) from error


def settle() -> None:
    """Do so where a task has failed: Python's own try at its end would give another exit code."""
    try:
        flush()
    except RiptideError as error:
        tell(str(error))
