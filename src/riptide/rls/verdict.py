"""What a reply and its effect come to: pure functions, no request and no database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from riptide.results import RlsAttempt, Verdict

ALLOW = "allow"
DENY = "deny"


class Outcome(StrEnum):
    """How the API or the database answered."""

    DONE = "done"
    """With success, which for a filtered write may mean that it found no row."""
    REFUSED = "refused"
    """A privilege, a policy or a trigger said no."""
    CONFLICT = "conflict"
    """A key, a check or a not-null said no: PostgreSQL asks the policies first: they said yes."""
    INVALID = "invalid"
    """Something else about the values said no."""
    FAILED = "failed"
    """No answer to the question: a server error, an unknown table, a policy that broke down."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer.

    Attributes:
        outcome: How it ended.
        rows: How many rows came back, or were touched where that is known; -1 where not.
        message: The server's words, where it refused.
        code: Its SQLSTATE, PostgREST's code or the HTTP status, where it refused.
        hidden: What keeps requests from what the database itself let happen; empty for nothing.
    """

    outcome: Outcome
    rows: int = -1
    message: str = ""
    code: str = ""
    hidden: str = ""

    @property
    def lacks_privilege(self) -> bool:
        """Whether a privilege is what was missing, and no policy was asked."""
        return self.code == "42501" and self.message.startswith("permission denied")

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.outcome is not Outcome.DONE:
            return f"{self.outcome.value}: {self.message}" if self.message else self.outcome.value
        if self.rows < 0:
            return "accepted"
        return f"{self.rows} row{'' if self.rows == 1 else 's'}"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Something that was tried, with what came of it.

    Attributes:
        tried: What was sent, for a person.
        reply: The answer.
        effect: What the service role saw change (for a select: what came back that is there);
            empty for nothing.
    """

    tried: str
    reply: Reply
    effect: str = ""

    @property
    def hidden(self) -> str:
        """What keeps a request from having the effect; empty for nothing."""
        return self.reply.hidden if self.effect else ""

    def to_result(self) -> RlsAttempt:
        """Give it as a report has it."""
        effect = f"{self.effect}; {self.hidden}" if self.hidden else self.effect
        return RlsAttempt(request=self.tried, reply=str(self.reply), effect=effect)


# What PostgREST says of a token: https://docs.postgrest.org/en/stable/references/errors.html#group-3-jwt
BAD_TOKEN = ("PGRST301", "PGRST302", "PGRST303")
# What a policy raises that breaks down on a row: on another row it may say yes. Division by zero,
# out of range, no such date, no such value of a type, no regular expression, no JSON.
_BROKEN = frozenset({"22012", "22003", "22007", "22008", "22P02", "2201B", "22032"})
# PostgreSQL's own words: a trigger that raises check_violation has others, and goes before the
# policies (https://www.postgresql.org/docs/17/ddl-rowsecurity.html; ExecInsert in
# nodeModifyTable.c).
_CONSTRAINT = re.compile(
    r"^(new row for relation .* violates check|null value in column .* violates not-null) "
)
_BOUNDS = "violates partition constraint"


def outcome_of(code: str | None, message: str = "") -> Outcome:
    """Tell what an error means.

    Args:
        code: A SQLSTATE, PostgREST's ``PGRST…``, or the HTTP status where there is neither.
        message: PostgreSQL's message.
    """
    if code in ("42501", "401", "403", "P0001", *BAD_TOKEN):
        return Outcome.REFUSED
    if code in ("23505", "23503") or (code in ("23502", "23514") and _CONSTRAINT.match(message)):
        return Outcome.CONFLICT
    if code in _BROKEN or _BOUNDS in message:
        return Outcome.FAILED
    # 428C9: a column that the database fills alone; 44000: a view's check option.
    if code and len(code) == 5 and (code[:2] in ("22", "23", "44") or code == "428C9"):
        return Outcome.INVALID
    return Outcome.FAILED


def hidden_by(filtered: Reply) -> str:
    """Say what keeps a request with a filter from the row; empty where nothing does."""
    if filtered.outcome is Outcome.DONE and filtered.rows > 0:
        return ""
    if filtered.lacks_privilege:
        why = "there is no privilege to select by a filter"
    elif filtered.outcome is Outcome.DONE:
        why = "the select policies do not show the row to a filter"
    else:
        why = f"with a filter it is {filtered}"
    return f"only this keeps requests from it: {why}"


def judge(
    expected: str,
    attempts: list[Attempt],
    *,
    proven: bool,
    otherwise: str = "the service role saw no effect",
) -> tuple[Verdict, str]:
    """Give the verdict on a cell and the sentence for what was seen.

    Args:
        expected: ``allow`` (each attempt must have an effect) or ``deny`` (none may).
        attempts: What was tried.
        proven: Whether somebody who may do it could do the same thing to the same row: a denial
            means nothing where it would not have worked anyway.
        otherwise: What is true where nothing had an effect.
    """
    if expected == ALLOW:
        attempt = next((each for each in attempts if not each.effect), attempts[0])
        what = f"{attempt.tried}: " if len(attempts) > 1 and not attempt.effect else ""
        if attempt.effect:
            return Verdict.OK, f"{attempt.reply}; {attempt.effect}"
        if attempt.reply.outcome in (Outcome.DONE, Outcome.REFUSED):
            return Verdict.LOCKOUT, f"{what}{attempt.reply}; {otherwise}"
        return Verdict.ERROR, f"{what}{attempt.reply}"
    for attempt in attempts:
        if attempt.effect and not attempt.hidden:
            return Verdict.LEAK, f"{attempt.tried}: {attempt.reply}; {attempt.effect}"
        if attempt.reply.outcome is Outcome.CONFLICT:
            what = "a constraint" if _CONSTRAINT.match(attempt.reply.message) else "a key"
            words = f"the policies let it pass, only {what} stopped it ({attempt.reply.message})"
            return Verdict.LEAK, f"{attempt.tried}: {words}"
    for attempt in attempts:
        if attempt.hidden:
            words = f"{attempt.reply}; {attempt.effect}; {attempt.hidden}"
            return Verdict.MASKED, f"{attempt.tried}: {words}"
    for attempt in attempts:
        if attempt.reply.outcome is Outcome.FAILED:
            return Verdict.ERROR, f"{attempt.tried}: {attempt.reply}"
    seen = "; ".join(dict.fromkeys(str(each.reply) for each in attempts))
    if not proven:
        return Verdict.ERROR, f"{seen}; but nobody else could do it either, so it proves nothing"
    return Verdict.OK, f"{seen}; {otherwise}"
