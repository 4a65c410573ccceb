"""What can be said of migration files by looking at them, without a database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from riptide.errors import MigrationError
from riptide.migrations.files import MigrationFile, read_sql
from riptide.migrations.new_files import is_template
from riptide.migrations.sql import line_of, not_one_transaction, split
from riptide.results.check import CheckFinding, Level

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.settings import Settings

_FILE_NAME = re.compile(r"(\d+)_(.+)\.sql")


@dataclass(frozen=True)
class Read:
    """The files of a project, as far as they can be used.

    Attributes:
        files: Those that the CLI would take, oldest first.
        texts: Their contents by version.
        twins: The contents of their rollback twins by version.
        findings: What is wrong with any.
        usable: Whether a database can be given them at all: no two share a version, each is text.
    """

    files: tuple[MigrationFile, ...]
    texts: dict[str, str]
    twins: dict[str, str]
    findings: tuple[CheckFinding, ...]
    usable: bool


def read_files(settings: Settings, now: datetime | None = None) -> Read:
    """Read all migrations and twins, and collect what is wrong instead of stopping at it."""
    findings: list[CheckFinding] = []
    files: dict[str, MigrationFile] = {}
    texts: dict[str, str] = {}
    twins: dict[str, str] = {}
    usable = True

    def add(
        level: Level, message: str, path: Path, next_step: str, line: int | None = None
    ) -> None:
        findings.append(
            CheckFinding(
                check="files",
                level=level,
                message=message,
                file=path,
                line=line,
                next_step=next_step,
            )
        )

    def read(path: Path) -> str | None:
        try:
            return read_sql(path, settings)
        except MigrationError as error:
            words = error.message.partition(": ")[2] or error.message
            add(Level.ERROR, words, path, error.next_step or f"mend {path.name}", error.line)
            return None

    rollbacks = {each.name: each for each in _sql_files(settings.rollbacks_dir)}
    for path in _sql_files(settings.migrations_dir):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            add(
                Level.ERROR,
                "the Supabase CLI passes it over: no name of the form <YYYYMMDDHHMMSS>_<name>.sql",
                path,
                f"rename it, or move it out of {settings.relative(settings.migrations_dir)}",
            )
            continue
        version = match[1]
        if version in files:
            other = files[version].path.name
            add(Level.ERROR, f"has the version of {other}", path, "give the newer one a later one")
            usable = False
            continue
        for words in _doubts(version, now or datetime.now(UTC)):
            add(Level.WARNING, words, path, "give it the time it was written, in UTC, and its twin")
        twin = rollbacks.get(path.name)
        files[version] = MigrationFile(version, match[2], path, twin)
        text = read(path)
        if text is None:
            usable = False
            continue
        texts[version] = text
        _transactions(text, path, findings)
        if twin is not None and (down := read(twin)) is not None:
            twins[version] = down
    names = {each.path.name for each in files.values()}
    for name, path in rollbacks.items():
        if name not in names:
            same = files.get(name.partition("_")[0])
            add(
                Level.WARNING,
                "takes back a migration that is not there",
                path,
                f"rename it to {same.path.name}" if same else "delete it, or get the migration",
            )
    ordered = sorted(files.values(), key=lambda each: each.version)
    return Read(tuple(ordered), texts, twins, tuple(findings), usable)


def _sql_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if each.suffix.lower() == ".sql")


def _doubts(version: str, now: datetime) -> list[str]:
    try:
        # strptime alone takes "202501" for a time, too.
        time = datetime.strptime(version, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        time = None
    if time is None or len(version) != 14:
        return [f"the version {version} is not a time of 14 digits (YYYYMMDDHHMMSS)"]
    if time > now + timedelta(days=1):
        return ["its version lies in the future: what is written before then is out of order"]
    return []


def _transactions(text: str, path: Path, findings: list[CheckFinding]) -> None:
    if not split(text):
        untouched = is_template(path, text)  # which a push refuses
        findings.append(
            CheckFinding(
                check="files",
                level=Level.ERROR if untouched else Level.WARNING,
                message="it is still the template" if untouched else "there is no statement in it",
                file=path,
                next_step="write it, or delete it with its twin",
            )
        )
        return
    breaker = not_one_transaction(text)
    if breaker is None:
        return
    words = " ".join(breaker.words[:3])
    line = line_of(text, breaker.code_offset)
    if breaker.refuses_transaction:
        findings.append(
            CheckFinding(
                check="files",
                level=Level.ERROR,
                message=f"`{words}` has to be in a file of its own: a failure would leave the rest "
                "half applied and not recorded",
                file=path,
                line=line,
                next_step="inv migrate.new <name>, and move the statement there",
            )
        )
        return
    findings.append(
        CheckFinding(
            check="files",
            level=Level.WARNING,
            message=f"is not one transaction (`{words}`): a failure would leave it half applied",
            file=path,
            line=line,
            next_step="leave begin and commit out: the CLI makes one transaction of a file",
        )
    )
