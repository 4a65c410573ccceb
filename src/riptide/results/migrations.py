"""What the functions about migrations give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from riptide.results._base import Result

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.results.lint import Finding


class MigrationState(StrEnum):
    """Where a version stands."""

    APPLIED = "applied"
    PENDING = "pending"
    OUT_OF_ORDER = "out_of_order"
    """A file that is not applied and is older than one that is."""
    MISSING = "missing"
    """Applied, but there is no file for it in this project."""
    DRIFTED = "drifted"
    """Applied, and the file was edited since: the next database will be another."""

    @property
    def words(self) -> str:
        """The state for a person."""
        return "missing here" if self is MigrationState.MISSING else self.value.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Migration(Result):
    """One version: a file, a row of the history, or both.

    Attributes:
        version: The 14 digits ``YYYYMMDDHHMMSS`` (UTC) that order it.
        name: What follows the version in the file's name.
        state: Where it stands.
        path: The file, or ``None`` where there is none here.
        rollback_path: Its rollback twin, or ``None`` where none was written.
        note: Something that a person may want to know (edited in comments only; recorded under
            another name), or ``""``.
        diff: A unified diff from what was applied to the file, where they are not the same.
    """

    version: str
    name: str
    state: MigrationState
    path: Path | None = None
    rollback_path: Path | None = None
    note: str = ""
    diff: str = field(default="", repr=False)

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
        return self.in_state(MigrationState.APPLIED, MigrationState.DRIFTED, MigrationState.MISSING)

    @property
    def needs_a_look(self) -> bool:
        """Whether a push would have something to apply or to refuse."""
        return len(self.in_state(MigrationState.APPLIED)) != len(self.migrations)

    @property
    def pending(self) -> tuple[Migration, ...]:
        """All that have a file and are not applied, in order or out of it."""
        return self.in_state(MigrationState.PENDING, MigrationState.OUT_OF_ORDER)


@dataclass(frozen=True, kw_only=True)
class Problem(Result):
    """Something that a push would stumble over.

    Attributes:
        label: The migration's ``<version>_<name>``.
        what: What is the matter, in a few words.
        next_step: The command or the edit that resolves it.
    """

    label: str
    what: str
    next_step: str


@dataclass(frozen=True, kw_only=True)
class NewMigration(Result):
    """The two files that `create_migration` wrote."""

    version: str
    name: str
    path: Path
    rollback_path: Path


@dataclass(frozen=True, kw_only=True)
class PlannedMigration(Result):
    """A file that a push would apply.

    Attributes:
        file: Its name.
        statements: How many it has.
        findings: What a person should know before: lint, what destroys data, what locks.
        sha256: Of its content, in hexadecimal: what is pushed has to be what was planned.
    """

    file: str
    statements: int
    sha256: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PushPlan(Result):
    """What a push would do.

    Attributes:
        target: The database's name for a person, no password in it.
        identity: What its project is known by: ``project_id``, or a hosted project's reference.
        applied: How many migrations its history holds.
        files: What would be applied, in order.
    """

    target: str
    identity: str = ""
    applied: int = 0
    files: tuple[PlannedMigration, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PushResult(Result):
    """What a push did.

    Attributes:
        target: The database's name for a person, no password in it.
        applied: Names of the files that were applied (with ``dry_run``: would be), in order.
        timings: Seconds that each of them took, by its name.
        seeded: Seed files that were run.
        not_seeded: Those that were not, as the CLI runs a file once, and they were edited since.
        edited: Files that were edited when the CLI had read them: applied as they were planned.
        rehearsed: Seconds that the rehearsal took, or ``None`` where there was none.
        dry_run: Whether nothing was changed on purpose.
        seconds: Wall time of the whole push.
    """

    target: str
    applied: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    seeded: tuple[str, ...] = ()
    not_seeded: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    rehearsed: float | None = None
    dry_run: bool = False
    seconds: float = 0.0

    @property
    def up_to_date(self) -> bool:
        """Whether there was nothing to apply."""
        return not self.applied


@dataclass(frozen=True, kw_only=True)
class ResetResult(Result):
    """What a reset replayed on the empty database; ``edited`` as `PushResult` has it."""

    target: str
    applied: tuple[str, ...] = ()
    seeded: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class InitResult(Result):
    """What `initialize_supabase` wrote; ``created`` is empty where all was there already."""

    root: Path
    created: tuple[Path, ...] = ()
