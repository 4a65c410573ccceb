"""Plans and made-up values, as far as they need no database."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, time
from typing import TYPE_CHECKING, Any

import pytest

from riptide.errors import RlsError
from riptide.rls.catalog import Column, ForeignKey, Partition, Relation
from riptide.rls.intent import read_intent
from riptide.rls.plan import Plan, TablePlan, make_plan
from riptide.rls.probes_sql import Snapshot, difference
from riptide.rls.sources import Reference, TheUser
from riptide.rls.values import ColumnValues, Fixed

if TYPE_CHECKING:
    from pathlib import Path

OPEN = frozenset({"authenticated select"})
NEVER: Any = None  # a plan that makes no value up asks the database nothing


def column(name: str, **changed: Any) -> Column:
    """Make a nullable uuid column."""
    given = {
        "type": "uuid",
        "base": "uuid",
        "category": "U",
        "not_null": False,
        "default": None,
        "automatic": False,
        **changed,
    }
    return Column(name=name, **given)


def relation(name: str, *columns: Column, refers: dict[str, str] | None = None) -> Relation:
    """Make a table with the key ``id``; ``refers`` maps a column to the table it refers to."""
    return Relation(
        schema="public",
        name=name,
        kind="r",
        privileges=OPEN,
        columns=(column("id", not_null=True, automatic=True), *columns),
        primary_key=("id",),
        unique=(frozenset({"id"}),),
        foreign_keys=tuple(
            ForeignKey(columns=(here,), target=there, target_columns=("id",), cascades=True)
            for here, there in (refers or {}).items()
        ),
    )


def plan(folder: Path, intent: str, *relations: Relation) -> Plan:
    """Plan for a file and a catalog."""
    path = folder / "rls.toml"
    path.write_text(intent, encoding="utf-8")
    return make_plan(NEVER, read_intent(path), {each.full_name: each for each in relations})


@pytest.mark.parametrize(
    ("changed", "given"),
    [
        ({"not_null": True}, True),
        ({"not_null": True, "default": "now()"}, False),
        ({"not_null": True, "default": "auth.uid()"}, True),
        ({"not_null": True, "default": "((auth.jwt() ->> 'sub'::text))::uuid"}, True),
        ({"not_null": True, "automatic": True}, False),
        ({}, False),
    ],
)
def test_what_an_insert_must_give(changed: dict[str, Any], given: bool) -> None:
    """A default that depends on who asks is none for a server."""
    assert column("x", **changed).must_be_given is given


def test_parents_come_before_children(tmp_path: Path) -> None:
    """A table that refers to another is planned after it, whatever the file's order."""
    item = relation(
        "items",
        column("user_id"),
        column("list_id", not_null=True),
        refers={"list_id": "public.lists", "user_id": "auth.users"},
    )
    lists = relation("lists", column("user_id"), refers={"user_id": "auth.users"})
    made = plan(
        tmp_path,
        '[tables.items]\nowner = "user_id"\n[tables.lists]\nowner = "user_id"\n',
        item,
        lists,
    )
    assert [each.name for each in made.tables] == ["public.lists", "public.items"]
    assert dict(made.tables[1].insert) == {
        "user_id": TheUser(),
        "list_id": Reference("public.lists", "id"),
    }
    row = made.tables[1].new_row("me", {"public.lists": {"id": "the list"}})
    assert row == {"user_id": "me", "list_id": "the list"}


def test_tables_that_refer_to_each_other_are_planned(tmp_path: Path) -> None:
    """A circle of foreign keys ends."""
    one = relation("one", column("user_id"), column("two"), refers={"two": "public.two"})
    two = relation("two", column("user_id"), column("one"), refers={"one": "public.one"})
    made = plan(
        tmp_path, '[tables.one]\nowner = "user_id"\n[tables.two]\nowner = "user_id"\n', one, two
    )
    assert {each.name for each in made.tables} == {"public.one", "public.two"}


def test_a_row_that_another_needs_comes_first_in_a_circle(tmp_path: Path) -> None:
    """Of two tables that refer to each other the one whose column may be null goes first."""
    one = relation("one", column("user_id"), column("two"), refers={"two": "public.two"})
    two = relation(
        "two", column("user_id"), column("one", not_null=True), refers={"one": "public.one"}
    )
    declared = '[tables.two]\nowner = "user_id"\n[tables.one]\nowner = "user_id"\n'
    made = plan(tmp_path, declared, one, two)
    assert [each.name for each in made.tables] == ["public.one", "public.two"]


