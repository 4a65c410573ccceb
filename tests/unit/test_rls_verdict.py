"""What replies and effects come to."""

from __future__ import annotations

import pytest

from riptide.results import Verdict
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome, Reply, judge, outcome_of


def attempt(outcome: Outcome, effect: str = "", *, rows: int = -1, message: str = "") -> Attempt:
    """Make an attempt."""
    reply = Reply(outcome=outcome, rows=rows, message=message)
    return Attempt(tried="try it", reply=reply, effect=effect)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("42501", Outcome.REFUSED),
        ("401", Outcome.REFUSED),
        ("P0001", Outcome.REFUSED),
        ("23505", Outcome.CONFLICT),
        ("23503", Outcome.CONFLICT),
        ("23514", Outcome.INVALID),
        ("22023", Outcome.INVALID),
        ("22P02", Outcome.FAILED),
        ("22012", Outcome.FAILED),
        ("428C9", Outcome.INVALID),
        ("42P17", Outcome.FAILED),
        ("PGRST205", Outcome.FAILED),
        ("500", Outcome.FAILED),
        ("229", Outcome.FAILED),
        ("", Outcome.FAILED),
        (None, Outcome.FAILED),
    ],
)
def test_a_code_is_an_outcome(code: str | None, outcome: Outcome) -> None:
    """SQLSTATEs, PostgREST's codes and HTTP's statuses are told apart."""
    assert outcome_of(code) is outcome


@pytest.mark.parametrize(
    ("code", "message", "outcome"),
    [
        (
            "23514",
            'new row for relation "notes" violates check constraint "notes_order"',
            Outcome.CONFLICT,
        ),
        (
            "23502",
            'null value in column "body" of relation "notes" violates not-null constraint',
            Outcome.CONFLICT,
        ),
        ("23514", "a note is for ever", Outcome.INVALID),
        ("23514", 'value for domain code violates check constraint "code_check"', Outcome.INVALID),
        ("23514", 'new row for relation "old" violates partition constraint', Outcome.FAILED),
    ],
)
def test_a_constraint_speaks_after_the_policies(code: str, message: str, outcome: Outcome) -> None:
    """What only a table's own constraint stops has passed the policies; a trigger goes before."""
    assert outcome_of(code, message) is outcome


def test_what_stopped_a_leak_is_named() -> None:
    """A key and another constraint are told apart."""
    words = 'new row for relation "notes" violates check constraint "notes_order"'
    for message, named in ((words, "only a constraint"), ("duplicate key value", "only a key")):
        seen = judge(DENY, [attempt(Outcome.CONFLICT, message=message)], proven=True)[1]
        assert named in seen


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (attempt(Outcome.DONE, "1 row more"), Verdict.OK),
        (attempt(Outcome.DONE), Verdict.LOCKOUT),
        (attempt(Outcome.REFUSED), Verdict.LOCKOUT),
        (attempt(Outcome.INVALID), Verdict.ERROR),
        (attempt(Outcome.CONFLICT), Verdict.ERROR),
        (attempt(Outcome.FAILED), Verdict.ERROR),
    ],
)
def test_what_is_allowed_must_have_an_effect(made: Attempt, verdict: Verdict) -> None:
    """A success without an effect is a lockout: a filtered write that found no row says 'done'."""
    assert judge(ALLOW, [made], proven=True)[0] is verdict


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (attempt(Outcome.DONE), Verdict.OK),
        (attempt(Outcome.REFUSED), Verdict.OK),
        (attempt(Outcome.INVALID), Verdict.OK),
        (attempt(Outcome.DONE, "body changed"), Verdict.LEAK),
        (attempt(Outcome.REFUSED, "body changed"), Verdict.LEAK),
        (attempt(Outcome.CONFLICT), Verdict.LEAK),
        (attempt(Outcome.FAILED), Verdict.ERROR),
    ],
)
def test_what_is_denied_must_have_none(made: Attempt, verdict: Verdict) -> None:
    """An effect is a leak whatever the reply says, and so is what only a key has stopped."""
    assert judge(DENY, [made], proven=True)[0] is verdict


def test_a_denial_that_nobody_could_break_proves_nothing() -> None:
    """Without an allowed control a denial is an error, but a leak stays a leak."""
    verdict, seen = judge(DENY, [attempt(Outcome.DONE)], proven=False)
    assert verdict is Verdict.ERROR
    assert "proves nothing" in seen
    assert judge(DENY, [attempt(Outcome.DONE, "gone")], proven=False)[0] is Verdict.LEAK


def test_one_leak_among_many_tries_is_a_leak() -> None:
    """A failing or refused try before it does not hide the try that worked."""
    tries = [
        attempt(Outcome.FAILED, message="no answer"),
        attempt(Outcome.REFUSED, message="permission denied"),
        attempt(Outcome.DONE, "the row is gone", rows=1),
    ]
    verdict, seen = judge(DENY, tries, proven=True)
    assert verdict is Verdict.LEAK
    assert seen == "try it: 1 row; the row is gone"


def test_equal_replies_are_said_once() -> None:
    """What was seen names each different reply one time."""
    tries = [attempt(Outcome.REFUSED, message="no"), attempt(Outcome.REFUSED, message="no")]
    assert judge(DENY, tries, proven=True)[1] == "refused: no; the service role saw no effect"


def test_what_something_else_hides_is_masked() -> None:
    """A write that only the select policies keep requests from is neither ok nor a leak."""
    hidden = Reply(outcome=Outcome.DONE, rows=1, hidden="the filter finds nothing")
    masked = Attempt(tried="update", reply=hidden, effect="the database would have done it")
    verdict, seen = judge(DENY, [masked], proven=True)
    assert verdict is Verdict.MASKED
    assert "the filter finds nothing" in seen
    assert "the filter finds nothing" in masked.to_result().effect
    # What a request could do weighs more.
    assert judge(DENY, [masked, attempt(Outcome.DONE, "gone")], proven=True)[0] is Verdict.LEAK


def test_each_thing_that_is_allowed_has_to_work() -> None:
    """Of several ways to do what one may, one that does not work is a lockout, and is named."""
    works, fails = attempt(Outcome.DONE, "1 row more"), attempt(Outcome.REFUSED)
    verdict, seen = judge(ALLOW, [works, fails], proven=True)
    assert verdict is Verdict.LOCKOUT
    assert seen.startswith(f"{fails.tried}: ")
    assert judge(ALLOW, [works, works], proven=True)[0] is Verdict.OK
