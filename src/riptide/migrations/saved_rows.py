"""The folder that rows are saved in before a rollback takes them away.

``supabase/.temp/rollback/<utc>/`` has one CSV file for each table, as COPY writes it with every
value quoted, so that null and the empty text differ, and ``manifest.json``. All of it is on the
disk before the transaction that takes the rows away may commit.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from riptide.errors import RiptideError
from riptide.migrations.saved_files import copy_out, folder_to_disk, plain, private, to_disk

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import psycopg

    from riptide.migrations.inventory import Column, Relation
    from riptide.migrations.sequences import Position
    from riptide.settings import Settings

FORMAT = 1
MANIFEST = "manifest.json"

_SEQUENCES = """
select c.oid::bigint, format('%%I.%%I', n.nspname, c.relname), a.attname
from pg_depend as d
join pg_class as c on c.oid = d.objid and c.relkind = 'S'
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
  and d.refobjid = %s and d.deptype in ('a', 'i')
"""


def rollback_dir(settings: Settings) -> Path:
    """Give the folder that has one folder for each rollback that took rows away."""
    return settings.supabase_dir / ".temp" / "rollback"


def identity(connection: psycopg.Connection, settings: Settings) -> dict[str, str]:
    """Give what a database is known by.

    The system identifier is made by initdb; all embedded stacks are copies of one, so of a local
    one the project counts, too. A role that may not ask for it gets the rest.
    """
    import psycopg

    found = {"database": connection.info.dbname}
    with suppress(psycopg.Error), connection.transaction():
        row = connection.execute("select system_identifier::text from pg_control_system()")
        found["system"] = str((row.fetchone() or ("",))[0])
    if settings.target.is_local:
        found["project"] = settings.config.project_id
    return found


class SavedRows:
    """Saves rows, streamed, into a folder that is made when the first come.

    Attributes:
        folder: The folder; ``None`` while nothing was saved.
        positions: Where each sequence was before the twin ran, by its number.
    """

    def __init__(self, settings: Settings, identity: dict[str, str]) -> None:
        self.folder: Path | None = None
        self.positions: dict[int, Position] = {}
        self._settings = settings
        self._identity = identity
        self._tables: list[dict[str, Any]] = []
        self._sequences: list[dict[str, Any]] = []
        self._versions: list[str] = []
        self._number = 0

    def save(
        self,
        connection: psycopg.Connection,
        version: str,
        kind: str,
        relation: Relation,
        columns: Iterable[Column],
        key: list[str],
        query: str,
        *,
        lost: Iterable[Column] = (),
        left: Iterable[str] = (),
    ) -> int:
        """Save what a query gives, and where it belongs.

        Args:
            connection: In the transaction that will take the rows away.
            version: The migration's.
            kind: ``table``, ``columns`` or ``rows``.
            relation: The table.
            columns: The columns that the query gives, in order.
            key: The primary key's columns.
            query: A query in the session's present search path.
            lost: For ``columns``: those of them whose values go.
            left: Names of further columns of the query, as text. For ``columns``: what is there in
                place of each of ``lost`` afterwards; none where the columns themselves go. For
                ``rows`` without a key: how many of the same have stayed, what is there in place of
                this one, and how many of the same as that were there before.

        Returns:
            How many rows.

        Raises:
            RiptideError: They cannot be written.
        """
        columns = tuple(columns)
        try:
            folder = self._open()
            self._number += 1
            name = f"{self._number:03}_{plain(relation.full_name)}.{kind}.csv"
            rows, digest = copy_out(connection, query, folder / name)
        except OSError as error:
            raise self._unwritable(error) from error
        self._tables.append(
            {
                "version": version,
                "kind": kind,
                "schema": relation.schema,
                "name": relation.name,
                "columns": [{"name": each.name, "type": each.type} for each in columns],
                "lost": [each.name for each in lost],
                "left": list(left),
                "key": key,
                "rows": rows,
                "file": name,
                "sha256": digest,
            }
        )
        if version not in self._versions:
            self._versions.append(version)
        for oid, name, column in connection.execute(_SEQUENCES, [relation.oid]).fetchall():
            self.save_sequence(version, oid, name, (relation.schema, relation.name, column))
        return rows

    def save_sequence(
        self,
        version: str,
        oid: int,
        full_name: str,
        owner: tuple[str, str, str] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        """Note where a sequence was; one that the twin itself has made was nowhere.

        Args:
            version: The migration's.
            oid: The sequence's number.
            full_name: Its name.
            owner: Schema, table and column that it belongs to.
            alone: Whether its value is a loss of its own, and it has to be there.

        Raises:
            RiptideError: There is no folder for it, and none can be made.
        """
        was = self.positions.get(oid)
        if was is None or any(each["name"] == full_name for each in self._sequences):
            return
        try:
            self._open()
        except OSError as error:
            raise self._unwritable(error) from error
        if version not in self._versions:
            self._versions.append(version)
        self._sequences.append(
            {
                "version": version,
                "name": full_name,
                "owner": owner and list(owner),
                "alone": alone,
                "last_value": was.last,
                "is_called": was.called,
            }
        )

    def seal(self) -> None:
        """Have the manifest on the disk; nothing is done where nothing was saved.

        Raises:
            RiptideError: It cannot be written.
        """
        if self.folder is None:
            return
        content = {
            "format": FORMAT,
            "target": self._settings.target.name,
            "identity": self._identity,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": self._versions,
            "tables": self._tables,
            "sequences": self._sequences,
        }
        path = self.folder / MANIFEST
        beside = path.with_suffix(".new")
        try:
            with private(beside) as stream:
                stream.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
                to_disk(stream)
            beside.replace(path)
            for each in (self.folder, self.folder.parent):
                folder_to_disk(each)
        except OSError as error:
            raise self._unwritable(error) from error

    def forget(self, version: str) -> None:
        """Delete what was saved of a migration that was not taken back after all."""
        if self.folder is None:
            return
        for each in [each for each in self._tables if each["version"] == version]:
            (self.folder / each["file"]).unlink(missing_ok=True)
            self._tables.remove(each)
        self._sequences = [each for each in self._sequences if each["version"] != version]
        self._versions = [each for each in self._versions if each != version]
        if self._tables or self._sequences:
            self.seal()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _open(self) -> Path:
        if self.folder is not None:
            return self.folder
        base = rollback_dir(self._settings)
        base.parent.mkdir(exist_ok=True)
        base.mkdir(mode=0o700, exist_ok=True)
        ignore = base / ".gitignore"
        if not ignore.is_file():  # these are people's rows: never in a commit
            ignore.write_text("*\n", encoding="utf-8")
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        for number in range(1, 1000):
            folder = base / (stamp if number == 1 else f"{stamp}-{number}")
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                self.folder = folder
                return folder
        raise FileExistsError(17, "there are a thousand folders of this second", str(base))

    def _unwritable(self, error: OSError) -> RiptideError:
        where = self._settings.relative(self.folder or rollback_dir(self._settings))
        return RiptideError(
            f"the rows cannot be saved in {where}: {error.strerror}",
            state="nothing was changed",
            next_step="make room there, then the same command again",
        )
