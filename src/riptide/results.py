"""What the API functions give back: frozen, typed, and ready for ``--json``.

Every class has ``to_dict()``: plain JSON types, field names as keys. Fields with ``secret=True``
in their metadata hold keys or passwords: they are left out of ``repr()`` and of ``to_dict()``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sized

SECRET: dict[str, bool] = {"secret": True}


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _plain(value: object) -> Any:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value


@dataclass(frozen=True, kw_only=True)
class Result:
    """Base of all results."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as plain JSON types, secrets left out."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in dataclasses.fields(self)
            if not each.metadata.get("secret")
        }


# --- migrations ----------------------------------------------------------------------------------


class MigrationState(StrEnum):
    """Where a version stands."""

    APPLIED = "applied"
    PENDING = "pending"
    OUT_OF_ORDER = "out of order"
    """A file that is not applied and is older than one that is."""
    MISSING = "missing here"
    """Applied, but there is no file for it in this project."""


@dataclass(frozen=True, kw_only=True)
class Migration(Result):
    """One version: a file, a row of the history, or both.

    Attributes:
        version: The 14 digits ``YYYYMMDDHHMMSS`` (UTC) that order it.
        name: What follows the version in the file's name.
        state: Where it stands.
        path: The file, or ``None`` where there is none here.
        rollback_path: Its rollback twin, or ``None`` where none was written.
    """

    version: str
    name: str
    state: MigrationState
    path: Path | None = None
    rollback_path: Path | None = None

    @property
    def label(self) -> str:
        """``<version>_<name>``, as in the file's name."""
        return f"{self.version}_{self.name}" if self.name else self.version


@dataclass(frozen=True, kw_only=True)
class MigrationList(Result):
    """All versions that the files or the database's history know, oldest first."""

    target: str
    migrations: tuple[Migration, ...] = ()

    def in_state(self, *states: MigrationState) -> tuple[Migration, ...]:
        """Give those in one of ``states``, oldest first."""
        return tuple(each for each in self.migrations if each.state in states)

    @property
    def applied(self) -> tuple[Migration, ...]:
        """All that the database's history holds."""
        return self.in_state(MigrationState.APPLIED, MigrationState.MISSING)

    @property
    def needs_a_look(self) -> bool:
        """Whether a push would have something to apply or to refuse."""
        return len(self.in_state(MigrationState.APPLIED)) != len(self.migrations)

    @property
    def pending(self) -> tuple[Migration, ...]:
        """All that have a file and are not applied, in order or out of it."""
        return self.in_state(MigrationState.PENDING, MigrationState.OUT_OF_ORDER)


@dataclass(frozen=True, kw_only=True)
class NewMigration(Result):
    """The two files that `create_migration` wrote."""

    version: str
    name: str
    path: Path
    rollback_path: Path


@dataclass(frozen=True, kw_only=True)
class PushResult(Result):
    """What a push did.

    Attributes:
        target: The database's name for a person, no password in it.
        applied: Names of the files that were applied (with ``dry_run``: would be), in order.
        seeded: Seed files that were run.
        dry_run: Whether nothing was changed on purpose.
        seconds: Wall time of the whole push.
    """

    target: str
    applied: tuple[str, ...] = ()
    seeded: tuple[str, ...] = ()
    dry_run: bool = False
    seconds: float = 0.0

    @property
    def up_to_date(self) -> bool:
        """Whether there was nothing to apply."""
        return not self.applied


@dataclass(frozen=True, kw_only=True)
class RollbackResult(Result):
    """What a rollback took back (with ``dry_run``: would take back), newest first."""

    target: str
    rolled_back: tuple[str, ...] = ()
    dry_run: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ResetResult(Result):
    """What a reset replayed on the empty database."""

    target: str
    applied: tuple[str, ...] = ()
    seeded: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class InitResult(Result):
    """What `initialize_supabase` wrote; ``created`` is empty where all was there already."""

    root: Path
    created: tuple[Path, ...] = ()


# --- stack ---------------------------------------------------------------------------------------


class Service(StrEnum):
    """A part of the stack that can be up or down on its own."""

    DATABASE = "database"
    API = "api"


