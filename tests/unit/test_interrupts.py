"""Signals while something is being made or removed."""

from __future__ import annotations

import signal

import pytest

from riptide._interrupts import as_exceptions, deferred, ignored


def test_deferred_signal_waits_for_the_step() -> None:
    """Ctrl-C in a deferred step has its effect when the step is over, and not before."""
    done: list[str] = []

    def interrupted() -> None:
        with deferred():
            signal.raise_signal(signal.SIGINT)
            done.append("the step")
        done.append("never")

    with pytest.raises(KeyboardInterrupt), as_exceptions():
        interrupted()
    assert done == ["the step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_signal_has_no_effect() -> None:
    """While something is removed a signal does nothing, and afterwards all is as it was."""
    before = signal.getsignal(signal.SIGTERM)
    with ignored():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_becomes_an_exit() -> None:
    """SIGTERM runs what is in `finally`, and ends with the shell's code for it."""
    with pytest.raises(SystemExit) as caught, as_exceptions():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143
