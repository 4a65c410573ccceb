"""Running ``supabase db push``: told how long to wait for locks, timed file by file, tried again.

What is tried again is only what has left nothing behind.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riptide.migrations.concurrent import leaves_something
from riptide.migrations.sql import not_one_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from riptide.cli import Answer, SupabaseCLI

ATTEMPTS = 4

_APPLYING = re.compile(r"^Applying migration (\S+\.sql)")
_SEEDING = re.compile(r"^Seeding data from (.+?)(?:\.\.\.)?$")
# Of a seed file that was edited since it was run: it is not run again.
_NOT_SEEDING = re.compile(r"^Updating seed hash to (.+?)(?:\.\.\.)?$")
_LOCK_NOT_AVAILABLE = "(SQLSTATE 55P03)"


def session_settings(
    lock_timeout: float, *, windows: bool, asynchronous: bool = False
) -> dict[str, str]:
    """Give what the CLI's own session is told.

    A statement that waits for a lock makes all others of that table wait behind it; and without
    the check the server works on, and commits, for a client that is gone
    (https://www.postgresql.org/docs/17/runtime-config-connection.html).

    Args:
        lock_timeout: Seconds.
        windows: Whether the server runs on Windows, where it cannot check for its client.
        asynchronous: Whether a commit does not wait for the disk.
    """
    settings = {"lock_timeout": f"{max(1, round(lock_timeout * 1000))}ms"}
    if not windows:
        settings["client_connection_check_interval"] = "1s"
    if asynchronous:
        settings["synchronous_commit"] = "off"
    return settings


@dataclass
class Clock:
    """What the CLI is at, by its own words, and how long each file took.

    Attributes:
        seconds: Of each file that it began, by name.
        seeds: Seed files that it began, in order.
        not_seeded: Those that it passed over, as they have been run before.
    """

    total: int
    progress: Callable[[str], None] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    seeds: list[str] = field(default_factory=list)
    not_seeded: list[str] = field(default_factory=list)
    _current: str = ""
    _began: float = 0.0

    def hear(self, line: str) -> None:
        """Take a line of the CLI's stderr."""
        if applying := _APPLYING.match(line):
            self.stop()
            self._began = time.monotonic()
            self._current = applying[1]
            self.seconds[self._current] = 0.0
            phrase = f"applying {self._current} ({len(self.seconds)} of {self.total})"
        elif seeding := _SEEDING.match(line):
            self.stop()
            self.seeds.append(seeding[1])
            phrase = f"seeding from {self.seed}"
        elif passed_over := _NOT_SEEDING.match(line):
            self.not_seeded.append(passed_over[1])
            return
        else:
            return
        if self.progress is not None:
            self.progress(phrase)

    def stop(self) -> None:
        """Take the time of the file under way."""
        if self._current:
            self.seconds[self._current] = time.monotonic() - self._began
        self._current = ""

    @property
    def seed(self) -> str:
        """The seed file that was begun last, or ``""``."""
        return self.seeds[-1] if self.seeds else ""

    @property
    def last(self) -> str:
        """The file that was begun last, or ``""``."""
        return next(reversed(self.seconds), "")


def push(
    cli: SupabaseCLI,
    argv: list[str],
    clock: Clock,
    texts: Mapping[str, str],
    session: Mapping[str, str],
) -> Answer:
    """Run a push; where a file did not get a lock and left nothing behind, run it again.

    Args:
        cli: Runs it.
        argv: The command line.
        clock: Is told what the CLI says.
        texts: The content of each pending file, by its name.
        session: See `session_settings`.

    Returns:
        The last answer, good or bad.
    """
    from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt
    from tenacity.wait import wait_exponential_jitter

    def once() -> Answer:
        if clock.progress is not None:
            clock.progress("supabase db push")
        try:
            return cli.run(argv, session=session, on_stderr=clock.hear)
        finally:
            clock.stop()

    def blocked(answer: Answer) -> bool:
        return (
            _LOCK_NOT_AVAILABLE in answer.error_message
            and clock.last in texts
            and not clock.seed
            and not_one_transaction(texts[clock.last]) is None
            and not leaves_something(texts[clock.last])
        )

    def tell(state: RetryCallState) -> None:
        if clock.progress is not None:
            clock.progress(
                f"{clock.last} did not get a lock; again in {state.upcoming_sleep:.1f} s "
                f"({state.attempt_number} of {ATTEMPTS - 1})"
            )

    def last(state: RetryCallState) -> Answer:
        if state.outcome is None:  # not without a first try
            raise RuntimeError
        answer: Answer = state.outcome.result()
        return answer

    return Retrying(
        retry=retry_if_result(blocked),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.5, max=8, jitter=0.5),
        before_sleep=tell,
        retry_error_callback=last,
    )(once)
