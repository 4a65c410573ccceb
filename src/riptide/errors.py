"""The error tree: every error says what failed, what state things are in, and what to do next.

Nothing in this package but ``riptide.tasks`` prints or exits; a task turns a `RiptideError` into
its text on stderr and its `exit_code`:

====  ==========================================================
code  meaning
====  ==========================================================
0     done
1     failed
2     used wrongly: nothing was tried
3     a check found something: pending, drift, a leak
====  ==========================================================
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from riptide.results import RlsReport, RollbackResult

    _Reduced = tuple[Callable[..., BaseException], tuple[Any, ...]]


class RiptideError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        message: One sentence: what failed.
        detail: More lines for a person (an excerpt, a tool's own words), or ``None``.
        state: What state things were left in, or ``None`` where nothing was touched.
        next_step: The command or the edit that leads on, or ``None``.
        exit_code: What a task exits with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        state: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.state = state
        self.next_step = next_step

    def __reduce__(self) -> _Reduced:
        """Let it be pickled: a pool of processes gives errors back in this way."""
        return _restore, (type(self), self.args, vars(self).copy())

    def __str__(self) -> str:
        """Give the whole error as the lines that a person reads."""
        lines = [f"error: {self.message}"]
        if self.detail:
            lines.append(self.detail.rstrip())
        if self.state:
            lines.append(f"state: {self.state}")
        if self.next_step:
            lines.append(f"next:  {self.next_step}")
        return "\n".join(lines)


def _restore(
    kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]
) -> BaseException:
    """Make an error again without its ``__init__``, whose arguments are keywords."""
    error = kind.__new__(kind, *args)
    vars(error).update(attributes)
    return error


class ConfigError(RiptideError):
    """Settings, a file of the project or an argument cannot be used; nothing was tried."""

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        state: str | None = "nothing was changed",
        next_step: str | None = None,
    ) -> None:
        next_step = next_step or "mend that, then the same command again"
        super().__init__(message, detail=detail, state=state, next_step=next_step)


class ToolNotFoundError(RiptideError):
    """The Supabase CLI, Node.js, npm, Docker or libpq is missing or of an unsupported version."""


class CommandError(RiptideError):
    """A command that was started exited with an error.

    Attributes:
        argv: The command with secrets masked.
        exit_code_of_command: What it exited with; negative for a signal.
        stdout: All that it printed on stdout, secrets masked.
        stderr: All that it printed on stderr, secrets masked.
    """

    def __init__(
        self,
        message: str,
        *,
        argv: Sequence[str],
        exit_code_of_command: int,
        stdout: str = "",
        stderr: str = "",
        detail: str | None = None,
        state: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, state=state, next_step=next_step)
        self.argv = tuple(argv)
        self.exit_code_of_command = exit_code_of_command
        self.stdout = stdout
        self.stderr = stderr

    @property
    def command(self) -> str:
        """The command as one could type it."""
        return shlex.join(self.argv)


class MigrationError(RiptideError):
    """A migration or its rollback could not be used or failed in the database.

    Attributes:
        file: The file, where one is to blame.
        line: 1-based line in it, where known.
        sqlstate: PostgreSQL's five-character code, where the database refused.
        statement: The statement that failed, where known.
    """

    def __init__(
        self,
        message: str,
        *,
        file: Path | None = None,
        line: int | None = None,
        sqlstate: str | None = None,
        statement: str | None = None,
        detail: str | None = None,
        state: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, state=state, next_step=next_step)
        self.file = file
        self.line = line
        self.sqlstate = sqlstate
        self.statement = statement


class DriftError(MigrationError):
    """History and files contradict each other; nothing was applied."""

    exit_code = 3


class LockTimeoutError(RiptideError):
    """Another process holds what this one needs, and did not let go in time."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, at a moment when more can be told than that it was pressed.

    Attributes:
        state: What state things were left in.
        next_step: The command that leads on.
    """

    def __init__(self, state: str, next_step: str) -> None:
        super().__init__(state)
        self.state = state
        self.next_step = next_step

    def __reduce__(self) -> _Reduced:
        """Let it be pickled, as the errors can be."""
        return _restore, (type(self), self.args, vars(self).copy())


class DataLossError(MigrationError):
    """What was asked for would lose rows and was not confirmed; nothing was changed.

    Attributes:
        result: Of a rollback that was refused as a whole: its ``migrations`` have what would have
            gone, with the counts, and ``rolled_back`` is empty. Else ``None``.
    """

    exit_code = 3
    result: RollbackResult | None = None


class DatabaseError(RiptideError):
    """The database cannot be reached or refused the connection.

    Attributes:
        sqlstate: PostgreSQL's five-character code, where it answered.
    """

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        state: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, state=state, next_step=next_step)
        self.sqlstate = sqlstate


class AccountError(RiptideError):
    """A change of an account was refused, or could not be asked for.

    Attributes:
        field: The column or argument that was refused, where the database says so.
        code: PostgreSQL's five-character code or PostgREST's own, where there was an answer.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        code: str | None = None,
        detail: str | None = None,
        state: str | None = "nothing was changed",
        next_step: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, state=state, next_step=next_step)
        self.field = field
        self.code = code


class StackError(RiptideError):
    """The local stack could not be started, stopped or asked."""


class RlsError(RiptideError):
    """RLS verification could not be carried out (which is not a verdict)."""


class RlsViolationError(RiptideError):
    """RLS verification found something; `report` says what.

    Attributes:
        report: The whole report.
    """

    exit_code = 3

    def __init__(self, report: RlsReport, **kwargs: str | None) -> None:
        super().__init__(f"Row Level Security does not hold: {report.summary}", **kwargs)
        self.report = report
