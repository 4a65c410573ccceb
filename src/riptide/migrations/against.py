"""A target's schema held to what its own history makes: drift of the database itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from riptide.cli import SupabaseCLI, failure
from riptide.database import connect
from riptide.migrations.drift import Edit, edit_of
from riptide.migrations.listing import listed
from riptide.migrations.replay import ReplayError, apply
from riptide.migrations.snapshot import Difference, Snapshot, compare, take
from riptide.migrations.sql import significant, split
from riptide.results.check import CheckFinding, Level

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import psycopg

    from riptide.errors import RiptideError
    from riptide.migrations.check_files import Read
    from riptide.runner import Runner
    from riptide.settings import Settings
    from riptide.target import Target

# What the platform puts into every project of its own accord, and the scratch database has not.
_PLATFORM_EXTENSIONS = frozenset(
    {
        *("pg_graphql", "pg_net", "pg_stat_statements", "pgcrypto", "pgjwt", "pgsodium"),
        *("plpgsql", "supabase_vault", "uuid-ossp"),
    }
)


@dataclass(frozen=True)
class Stored:
    """A row of the history, with what was run for it.

    Attributes:
        version: Its version.
        name: Its name, or ``""``.
        statements: Each verbatim; empty where the history does not say.
    """

    version: str
    name: str
    statements: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``<version>_<name>``, as in a file's name."""
        return f"{self.version}_{self.name}" if self.name else self.version

    @property
    def text(self) -> str:
        """The statements as one script."""
        return "".join(f"{each};\n" for each in self.statements)


def stored(connection: psycopg.Connection) -> list[Stored]:
    """Give the history with its statements, oldest first.

    Raises:
        DatabaseError: See `riptide.database.read_history`.
    """
    from riptide.database import read_history

    rows = read_history(connection)  # its errors are the ones to tell
    if not rows:
        return []
    found: dict[str, list[str] | None] = dict(
        connection.execute(
            # An older history has no column `statements`.
            "select version::text, to_jsonb(h) -> 'statements' "
            "from supabase_migrations.schema_migrations as h"
        ).fetchall()
    )
    return [
        Stored(each.version, each.name, tuple(str(one) for one in found.get(each.version) or ()))
        for each in rows
    ]


def essence(text: str) -> str:
    """Give what counts of SQL, statement by statement: what two texts are known by as the same."""
    return "\0".join("\1".join(significant(each.text)) for each in split(text))


@dataclass(frozen=True)
class Applied:
    """What a target's history holds, made ready to be replayed.

    Attributes:
        texts: What was run for each version, by version, oldest first.
        findings: Where that is not what the files say.
        unknown: Versions of which nobody knows what was run.
        prefix: Whether it is the first files, unedited: a snapshot of those will do.
    """

    texts: dict[str, str]
    findings: tuple[CheckFinding, ...]
    unknown: tuple[str, ...]
    prefix: bool


def applied(rows: Sequence[Stored], read: Read) -> Applied:
    """Say what has to be replayed to come to where a target should be.

    Of a file that was edited since, or is gone, it is what the history keeps; so that only what
    was changed by hand is told as drift of the database.
    """
    files = {each.version: each for each in read.files}
    texts: dict[str, str] = {}
    findings = []
    unknown = []
    as_written = True
    for row in rows:
        file, text = files.get(row.version), read.texts.get(row.version)
        if text is None:
            findings.append(
                _finding(
                    Level.ERROR,
                    f"{row.label} is applied there, and this project has no file for it",
                    next_step="inv migrate.repair says what probably happened",
                )
            )
            if not row.statements:
                unknown.append(row.version)
            texts[row.version] = row.text
            continue
        edit = edit_of(row.statements, text) if row.statements else Edit.NONE
        if edit is Edit.REAL:
            findings.append(
                _finding(
                    Level.ERROR,
                    "was edited after it was applied there",
                    file=file.path if file else None,
                    next_step="put the old text back, and the change into a new migration",
                )
            )
        as_written = as_written and edit is not Edit.LINE_ENDS
        texts[row.version] = row.text if edit in (Edit.REAL, Edit.LINE_ENDS) else text
    versions = list(texts)
    first = [each.version for each in read.files[: len(versions)]]
    as_written = as_written and not findings and versions == first
    return Applied(texts, tuple(findings), tuple(unknown), as_written)


