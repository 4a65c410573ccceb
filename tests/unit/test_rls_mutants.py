"""What can be broken of a table, and which of it is no mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from riptide.results import Fate, MutantResult, MutationReport
from riptide.rls.breakable import Policy, Table
from riptide.rls.equivalence import conjuncts
from riptide.rls.mutants import Mutant, mutants

OWN = "(( SELECT auth.uid() AS uid) = user_id)"
SELECT = Policy(
    relation="public.notes",
    table="public.notes",
    name="notes_select",
    command="select",
    permissive=True,
    roles=("authenticated",),
    using=OWN,
    check=None,
    comment="A user's own.",
)
UPDATE = replace(SELECT, name="notes_update", command="update", check=OWN, comment=None)
TABLE = Table(
    relation="public.notes",
    table="public.notes",
    schema="public",
    protected=True,
    columns=("id", "user_id", "body"),
    not_null=("user_id",),
    updatable=frozenset({"body"}),
    indexes=(),
    first_columns=("id",),
    privileges=frozenset({"authenticated select", "authenticated update"}),
    column_grants=(),
    policies=(SELECT, UPDATE),
)


def of(table: Table, sentence: str) -> Mutant:
    """Give the one mutant of a sentence."""
    (found,) = (each for each in mutants(table, "user_id") if each.sentence == sentence)
    return found


def test_policy_is_made_anew_as_it_was() -> None:
    """What takes a mutant back makes the policy with all that it had, its comment too."""
    mutant = of(TABLE, "policy notes_select: using (true)")
    assert mutant.apply.startswith("drop policy notes_select on public.notes; create policy")
    assert "using (true)" in mutant.apply
    assert mutant.undo == (
        "drop policy notes_select on public.notes; create policy notes_select on public.notes "
        f"as permissive for select to authenticated using ({OWN}); "
        "comment on policy notes_select on public.notes is 'A user''s own.'"
    )


def test_calls_are_unwrapped() -> None:
    """The scalar subquery goes, the call stays."""
    assert (
        "using ((auth.uid() = user_id))"
        in of(TABLE, "policy notes_select: its calls run once a row").apply
    )


def test_what_opens_something_says_what() -> None:
    """A wider role or command opens what the new policy reaches and the old one did not."""
    assert of(TABLE, "policy notes_select: to public").reach == {"anon select"}
    widened = of(TABLE, "policy notes_select: for all")
    assert widened.reach == {f"authenticated {each}" for each in ("insert", "update", "delete")}
    # Of these authenticated may only update, and that is what notes_update says already.
    assert widened.same_as == ("notes_update",)
    assert of(TABLE, "policy notes_select: to anon").reach == frozenset()  # it shuts out too


def test_other_condition_is_no_twin() -> None:
    """A policy that says something else for what is opened is no reason to call it equivalent."""
    other = replace(UPDATE, using="(body IS NOT NULL)")
    table = replace(TABLE, policies=(SELECT, other))
    assert of(table, "policy notes_select: for all").same_as == ()


@pytest.mark.parametrize(
    ("using", "check", "updatable", "loosened", "implied"),
    [
        (OWN, OWN, {"body"}, "using (true)", True),
        (OWN, OWN, {"body"}, "with check (true)", True),
        (OWN, None, {"body"}, "with check (true)", True),
        (OWN, OWN, {"body", "user_id"}, "using (true)", False),
        (OWN, OWN, {"body", "user_id"}, "with check (true)", False),
        # What USING alone asks for is lost; what both ask for is not.
        (f"({OWN} AND (body IS NULL))", OWN, {"body"}, "using (true)", False),
        (f"({OWN} AND (body IS NULL))", OWN, {"body"}, "with check (true)", True),
        ("(EXISTS ( SELECT FROM t))", "(EXISTS ( SELECT FROM t))", {"body"}, "using (true)", False),
    ],
)
def test_looser_update_that_opens_nothing(
    using: str, check: str | None, updatable: set[str], loosened: str, *, implied: bool
) -> None:
    """Only where the other half asks for the same of columns that nobody may change."""
    policy = replace(UPDATE, using=using, check=check)
    table = replace(TABLE, updatable=frozenset(updatable), policies=(policy,))
    assert bool(of(table, f"policy notes_update: {loosened}").implied) is implied


def test_privilege_without_a_policy_opens_nothing() -> None:
    """With RLS on and no policy for it a privilege lets nothing through; without RLS it does."""
    assert "no policy" in of(TABLE, "select granted to anon").implied
    assert of(replace(TABLE, protected=False), "select granted to anon").implied == ""


def test_index_that_another_one_stands_in_for() -> None:
    """Dropped, an index is missed where no other begins with the owner column."""
    index = {
        "name": "public.i",
        "definition": "create index …",
        "first": "user_id",
        "comment": None,
    }
    alone = replace(TABLE, indexes=(index,), first_columns=("id", "user_id"))
    assert of(alone, "index public.i dropped").implied == ""
    doubled = replace(alone, first_columns=("id", "user_id", "user_id"))
    assert "another index begins with user_id" in of(doubled, "index public.i dropped").implied


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("true", {"true"}),
        ("(a = 1)", {"(a = 1)"}),
        ("((a = 1) AND (b = 2))", {"(a = 1)", "(b = 2)"}),
        ("((a = 1) AND ((b = 2) OR (c = 3)))", {"(a = 1)", "((b = 2) OR (c = 3))"}),
        ("((a = 1) OR (b = 2))", {"((a = 1) OR (b = 2))"}),
        # A text may have anything in it: nothing is split then.
        ("((a = ') AND (') AND (b = 2))", {"((a = ') AND (') AND (b = 2))"}),
    ],
)
def test_conditions_are_split_at_their_ands(text: str, parts: set[str]) -> None:
    """At the ANDs that are not within parentheses."""
    assert conjuncts(text) == parts


def test_score_leaves_out_what_is_no_mistake() -> None:
    """Killed of those that are mistakes; with a survivor it is not ok."""
    fates = [Fate.KILLED, Fate.KILLED, Fate.EQUIVALENT, Fate.SURVIVED]
    found = [MutantResult(kind="k", table="t", sentence="s", fate=each) for each in fates]
    report = MutationReport(mutants=tuple(found))
    assert (report.ok, round(report.score, 2)) == (False, 0.67)
    assert report.summary == (
        "2 of 4 mutants killed, 1 shown to be equivalent, 1 survived: a score of 67 %"
    )
    assert MutationReport().ok
