"""What the API functions give back: frozen, typed, and ready for ``--json``.

Every class has ``to_dict()``: plain JSON types, field names as keys. Fields with ``secret=True``
in their metadata hold keys or passwords: they are left out of ``repr()`` and of ``to_dict()``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide._lazy import lazily

if TYPE_CHECKING:
    from riptide.results._base import Result
    from riptide.results.audit import AuditFinding, AuditReport
    from riptide.results.check import CheckFinding, CheckReport, CheckStep, Level
    from riptide.results.diff import DiffResult
    from riptide.results.generated import GeneratedFile
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
    from riptide.results.rls import RlsAttempt, RlsCheck, RlsDraft, RlsRemains, RlsReport, Verdict
    from riptide.results.rollback import (
        RestoredTable,
        RestoreResult,
        RollbackResult,
        RowLoss,
        TakenBack,
    )
    from riptide.results.stack import Service, StackStatus
    from riptide.results.up import UpResult

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
    "GeneratedFile",
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
    "RlsRemains",
    "RlsReport",
    "RollbackResult",
    "RowLoss",
    "Service",
    "StackStatus",
    "TakenBack",
    "UpResult",
    "Verdict",
]

# Imported when they are asked for: to make all of these classes takes 40 ms, and a task
# needs one or two.
_HOMES = {
    "AuditFinding": "audit",
    "AuditReport": "audit",
    "Cause": "repair",
    "CheckFinding": "check",
    "CheckReport": "check",
    "CheckStep": "check",
    "Diagnosis": "repair",
    "DiffResult": "diff",
    "Fate": "mutation",
    "Finding": "lint",
    "GeneratedFile": "generated",
    "HistoryDiagnosis": "repair",
    "InitResult": "migrations",
    "Level": "check",
    "Migration": "migrations",
    "MigrationList": "migrations",
    "MigrationState": "migrations",
    "MutantResult": "mutation",
    "MutationReport": "mutation",
    "NewMigration": "migrations",
    "PlannedMigration": "migrations",
    "Problem": "migrations",
    "PushPlan": "migrations",
    "PushResult": "migrations",
    "RepairResult": "repair",
    "ResetResult": "migrations",
    "RestoreResult": "rollback",
    "RestoredTable": "rollback",
    "Result": "_base",
    "RlsAttempt": "rls",
    "RlsCheck": "rls",
    "RlsDraft": "rls",
    "RlsRemains": "rls",
    "RlsReport": "rls",
    "RollbackResult": "rollback",
    "RowLoss": "rollback",
    "Service": "stack",
    "StackStatus": "stack",
    "TakenBack": "rollback",
    "UpResult": "up",
    "Verdict": "rls",
}


__getattr__ = lazily(__name__, {name: f"{__name__}.{home}" for name, home in _HOMES.items()})