def look(target: Target) -> tuple[Snapshot, list[Stored]]:
    """Take the target's snapshot and history, in a transaction that cannot write.

    Raises:
        DatabaseError: It cannot be reached, or does not let this role see.
    """
    with connect(target, autocommit=False, name="riptide check") as connection:
        connection.execute("set transaction read only")
        return take(connection), stored(connection)


def replayed(
    scratch: Target, history: Applied, *, files: dict[str, Path]
) -> tuple[Snapshot | None, tuple[CheckFinding, ...]]:
    """Run what a target's history holds on an empty scratch database."""
    with connect(scratch, name="riptide check") as connection:
        for version, text in history.texts.items():
            try:
                apply(connection, text)
            except ReplayError as error:
                return None, (
                    _finding(
                        Level.WARNING,
                        f"what the target's history holds cannot be replayed: {version}: {error}",
                        file=files.get(version),
                        next_step="compare by hand: supabase db diff",
                    ),
                )
        return take(connection), ()


def hold(
    settings: Settings,
    runner: Runner,
    binary: Path,
    *,
    scratch: Target,
    expected: Snapshot,
    actual: Snapshot,
) -> tuple[CheckFinding, ...]:
    """Compare a target with the scratch database that its history makes.

    By the CLI's own comparison (pg-delta) and by our snapshot, which also has what that leaves to
    others: grants, owners, default privileges.

    Raises:
        CommandError: The CLI could not compare.
    """
    target = settings.target
    differences = [each for each in compare(expected, actual) if not is_the_platforms(each)]
    # What only our snapshot sees may be the platform's, where the platform is not ours: then the
    # CLI decides how much it weighs. Of our own stack any difference is one.
    sql = ""
    if not (differences and target.is_local):
        sql = diff(settings, runner, binary, origin=scratch, wanted=target)
        if not sql and not differences:
            return ()
    details = listed(differences, "changed", "missing there", "only there")
    return (
        _finding(
            Level.ERROR if sql or target.is_local else Level.WARNING,
            f"{target.name} was changed by hand",
            details=details or tuple(each for each in sql.splitlines() if each.strip())[:12],
            next_step="inv migrate.diff <name> makes a migration of it; or, where a pending file "
            "is just that, inv migrate.repair --versions <its version> --status applied"
            if target.is_local
            else "put the change into a migration, or take it back by hand",
        ),
    )


def diff(
    settings: Settings, runner: Runner, binary: Path, *, origin: Target, wanted: Target
) -> str:
    """Give the SQL that makes ``origin`` like ``wanted``, by the CLI; ``""`` where they are alike.

    Args:
        settings: The project's, its target the one of the two that is not scratch.
        runner: Runs the CLI.
        binary: The CLI.
        origin: The database to begin with.
        wanted: The database to come to.

    Raises:
        CommandError: The CLI could not compare them.
    """
    precious = next((each for each in (origin, wanted) if each.kind != "scratch"), wanted)
    cli = SupabaseCLI(binary, replace(settings, target=precious), runner)
    answer = cli.run(cli.diff_argv(origin, wanted), timeout=300)
    if not answer.ok:
        raise failure(
            answer, "the two databases could not be compared", state="nothing was changed"
        )
    return str(answer.data.get("diff") or "").strip()


def is_the_platforms(difference: Difference) -> bool:
    """Whether a difference may come of Supabase's own images rather than of a project."""
    if difference.kind == "extension":
        return difference.before is None and difference.name in _PLATFORM_EXTENSIONS
    # Those of Supabase's own roles differ from one version of its images to the next.
    return difference.kind == "default privileges" and not difference.name.startswith("postgres ")


def _finding(
    level: Level,
    message: str,
    *,
    file: Path | None = None,
    details: tuple[str, ...] = (),
    next_step: str = "",
) -> CheckFinding:
    return CheckFinding(
        check="target",
        level=level,
        message=message,
        file=file,
        details=details,
        next_step=next_step,
    )


def problem(error: RiptideError, level: Level = Level.ERROR) -> CheckFinding:
    """Turn an error that ended the look at the target into a finding."""
    lines = tuple(each.strip() for each in (error.detail or "").splitlines() if each.strip())
    return _finding(level, error.message, details=lines, next_step=error.next_step or "")
