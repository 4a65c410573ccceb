"""What a verification of Row Level Security gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from riptide.results._base import Result, count

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Verdict(StrEnum):
    """What a cell of the RLS matrix came to."""

    OK = "ok"
    LEAK = "leak"
    """Somebody could do what the intent denies."""
    MASKED = "masked"
    """Its own policies let it pass, and only another one stood in the way."""
    LOCKOUT = "lockout"
    """Somebody could not do what the intent allows."""
    SLOW = "slow"
    """It holds, at a cost that grows with the table."""
    ERROR = "error"
    """It could not be tried."""
    UNDECLARED = "undeclared"
    """The table is exposed, and supabase/rls.toml does not say who may do what."""


@dataclass(frozen=True, kw_only=True)
class RlsAttempt(Result):
    """One thing that was tried for a check.

    Attributes:
        request: What was sent, for a person.
        reply: How it was answered.
        effect: What the service role saw change, or what came back that is there; empty for
            nothing.
    """

    request: str
    reply: str
    effect: str = ""


@dataclass(frozen=True, kw_only=True)
class RlsCheck(Result):
    """One probe: an actor tried an operation on somebody's row.

    Attributes:
        table: ``schema.table``, or ``schema.function(types)``.
        operation: ``select``, ``insert``, ``update``, ``delete``; ``exists`` (learn of a row that
            one may not see), ``plan`` (how the owner's rows are found), ``execute`` (a function).
        actor: ``owner``, ``other`` (another signed-in user), ``anon`` or ``service_role``;
            ``empty`` (a user without rows), ``claimant`` (who says in their own metadata that they
            are an admin), ``no_sub`` (a token that does not say whose), ``bad_token`` (expired,
            forged or unsigned).
        expected: ``allow`` or ``deny``.
        verdict: What it came to.
        tried: What was sent, for a person.
        seen: What came back and what the service role saw afterwards.
        policies: The policies to blame where the verdict is not ok, as ``schema.table: policy``.
        mend: The SQL that would mend it, where that can be said.
        attempts: Each thing that was tried, with its reply and its effect.
    """

    table: str
    operation: str
    actor: str
    expected: str
    verdict: Verdict
    tried: str = ""
    seen: str = ""
    policies: tuple[str, ...] = ()
    mend: str = ""
    attempts: tuple[RlsAttempt, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RlsDraft(Result):
    """What `draft_rls` has added to ``supabase/rls.toml``, or would.

    Attributes:
        path: The file.
        tables: The tables and views that it did not declare.
        functions: The functions, likewise.
        text: The new sections.
        written: Whether they were written to the file.
    """

    path: Path
    tables: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    text: str = ""
    written: bool = False


@dataclass(frozen=True, kw_only=True)
class RlsRemains(Result):
    """What verifications that were killed had left behind, and `clean_rls` has removed.

    Attributes:
        target: Which database.
        users: Their addresses.
        rows: How many rows of each table.
    """

    target: str
    users: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line for a person."""
        if not (self.users or self.rows):
            return "nothing was left behind"
        rows = [f"{number} of {table}" for table, number in self.rows.items()]
        return f"removed {count(self.users, 'user')}, rows: {', '.join(rows) or 'none'}"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and ``summary``."""
        return {**super().to_dict(), "summary": self.summary}


@dataclass(frozen=True, kw_only=True)
class RlsReport(Result):
    """The whole verification.

    Attributes:
        target: Which database.
        checks: What was tried, and what it came to; and what is not declared.
        not_tried: What could not be tried there, for a person; it is no verdict.
        note: What else a person should know; ``""`` for nothing.
        seconds: Wall time.
    """

    target: str
    checks: tuple[RlsCheck, ...] = ()
    not_tried: tuple[str, ...] = ()
    note: str = ""
    seconds: float = 0.0

    @property
    def failures(self) -> tuple[RlsCheck, ...]:
        """All checks whose verdict is not ok."""
        return tuple(each for each in self.checks if each.verdict is not Verdict.OK)

    @property
    def ok(self) -> bool:
        """Whether everything that was looked at holds.

        So it is of a project that has no table yet: that proves nothing, as `summary` says, and
        leaves nothing open. A table that is exposed and not declared is looked at, and fails.
        """
        return not self.failures

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that were looked at, and the functions, in order."""
        return tuple(dict.fromkeys(each.table for each in self.checks))

    @property
    def summary(self) -> str:
        """One line for a person."""
        if not self.checks:
            return "no table of an exposed schema, so nothing was proved"
        if self.ok:
            functions = {each.table for each in self.checks if each.operation == "execute"}
            looked_at = count(set(self.tables) - functions, "table")
            if functions:
                looked_at += f" and {count(functions, 'function')}"
            return f"{count(self.checks, 'check')} on {looked_at} passed"
        counts = [
            f"{sum(each.verdict is verdict for each in self.failures)} {verdict.value}"
            for verdict in Verdict
            if any(each.verdict is verdict for each in self.failures)
        ]
        return f"{', '.join(counts)} in {count(self.checks, 'check')}"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and ``ok``, ``summary``."""
        return {**super().to_dict(), "ok": self.ok, "summary": self.summary}
