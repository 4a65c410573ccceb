"""Every migration on a scratch database: applied, applied again, taken back, and looked at.

Each file is judged where the ones before it stand as they should. What is tried (the second
application, the rollback) is undone at once, so that no file's fault is laid at another's door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riptide.database import connect
from riptide.migrations.listing import listed
from riptide.migrations.replay import ReplayError, apply, batches, try_out
from riptide.migrations.snapshot import Difference, Snapshot, compare, take
from riptide.migrations.sql import line_of, split
from riptide.results.check import CheckFinding, Level

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from riptide.migrations.check_files import Read
    from riptide.migrations.files import MigrationFile
    from riptide.stack.embedded.scratch import Scratch
    from riptide.target import Target


# Roles belong to the server and not to a database, so they are no part of a snapshot.
_ROLES = """
select 'role', rolname, concat_ws(' ',
  case when rolcanlogin then 'login' end, case when rolbypassrls then 'bypassrls' end,
  (select 'member of ' || string_agg(m.roleid::regrole::text, ',' order by m.roleid::regrole::text)
   from pg_auth_members as m where m.member = r.oid))
from pg_roles as r where rolname !~ '^pg_'
"""


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


def snapshot(connection: psycopg.Connection) -> Snapshot:
    """Take a snapshot that has the server's roles in it too."""
    found = take(connection)
    rows = connection.execute(_ROLES).fetchall()
    return {**found, **{(kind, name): text for kind, name, text in rows}}


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
                done.findings.append(_refused("apply", file, error))
                done.cycle_skipped = f"{file.path.name} could not be applied"
                return done
            after = done.snapshots[file.version] = snapshot(connection)
            whole = len(batches(text)) < 2 and not _alone(text)
            if "twice" in checks and whole:
                done.findings += _twice(connection, file, text, after)
            if "rollback" in checks:
                done.findings += _rollback(connection, file, read, before)
        if "twice" in checks and not whole:
            copy = scratch.copy(target, f"again_{file.version}")
            with connect(copy, name="riptide check") as connection:
                done.findings += _again(connection, file, text, after)
        before = after
    if "cycle" in checks:
        _cycle(target, read, done, progress)
    return done


def _alone(text: str) -> bool:
    """Whether a file of one statement is one that no transaction may be around."""
    return any(each.refuses_transaction or each.controls_transaction for each in split(text))


def _twice(
    connection: psycopg.Connection, file: MigrationFile, text: str, after: Snapshot
) -> list[CheckFinding]:
    try:
        with try_out(connection, text):
            # A transaction that wrote nothing has no number; a snapshot is what takes time here.
            wrote = connection.execute("select pg_current_xact_id_if_assigned()").fetchone()
            changed = [] if wrote == (None,) else compare(after, snapshot(connection))
    except ReplayError as error:
        return [_refused("twice", file, error)]
    return _changed_again(file, changed)


def _again(
    connection: psycopg.Connection, file: MigrationFile, text: str, after: Snapshot
) -> list[CheckFinding]:
    """As `_twice`, for a file that is not one transaction and cannot be undone as one."""
    try:
        apply(connection, text)
    except ReplayError as error:
        return [_refused("twice", file, error)]
    return _changed_again(file, compare(after, snapshot(connection)))


def _changed_again(file: MigrationFile, changed: list[Difference]) -> list[CheckFinding]:
    if not changed:
        return []
    return [
        CheckFinding(
            check="twice",
            level=Level.ERROR,
            message="applied a second time it changes the schema again",
            file=file.path,
            details=listed(changed, "changed", "gone", "new"),
            next_step="name what it makes, and let `if not exists` or `drop … if exists` guard it",
        )
    ]


def _rollback(
    connection: psycopg.Connection,
    file: MigrationFile,
    read: Read,
    before: Snapshot,
) -> list[CheckFinding]:
    """Run a twin, and compare with what was there before its file was applied."""
    if file.rollback_path is None:
        return [
            CheckFinding(
                check="rollback",
                level=Level.ERROR,
                message="there is no rollback for it",
                file=file.path,
                next_step=f"write supabase/rollbacks/{file.path.name} "
                "(empty if there is nothing to take back)",
            )
        ]
    script = read.twins.get(file.version)
    if script is None:  # it cannot be read, which `files` has said
        return []
    path = file.rollback_path
    for statement in split(script):
        if statement.controls_transaction:
            return [
                CheckFinding(
                    check="rollback",
                    level=Level.ERROR,
                    message=f"`{statement.words[0]}` would end the transaction it runs in",
                    file=path,
                    line=line_of(script, statement.code_offset),
                    next_step="remove it: the whole file is one transaction already",
                )
            ]
    try:
        with try_out(connection, script):
            differences = compare(before, snapshot(connection))
    except ReplayError as error:
        return [_refused("rollback", file, error)]
    left = [each for each in differences if each.before is None]
    gone = [each for each in differences if each.after is None]
    other = [each for each in differences if each not in left and each not in gone]
    found = []
    if left:
        found.append(("leaves behind what its migration made", left, "drop it in the rollback"))
    if gone:
        found.append(
            (
                "drops what its migration did not make",
                gone,
                "drop by name, without cascade, what the migration made and nothing else",
            )
        )
    if other:
        found.append(
            ("does not put back what its migration changed", other, "put the old one back")
        )
    return [
        CheckFinding(
            check="rollback",
            level=Level.ERROR,
            message=message,
            file=path,
            details=listed(some, "before → after the rollback", "gone", "left"),
            next_step=next_step,
        )
        for message, some, next_step in found
    ]


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
                done.findings.append(_refused("cycle", file, error, down=True))
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
                done.findings.append(_refused("cycle", file, error))
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


_WORDS = {
    "apply": "cannot be applied",
    "twice": "cannot be applied a second time",
    "rollback": "fails",
    "cycle": "cannot be applied again after all was taken back",
}


def _refused(
    check: str, file: MigrationFile, error: ReplayError, *, down: bool = False
) -> CheckFinding:
    words = "fails when all is taken back" if down else _WORDS[check]
    next_step = {
        "apply": "mend the statement",
        "twice": "`if not exists`, `create or replace`, `drop … if exists` before `create`",
        "rollback": "mend the statement; it runs in one transaction, newest migration first",
        "cycle": "mend the statement",
    }[check]
    level = Level.ERROR
    if error.unavailable:
        level, words = Level.WARNING, "cannot be tried: the scratch PostgreSQL lacks an extension"
        next_step = "try it on a stack that has the extension: inv up --backend docker"
    return CheckFinding(
        check=check,
        level=level,
        message=f"{words}: {error}",
        file=file.rollback_path if down or check == "rollback" else file.path,
        line=error.line,
        sqlstate=error.sqlstate,
        next_step=next_step,
    )
