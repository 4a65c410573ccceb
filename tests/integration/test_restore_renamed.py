"""Putting rows back into tables and columns that have another name now."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from _restoring import contents, cycle, restore

from riptide import ConfigError, MigrationError

if TYPE_CHECKING:
    from _database import Database


def test_table_and_columns_under_other_names(db: Database) -> None:
    """Rows go into a table that has another name, its columns and its sequence, too."""
    up = "create table public.one (id int generated always as identity primary key, a text, b text)"
    then = """create schema other; create table other."Two =.x" (
    b text, nr int generated always as identity primary key, c text)"""
    folder = cycle(
        db, up, "drop table public.one", "insert into public.one (a, b) values ('x', 'y')", then
    )
    with pytest.raises(MigrationError, match=r"table public\.one is not there") as caught:
        restore(db, folder)
    assert "--rename public.one=<name>" in (caught.value.next_step or "")
    rename = {"one": 'other."Two =.x"', "public.one.a": "c"}
    with pytest.raises(MigrationError, match=r"Two =\.x\.id is not there") as caught:
        restore(db, folder, rename=rename)
    assert "--rename public.one.id=<name>" in (caught.value.next_step or "")
    assert "'one=other.\"Two =.x\"'" in (caught.value.next_step or "")
    rename["one.id"] = "nr"
    result = restore(db, folder, rename=rename)
    assert (result.restored, result.sequences) == (1, ('other."Two =.x_nr_seq"',))
    assert db.sql('select nr, c, b from other."Two =.x"') == [(1, "x", "y")]
    assert db.sql('insert into other."Two =.x" (b) values (null) returning nr') == [(2,)]
    assert restore(db, folder, rename=rename).restored == 0


def test_values_of_a_dropped_column_under_another_name(db: Database) -> None:
    """A column's values are given to the column that has taken its place; keys may be renamed."""
    folder = cycle(
        db,
        "alter table public.one add column a text",
        "alter table public.one drop column a",
        "insert into public.one values (1, 'x', 'p'), (2, 'y', null)",
        "alter table public.one add column b text; alter table public.one rename id to nr;",
        before="create table public.one (id int primary key, v text);",
    )
    assert restore(db, folder, rename={"one.a": "b", "one.id": "nr"}).restored == 1
    assert contents(db)["one"] == [("(1,x,p)",), ("(2,y,)",)]


def test_names_that_are_exchanged(db: Database) -> None:
    """Two tables, or two columns, may have each other's names now."""
    folder = cycle(
        db,
        "create table public.a (x int primary key, y int); create table public.b (x int);",
        "drop table public.a; drop table public.b",
        "insert into public.a values (1, 2); insert into public.b values (3), (3)",
        "create table public.b (y int primary key, x int); create table public.a (x int);",
    )
    rename = {"a": "b", "b": "a", "a.x": "y", "a.y": "x"}
    assert restore(db, folder, rename=rename).restored == 3
    assert db.sql("select y, x from public.b") == [(1, 2)]
    assert contents(db)["a"] == [("(3)",), ("(3)",)]


def test_rows_without_a_key_under_another_name(db: Database) -> None:
    """Rows without a key that a twin has overwritten are found under the table's new name."""
    folder = cycle(
        db,
        "select 1",
        "update public.one set a = a + 1",
        "insert into public.one values (1, 'x'), (2, 'y')",
        "alter table public.one rename to two; alter table public.two rename a to n",
        before="create table public.one (a int, b text);",
    )
    assert restore(db, folder, rename={"one": "two", "one.a": "n"}).restored == 2
    assert contents(db)["two"] == [("(1,x)",), ("(2,y)",)]


def test_sequence_under_another_name(db: Database) -> None:
    """A sequence of no column, whose value was saved, may have another name now."""
    folder = cycle(
        db,
        "create sequence public.s",
        "drop sequence public.s",
        "select nextval('public.s') from generate_series(1, 7)",
        "create sequence public.t",
    )
    with pytest.raises(MigrationError, match=r"public\.s is not there") as caught:
        restore(db, folder)
    assert "--rename public.s=<name>" in (caught.value.next_step or "")
    assert restore(db, folder, rename={"s": "t"}).sequences == ("public.t",)
    assert db.sql("select nextval('public.t')") == [(8,)]


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        ({"nothing": "x"}, "no rows were saved of nothing"),
        ({"one.c": "x"}, "no rows were saved of one.c"),
        ({"one": "a.b.c"}, "'a.b.c' is no name for a table"),
        ({"one.a": "two.a"}, "'two.a' is no name for a column"),
        ({"one": ""}, "'' is no name"),
        ({"one": 'x"y'}, "is no name"),
        ({"one.a": "b"}, "two columns of public.one would be b"),
        ({"one": "x", "two": "x"}, "two tables would be public.x"),
        ({"one": "two"}, "two tables would be public.two"),
        ({"one": "x", "public.one": "y"}, "public.one is named twice"),
    ],
)
def test_renames_that_make_no_sense(db: Database, rename: dict[str, str], said: str) -> None:
    """A name that the folder does not have, or that cannot be one, is refused; nothing changes."""
    up = "create table public.one (a int, b int); create table public.two (a int)"
    rows = "insert into public.one values (1, 2); insert into public.two values (3)"
    folder = cycle(db, up, "drop table public.one; drop table public.two", rows, up)
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        restore(db, folder, rename=rename)
    assert caught.value.state == "nothing was changed"
    assert contents(db) == {"one": [], "two": []}


def test_name_that_may_be_a_table_or_a_column(db: Database) -> None:
    """Of a name that is a table's and a column's at once the whole name is asked for."""
    up = "create schema other; create table public.other (a int); create table other.a (b int);"
    folder = cycle(
        db,
        up,
        "drop table public.other; drop schema other cascade",
        "insert into public.other values (1); insert into other.a values (2)",
        up.replace("(a int)", "(c int)"),
    )
    with pytest.raises(ConfigError, match=r"other\.a may be table other\.a or column public") as c:
        restore(db, folder, rename={"other.a": "c"})
    assert "public.other.a" in (c.value.next_step or "")
    assert restore(db, folder, rename={"public.other.a": "c"}).restored == 2
