"""RipTide for Python: Supabase migrations, a local stack in seconds, and Row Level Security proofs.

Every function takes keyword arguments only (``settings`` defaults to the project of the current
folder) and gives a frozen result or raises a `RiptideError`::

    from riptide import apply_migrations, open_stack, verify_rls

    stack = open_stack().start()
    print(apply_migrations().applied)
    assert verify_rls().ok
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide._lazy import lazily

if TYPE_CHECKING:
    from riptide.accounts.aio import AsyncAccounts
    from riptide.accounts.client import Accounts
    from riptide.errors import (
        AccountError,
        CommandError,
        ConfigError,
        DatabaseError,
        DataLossError,
        DriftError,
        Interrupted,
        LockTimeoutError,
        MigrationError,
        RiptideError,
        RlsError,
        RlsViolationError,
        StackError,
        ToolNotFoundError,
    )
    from riptide.migrations.check import check_migrations
    from riptide.migrations.diagnose import diagnose_history
    from riptide.migrations.diff import diff_migration
    from riptide.migrations.history import list_migrations
    from riptide.migrations.init import initialize_supabase
    from riptide.migrations.new_files import create_migration
    from riptide.migrations.plan import plan_push
    from riptide.migrations.push import apply_migrations
    from riptide.migrations.repair import repair_history
    from riptide.migrations.reset import reset_database
    from riptide.migrations.restore import restore_rows
    from riptide.migrations.rollback import rollback_migrations
    from riptide.rls import clean_rls, mutate_rls, verify_rls
    from riptide.rls.audit import audit_rls
    from riptide.rls.draft import draft_rls
    from riptide.schema.docs import generate_docs
    from riptide.schema.types import generate_types
    from riptide.settings import Settings
    from riptide.stack import open_stack

__version__ = "0.1.0"

__all__ = [
    "AccountError",
    "Accounts",
    "AsyncAccounts",
    "CommandError",
    "ConfigError",
    "DataLossError",
    "DatabaseError",
    "DriftError",
    "Interrupted",
    "LockTimeoutError",
    "MigrationError",
    "RiptideError",
    "RlsError",
    "RlsViolationError",
    "Settings",
    "StackError",
    "ToolNotFoundError",
    "__version__",
    "apply_migrations",
    "audit_rls",
    "check_migrations",
    "clean_rls",
    "create_migration",
    "diagnose_history",
    "diff_migration",
    "draft_rls",
    "generate_docs",
    "generate_types",
    "initialize_supabase",
    "list_migrations",
    "mutate_rls",
    "open_stack",
    "plan_push",
    "repair_history",
    "reset_database",
    "restore_rows",
    "rollback_migrations",
    "verify_rls",
]

# Where each public name lives. They are imported when they are asked for: `inv --list`
# and `import riptide` must not wait for what they do not use.
_HOMES = {
    "AccountError": "riptide.errors",
    "Accounts": "riptide.accounts.client",
    "AsyncAccounts": "riptide.accounts.aio",
    "CommandError": "riptide.errors",
    "ConfigError": "riptide.errors",
    "DataLossError": "riptide.errors",
    "DatabaseError": "riptide.errors",
    "DriftError": "riptide.errors",
    "Interrupted": "riptide.errors",
    "LockTimeoutError": "riptide.errors",
    "MigrationError": "riptide.errors",
    "RiptideError": "riptide.errors",
    "RlsError": "riptide.errors",
    "RlsViolationError": "riptide.errors",
    "Settings": "riptide.settings",
    "StackError": "riptide.errors",
    "ToolNotFoundError": "riptide.errors",
    "apply_migrations": "riptide.migrations.push",
    "audit_rls": "riptide.rls.audit",
    "check_migrations": "riptide.migrations.check",
    "clean_rls": "riptide.rls",
    "create_migration": "riptide.migrations.new_files",
    "diagnose_history": "riptide.migrations.diagnose",
    "diff_migration": "riptide.migrations.diff",
    "draft_rls": "riptide.rls.draft",
    "generate_docs": "riptide.schema.docs",
    "generate_types": "riptide.schema.types",
    "initialize_supabase": "riptide.migrations.init",
    "list_migrations": "riptide.migrations.history",
    "mutate_rls": "riptide.rls",
    "open_stack": "riptide.stack",
    "plan_push": "riptide.migrations.plan",
    "repair_history": "riptide.migrations.repair",
    "reset_database": "riptide.migrations.reset",
    "restore_rows": "riptide.migrations.restore",
    "rollback_migrations": "riptide.migrations.rollback",
    "verify_rls": "riptide.rls",
}


__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
