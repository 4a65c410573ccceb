"""What ``inv up`` gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.results._base import Result

if TYPE_CHECKING:
    from riptide.results.migrations import PushResult
    from riptide.results.rls import RlsReport
    from riptide.results.stack import StackStatus


@dataclass(frozen=True, kw_only=True)
class UpResult(Result):
    """What ``inv up`` came to."""

    stack: StackStatus
    push: PushResult
    rls: RlsReport
    changed: bool
    seconds: float
