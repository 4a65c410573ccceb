"""Where the other user gets rows of their own, and where they must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from riptide.errors import ConfigError
from riptide.rls.agreement import check_through
from riptide.rls.catalog import Column, ForeignKey, Relation
from riptide.rls.intent import TableIntent, read_intent
from riptide.rls.ownership import own_condition
from riptide.rls.plan import TablePlan
from riptide.rls.second import with_second_rows
from riptide.rls.sources import Reference, Source, TheUser
from riptide.rls.values import ColumnValues, Fixed

if TYPE_CHECKING:
    from pathlib import Path

RANDOM = ColumnValues(["a" * 32, "b" * 32], random=True)
FEW = ColumnValues(["admin", "guest"])


def plan(name: str, /, *, key: tuple[str, ...] = ("id",), **columns: Source) -> TablePlan:
    """Give a plan of a table whose rows are made of these."""
    owner = next((each for each, source in columns.items() if source == TheUser()), None)
    given: dict[str, Any] = {"row": {n: s.value for n, s in columns.items() if type(s) is Fixed}}
    return TablePlan(
        intent=TableIntent(
            schema="public", name=name, section=f"tables.{name}", owner=owner, rules={}, **given
        ),
        relation=Relation(
            schema="public",
            name=name,
            kind="r",
            columns=tuple(
                Column(
                    name=each,
                    type="text",
                    base="text",
                    category="S",
                    not_null=True,
                    default=None,
                    automatic=False,
                    labels=(),
                )
                for each in ("id", *columns)
            ),
            primary_key=key,
            unique=(frozenset(key),),
            foreign_keys=tuple(
                ForeignKey(columns=(each,), target=s.table, target_columns=("id",), cascades=True)
                for each, s in columns.items()
                if isinstance(s, Reference)
            ),
        ),
        insert=columns,
    )


TEAM = Reference("public.teams", "id")
TEAMS = plan("teams", name=RANDOM)
MEMBERS = plan("members", key=("team", "user"), team=TEAM, user=TheUser(), role=FEW)


def test_members_of_another_team_are_made() -> None:
    """A role within a team of one's own gives no right in another's."""
    assert with_second_rows([TEAMS, MEMBERS]) == {"public.teams", "public.members"}


@pytest.mark.parametrize(
    "tables",
    [
        [plan("admins", key=("user",), user=TheUser())],
        [
            plan("admins", key=("user",), user=TheUser()),
            plan("log", by=Reference("public.admins", "user")),
        ],
        [plan("roles", user=TheUser(), role=FEW)],
        [
            plan("roles", name=FEW),
            plan("user_roles", user=TheUser(), role=Reference("public.roles", "id")),
        ],
        [plan("notes", user=TheUser(), body=RANDOM)],
        [TEAMS, plan("notes", key=("kind",), kind=Fixed("x"), team=TEAM)],
    ],
    ids=[
        "one is one",
        "and is referred to",
        "a role everywhere",
        "the same by a key",
        "a leaf",
        "a key of rls.toml",
    ],
)
def test_none_that_might_say_what_somebody_is(tables: list[TablePlan]) -> None:
    """Where a row could make a user more than the plainest one the other has none."""
    assert with_second_rows(tables) <= {"public.teams"}


def test_whose_row_it_is_is_written_through_the_members(tmp_path: Path) -> None:
    """The condition joins the members by their key to the table, or by the key both have."""
    path = tmp_path / "rls.toml"
    path.write_text(
        '[tables.teams]\nthrough = "members"\n[tables.notes]\nthrough = "members"\n'
        '[tables.members]\nowner = "user"\n',
        encoding="utf-8",
    )
    intents = {each.name: each for each in read_intent(path).tables}
    plans = {
        each.name: TablePlan(intent=intents[each.relation.name], relation=each.relation)
        for each in (TEAMS, MEMBERS, plan("notes", team=TEAM))
    }
    mine = '(select auth.uid())::text = "members"."user"'
    assert own_condition(plans["public.teams"], plans) == (
        f'exists (select from "public"."members" where "members"."team" = "teams"."id" and {mine})'
    )
    tie = '"members"."team" = "notes"."team"'
    assert own_condition(plans["public.notes"], plans) == (
        f'exists (select from "public"."members" where {tie} and {mine})'
    )


@pytest.mark.parametrize(
    "through",
    [
        {"teams": "teams"},
        {"teams": "notes", "notes": "teams"},
        {"teams": "notes", "notes": "tags", "tags": "teams"},
        {"teams": "notes", "notes": "tags", "tags": "notes"},
    ],
    ids=["itself", "two", "three", "a circle further on"],
)
def test_a_circle_of_members_is_nobodys(through: dict[str, str], tmp_path: Path) -> None:
    """Where no table at the end has an owner a row would be nobody's; it ends, and is named."""
    path = tmp_path / "rls.toml"
    text = "".join(f'[tables.{each}]\nthrough = "{there}"\n' for each, there in through.items())
    path.write_text(text, encoding="utf-8")
    intent = read_intent(path)
    declared = {each.full_name: each for each in intent.tables}
    catalog = {each: plan(each.removeprefix("public.")).relation for each in declared}
    with pytest.raises(ConfigError, match="whose rows are nobody's"):
        check_through(intent, declared["public.teams"], declared, catalog)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('through = ""', "must be a table's name"),
        ('through = "members"\nowner = "user_id"', "stands beside owner"),
        ("other_row = 7", "must be a section of column = value"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, words: str, tmp_path: Path) -> None:
    """A wrong `through` or `other_row` is named with its line."""
    path = tmp_path / "rls.toml"
    path.write_text(f"[tables.notes]\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        read_intent(path)
