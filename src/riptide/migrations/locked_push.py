"""What a push does once it has the lock: run the CLI, then hold what came of it to the plan."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riptide.errors import DriftError, Interrupted, RiptideError
from riptide.migrations.concurrent import Watch
from riptide.migrations.durable import commits_asynchronously, flush
from riptide.migrations.edited import confirm_texts
from riptide.migrations.history import applied_versions
from riptide.migrations.outcome import (
    UNKNOWN,
    count,
    failed,
    interrupted,
    killed,
    looked_up,
    nothing_applied,
    overtaken,
)
from riptide.migrations.plan import listed
from riptide.migrations.run import Clock, push, session_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import psycopg

    from riptide.cli import Answer, SupabaseCLI
    from riptide.migrations.edited import Marks
    from riptide.results import MigrationList
    from riptide.runner import Runner
    from riptide.settings import Settings

_NOT_ON_DISK = "whether it is on the server's disk is not known"


@dataclass(kw_only=True)
class LockedPush:
    """A push that has the lock.

    Attributes:
        settings: The project's.
        runner: Runs the CLI.
        session: The one that holds the lock; ``None`` where none can.
        before: Where each version stood under the lock.
        texts: The content of each pending file, by its name.
        marks: What tells an edit of each; taken before they were read.
        dry_run: Whether the CLI is only to say what it would do.
        progress: Called with a phrase before something that takes time.
        clock: How long each file took.
        edited: Names of files that were edited too late to be applied.
    """

    settings: Settings
    runner: Runner
    session: psycopg.Connection | None
    before: MigrationList
    texts: Mapping[str, str]
    marks: Marks
    dry_run: bool
    progress: Callable[[str], None] | None
    clock: Clock = field(init=False)
    edited: tuple[str, ...] = field(default=(), init=False)
    _unflushed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Make the clock."""
        self.clock = Clock(len(self.texts), self.progress)

    def run(self, lock_timeout: float, *, include_all: bool, include_seed: bool) -> Answer:
        """Run the CLI until all is applied, and on the server's disk; give its answer.

        Args:
            lock_timeout: Seconds that a statement waits for a lock.
            include_all: Apply files too that are older than the newest applied one.
            include_seed: Run the seed files afterwards.

        Raises:
            MigrationError: The database refused a file.
            DriftError: The history does not hold what was planned, or a file was edited before the
                CLI came to it.
            DatabaseError: The history could not be read afterwards.
            ToolNotFoundError: There is no supported Supabase CLI.
            CommandError: The CLI failed in some other way.
            Interrupted: Ctrl-C.
        """
        settings = self.settings
        with nothing_applied(settings):
            cli = self._cli()
            argv = cli.push_argv(
                dry_run=self.dry_run, include_all=include_all, include_seed=include_seed
            )
            self._unflushed = not (self.dry_run or include_seed) and commits_asynchronously(
                self.session, self.texts.values()
            )
            variables = session_settings(
                lock_timeout,
                windows=settings.target.is_local and sys.platform == "win32",
                asynchronous=self._unflushed,
            )
            watch = Watch.begin(settings, {} if self.dry_run else self.texts)
        told: RiptideError | Interrupted
        try:
            answer = self._answer(cli, argv, variables)
            if answer.completed.exit_code < 0:
                raise killed(answer, self, watch)
            if not answer.ok:
                raise failed(answer, self, watch)
            if not self.dry_run:
                after = self._history_after()
                self._flush()
                self._confirm(after)
                self.edited = confirm_texts(settings, self.marks, self.texts)
                watch.confirm()
        except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
            told = interrupted(self)
            watch.explain(told)
        except RiptideError as error:
            told = error
            if told.state is None:  # the CLI ended well, and printed what nobody understands
                told.state = looked_up(self)[0]
        else:
            return answer
        raise self._with_flush(told)

    def _answer(self, cli: SupabaseCLI, argv: list[str], variables: Mapping[str, str]) -> Answer:
        """Run the CLI; once more where another one, without the lock, was at work too."""
        answer = push(cli, argv, self.clock, self.texts, variables)
        if answer.completed.exit_code > 0 and overtaken(self):
            if self.progress is not None:
                self.progress("another Supabase CLI was at work: going on after it")
            answer = push(cli, argv, self.clock, self.texts, variables)
        return answer

    def _cli(self) -> SupabaseCLI:
        from riptide.cli import SupabaseCLI
        from riptide.toolchain import find_cli

        settings, runner, progress = self.settings, self.runner, self.progress
        binary = find_cli(settings, runner=runner, progress=progress, state="nothing was applied")
        return SupabaseCLI(binary, settings, runner)

    def _history_after(self) -> list[str]:
        """Read the history once more; where that fails, what the CLI did is done all the same."""
        try:
            return applied_versions(self.settings, self.runner)
        except RiptideError as error:
            error.state = f"{self._cli_says}; the history could not be read afterwards"
            error.next_step = (
                f"inv migrate.status{self.settings.target.flag} "
                "(has a migration changed this very role?)"
            )
            raise

    def _flush(self) -> None:
        if not self._unflushed:
            return
        try:
            flush(self.settings.target, self.session)
        except RiptideError as error:
            self._unflushed = False  # once is enough
            error.state = f"{self._cli_says}; {_NOT_ON_DISK}"
            error.next_step = f"inv migrate.status{self.settings.target.flag}"
            raise
        self._unflushed = False

    def _with_flush(self, told: RiptideError | Interrupted) -> RiptideError | Interrupted:
        """Flush what an error says to be applied; give it, with a word where that fails too."""
        if not self._unflushed or UNKNOWN in (told.state or ""):
            return told
        unsure = f"{told.state}; {_NOT_ON_DISK}"
        try:
            flush(self.settings.target, self.session)
        except RiptideError:  # the push's own error is the one to tell
            told.state = unsure
        except (KeyboardInterrupt, SystemExit):
            return Interrupted(unsure, f"inv migrate.push{self.settings.target.flag}")
        return told

    @property
    def _cli_says(self) -> str:
        return f"the CLI says that it applied {count(self.before.pending)}"

    def _confirm(self, after: Sequence[str]) -> None:
        """Hold the history to the plan: the CLI's word alone is not taken."""
        planned = {each.version for each in self.before.pending}
        new = set(after) - {each.version for each in self.before.applied}
        absent = [each for each in self.before.pending if each.version not in new]
        if absent:
            raise DriftError(
                f"the push ended well, but the history lacks {count(absent)}",
                detail=listed(absent),
                state="the others are applied",
                next_step=f"inv migrate.status{self.settings.target.flag}",
            )
        others = sorted(new - planned)
        if others:
            raise DriftError(
                f"the history holds {', '.join(others[:8])} too, which was not planned",
                detail="  A file came while the CLI was at work, somebody has pushed "
                "without the lock,\n  or a migration wrote it.",
                state="all that was planned is applied too",
                next_step=f"inv migrate.status{self.settings.target.flag}",
            )