def test_a_circle_of_rows_that_need_each_other_is_named(tmp_path: Path) -> None:
    """Where neither row can be made first the error names both tables and the section."""
    one = relation(
        "one", column("user_id"), column("two", not_null=True), refers={"two": "public.two"}
    )
    two = relation(
        "two", column("user_id"), column("one", not_null=True), refers={"one": "public.one"}
    )
    declared = '[tables.one]\nowner = "user_id"\n[tables.two]\nowner = "user_id"\n'
    with pytest.raises(RlsError, match=r"public\.\w+, whose rows refer to public") as caught:
        plan(tmp_path, declared, one, two)
    assert ".row]" in str(caught.value)


def test_what_clients_cannot_reach_need_not_be_declared(tmp_path: Path) -> None:
    """Only what anon or authenticated has a privilege on is undeclared."""
    notes = relation("notes", column("user_id"))
    open_one = relation("open", column("user_id"))
    closed = Relation(schema="public", name="closed", kind="r", columns=())
    made = plan(tmp_path, '[tables.notes]\nowner = "user_id"\n', notes, open_one, closed)
    assert [each.name for each in made.undeclared] == ["open"]


def part(name: str, of: str, *, reachable: bool) -> Relation:
    """Make a partition of a table."""
    return replace(
        relation(name, column("user_id")),
        privileges=OPEN if reachable else frozenset(),
        partition=Partition(parent=f"public.{of}", columns=(), expression="", protected=False),
    )


def test_a_partition_stands_under_the_section_of_the_whole(tmp_path: Path) -> None:
    """One within clients' reach is planned with the whole's intent, after it, at any depth."""
    notes = replace(relation("notes", column("user_id")), kind="p")
    parts = (
        part("notes_2025", "notes", reachable=False),
        part("notes_2025_q1", "notes_2025", reachable=True),
        part("notes_2026", "notes", reachable=True),
    )
    made = plan(tmp_path, '[tables.notes]\nowner = "user_id"\n', *parts, notes)
    assert [(each.name, each.parent) for each in made.tables] == [
        ("public.notes", ""),
        ("public.notes_2025_q1", "public.notes"),
        ("public.notes_2026", "public.notes"),
    ]
    assert made.undeclared == ()
    assert made.tables[1].intent.section == "tables.notes"


def test_partitions_of_what_is_undeclared_are_told_with_it(tmp_path: Path) -> None:
    """The whole is reported; a partition alone where clients cannot reach the whole."""
    notes = relation("notes", column("user_id"))
    one = part("notes_2026", "notes", reachable=True)
    assert [each.name for each in plan(tmp_path, "", notes, one).undeclared] == ["notes"]
    closed = replace(notes, privileges=frozenset())
    assert [each.name for each in plan(tmp_path, "", closed, one).undeclared] == ["notes_2026"]


def test_random_text_differs_from_row_to_row() -> None:
    """{random} becomes something new each time, {owner} the owner's id; other values stay."""
    assert Fixed("x-{random}").make() != Fixed("x-{random}").make()
    assert Fixed("x-{random}").make().startswith("x-")
    assert Fixed(["{owner}/a"]).make("u1") == ["u1/a"]
    assert Fixed(7).make() == 7


def test_a_value_of_toml_is_one_that_json_knows() -> None:
    """Dates, times and numbers without an end become texts, wherever they stand."""
    given = {"a": date(2020, 1, 1), "b": [time(12, 0), math.nan], "c": "{random}", "d": 1.5}
    made = Fixed(given).make()
    assert made == {"a": "2020-01-01", "b": ["12:00:00", "nan"], "c": made["c"], "d": 1.5}
    assert "{" not in made["c"]


def test_a_change_is_a_change() -> None:
    """A value is made other than the present one where the column has room for it."""
    values = ColumnValues((True, False))
    assert values.varies
    assert values.make(other_than=True) is False
    assert values.make(other_than=False) is True
    only = ColumnValues(("one",))
    assert not only.varies
    assert only.make(other_than="one") == "one"


def test_a_row_is_known_by_its_key(tmp_path: Path) -> None:
    """The primary key picks a row out; without one the column that marks the run's rows does."""
    notes = relation("notes", column("user_id"))
    [made] = plan(tmp_path, '[tables.notes]\nowner = "user_id"\n', notes).tables
    assert made.key == ("id",)
    bare = Relation(schema="public", name="bare", kind="v", privileges=OPEN, columns=())
    assert TablePlan(intent=made.intent, relation=bare, mark="user_id").key == ("user_id",)


def test_a_difference_names_columns_and_no_values() -> None:
    """What changed is told by columns and counts: values could be secrets."""
    before: Snapshot = {"1": {"id": 1, "body": "old", "at": 1}, "2": {"id": 2}}
    after: Snapshot = {"1": {"id": 1, "body": "hush", "at": 2}, "3": {"id": 3}}
    words = difference(before, after)
    assert words == (
        "the service role saw 1 row more; the service role saw 1 row less; "
        "the service role saw at, body changed"
    )
    assert difference(before, before) == ""
