"""What writing a file from the database's catalog gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riptide.results._base import Result

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class GeneratedFile(Result):
    """A file that is made from the database, and whether it says what the database says.

    Attributes:
        target: Which database.
        path: The file.
        current: Whether it was as it should be before.
        written: Whether it was written.
        diff: What was to be changed in it, as a unified diff; empty where it was current.
        notes: What a person should know of it.
        seconds: Wall time.
    """

    target: str
    path: Path
    current: bool
    written: bool = False
    diff: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the file is as it should be now."""
        return self.current or self.written

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and ``ok``."""
        return {**super().to_dict(), "ok": self.ok}
