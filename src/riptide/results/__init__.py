"""What the API functions give back: frozen, typed, and ready for ``--json``.

Every class has ``to_dict()``: plain JSON types, field names as keys. Fields with ``secret=True``
in their metadata hold keys or passwords: they are left out of ``repr()`` and of ``to_dict()``.
"""

from __future__ import annotations

from dataclasses import dataclass

from riptide.results._base import Result
from riptide.results.audit import AuditFinding, AuditReport
from riptide.results.check import CheckFinding, CheckReport, CheckStep, Level
from riptide.results.diff import DiffResult
from riptide.results.lint import Finding
from riptide.results.migrations import (
    InitResult,
    Migration,
    MigrationList,
    MigrationState,
    NewMigration,
    PlannedMigration,
    Problem,
    PushPlan,
    PushResult,
    ResetResult,
)
from riptide.results.mutation import Fate, MutantResult, MutationReport
from riptide.results.repair import Cause, Diagnosis, HistoryDiagnosis, RepairResult
from riptide.results.rls import RlsAttempt, RlsCheck, RlsDraft, RlsReport, Verdict
from riptide.results.rollback import (
    RestoredTable,
    RestoreResult,
    RollbackResult,
    RowLoss,
    TakenBack,
)
from riptide.results.stack import Service, StackStatus

__all__ = [
    "AuditFinding",
    "AuditReport",
    "Cause",
    "CheckFinding",
    "CheckReport",
    "CheckStep",
    "Diagnosis",
    "DiffResult",
    "Fate",
    "Finding",
    "HistoryDiagnosis",
    "InitResult",
    "Level",
    "Migration",
    "MigrationList",
    "MigrationState",
    "MutantResult",
    "MutationReport",
    "NewMigration",
    "PlannedMigration",
    "Problem",
    "PushPlan",
    "PushResult",
    "RepairResult",
    "ResetResult",
    "RestoreResult",
    "RestoredTable",
    "Result",
    "RlsAttempt",
    "RlsCheck",
    "RlsDraft",
    "RlsReport",
    "RollbackResult",
    "RowLoss",
    "Service",
    "StackStatus",
    "TakenBack",
    "UpResult",
    "Verdict",
]


@dataclass(frozen=True, kw_only=True)
class UpResult(Result):
    """What ``inv up`` came to."""

    stack: StackStatus
    push: PushResult
    rls: RlsReport
    changed: bool
    seconds: float
