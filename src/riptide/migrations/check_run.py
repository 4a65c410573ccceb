"""The checks of `migrate.check`, carried out."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from riptide.errors import RiptideError, StackError
from riptide.migrations import against
from riptide.migrations.by_cli import Pushed, agree, failed, push_all
from riptide.migrations.walk import Walk, walk
from riptide.results.check import CheckFinding, CheckStep, Level

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from riptide.migrations.check_files import Read
    from riptide.runner import Runner
    from riptide.settings import Settings
    from riptide.stack.embedded.scratch import Scratch
    from riptide.target import Target

_T = TypeVar("_T")

CHECKS = {
    "files": "names, versions, encoding, transactions",
    "lint": "squawk: what hurts a database in use",
    "apply": "the Supabase CLI applies them all",
    "twice": "each applied twice is applied once",
    "rollback": "each rollback takes back its migration, no more",
    "cycle": "all down and up again gives the same schema",
    "target": "the database is what its history makes",
}
_BY_WALK = frozenset({"apply", "twice", "rollback", "cycle"})
_ON_SCRATCH = ("apply", "twice", "rollback", "cycle", "target")

# `files` has it, and says what it means for a push.
_SAID_ALREADY = frozenset({"ban-concurrent-index-creation-in-transaction", "transaction-nesting"})

# Roles belong to the whole server: what makes some needs a server for each replay.
_ROLES = re.compile(r"\b(?:create|drop)\s+(?:role|user(?!\s+mapping)|group)\b", re.IGNORECASE)


@dataclass
class Check:
    """One call of `check_migrations`, as it goes."""

    settings: Settings
    runner: Runner
    progress: Callable[[str], None]
    checks: frozenset[str]
    against_target: bool | None
    read: Read
    findings: list[CheckFinding] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def carry_out(self) -> None:
        """Carry out every check that is wanted and can be."""
        for name in CHECKS.keys() - self.checks:
            self.skipped[name] = "left out (--skip)"
        self.findings += self.read.findings
        self._lint()
        wanted = [each for each in _ON_SCRATCH if each in self.checks]
        if not wanted:
            return
        why = ""
        if not self.read.files:
            why = "there are no migrations"
        elif not self.read.usable:
            why = "a file cannot be used (see files)"
        if why:
            for name in wanted:
                self.skipped[name] = why
            return
        if "target" in self.checks and (why := self._no_target()):
            self.skipped["target"] = why
        if any(name not in self.skipped for name in wanted):
            self._on_scratch()

    def _lint(self) -> None:
        if "lint" not in self.checks:
            return
        from riptide.migrations.lint import lint

        began = time.monotonic()
        try:
            found = lint([each.path for each in self.read.files], self.settings, self.runner)
        except RiptideError as error:
            self.skipped["lint"] = error.message
            self._add("lint", Level.NOTE, error.message, next_step=error.next_step or "")
            return
        for each in found:
            if each.rule in _SAID_ALREADY:
                continue
            self._add(
                "lint",
                # Never an error: whether PostgreSQL takes it, `apply` knows better.
                Level.WARNING,
                f"{each.rule}: {each.message}",
                file=each.file,
                line=each.line,
                next_step=each.help,
            )
        self.seconds["lint"] = time.monotonic() - began

    def _no_target(self) -> str:
        """Say why the target cannot be looked at; ``""`` where it can."""
        from riptide.migrations.push import require_local_stack

        target = self.settings.target
        if self.against_target is False:
            return "left out"
        if not target.url:
            return "of the linked project only the CLI has the password; set SUPABASE_DB_URL"
        try:
            require_local_stack(self.settings, self.runner)
        except StackError as error:
            if self.against_target:
                self.findings.append(against.problem(error))
            return "the local stack is not running (inv stack.start)"
        return ""

    def _on_scratch(self) -> None:
        from riptide.stack.embedded.scratch import scratch_server
        from riptide.toolchain import find_cli

        binary = find_cli(self.settings, runner=self.runner)
        self.progress("starting a scratch PostgreSQL")
        apart = any(_ROLES.search(each) for each in self.read.texts.values())
        servers: list[Scratch] = []
        with ExitStack() as stack, ThreadPoolExecutor(2) as pool:

            def server() -> Scratch:
                if apart or not servers:
                    servers.append(
                        stack.enter_context(
                            scratch_server(
                                self.settings, runner=self.runner, progress=self.progress
                            )
                        )
                    )
                return servers[-1]

            try:
                self._at_once(binary, server, pool)
            except BaseException:  # Ctrl-C: a CLI at work there ends as its database goes
                for each in servers:
                    each.cluster.stop(immediate=True)
                raise

    def _at_once(
        self, binary: Path, server: Callable[[], Scratch], pool: ThreadPoolExecutor
    ) -> None:
        """Let the CLI work while the files are tried one by one."""
        push: Future[Pushed] | None = None
        target: Future[list[CheckFinding]] | None = None
        if "apply" in self.checks:
            pushed = server().database("pushed")
            push = pool.submit(self._timed, "apply", lambda: self._push(binary, pushed))
        if "target" in self.checks and "target" not in self.skipped:
            history = server().database("history")
            target = pool.submit(self._timed, "target", lambda: self._target(binary, history))
        if self.checks & _BY_WALK:
            scratch = server()
            steps = scratch.database("steps")
            began = time.monotonic()
            walked = walk(scratch, steps, self.read, self.checks, self.progress)
            for name in self.checks & _BY_WALK - {"apply"}:
                self.seconds[name] = time.monotonic() - began
            self._note_walk(walked, push.result() if push is not None else None)
        if target is not None:
            self.progress("comparing with the target")
            self.findings += target.result()

    def _timed(self, name: str, work: Callable[[], _T]) -> _T:
        began = time.monotonic()
        try:
            return work()
        finally:
            self.seconds[name] = time.monotonic() - began

    def _push(self, binary: Path, database: Target) -> Pushed:
        settings = replace(self.settings, target=database)
        try:
            return push_all(settings, self.runner, binary, self.read)
        except RiptideError as error:  # the other checks have their own databases
            return Pushed(findings=(failed(error.message, error.next_step or ""),))

    def _note_walk(self, walked: Walk, pushed: Pushed | None) -> None:
        if walked.failed is not None:
            file = walked.failed.path.name
            for name in self.checks & {"twice", "rollback"}:
                if walked.failed is self.read.files[0]:
                    self.skipped[name] = f"{file} could not be applied"
                else:
                    self._add(
                        name, Level.NOTE, f"not tried from {file} on, which could not be applied"
                    )
        if walked.cycle_skipped and "cycle" in self.checks:
            self.skipped["cycle"] = walked.cycle_skipped
        self.findings += [each for each in walked.findings if each.check != "apply"]
        self.findings += agree(walked, pushed)

    def _target(self, binary: Path, database: Target) -> list[CheckFinding]:
        """Hold the target to what its own history makes."""
        try:
            actual, rows = against.look(self.settings.target)
            history = against.applied(rows, self.read)
            found = list(history.findings)
            if history.unknown:
                found.append(
                    CheckFinding(
                        check="target",
                        level=Level.NOTE,
                        message="not compared: nobody knows what was run for "
                        + ", ".join(history.unknown),
                    )
                )
                return found
            files = {each.version: each.path for each in self.read.files}
            expected, trouble = against.replayed(database, history, files=files)
            found += trouble
            if expected is not None:
                found += against.hold(
                    self.settings,
                    self.runner,
                    binary,
                    scratch=database,
                    expected=expected,
                    actual=actual,
                )
        except RiptideError as error:
            return [against.problem(error)]
        return found

    def _add(
        self,
        check: str,
        level: Level,
        message: str,
        *,
        file: Path | None = None,
        line: int | None = None,
        details: tuple[str, ...] = (),
        next_step: str = "",
    ) -> None:
        self.findings.append(
            CheckFinding(
                check=check,
                level=level,
                message=message,
                file=file,
                line=line,
                details=details,
                next_step=next_step,
            )
        )

    def steps(self) -> list[CheckStep]:
        """Give the checks as they went, in order."""
        names = tuple(each.path.name for each in self.read.files)
        return [
            CheckStep(
                name=name,
                about=about,
                files=() if name in self.skipped else self._looked_at(name, names),
                skipped=self.skipped.get(name, ""),
                seconds=0.0 if name in self.skipped else self.seconds.get(name, 0.0),
            )
            for name, about in CHECKS.items()
        ]

    def _looked_at(self, name: str, names: tuple[str, ...]) -> tuple[str, ...]:
        return (self.settings.target.name,) if name == "target" else names

    def found(self) -> list[CheckFinding]:
        """Give what was found, in the checks' order, then the files', then the lines'."""
        order = list(CHECKS)
        wanted = [
            each for each in self.findings if each.check in self.checks or each.check == "apply"
        ]
        return sorted(
            wanted,
            key=lambda each: (
                order.index(each.check),
                each.file.name if each.file else "",
                each.line or 0,
            ),
        )
