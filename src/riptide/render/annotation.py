"""What stands beside a line of a file: in a code scanner (SARIF) or in GitHub Actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.results import Level
    from riptide.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One finding, in the terms that scanners share.

    Attributes:
        rule: What sort of finding.
        level: How much it weighs.
        name: What it is about: ``public.teams.teams_select``.
        kind: What that is, in SARIF's words: ``type``, ``function``, ``namespace``.
        message: What is so, and what comes of it.
        sql: What would mend it; ``""`` where nobody can tell.
        reason: Why it is excepted; ``""`` where it is not.
        key: What it is known again by when lines have moved.
        file: Where it stands.
        line: 1-based.
    """

    rule: str
    level: Level
    name: str
    kind: str = "type"
    message: str
    sql: str = ""
    reason: str = ""
    key: str
    file: Path
    line: int = 1

    @property
    def text(self) -> str:
        """The whole of it, with what would mend it."""
        end = "" if self.message.endswith(".") else "."
        return f"{self.name}: {self.message}{end}" + (f"\nMend: {self.sql}" if self.sql else "")


def fallback(settings: Settings) -> Path:
    """Give the file for what has none: scanners show nothing without one.

    It stands where it could be declared or excepted, or, where that file is not there, where the
    schema is exposed.
    """
    file = settings.supabase_dir / "rls.toml"
    return file if file.is_file() else settings.supabase_dir / "config.toml"
