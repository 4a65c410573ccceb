"""Putting back rows whose keys make it hard: equal but not the same, swapped, of another schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from _restoring import contents, cycle, restore, there_and_back

from riptide import rollback_migrations

if TYPE_CHECKING:
    from _database import Database


DROP = "drop table public.one;"


@pytest.mark.parametrize("name", ["ltree", "citext"])
def test_keys_of_an_extension_in_another_schema(db: Database, name: str) -> None:
    """A key whose equality is not PostgreSQL's own is compared by its own."""
    db.sql(f"create extension if not exists {name} with schema extensions")
    up = f"create table public.one (id extensions.{name} primary key, v int);"
    before = "insert into public.one values ('a', 1), ('b', 2);"
    folder = cycle(db, up, DROP, before)
    db.sql("insert into public.one values ('a', 1)")
    assert restore(db, folder).restored == 1
    assert contents(db)["one"] == [("(a,1)",), ("(b,2)",)]


@pytest.mark.parametrize(("name", "one"), [("citext", "Ann"), ("ltree", "a.b"), ("hstore", "a=>1")])
def test_values_by_a_key_of_an_extension(db: Database, name: str, one: str) -> None:
    """A key is found by its own type's equality, wherever that was installed."""
    db.sql(f"drop extension if exists {name} cascade")
    before = f"""create schema other; create extension {name} with schema other;
    create table public.k (id other.{name} primary key, v text);"""
    try:
        there_and_back(
            db, before, f"insert into public.k values ('{one}', 'x')", "update public.k set v = 'y'"
        )
    finally:
        db.sql("drop schema other cascade")


@pytest.mark.parametrize("nulls", ["", "not null"])
@pytest.mark.parametrize("unique", ["unique (v)", "unique (v, w)", "unique (v) deferrable"])
def test_swapped_unique_values(db: Database, nulls: str, unique: str) -> None:
    """Values that a twin had swapped among rows are swapped back, whatever is unique of them."""
    swap = """
    create temp table s on commit drop as select id, v from public.one;
    delete from public.one; insert into public.one (id, v)
    select a.id, b.v from pg_temp.s as a join pg_temp.s as b on b.id = a.id % 3 + 1;
    """
    there_and_back(
        db,
        f"create table public.one (id int primary key, v int {nulls}, w int not null default 0, "
        f"{unique});",
        "insert into public.one values (1, 10), (2, 20), (3, 30)",
        swap,
    )
    null = db.sql(
        "select attnotnull from pg_attribute where attrelid = 'public.one'::regclass "
        "and attname = 'v'"
    )
    assert null == [(bool(nulls),)]


def test_key_that_is_equal_and_not_the_same(db: Database) -> None:
    """A key that a twin had written in another way is as it was again."""
    there_and_back(
        db,
        "create table public.one (id numeric primary key, v int);",
        "insert into public.one values (1.50, 1), (2, 2)",
        "update public.one set id = trim_scale(id);",
    )


def test_table_of_many_columns(db: Database) -> None:
    """Every value that is overwritten is seen and comes back, in as many columns as can be."""
    number = 1590  # PostgreSQL takes 1,600 of one byte each
    names = [f"c{each}" for each in range(number)]
    columns = ", ".join(f"{each} bool" for each in names)
    db.given(1, f"create table public.one (id int primary key, {columns});", DROP)
    values = ", ".join("true" for _ in names)
    db.sql(f"insert into public.one values (1, {values}), (2, {values})")
    change = ", ".join(f"{each} = false" for each in names)
    db.given(2, "select 1;", f"update public.one set {change} where id = 1;")
    result = rollback_migrations(settings=db.settings, allow_data_loss=True)
    assert result.saved_to is not None
    assert [len(each.columns) for each in result.migrations[0].lost] == [number]
    db.apply((2, "select 1;"))
    restore(db, result.saved_to)
    assert db.sql(f"select count(distinct (c0, c{number - 1})) from public.one") == [(1,)]
