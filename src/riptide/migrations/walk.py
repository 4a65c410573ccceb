"""Every migration on a scratch database: applied, applied again, taken back, and looked at.

Each file is judged where the ones before it stand as they should. What is tried (the second
application, the rollback) is undone at once, so that no file's fault is laid at another's door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riptide.database import connect
from riptide.migrations.listing import listed
from riptide.migrations.replay import ReplayError, apply, batches
from riptide.migrations.snapshot import Snapshot, compare
from riptide.migrations.sql import split
from riptide.migrations.tries import again, refused, rollback, snapshot, twice
from riptide.results.check import CheckFinding, Level

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from riptide.migrations.check_files import Read
    from riptide.migrations.files import MigrationFile
    from riptide.stack.embedded.scratch import Scratch
    from riptide.target import Target


@dataclass
class Walk:
    """What came of it.

    Attributes:
        snapshots: Before the first file (``""``), and after each by version.
        findings: Of ``apply``, ``twice``, ``rollback`` and ``cycle``.
        failed: The file that could not be applied, or ``None``.
        cycle_skipped: Why the whole way down and up was not tried, or ``""``.
    """

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    findings: list[CheckFinding] = field(default_factory=list)
    failed: MigrationFile | None = None
    cycle_skipped: str = ""

    @property
    def last(self) -> Snapshot:
        """The schema after the last file that could be applied."""
        return list(self.snapshots.values())[-1]


def walk(
    scratch: Scratch,
    target: Target,
    read: Read,
    checks: frozenset[str],
    progress: Callable[[str], None],
) -> Walk:
    """Apply the files one by one to an empty scratch database, and try each.

    Args:
        scratch: Where copies are made, for files that are not one transaction.
        target: The empty database.
        read: The files.
        checks: Which of ``twice``, ``rollback`` and ``cycle`` are wanted.
        progress: Called with a phrase before each file.
    """
    done = Walk()
    with connect(target, name="riptide check") as connection:
        done.snapshots[""] = before = snapshot(connection)
    for file in read.files:
        progress(f"trying {file.path.name}")
        text = read.texts[file.version]
        with connect(target, name="riptide check") as connection:
            try:
                apply(connection, text)
            except ReplayError as error:
                done.failed = file
                done.findings.append(refused("apply", file, error))
                done.cycle_skipped = f"{file.path.name} could not be applied"
                return done
            after = done.snapshots[file.version] = snapshot(connection)
            whole = len(batches(text)) < 2 and not _alone(text)
            if "twice" in checks and whole:
                done.findings += twice(connection, file, text, after)
            if "rollback" in checks:
                done.findings += rollback(connection, file, read, before)
        if "twice" in checks and not whole:
            copy = scratch.copy(target, f"again_{file.version}")
            with connect(copy, name="riptide check") as connection:
                done.findings += again(connection, file, text, after)
        before = after
    if "cycle" in checks:
        _cycle(target, read, done, progress)
    return done


def _alone(text: str) -> bool:
    """Whether a file of one statement is one that no transaction may be around."""
    return any(each.refuses_transaction or each.controls_transaction for each in split(text))


def _cycle(target: Target, read: Read, done: Walk, progress: Callable[[str], None]) -> None:
    """All the way down and up again, for good this time."""
    faulty = [each for each in done.findings if each.check == "rollback"]
    absent = [each for each in read.files if each.version not in read.twins]
    if faulty or absent:
        done.cycle_skipped = "a rollback is missing or at fault"
        return
    progress("taking all back, and applying all again")
    start, top = done.snapshots[""], done.last
    with connect(target, name="riptide check") as connection:
        for file in reversed(read.files):
            try:
                with connection.transaction():
                    _run(connection, read.twins[file.version])
            except ReplayError as error:
                done.findings.append(refused("cycle", file, error, down=True))
                return
        if left := compare(start, snapshot(connection)):
            done.findings.append(
                CheckFinding(
                    check="cycle",
                    level=Level.ERROR,
                    message="with every migration taken back the schema is not as at first",
                    details=listed(left, "changed", "gone", "left"),
                    next_step="inv migrate.check, after each rollback is right by itself",
                )
            )
            return
        for file in read.files:
            try:
                apply(connection, read.texts[file.version])
            except ReplayError as error:
                done.findings.append(refused("cycle", file, error))
                return
        if changed := compare(top, snapshot(connection)):
            done.findings.append(
                CheckFinding(
                    check="cycle",
                    level=Level.ERROR,
                    message="taken back and applied again, the schema is not the same",
                    details=listed(changed, "first → second time", "only first", "only second"),
                    next_step="look for what depends on what was there before (`if not exists`)",
                )
            )


def _run(connection: psycopg.Connection, script: str) -> None:
    import psycopg

    try:
        if script.strip():
            connection.execute(script.encode())
    except psycopg.Error as error:
        raise ReplayError(error, None) from None
