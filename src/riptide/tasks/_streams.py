"""Standard streams that are closed, full, or lack a character: no task fails for them."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from riptide._oserror import unprinted


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
        BrokenPipeError: The reader has seen enough.
        RiptideError: It cannot be written.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        discard()
        raise unprinted(error) from error


def discard() -> None:
    """Send what is left for stdout nowhere: Python would fail once more at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """Write on stderr where that is possible."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()
