"""What a mutation of Row Level Security gives back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from riptide.results._base import Result, count

if TYPE_CHECKING:
    from pathlib import Path


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    """The verification or the audit noticed it."""
    EQUIVALENT = "equivalent"
    """Nobody noticed it, and it is shown that no request can tell it from what was before."""
    SURVIVED = "survived"
    """Nobody noticed it."""


@dataclass(frozen=True, kw_only=True)
class MutantResult(Result):
    """One mistake that was made on purpose.

    Attributes:
        kind: What sort of mistake: ``policy-dropped``, ``using-true``, …
        table: ``schema.table`` that it was made in.
        sentence: It, for a person.
        fate: What became of it.
        why: What noticed it; or why it is equivalent.
        sql: The statements that made it.
        seconds: Wall time of noticing it.
    """

    kind: str
    table: str
    sentence: str
    fate: Fate
    why: str = ""
    sql: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MutationReport(Result):
    """All mutants of a schema, and what became of each."""

    mutants: tuple[MutantResult, ...] = ()
    seconds: float = 0.0

    @property
    def survivors(self) -> tuple[MutantResult, ...]:
        """The mutants that nobody noticed."""
        return tuple(each for each in self.mutants if each.fate is Fate.SURVIVED)

    @property
    def killed(self) -> int:
        """How many were noticed."""
        return sum(each.fate is Fate.KILLED for each in self.mutants)

    @property
    def equivalent(self) -> int:
        """How many are no mistake, shown one by one."""
        return sum(each.fate is Fate.EQUIVALENT for each in self.mutants)

    @property
    def ok(self) -> bool:
        """Whether no mutant survived."""
        return not self.survivors

    @property
    def score(self) -> float:
        """Which part of the mutants that are mistakes was noticed, from 0 to 1."""
        mistakes = len(self.mutants) - self.equivalent
        return self.killed / mistakes if mistakes else 1.0

    @property
    def summary(self) -> str:
        """One line for a person."""
        if not self.mutants:
            return "no table is declared, so nothing could be broken"
        words = f"{self.killed} of {count(self.mutants, 'mutant')} killed"
        if self.equivalent:
            words += f", {self.equivalent} shown to be equivalent"
        if self.survivors:
            words += f", {len(self.survivors)} survived"
        return f"{words}: a score of {100 * self.score:.0f} %"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and ``ok``, ``score``, ``summary``."""
        extra = {"ok": self.ok, "score": self.score, "summary": self.summary}
        return {**super().to_dict(), **extra}


def read_mutation(path: Path) -> MutationReport:
    """Read what ``inv rls.mutate --json`` printed.

    Raises:
        ConfigError: It cannot be read, or is something else.
    """
    import json

    from riptide.errors import ConfigError

    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        mutants = tuple(
            MutantResult(**{**each, "fate": Fate(each["fate"])}) for each in body["mutants"]
        )
        return MutationReport(mutants=mutants, seconds=float(body["seconds"]))
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError):  # also where it is not UTF-8
        problem = f"{path} is not what `inv rls.mutate --json` prints"
    raise ConfigError(
        problem,
        state="nothing was tried",
        next_step=f"inv rls.mutate --json > {path.name}",
    )
