"""The manifest of saved rows, read and checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riptide._quote import quoted
from riptide.errors import ConfigError
from riptide.migrations.saved_rows import FORMAT, MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.settings import Settings


@dataclass(frozen=True)
class SavedTable:
    """One file of saved rows, and where they belong."""

    version: str
    kind: str
    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]  # name, type
    lost: tuple[str, ...]
    left: tuple[str, ...]  # columns of the file with what took the place of each of ``lost``
    key: tuple[str, ...]
    rows: int
    path: Path
    sha256: str
    saved_as: str  # as ``shown``, when the rows were saved
    header: tuple[str, ...]  # the names of ``columns`` in the file

    @property
    def full_name(self) -> str:
        """Its name in SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def shown(self) -> str:
        """Its name for a person."""
        return f"{self.schema}.{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns' names."""
        return tuple(name for name, _ in self.columns)

    @property
    def kept(self) -> tuple[str, ...]:
        """Of ``columns``, those that tell the rows apart."""
        return tuple(name for name in self.names if name not in self.lost)


@dataclass(frozen=True)
class SavedSequence:
    """A sequence's value when the rows were saved."""

    name: str
    version: str
    owner: tuple[str, str, str] | None  # schema, table, column
    alone: bool  # of no column: it has to be there
    last_value: int
    is_called: bool


@dataclass(frozen=True)
class Manifest:
    """What a folder of saved rows holds."""

    folder: Path
    target: str
    identity: dict[str, str]
    tables: tuple[SavedTable, ...]
    sequences: tuple[SavedSequence, ...]


def read_manifest(folder: Path, settings: Settings) -> Manifest:
    """Read what a folder holds.

    Raises:
        ConfigError: There is no manifest, or it is not of this format.
    """
    path = folder / MANIFEST
    shown = settings.relative(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{settings.relative(folder)} holds no saved rows: {MANIFEST} is not there",
            state="nothing was changed",
            next_step="give the folder that the rollback named",
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(shown, str(error)) from None
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise _unreadable(shown, "It says no format: it is not as a rollback wrote it.")
    known = content["format"]
    if known != FORMAT:
        raise ConfigError(
            f"{shown} has the format {known!r}; this version of riptide reads {FORMAT}",
            state="nothing was changed",
            next_step="use the version of riptide that wrote it",
        )
    try:
        return Manifest(
            folder=folder,
            target=str(content["target"]),
            identity={str(key): str(value) for key, value in content["identity"].items()},
            tables=tuple(_table(folder, each) for each in content["tables"]),
            sequences=tuple(_sequence(each) for each in content["sequences"]),
        )
    except KeyError as error:
        raise _unreadable(shown, f"It lacks {error.args[0]!r}.") from None
    except ValueError as error:
        raise _unreadable(shown, str(error)) from None
    except (TypeError, AttributeError, LookupError):
        raise _unreadable(shown, "It is not as a rollback wrote it.") from None


def _table(folder: Path, each: dict[str, Any]) -> SavedTable:
    name, kind = str(each["file"]), str(each["kind"])
    if "/" in name or "\\" in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no file of this folder")
    if kind not in ("table", "columns", "rows"):
        raise ValueError(f"{kind!r} is not a kind of saved rows")
    schema, table = str(each["schema"]), str(each["name"])
    columns = tuple((str(one["name"]), str(one["type"])) for one in each["columns"])
    return SavedTable(
        version=str(each["version"]),
        kind=kind,
        schema=schema,
        name=table,
        columns=columns,
        lost=tuple(map(str, each["lost"])),
        left=tuple(map(str, each.get("left", ()))),
        key=tuple(map(str, each["key"])),
        rows=int(each["rows"]),
        path=folder / name,
        sha256=str(each["sha256"]),
        saved_as=f"{schema}.{table}",
        header=tuple(column for column, _ in columns),
    )


def _sequence(each: dict[str, Any]) -> SavedSequence:
    owner = each["owner"]
    return SavedSequence(
        name=str(each["name"]),
        version=str(each["version"]),
        alone=bool(each.get("alone", False)),
        owner=(str(owner[0]), str(owner[1]), str(owner[2])) if owner else None,
        last_value=int(each["last_value"]),
        is_called=bool(each["is_called"]),
    )


def verify_files(manifest: Manifest, settings: Settings) -> None:
    """Refuse a folder in which a file is missing or not as it was written.

    Raises:
        ConfigError: It is so.
    """
    for each in manifest.tables:
        shown = settings.relative(each.path)
        try:
            with each.path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ConfigError(
                f"{shown} cannot be read: {error.strerror}",
                detail=f"  It has {each.rows:,} rows of {each.shown}.",
                state="nothing was changed",
                next_step="put the file back where it was",
            ) from None
        if found != each.sha256:
            raise ConfigError(
                f"{shown} was altered since it was written",
                detail="  Its SHA-256 is not the one in the manifest.",
                state="nothing was changed",
                next_step="get the file back as it was",
            )


def _unreadable(shown: str, words: str) -> ConfigError:
    return ConfigError(
        f"{shown} cannot be read",
        detail=f"  {words}",
        state="nothing was changed",
        next_step="get the file back as it was",
    )
