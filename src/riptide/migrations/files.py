"""The migration files of a project: finding them and reading them."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import MigrationError

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.settings import Settings

# The CLI takes every file of this form and passes over all others without a word.
_FILE_NAME = re.compile(r"^(\d+)_(.*)\.sql$")


@dataclass(frozen=True)
class MigrationFile:
    """One file of ``supabase/migrations``.

    Attributes:
        version: The digits before the first underscore.
        name: What stands between that and ``.sql``.
        path: The file.
        rollback_path: Its twin in ``supabase/rollbacks``, or ``None`` where there is none.
    """

    version: str
    name: str
    path: Path
    rollback_path: Path | None


def scan(settings: Settings) -> list[MigrationFile]:
    """Give the project's migrations, oldest first.

    Raises:
        MigrationError: Two files have one version, or the CLI would pass a file over.
    """
    folder = settings.migrations_dir
    if not folder.is_dir():
        if folder.exists():
            raise MigrationError(
                f"{settings.relative(folder)} is not a folder",
                file=folder,
                state="nothing was changed",
                next_step=f"move it away, then mkdir {settings.relative(folder)}",
            )
        return []
    rollbacks = settings.rollbacks_dir
    twins = {each.name for each in rollbacks.iterdir()} if rollbacks.is_dir() else set()
    found: dict[str, MigrationFile] = {}
    with os.scandir(folder) as entries:
        listed = sorted(
            (each for each in entries if each.name.lower().endswith(".sql")),
            key=lambda each: each.name,
        )
    for entry in listed:
        path = folder / entry.name
        match = _FILE_NAME.match(entry.name)
        if match is None or not match[2]:
            raise MigrationError(
                f"{settings.relative(path)} has no name of the form "
                "<YYYYMMDDHHMMSS>_<name>.sql: the Supabase CLI would pass it over",
                file=path,
                state="nothing was changed",
                next_step=f"rename it, or move it out of {settings.relative(folder)}",
            )
        version = match[1]
        if version in found:
            raise MigrationError(
                f"two migrations have the version {version}: "
                f"{found[version].path.name} and {path.name}",
                file=path,
                state="nothing was changed",
                next_step="give the newer one a later version (and its rollback twin too)",
            )
        if not _is_file(entry):  # reading a pipe would wait for ever
            raise MigrationError(
                f"{settings.relative(path)} is not a file that can be read",
                file=path,
                state="nothing was changed",
                next_step=f"move it out of {settings.relative(folder)}",
            )
        twin = rollbacks / entry.name if entry.name in twins else None
        found[version] = MigrationFile(version, match[2], path, twin)
    return sorted(found.values(), key=lambda each: each.version)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False


def read_sql(path: Path, settings: Settings) -> str:
    """Read a migration or a rollback; a byte order mark is left out, as the CLI leaves it out.

    Raises:
        MigrationError: It cannot be read, is not UTF-8 (which the CLI would silently apply with
            its characters replaced), or holds a NUL, which PostgreSQL cannot store.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
            raise MigrationError(
                f"{settings.relative(path)} is not a file that can be read",
                file=path,
                state="nothing was changed",
                next_step="move it away",
            )
        data = path.read_bytes()
    except OSError as error:
        raise MigrationError(
            f"{settings.relative(path)} cannot be read: {error.strerror}",
            file=path,
            state="nothing was changed",
        ) from error
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        shown = settings.relative(path)
        line = data.count(b"\n", 0, error.start) + 1
        raise MigrationError(
            f"{shown}:{line}: not UTF-8 (byte 0x{data[error.start]:02x} at offset {error.start})",
            file=path,
            line=line,
            state="nothing was changed",
            next_step=f"save {shown} as UTF-8",
        ) from None
    if "\0" in text:
        shown = settings.relative(path)
        line = text.count("\n", 0, text.index("\0")) + 1
        raise MigrationError(
            f"{shown}:{line}: a NUL character, which PostgreSQL cannot take",
            file=path,
            line=line,
            state="nothing was changed",
            next_step=f"remove it (is {shown} UTF-16?)",
        )
    return text
