"""What `diagnose_history` and `repair_history` give back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from riptide.results._base import Result, count

if TYPE_CHECKING:
    from pathlib import Path


class Cause(StrEnum):
    """Why a version does not match, as far as it can be told."""

    RENAMED = "renamed"
    """A file has the same statements under another version."""
    SQUASHED = "squashed"
    """Several versions' statements are all in one file."""
    BRANCH = "on a branch"
    """Git knows the file, or it is newer than all that are here."""
    DELETED = "deleted"
    """Git knows the file, and it was deleted here."""
    ANOTHER_PROJECT = "another project's database"
    """No version is known to both."""
    EDITED = "edited"
    """The file says something else than what was applied."""
    LATE = "merged late"
    """Not applied, and older than what is."""
    UNKNOWN = "not known"
    """None of these."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Result):
    """What is wrong with one or more versions, and how to mend it.

    Attributes:
        versions: Those that do not match; more than one where they belong together.
        cause: What probably happened.
        message: The same in a sentence.
        file: The file that it is about, or ``None``.
        commands: What to run, in order; where there is a choice the message says so.
    """

    versions: tuple[str, ...]
    cause: Cause
    message: str
    file: Path | None = None
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HistoryDiagnosis(Result):
    """Where the history and the files do not match.

    Attributes:
        target: The database.
        matching: How many versions match.
        problems: What does not, oldest first.
    """

    target: str
    matching: int = 0
    problems: tuple[Diagnosis, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all match; what is merely pending does."""
        return not self.problems

    @property
    def summary(self) -> str:
        """``3 versions match, 1 problem``."""
        number = f"{self.matching} version{'' if self.matching == 1 else 's'}"
        verb = "matches" if self.matching == 1 else "match"
        return (
            f"{number} {verb}, {count(self.problems, 'problem') if self.problems else 'all well'}"
        )


@dataclass(frozen=True, kw_only=True)
class RepairResult(Result):
    """What was changed in the history; in the schema nothing is."""

    target: str
    status: str
    versions: tuple[str, ...] = ()
    seconds: float = 0.0
