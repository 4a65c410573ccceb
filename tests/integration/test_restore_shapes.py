"""Saved rows put back into tables of odd shapes: partitions, no key, many or generated columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from _restoring import contents, there_and_back

from riptide import DataLossError, restore_rows, rollback_migrations

if TYPE_CHECKING:
    from _database import Database


# --- no key --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "down",
    [
        "update public.k set a = a + 1;",
        "update public.k set a = a + 1, b = 'z';",
        "update public.k set b = 'z';",
        "update public.k set b = null where a = 2;",
        "delete from public.k where a = 1; update public.k set a = a + 10;",
        "update public.k set a = 7; delete from public.k where b = 'x';",
    ],
)
def test_overwritten_rows_without_a_key(db: Database, down: str) -> None:
    """Rows without a key are put in the place of what the twin has made of them."""
    there_and_back(
        db,
        "create table public.k (a int, b text);",
        "insert into public.k values (1, 'x'), (2, 'x'), (2, 'y'), (2, 'y'), (3, null)",
        down,
    )


def test_rows_without_a_key_that_somebody_has_changed_since(db: Database) -> None:
    """Where what the twin made of a row is not there any more, nothing is put back unasked."""
    db.given(1, "create table public.k (a int);")
    db.given(2, "select 1", "update public.k set a = a + 1")
    db.sql("insert into public.k values (1), (2)")
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((2, "select 1"))
    db.sql("update public.k set a = 99 where a = 3")
    with pytest.raises(DataLossError, match=r"1 of 1 saved rows of public\.k"):
        restore_rows(folder, settings=db.settings)
    assert contents(db)["k"] == [("(2)",), ("(99)",)]
    (kept,) = restore_rows(folder, settings=db.settings, existing="keep").tables
    assert (kept.restored, kept.kept) == (0, 1)
    assert restore_rows(folder, settings=db.settings, existing="replace").restored == 1
    assert contents(db)["k"] == [("(1)",), ("(2)",), ("(99)",)]


def test_rows_without_a_key_that_two_twins_overwrite(db: Database) -> None:
    """Of rows without a key that two twins overwrite, one after the other, the older return."""
    db.given(1, "create table public.k (a int);")
    db.given(2, "select 1", "update public.k set a = a * 10;")
    db.given(3, "select 1", "update public.k set a = a + 1;")
    db.sql("insert into public.k values (1), (2), (2)")
    before = contents(db)
    folder = rollback_migrations(settings=db.settings, steps=2, allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((2, "select 1"), (3, "select 1"))
    restore_rows(folder, settings=db.settings)
    assert contents(db) == before
    assert restore_rows(folder, settings=db.settings).restored == 0
    assert contents(db) == before


# --- partitions ----------------------------------------------------------------------------------

PARTITIONED = """
create table public.p (id int{key}, region text not null, v text{more}) partition by list (region);
create table public.p_a partition of public.p for values in ('a');
create table public.p_b partition of public.p for values in ('b');
create table public.p_rest partition of public.p default;
"""
ROWS = "insert into public.p values (1, 'a', 'x'), (2, 'a', null), (3, 'b', 'z'), (4, 'c', 'z')"


@pytest.mark.parametrize("more", [", primary key (id, region)", ""])
@pytest.mark.parametrize(
    "down",
    [
        "update public.p set region = 'b' where region = 'a';",
        "update public.p set region = 'b', v = 'new' where id = 2;",
        "delete from public.p where id = 1; update public.p set region = 'b' where id = 2;",
    ],
)
def test_rows_that_move_between_partitions(db: Database, down: str, more: str) -> None:
    """A row that has gone to another partition is no lost row, and returns to the first one."""
    there_and_back(db, PARTITIONED.format(key="", more=more), ROWS, down)


@pytest.mark.parametrize("key", ["primary key (id, region)", "check (id > 0)"])
def test_partition_that_goes_and_whose_rows_stay(db: Database, key: str) -> None:
    """Rows of a partition that was dropped are not lost where another one has taken them over."""
    db.given(
        1,
        f"""create table public.p (id int, region text not null, {key})
        partition by list (region);
        create table public.p_rest partition of public.p default;""",
    )
    up = """alter table public.p detach partition public.p_rest;
    create table public.p_a partition of public.p for values in ('a');
    insert into public.p select * from public.p_rest where region = 'a';
    delete from public.p_rest where region = 'a';
    alter table public.p attach partition public.p_rest default;"""
    down = """create temp table kept on commit drop as select * from public.p_a;
    drop table public.p_a; insert into public.p select * from kept;"""
    db.given(2, up, down)
    db.sql("insert into public.p values (1, 'a'), (2, 'a'), (3, 'b')")
    before = contents(db)
    result = rollback_migrations(settings=db.settings)
    assert (result.saved_to, result.migrations[0].lost) == (None, ())
    assert contents(db) == before
    db.apply((2, up))
    db.twin(2).write_text(f"{down} delete from public.p where id = 2;")
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((2, up))
    assert restore_rows(folder, settings=db.settings).restored == 1
    assert contents(db) == before


def test_partitions_that_lose_rows_and_get_none(db: Database) -> None:
    """Rows that are deleted from a partition come back, and a dropped partition's."""
    there_and_back(
        db,
        PARTITIONED.format(key="", more=", primary key (id, region)").partition(
            "create table public.p_b"
        )[0]
        + "create table public.p_rest partition of public.p default;",
        ROWS,
        "drop table public.p_b; delete from public.p where id = 1",
        "create table if not exists public.p_b partition of public.p for values in ('b');",
    )


