"""What `audit_rls` gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riptide.results._base import Result, count
from riptide.results.check import Level

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class AuditFinding(Result):
    """One thing in the catalog that Row Level Security is weaker or slower for.

    Attributes:
        rule: Its name: Supabase's (``rls_disabled_in_public``) where its advisors have the rule,
            else RipTide's (``policy-to-public``).
        level: How much it weighs.
        object: ``schema.table``, ``schema.function(types)`` or a role.
        policy: The policy of that table, or ``""``.
        message: What is so, and what comes of it.
        sql: What would mend it, to be put into a migration; ``""`` where nobody can tell.
        docs: The page that the rule is from.
        source: ``riptide``, or ``supabase`` for what only ``supabase db advisors`` has found.
        reason: Why it is excepted in ``supabase/rls.toml``, or ``""``.
        file: The migration that makes the object, or the file that the finding is about; ``None``
            where it was not found.
        line: 1-based line in it, or ``None``.
    """

    rule: str
    level: Level
    object: str
    policy: str = ""
    message: str
    sql: str = ""
    docs: str = ""
    source: str = "riptide"
    reason: str = ""
    file: Path | None = None
    line: int | None = None

    @property
    def name(self) -> str:
        """The object, with its policy where it is about one: ``public.teams.teams_select``."""
        return f"{self.object}.{self.policy}" if self.policy else self.object


@dataclass(frozen=True, kw_only=True)
class AuditReport(Result):
    """All that the catalog says of Row Level Security.

    Attributes:
        target: Which database.
        tables: Tables and views of the exposed schemas that were looked at.
        functions: How many functions were looked at.
        findings: Errors first; without what is excepted.
        excepted: What ``supabase/rls.toml`` excepts, with its reasons.
        rules: The rules that were looked at.
        seconds: Wall time of the whole.
    """

    target: str
    tables: tuple[str, ...] = ()
    functions: int = 0
    findings: tuple[AuditFinding, ...] = ()
    excepted: tuple[AuditFinding, ...] = ()
    rules: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def errors(self) -> tuple[AuditFinding, ...]:
        """What lets somebody pass, or does nothing."""
        return self._of(Level.ERROR)

    @property
    def warnings(self) -> tuple[AuditFinding, ...]:
        """What may be meant so: mend it, or except it with a reason."""
        return self._of(Level.WARNING)

    @property
    def notes(self) -> tuple[AuditFinding, ...]:
        """What is good to know."""
        return self._of(Level.NOTE)

    @property
    def ok(self) -> bool:
        """Whether there is no error and no warning."""
        return not (self.errors or self.warnings)

    @property
    def summary(self) -> str:
        """``3 tables, 1 function: 1 error, 2 warnings; 1 excepted``."""
        found = [
            count(each, noun)
            for each, noun in (
                (self.errors, "error"),
                (self.warnings, "warning"),
                (self.notes, "note"),
            )
            if each
        ]
        return (
            f"{count(self.tables, 'table')}, {count(range(self.functions), 'function')}: "
            f"{', '.join(found) or 'nothing found'}"
            + (f"; {len(self.excepted)} excepted" if self.excepted else "")
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and ``ok``, ``summary``."""
        return {**super().to_dict(), "ok": self.ok, "summary": self.summary}

    def _of(self, level: Level) -> tuple[AuditFinding, ...]:
        return tuple(each for each in self.findings if each.level is level)
