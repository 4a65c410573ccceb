"""Taking migrations back, with the scripts in ``supabase/rollbacks``.

The Supabase CLI cannot: its ``migration down`` drops every object of the user's, empties
``auth.users`` and replays the rest. So this is the one write to a schema that does not go through
it. All twins are rehearsed in a transaction that is undone; then each runs in one transaction with
the removal of its history row, and what it takes away is on the disk before that commits.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from riptide.errors import (
    DatabaseError,
    DataLossError,
    Interrupted,
    RiptideError,
)
from riptide.migrations.history import join
from riptide.migrations.lock import LOCK_WAIT, lockable, push_lock, session_name
from riptide.migrations.push import require_local_stack
from riptide.migrations.rollback_plan import check_arguments, choose, command, stored
from riptide.migrations.rollback_rehearsal import RefusedByDatabase, Rehearsed, rehearse
from riptide.migrations.saved_rows import SavedRows, identity
from riptide.migrations.take_back import lines, managed_refusal, take_back, told
from riptide.migrations.twin import read_twin, refusal
from riptide.results import RollbackResult

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from riptide.runner import Runner
    from riptide.settings import Settings

LOCK_TIMEOUT = 5.0  # seconds


def rollback_migrations(
    *,
    settings: Settings | None = None,
    steps: int = 1,
    to: str | None = None,
    dry_run: bool = False,
    allow_data_loss: bool = False,
    lock_wait: float = LOCK_WAIT,
    lock_timeout: float = LOCK_TIMEOUT,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> RollbackResult:
    """Take the newest applied migrations back, newest first.

    Args:
        settings: The project's; by default those of the current folder.
        steps: How many, from 1 on.
        to: Instead of ``steps``: the version that is to be the newest applied one afterwards. It
            stays, all newer ones are taken back; ``"0"`` takes back every one.
        dry_run: Say what would go, and change nothing.
        allow_data_loss: Take back also what takes rows with it, or what the migration did not make.
            The rows are saved first, for `restore_rows`.
        lock_wait: Seconds to wait for another push or rollback.
        lock_timeout: Seconds that a statement waits for a table that others hold.
        runner: Runs commands, where the local stack has to be asked.
        progress: Called with a phrase before something that takes time.

    Returns:
        What was taken back, what went with each, and where its rows are.

    Raises:
        ConfigError: ``steps`` or ``to`` is not possible, or the target is the linked project, whose
            password only the CLI has.
        MigrationError: A twin is missing, cannot be used or failed; that one is undone whole.
        DataLossError: Rows or values would be lost, or something goes that the migration did not
            make, and ``allow_data_loss`` was not said; or rows of ``auth`` or the like would be
            touched.
        DatabaseError: The database cannot be reached.
        LockTimeoutError: Another push or rollback did not end within ``lock_wait``.
        StackError: The target is local and its stack does not run.
    """
    from riptide.settings import Settings

    settings = lockable(settings or Settings.load(), progress=progress)
    check_arguments(settings, steps=steps, to=to, lock_wait=lock_wait, lock_timeout=lock_timeout)
    again = command(steps=steps, to=to, settings=settings)
    require_local_stack(settings, runner)
    work = _Rollback(settings, again, allow_data_loss, lock_timeout, progress or (lambda _: None))
    with ExitStack() as stack:
        connection = stack.enter_context(
            push_lock(settings.target, purpose="rollback", wait=lock_wait, progress=progress)
        )
        if connection is None:  # a transaction pooler: nothing can be locked there
            from riptide.database import connect

            name = session_name("rollback")
            connection = stack.enter_context(connect(settings.target, name=name))
        try:
            return work.run(connection, steps, to, dry_run=dry_run)
        except Interrupted:
            raise
        except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
            raise Interrupted("nothing was changed", again) from None


@dataclass
class _Rollback:
    """One call."""

    settings: Settings
    again: str
    allow: bool
    lock_timeout: float
    say: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    plan: list[Rehearsed] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    total: int = 0
    saved: SavedRows | None = None

    def run(
        self, connection: psycopg.Connection, steps: int, to: str | None, *, dry_run: bool
    ) -> RollbackResult:
        from riptide.database import read_history
        from riptide.migrations.files import scan

        # Read under the lock: whoever held it may have changed the history.
        history = join(scan(self.settings), read_history(connection))
        chosen = choose(history, steps, to)
        statements = stored(connection, [each.version for each in chosen])
        twins = [read_twin(each, statements.get(each.version), self.settings) for each in chosen]
        self.total = len(twins)
        if twins:
            what = twins[0].label if len(twins) == 1 else f"{len(twins)} rollbacks"
            self.say(f"rehearsing {what}")
        try:
            self.plan = rehearse(connection, twins, self.lock_timeout) if twins else []
        except RefusedByDatabase as refused:
            raise self._refusal(connection, refused, rehearsal=True) from None
        problem = self._problem()
        if dry_run:
            return self._result(dry_run=True, refused=problem.message if problem else "")
        if problem:
            problem.result = replace(self._result(refused=problem.message), rolled_back=())
            raise problem
        self.saved = SavedRows(self.settings, identity(connection, self.settings))
        for each in self.plan:
            self._one(connection, each)
        return self._result()

    def _one(self, connection: psycopg.Connection, rehearsed: Rehearsed) -> None:
        assert self.saved is not None  # noqa: S101
        twin = rehearsed.twin
        self.say(f"taking back {twin.label}")
        try:
            take_back(
                connection,
                rehearsed,
                self.saved,
                allow_data_loss=self.allow,
                lock_timeout=self.lock_timeout,
            )
        except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
            raise self._interrupted(connection, twin.version) from None
        except RefusedByDatabase as refused:
            self._forget(connection, twin.version)
            raise self._refusal(connection, refused) from None
        except RiptideError as error:
            self._forget(connection, twin.version)
            error.state = self._state()
            error.next_step = error.next_step or f"{self.again} --allow-data-loss"
            raise
        self.done.append(twin.label)

    def _problem(self) -> DataLossError | None:
        """Say why this must not be done, or not without being allowed to."""
        reports = [each.report for each in self.plan]
        state = "nothing was changed"
        for each in reports:
            if each.managed:
                error = managed_refusal(each.label, each.managed)
                error.state = state
                return error
        if self.allow:
            return None
        allow = f"{self.again} --allow-data-loss"
        lost = [loss for each in reports for loss in each.lost]
        foreign = [(each.label, name) for each in reports for name in each.foreign]
        if foreign:
            more = [f"  and {told(lost)} would be lost"] if lost else []
            return DataLossError(
                f"the rollback of {foreign[0][0]} drops what that migration did not make",
                detail="\n".join([f"  {name} (by {label})" for label, name in foreign] + more),
                state=state,
                next_step=f"mend the twin; or, if it is meant: {allow}",
            )
        if lost:
            return DataLossError(
                f"{told(lost)} would be lost",
                detail="\n".join(line for each in reports for line in lines(each.lost)),
                state=state,
                next_step=f"{allow}, which saves them first",
            )
        return None

    def _refusal(
        self, connection: psycopg.Connection, refused: RefusedByDatabase, *, rehearsal: bool = False
    ) -> RiptideError:
        lost = connection.closed
        state = "nothing was changed" if rehearsal else self._state(sure=not lost)
        return refusal(
            refused.twin,
            refused.error,
            refused.offset,
            self.settings,
            lost=lost,
            state=state,
            next_step=f"mend the file, then {self.again}",
        )

    def _state(self, *, sure: bool = True) -> str:
        one = (
            "nothing of this one was changed"
            if sure
            else ("whether this one is taken back is not known")
        )
        return f"{one}; {len(self.done)} of {self.total} taken back{self._where()}"

    def _where(self) -> str:
        folder = self.saved.folder if self.saved else None
        return f", their rows in {self.settings.relative(folder)}" if folder else ""

    def _forget(self, connection: psycopg.Connection, version: str) -> None:
        """Delete the rows saved of one that was not taken back; not where that is not known."""
        if self.saved is not None and not connection.closed:
            with suppress(RiptideError, OSError):  # the disk may be full: that is told already
                self.saved.forget(version)

    def _interrupted(self, connection: psycopg.Connection, version: str) -> Interrupted:
        """Say what became of it: the commit itself may have been under way."""
        import psycopg

        from riptide.database import connect, read_history

        try:
            connection.close()  # or what it holds would be in the way
            with connect(self.settings.target, name=session_name("rollback")) as fresh:
                applied = {each.version for each in read_history(fresh)}
        except (psycopg.Error, DatabaseError):
            return Interrupted(self._state(sure=False), "inv migrate.status")
        if version in applied:
            if self.saved is not None:
                self.saved.forget(version)
        else:
            self.done.append(version)
        left = self.total - len(self.done)
        state = f"{len(self.done)} of {self.total} taken back{self._where()}"
        return Interrupted(
            f"{state}; nothing of the other{'' if left == 1 else 's'}" if left else state,
            "inv migrate.status" if self.done else self.again,
        )

    def _result(self, *, dry_run: bool = False, refused: str = "") -> RollbackResult:
        return RollbackResult(
            target=self.settings.target.name,
            rolled_back=tuple(each.twin.label for each in self.plan),
            migrations=tuple(each.report for each in self.plan),
            refused=refused,
            saved_to=self.saved.folder if self.saved else None,
            dry_run=dry_run,
            seconds=time.monotonic() - self.began,
        )
