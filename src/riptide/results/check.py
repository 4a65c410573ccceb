"""What `check_migrations` gives back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from riptide.results._base import Result, count

if TYPE_CHECKING:
    from pathlib import Path


class Level(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    """Will fail, or does not do what it says."""
    WARNING = "warning"
    """May be meant so."""
    NOTE = "note"
    """Good to know; or what could not be looked at, and why."""


@dataclass(frozen=True, kw_only=True)
class CheckFinding(Result):
    """One thing that a check found.

    Attributes:
        check: Which one: ``files``, ``lint``, ``apply``, ``twice``, ``rollback``, ``cycle``,
            ``target``.
        level: How much it weighs.
        message: One sentence.
        file: The file to blame, or ``None``.
        line: 1-based line in it, or ``None``.
        sqlstate: PostgreSQL's five-character code, where it refused something.
        details: Object by object, where a catalog is not what it should be.
        next_step: What to do.
    """

    check: str
    level: Level
    message: str
    file: Path | None = None
    line: int | None = None
    sqlstate: str = ""
    details: tuple[str, ...] = ()
    next_step: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckStep(Result):
    """One of the checks, as it went.

    Attributes:
        name: As in `CheckFinding.check`.
        about: What it holds the files to, in a few words.
        files: What it looked at: names of files, or the target's name.
        skipped: Why it was not carried out, or ``""``.
        seconds: Wall time; several run at once.
    """

    name: str
    about: str
    files: tuple[str, ...] = ()
    skipped: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CheckReport(Result):
    """All that is known of the migrations before a push.

    Attributes:
        files: Names of the migrations, oldest first.
        steps: The checks, in order.
        findings: In the checks' order, then the files'.
        seconds: Wall time of the whole.
    """

    files: tuple[str, ...] = ()
    steps: tuple[CheckStep, ...] = ()
    findings: tuple[CheckFinding, ...] = ()
    seconds: float = 0.0

    @property
    def errors(self) -> tuple[CheckFinding, ...]:
        """What has to be mended."""
        return tuple(each for each in self.findings if each.level is Level.ERROR)

    @property
    def warnings(self) -> tuple[CheckFinding, ...]:
        """What wants a look."""
        return tuple(each for each in self.findings if each.level is Level.WARNING)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    @property
    def summary(self) -> str:
        """``3 migrations, 6 checks: 1 error, 2 warnings``."""
        done = [each for each in self.steps if not each.skipped]
        found = [
            count(each, noun)
            for each, noun in ((self.errors, "error"), (self.warnings, "warning"))
            if each
        ]
        skipped = len(self.steps) - len(done)
        return (
            f"{count(self.files, 'migration')}, {count(done, 'check')}: "
            f"{', '.join(found) or 'nothing found'}"
            + (f"; {skipped} not carried out" if skipped else "")
        )
