"""What `diff_migration` gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.results._base import Result

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.results.lint import Finding


@dataclass(frozen=True, kw_only=True)
class DiffResult(Result):
    """What was changed by hand, as a migration.

    Attributes:
        target: The database that was looked at.
        version: The new migration's, or ``""`` where nothing was written.
        path: The migration, or ``None``.
        rollback_path: Its twin, or ``None``.
        statements: How many statements the migration has.
        not_covered: What the database has and the migration does not make, object by object.
        not_taken_back: What the twin does not put back, object by object.
        not_twice: Why the migration may not run twice, or ``""``.
        findings: What the linter says of it: what it drops, above all.
        seconds: Wall time.
    """

    target: str
    version: str = ""
    path: Path | None = None
    rollback_path: Path | None = None
    statements: int = 0
    not_covered: tuple[str, ...] = ()
    not_taken_back: tuple[str, ...] = ()
    not_twice: str = ""
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether anything was changed by hand."""
        return self.path is not None or bool(self.not_covered)

    @property
    def next_step(self) -> str:
        """How to record it where the database has the change already; ``""`` if it was none."""
        return (
            f"inv migrate.repair --versions {self.version} --status applied" if self.version else ""
        )
