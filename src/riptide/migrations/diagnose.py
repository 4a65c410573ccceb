"""What probably happened where the migration history and the files do not match."""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import ConfigError
from riptide.migrations.against import Stored, essence, stored
from riptide.migrations.check_files import read_files
from riptide.migrations.drift import Edit, edit_of
from riptide.migrations.git import Git
from riptide.results.repair import Cause, Diagnosis, HistoryDiagnosis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from riptide.migrations.files import MigrationFile
    from riptide.runner import Runner
    from riptide.settings import Settings


def diagnose_history(
    *, settings: Settings | None = None, runner: Runner | None = None
) -> HistoryDiagnosis:
    """Say for each version that does not match what probably happened, and what to run.

    Compares the statements that the history keeps with those of the files, and asks git, where
    there is one, for files that are not here. Changes nothing.

    Args:
        settings: The project's; by default those of the current folder.
        runner: Runs git; by default a `SubprocessRunner`.

    Raises:
        ConfigError: There is no project here, or the target is the linked project, whose password
            only the CLI has.
        DatabaseError: The database cannot be reached.
        StackError: The target is local, and this project's stack does not run.
    """
    from riptide.database import connect
    from riptide.migrations.push import require_local_stack
    from riptide.runner import SubprocessRunner
    from riptide.settings import Settings

    settings = settings or Settings.load()
    runner = runner or SubprocessRunner()
    if not settings.target.url:
        raise ConfigError(
            "the history's statements are read from the database itself, which needs its URL",
            state="nothing was changed",
            next_step="set SUPABASE_DB_URL, then --target remote",
        )
    require_local_stack(settings, runner)
    read = read_files(settings)
    with connect(settings.target, name="riptide repair") as connection:
        rows = stored(connection)
    about = _Doctor(settings, Git(settings, runner), rows, read.files, read.texts)
    problems = sorted(about.problems(), key=lambda each: each.versions[0])
    ill = {version for each in problems for version in each.versions}
    return HistoryDiagnosis(
        target=settings.target.name,
        matching=len([each for each in rows if each.version not in ill]),
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Doctor:
    settings: Settings
    git: Git
    rows: Sequence[Stored]
    files: Sequence[MigrationFile]
    texts: dict[str, str]

    def problems(self) -> Iterator[Diagnosis]:
        """Give every diagnosis, in no order."""
        by_version = {each.version: each for each in self.files}
        applied = {each.version for each in self.rows}
        missing = {each.version: each for each in self.rows if each.version not in by_version}
        waiting = {each.version: each for each in self.files if each.version not in applied}
        edited = {
            each.version: each
            for each in self.rows
            if each.version in self.texts
            and each.statements
            and edit_of(each.statements, self.texts[each.version]) is Edit.REAL
        }
        for told in (
            *self._renamed(missing, waiting),
            *self._squashed(missing, waiting),
            *self._squashed_by_cli(missing, edited, by_version),
        ):
            for version in told.versions:
                for where in (missing, waiting, edited):
                    where.pop(version, None)
            yield told
        if missing and len(missing) == len(self.rows) and self.files:
            known = {version: self.git.find(version) for version in missing}
            if not any(known.values()):
                yield self._another(tuple(missing))
                missing, waiting = {}, {}
        for row in missing.values():
            yield self._missing(row)
        latest = max(applied, default="")
        for version, file in waiting.items():
            if version < latest:
                yield self._late(file)
        for row in edited.values():
            yield self._edited(row, by_version[row.version])

    def _renamed(
        self, missing: dict[str, Stored], waiting: dict[str, MigrationFile]
    ) -> list[Diagnosis]:
        same = {essence(self.texts[version]): version for version in waiting if self.text(version)}
        found = []
        for row in missing.values():
            new = same.get(essence(row.text)) if row.statements else None
            if new is None:
                continue
            file = waiting[new]
            found.append(
                Diagnosis(
                    versions=(row.version, new),
                    cause=Cause.RENAMED,
                    message=f"{row.label} has become {file.path.name}: the statements are the same",
                    file=file.path,
                    commands=(
                        self._repair("reverted", row.version),
                        self._repair("applied", new),
                    ),
                )
            )
        return found

    def text(self, version: str) -> str:
        """Give a file's content; ``""`` where it cannot be read."""
        return self.texts.get(version, "")

    def _squashed(
        self, missing: dict[str, Stored], waiting: dict[str, MigrationFile]
    ) -> list[Diagnosis]:
        """Find versions whose statements all stand in one file that is not applied."""
        inside: dict[str, list[str]] = defaultdict(list)
        for row in missing.values():
            statements = set(essence(row.text).split("\0")) - {""}
            for version in waiting:
                if statements and statements < set(essence(self.text(version)).split("\0")):
                    inside[version].append(row.version)
                    break
        return [
            Diagnosis(
                versions=(*old, new),
                cause=Cause.SQUASHED,
                message=f"the statements of {_listed(old)} are all in {waiting[new].path.name}",
                file=waiting[new].path,
                commands=(self._repair("reverted", *old), self._repair("applied", new)),
            )
            for new, old in inside.items()
        ]

    def _squashed_by_cli(
        self,
        missing: dict[str, Stored],
        edited: dict[str, Stored],
        by_version: dict[str, MigrationFile],
    ) -> list[Diagnosis]:
        """Find what ``supabase migration squash`` leaves: all in the newest file of those."""
        oldest = min(by_version, default="")
        before = tuple(version for version in missing if version < oldest)
        if len(before) < 1 or oldest not in edited or len(before) != len(missing):
            return []
        return [
            Diagnosis(
                versions=(*before, oldest),
                cause=Cause.SQUASHED,
                message=f"{by_version[oldest].path.name}, now the oldest file, is another than was "
                f"applied, and {_listed(before)} before it are gone: as after "
                "`supabase migration squash`",
                file=by_version[oldest].path,
                commands=(self._repair("reverted", *before), self._repair("applied", oldest)),
            )
        ]

    def _another(self, versions: tuple[str, ...]) -> Diagnosis:
        return Diagnosis(
            versions=versions,
            cause=Cause.ANOTHER_PROJECT,
            message=f"{self.settings.target.name} and this project have no version in common: "
            "it is probably another project's database",
            commands=("inv stack.status",) if self.settings.target.is_local else (),
        )

    def _missing(self, row: Stored) -> Diagnosis:
        known = self.git.find(row.version)
        gone = self._repair("reverted", row.version)
        if known is not None:
            path = shlex.quote(known.path)
            if known.here:
                return Diagnosis(
                    versions=(row.version,),
                    cause=Cause.DELETED,
                    message=f"{row.label} was deleted here; commit {known.commit} has it. Get it "
                    "back; or the second command makes the database forget it",
                    commands=(f"git checkout {known.commit} -- {path}", gone),
                )
            where = f"branch {known.branch}" if known.branch else f"commit {known.commit}"
            return Diagnosis(
                versions=(row.version,),
                cause=Cause.BRANCH,
                message=f"{row.label} is on {where}, which is not merged here",
                commands=(f"git checkout {known.branch or known.commit} -- {path}",),
            )
        newest = max((each.version for each in self.files), default="")
        if row.version > newest:
            return Diagnosis(
                versions=(row.version,),
                cause=Cause.BRANCH,
                message=f"{row.label} is newer than every file here: probably a teammate's, "
                "on a branch that is not fetched yet; if its file is gone for good, the second "
                "command makes the database forget it",
                commands=("git fetch --all", gone),
            )
        return Diagnosis(
            versions=(row.version,),
            cause=Cause.UNKNOWN,
            message=f"nothing here knows {row.label}. If its file is gone for good and what it "
            "made is to stay:",
            commands=(gone,),
        )

    def _late(self, file: MigrationFile) -> Diagnosis:
        return Diagnosis(
            versions=(file.version,),
            cause=Cause.LATE,
            message=f"{file.path.name} is not applied, and newer ones are: probably merged after "
            "them. If it does not depend on the order",
            file=file.path,
            commands=("inv migrate.push --include-all",),
        )

    def _edited(self, row: Stored, file: MigrationFile) -> Diagnosis:
        path = self.settings.relative(file.path)
        commit = self.git.as_applied(
            path, lambda text: edit_of(row.statements, text) is not Edit.REAL
        )
        accept = self._repair("applied", row.version)
        if commit is not None:
            return Diagnosis(
                versions=(row.version,),
                cause=Cause.EDITED,
                message=f"{file.path.name} was edited after it was applied; commit {commit} has it "
                "as applied. Go back to that (the change belongs into a new migration), or, if the "
                "database has the change already, the second command",
                file=file.path,
                commands=(f"git checkout {commit} -- {shlex.quote(path)}", accept),
            )
        return Diagnosis(
            versions=(row.version,),
            cause=Cause.EDITED,
            message=f"{file.path.name} was edited after it was applied. The first command shows "
            "the old text: put it back (the change belongs into a new migration); or, if the "
            "database has the change already, the second command",
            file=file.path,
            commands=(f"inv migrate.status --diff{self.settings.target.flag}", accept),
        )

    def _repair(self, status: str, *versions: str) -> str:
        words = f"inv migrate.repair --versions {','.join(versions)} --status {status}"
        return words if self.settings.target.is_local else f"{words} --target remote"


def _listed(versions: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(versions[:most])
    return shown if len(versions) <= most else f"{shown} and {len(versions) - most} more"
