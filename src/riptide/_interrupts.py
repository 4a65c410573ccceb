"""Ctrl-C, SIGTERM and SIGHUP while something exists that has to be removed."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_SIGNALS = [getattr(signal, each) for each in _NAMES if hasattr(signal, each)]


@contextmanager
def as_exceptions() -> Iterator[None]:
    """Let the first signal raise, so that ``finally`` runs, and ignore those that follow.

    SIGINT raises `KeyboardInterrupt`, the others `SystemExit` with 128 and their number. Signals
    reach the main thread only: elsewhere nothing is done
    (https://docs.python.org/3/library/signal.html#signals-and-threads).
    """

    def end(number: int, _frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    with _handled_by(end):
        yield


@contextmanager
def ignored() -> Iterator[None]:
    """Hold off these signals while something is removed, which takes a moment only."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Hold these signals back until a short step is over, then let them have their effect.

    For a request that makes something: cut off on its way, it would make it after the cleaning up.
    """
    held: list[int] = []
    try:
        with _handled_by(lambda number, _frame: held.append(number)):
            yield
    finally:
        if held:
            signal.raise_signal(held[0])


@contextmanager
def _handled_by(handler: Callable[[int, object], None] | signal.Handlers) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        each: signal.signal(each, handler)
        for each in _SIGNALS
        if signal.getsignal(each) != signal.SIG_IGN  # nohup's, or one that came before
    }
    try:
        yield
    finally:
        for each, old in before.items():
            # None: somebody else's handler, not set from Python.
            signal.signal(each, signal.SIG_DFL if old is None else old)