@dataclass(frozen=True, kw_only=True)
class StackStatus(Result):
    """The local stack, as it is now.

    Attributes:
        backend: ``embedded`` or ``docker``.
        reason: Why that backend, for a person.
        running: Whether every part of it answers.
        started: Whether this very call started it.
        api_url: ``http://127.0.0.1:<port>``: REST under ``/rest/v1``, Auth under ``/auth/v1``.
        db_url: The database, as role ``postgres``. The password is the well-known local one.
        services: Each part and whether it is up.
        pids: The processes, where they are this machine's (embedded).
        versions: Of what runs.
        data_dir: Where the data is kept, where it is a folder (embedded).
        note: Something that a person should know (such as the user that a root stack runs as).
        seconds: Wall time of the call that gave this.
        publishable_key: For a browser or a client; Row Level Security applies.
        secret_key: For a server; Row Level Security does not apply.
        anon_key: The legacy JWT form of the publishable key.
        service_role_key: The legacy JWT form of the secret key.
        jwt_secret: Signs the users' tokens (HS256).
    """

    backend: str
    reason: str = ""
    running: bool
    started: bool = False
    api_url: str = ""
    db_url: str = field(default="", repr=False)
    services: dict[str, bool] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    data_dir: Path | None = None
    note: str = ""
    seconds: float = 0.0
    publishable_key: str = field(default="", repr=False, metadata=SECRET)
    secret_key: str = field(default="", repr=False, metadata=SECRET)
    anon_key: str = field(default="", repr=False, metadata=SECRET)
    service_role_key: str = field(default="", repr=False, metadata=SECRET)
    jwt_secret: str = field(default="", repr=False, metadata=SECRET)

    def to_env(self) -> dict[str, str]:
        """Give the variables that ``supabase status -o env`` prints, named for an application.

        Secrets are in it: this is what ``inv stack.status --env`` is asked for.
        """
        return {
            "SUPABASE_URL": self.api_url,
            "SUPABASE_DB_URL": self.db_url,
            "SUPABASE_PUBLISHABLE_KEY": self.publishable_key,
            "SUPABASE_SECRET_KEY": self.secret_key,
            "SUPABASE_ANON_KEY": self.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": self.service_role_key,
            "SUPABASE_JWT_SECRET": self.jwt_secret,
        }


# --- Row Level Security --------------------------------------------------------------------------


class Verdict(StrEnum):
    """What a cell of the RLS matrix came to."""

    OK = "ok"
    LEAK = "leak"
    """Somebody could do what the intent denies."""
    LOCKOUT = "lockout"
    """Somebody could not do what the intent allows."""
    ERROR = "error"
    """It could not be tried."""
    UNDECLARED = "undeclared"
    """The table is exposed, and supabase/rls.toml does not say who may do what."""


@dataclass(frozen=True, kw_only=True)
class RlsCheck(Result):
    """One probe: an actor tried an operation on somebody's row.

    Attributes:
        table: ``schema.table``.
        operation: ``select``, ``insert``, ``update`` or ``delete``.
        actor: ``owner``, ``other`` (another signed-in user), ``anon`` or ``service_role``.
        expected: ``allow`` or ``deny``.
        verdict: What it came to.
        tried: What was sent, for a person.
        seen: What came back and what the service role saw afterwards.
    """

    table: str
    operation: str
    actor: str
    expected: str
    verdict: Verdict
    tried: str = ""
    seen: str = ""


@dataclass(frozen=True, kw_only=True)
class RlsReport(Result):
    """The whole verification."""

    target: str
    checks: tuple[RlsCheck, ...] = ()
    seconds: float = 0.0

    @property
    def failures(self) -> tuple[RlsCheck, ...]:
        """All checks whose verdict is not ok."""
        return tuple(each for each in self.checks if each.verdict is not Verdict.OK)

    @property
    def ok(self) -> bool:
        """Whether there were checks and all of them passed."""
        return bool(self.checks) and not self.failures

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that were looked at, in order."""
        return tuple(dict.fromkeys(each.table for each in self.checks))

    @property
    def summary(self) -> str:
        """One line for a person."""
        if not self.checks:
            return "no table of an exposed schema to verify"
        if self.ok:
            return f"{_count(self.checks, 'check')} on {_count(self.tables, 'table')} passed"
        counts = [
            f"{sum(each.verdict is verdict for each in self.failures)} {verdict.value}"
            for verdict in Verdict
            if any(each.verdict is verdict for each in self.failures)
        ]
        return f"{', '.join(counts)} in {_count(self.checks, 'check')}"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and ``ok``, ``summary``."""
        return {**super().to_dict(), "ok": self.ok, "summary": self.summary}


@dataclass(frozen=True, kw_only=True)
class UpResult(Result):
    """What ``inv up`` came to."""

    stack: StackStatus
    push: PushResult
    rls: RlsReport
    changed: bool
    seconds: float
