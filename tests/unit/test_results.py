"""What a result says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from riptide.results import RlsAttempt, RlsCheck, RlsReport, Verdict


def check(verdict: Verdict) -> RlsCheck:
    """Make a check that came to a verdict."""
    return RlsCheck(
        table="public.teams", operation="select", actor="anon", expected="deny", verdict=verdict
    )


def test_report_without_a_table_is_neither_proof_nor_violation() -> None:
    """A project without a table has nothing that does not hold, and says that it proves nothing."""
    report = RlsReport(target="local")
    assert report.ok
    assert report.summary == "no table of an exposed schema, so nothing was proved"
    assert report.to_dict()["ok"] is True


@pytest.mark.parametrize("verdict", Verdict)
def test_report_is_ok_where_every_check_is(verdict: Verdict) -> None:
    """One check that is anything but ok makes a report that is not."""
    report = RlsReport(target="local", checks=(check(Verdict.OK), check(verdict)))
    assert report.ok is (verdict is Verdict.OK)
    if not report.ok:
        assert report.summary == f"1 {verdict.value} in 2 checks"


def test_functions_are_not_counted_as_tables() -> None:
    """A report says how many tables and how many functions it is of."""
    call = replace(check(Verdict.OK), table="public.f(uuid)", operation="execute")
    one = RlsReport(target="local", checks=(check(Verdict.OK), check(Verdict.OK)))
    assert one.summary == "2 checks on 1 table passed"
    both = replace(one, checks=(*one.checks, call))
    assert both.summary == "3 checks on 1 table and 1 function passed"


def test_a_check_says_all_that_is_needed_to_mend_it() -> None:
    """Attempts, policies to blame and the SQL that mends are plain JSON in a report."""
    attempt = RlsAttempt(request="select", reply="1 row", effect="the row came back")
    found = replace(
        check(Verdict.MASKED),
        policies=("public.teams: open",),
        mend="drop policy open on public.teams;",
        attempts=(attempt,),
    ).to_dict()
    assert found["verdict"] == "masked"
    assert found["policies"] == ["public.teams: open"]
    assert found["mend"] == "drop policy open on public.teams;"
    assert found["attempts"] == [
        {"request": "select", "reply": "1 row", "effect": "the row came back"}
    ]