# --- columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["primary key", ""])
def test_tables_of_many_columns(db: Database, key: str) -> None:
    """A table with 900 columns is compared and put back as any other one."""
    names = [f"c{number}" for number in range(900)]
    columns = ", ".join(f"{name} bool" for name in names)
    some = ", ".join(f"{name} = false" for name in names)
    there_and_back(
        db,
        f"create table public.w (id int {key}, {columns});",
        "insert into public.w (id, c0, c899) values (1, true, true), (2, false, null)",
        f"update public.w set {some};",
    )


# --- generated columns ---------------------------------------------------------------------------

GENERATED = (
    "create table public.g (id int {key}, a int, s int generated always as (a * 2) stored, t text);"
)


@pytest.mark.parametrize("key", ["primary key", ""])
@pytest.mark.parametrize(
    "down",
    [
        "alter table public.g alter s drop expression; update public.g set s = 7;",
        "alter table public.g alter s drop expression; update public.g set s = null, t = 'z';",
        """alter table public.g alter s drop expression;
        alter table public.g alter s type text using 'n' || s;""",
    ],
)
def test_values_that_are_generated_no_more(db: Database, key: str, down: str) -> None:
    """What a generated column held is a loss where it becomes a plain one and is written over."""
    up = "alter table public.g alter s type int using ltrim(s::text, 'n')::int"
    db.given(1, GENERATED.format(key=key))
    db.given(2, "select 1", down)
    db.sql("insert into public.g (id, a, t) values (1, 10, 'x'), (2, 20, 'y'), (3, null, 'y')")
    rows = "select id, a, s, t from public.g order by 1"
    was = db.sql(rows)
    with pytest.raises(DataLossError, match="would be lost"):
        rollback_migrations(settings=db.settings)
    result = rollback_migrations(settings=db.settings, allow_data_loss=True)
    assert result.saved_to is not None
    db.apply((2, up))
    restore_rows(result.saved_to, settings=db.settings)
    assert db.sql(rows) == was
    assert restore_rows(result.saved_to, settings=db.settings).restored == 0


def test_generated_column_that_the_push_makes_anew(db: Database) -> None:
    """Saved values of a column that is generated again are generated, and nothing is refused."""
    down = "alter table public.g alter s drop expression; update public.g set s = 0, t = 'z';"
    db.given(1, GENERATED.format(key="primary key"))
    db.given(2, "select 1", down)
    db.sql("insert into public.g (id, a, t) values (1, 10, 'x')")
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    anew = "add s int generated always as (a * 2) stored"
    db.apply((2, f"alter table public.g drop s; alter table public.g {anew};"))
    restore_rows(folder, settings=db.settings)
    assert db.sql("select id, a, s, t from public.g") == [(1, 10, 20, "x")]
    assert restore_rows(folder, settings=db.settings).restored == 0


def test_expression_that_is_dropped_alone(db: Database) -> None:
    """A generated column that becomes a plain one with the same values has lost none."""
    db.given(1, GENERATED.format(key="primary key"))
    db.given(2, "select 1", "alter table public.g alter s drop expression;")
    db.sql("insert into public.g (id, a, t) values (1, 10, 'x')")
    result = rollback_migrations(settings=db.settings)
    assert (result.saved_to, result.migrations[0].lost) == (None, ())
