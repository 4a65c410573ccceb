"""A second application and a rollback, each tried right after the file and undone at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.migrations.listing import listed
from riptide.migrations.replay import ReplayError, apply, try_out
from riptide.migrations.snapshot import Difference, Snapshot, compare, take
from riptide.migrations.sql import line_of, split
from riptide.results.check import CheckFinding, Level

if TYPE_CHECKING:
    import psycopg

    from riptide.migrations.check_files import Read
    from riptide.migrations.files import MigrationFile

# Roles belong to the server and not to a database, so they are no part of a snapshot.
_ROLES = """
select 'role', rolname, concat_ws(' ',
  case when rolcanlogin then 'login' end, case when rolbypassrls then 'bypassrls' end,
  (select 'member of ' || string_agg(m.roleid::regrole::text, ',' order by m.roleid::regrole::text)
   from pg_auth_members as m where m.member = r.oid))
from pg_roles as r where rolname !~ '^pg_'
"""


def snapshot(connection: psycopg.Connection) -> Snapshot:
    """Take a snapshot that has the server's roles in it too."""
    found = take(connection)
    rows = connection.execute(_ROLES).fetchall()
    return {**found, **{(kind, name): text for kind, name, text in rows}}


def twice(
    connection: psycopg.Connection, file: MigrationFile, text: str, after: Snapshot
) -> list[CheckFinding]:
    """Apply a file once more in a transaction that is undone: nothing may change.

    Args:
        connection: To the database where it is applied.
        file: The file.
        text: Its content.
        after: The schema after its first application.
    """
    try:
        with try_out(connection, text):
            # A transaction that wrote nothing has no number; a snapshot is what takes time here.
            wrote = connection.execute("select pg_current_xact_id_if_assigned()").fetchone()
            changed = [] if wrote == (None,) else compare(after, snapshot(connection))
    except ReplayError as error:
        return [refused("twice", file, error)]
    return _changed_again(file, changed)


def again(
    connection: psycopg.Connection, file: MigrationFile, text: str, after: Snapshot
) -> list[CheckFinding]:
    """As `twice`, for a file that is not one transaction and cannot be undone as one."""
    try:
        apply(connection, text)
    except ReplayError as error:
        return [refused("twice", file, error)]
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


def rollback(
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
        return [refused("rollback", file, error)]
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


_WORDS = {
    "apply": "cannot be applied",
    "twice": "cannot be applied a second time",
    "rollback": "fails",
    "cycle": "cannot be applied again after all was taken back",
}


def refused(
    check: str, file: MigrationFile, error: ReplayError, *, down: bool = False
) -> CheckFinding:
    """Give the finding for what PostgreSQL refused.

    Args:
        check: Of which check.
        file: The migration.
        error: PostgreSQL's words.
        down: Whether it was the rollback, of a check that runs both.
    """
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
