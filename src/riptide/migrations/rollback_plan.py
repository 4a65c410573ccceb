"""Which migrations a rollback is about."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from riptide.errors import ConfigError
from riptide.results import Migration, MigrationState

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from riptide.settings import Settings

WHOLE = "0"
"""What stands for "before the first migration", as in Rails' ``db:migrate VERSION=0``."""

_DAY = 86400  # seconds

_STORED = """
select version::text, array(select jsonb_array_elements_text(
  case jsonb_typeof(to_jsonb(h) -> 'statements') when 'array' then to_jsonb(h) -> 'statements' end))
from supabase_migrations.schema_migrations as h where version::text = any(%s)
"""


def check_arguments(
    settings: Settings, *, steps: int, to: str | None, lock_wait: float, lock_timeout: float
) -> None:
    """Refuse what no database has to be asked about.

    Raises:
        ConfigError: It cannot be.
    """
    problem = next_step = None
    if to is not None and steps != 1:
        problem = "--steps and --to cannot both be given: each says how far to go"
    elif steps < 1:
        problem = f"{steps} steps cannot be taken back: it takes 1 or more"
    elif to is not None and not _version(to).isdigit():
        problem = f"--to takes a version, or {WHOLE} for all, not {to!r}"
        next_step = "inv migrate.status lists them"
    if problem:
        raise ConfigError(problem, state="nothing was changed", next_step=next_step)
    check_waits(settings, lock_wait=lock_wait, lock_timeout=lock_timeout)


def check_waits(settings: Settings, *, lock_wait: float, lock_timeout: float) -> None:
    """Refuse seconds that are none, and a target of which only the CLI has the password.

    Raises:
        ConfigError: It is so.
    """
    problem = next_step = None
    if not (math.isfinite(lock_wait) and 0 <= lock_wait <= _DAY):
        problem = f"--lock-wait takes seconds from 0 to {_DAY}, not {lock_wait:g}"
    elif not (math.isfinite(lock_timeout) and 0 < lock_timeout <= _DAY):
        problem = f"--lock-timeout takes seconds above 0 and up to {_DAY}, not {lock_timeout:g}"
    elif not settings.target.url:
        problem = "this speaks to the database itself, and needs its URL"
        next_step = "set SUPABASE_DB_URL, then --target remote"
    if problem:
        raise ConfigError(problem, state="nothing was changed", next_step=next_step)


def choose(migrations: Sequence[Migration], steps: int, to: str | None) -> list[Migration]:
    """Give the migrations to take back, newest first.

    With ``to``, none where that version is the newest applied one already: the same command again
    ends well.

    Raises:
        ConfigError: There are not so many, or ``to`` is not applied.
    """
    applied = [
        each
        for each in reversed(migrations)
        if each.state not in (MigrationState.PENDING, MigrationState.OUT_OF_ORDER)
    ]
    if to is not None:
        version = _version(to)
        if not version.strip("0"):
            return applied
        if all(each.version != version for each in applied):
            newest = applied[0].version if applied else WHOLE
            raise ConfigError(
                f"version {version} is not applied, so nothing can be taken back to it",
                state="nothing was changed",
                next_step=f"inv migrate.status lists what is applied (newest: {newest})",
            )
        return [each for each in applied if each.version > version]
    if not applied:
        raise ConfigError(
            "there is nothing to take back: no migration is applied",
            state="nothing was changed",
            next_step="inv migrate.status",
        )
    if steps > len(applied):
        raise ConfigError(
            f"{steps} steps cannot be taken back: {len(applied)} applied",
            state="nothing was changed",
            next_step=f"inv migrate.rollback --steps {len(applied)}",
        )
    return applied[:steps]


def _version(given: str) -> str:
    """Give the version out of a version, a label or a file's name."""
    return given.strip().partition("_")[0]


def stored(connection: psycopg.Connection, versions: list[str]) -> dict[str, list[str]]:
    """Give the statements that the history keeps of migrations; none of an older history."""
    if not versions:
        return {}
    return dict(connection.execute(_STORED, [versions]).fetchall())


def command(*, steps: int, to: str | None, settings: Settings) -> str:
    """Give the command that does this."""
    words = ["inv migrate.rollback"]
    if to is not None:
        words.append(f"--to {_version(to)}")
    elif steps != 1:
        words.append(f"--steps {steps}")
    return " ".join(words) + settings.target.flag
