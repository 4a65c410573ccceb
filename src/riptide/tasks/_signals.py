"""SIGTERM and SIGHUP while a task runs: the same way out as Ctrl-C."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# SIGHUP: the terminal was closed. Windows has none.
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if getattr(signal, name, None)]


@dataclass
class Ended:
    """Which signal ended the task, if one did: `SIGTERM` or `SIGHUP`."""

    number: int | None = None


@contextmanager
def unwinding() -> Iterator[Ended]:
    """Let SIGTERM and SIGHUP raise, so that what was started is ended and cleaned up.

    They raise `SystemExit` with 128 and the signal's number, which nothing but the task itself
    catches. Once one came, or Ctrl-C, those that follow are ignored: they are not to cut the
    cleaning up short (a second Ctrl-C still does). A handler that somebody else has set stays, and
    so does ``nohup``. Signals reach the main thread only: elsewhere nothing is done.
    """
    ended = Ended()
    if threading.current_thread() is not threading.main_thread():
        yield ended
        return

    def interrupted(number: int, _frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt
        ended.number = number
        raise SystemExit(128 + number)

    usual = dict.fromkeys(_ENDING, signal.SIG_DFL)
    before = {
        number: handler
        for number, handler in {**usual, signal.SIGINT: signal.default_int_handler}.items()
        if signal.getsignal(number) == handler
    }
    try:
        for each in before:
            signal.signal(each, interrupted)
        yield ended
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
