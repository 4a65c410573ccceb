"""What a push would stumble over, each with the command or the edit that resolves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.errors import MigrationError
from riptide.migrations.plan import text_of
from riptide.results import Migration, MigrationList, MigrationState, Problem

if TYPE_CHECKING:
    from riptide.settings import Settings

_TOLD = {
    MigrationState.PENDING: ("pending", "inv migrate.push"),
    MigrationState.OUT_OF_ORDER: (
        "older than the newest applied one",
        "give it a later version, or inv migrate.push --include-all",
    ),
    MigrationState.MISSING: (
        "applied, and there is no file for it here",
        "git pull, if somebody else has it; else inv migrate.repair",
    ),
    MigrationState.DRIFTED: (
        "edited since it was applied (inv migrate.status --diff)",
        "undo the edit, and put the change into a new migration: inv migrate.new <name>",
    ),
}


def problems(found: MigrationList, settings: Settings) -> list[Problem]:
    """Give what a push would stumble over, and what is pending, oldest first.

    Args:
        found: What `list_migrations` gave.
        settings: The project's.
    """
    return [_problem(each, settings) for each in found.migrations if each.state in _TOLD]


def _problem(migration: Migration, settings: Settings) -> Problem:
    what, next_step = _TOLD[migration.state]
    late = migration.state in (MigrationState.PENDING, MigrationState.OUT_OF_ORDER)
    if late and migration.path is not None:
        try:
            text_of(migration.path, settings)
        except MigrationError as error:
            what, next_step = error.message, error.next_step or "mend the file"
    return Problem(label=migration.label, what=what, next_step=next_step)
