"""What the linter gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from riptide.results._base import Result

if TYPE_CHECKING:
    from pathlib import Path

Hazard = Literal["", "data", "lock"]


@dataclass(frozen=True, kw_only=True)
class Finding(Result):
    """One thing that the linter has to say about a migration.

    Attributes:
        file: The migration.
        line: From 1 on.
        column: From 1 on, in characters.
        rule: squawk's own name (https://squawkhq.com/docs/rules), or one of RipTide's:
            ``truncate``, ``delete-without-where``, ``vacuum-full``, ``cluster``, ``lock-table``,
            ``rollback``.
        level: ``error`` (squawk could not read the statement) or ``warning``.
        message: What there is to say, in one paragraph.
        help: What to do instead, or ``""``.
        hazard: ``data`` where rows are lost, ``lock`` where others wait for long, or ``""``.
    """

    file: Path
    line: int
    column: int = 1
    rule: str
    level: str = "warning"
    message: str
    help: str = ""
    hazard: Hazard = ""
