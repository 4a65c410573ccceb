"""Putting saved rows back on a real database: equal rows, once, or nothing at all."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from _restoring import contents, cycle, restore

from riptide import (
    ConfigError,
    DataLossError,
    MigrationError,
    RiptideError,
    rollback_migrations,
)
from riptide.errors import Interrupted

if TYPE_CHECKING:
    from pathlib import Path

    from _database import Database

ONE = "create table public.one (id int primary key, name text);"
CAST = "alter table public.one alter name type {};"


def refused(db: Database, folder: Path | str, kind: type[RiptideError], **options: Any) -> Any:
    """Put rows back in vain: nothing is changed. Give the error."""
    before = contents(db)
    with pytest.raises(kind) as caught:
        restore(db, folder, **options)
    assert contents(db) == before
    assert caught.value.state == "nothing was changed"
    return caught.value


def test_dropped_tables_come_back_once(db: Database) -> None:
    """The rows of dropped tables are as they were, with and without a key, and once only."""
    up = f"{ONE} create table public.two (a text, b json);"
    down = "drop table public.one, public.two;"
    rows = "insert into public.one values (1, null), (2, ''), (3, E'\\u00e9\\n\"');"
    rows += "insert into public.two values ('x', '{ }'), ('x', '{ }'), (null, null), ('', null);"
    db.given(2, up, down)
    db.sql(rows)
    before = contents(db)
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((2, up))
    first = restore(db, folder)
    assert contents(db) == before
    assert (first.restored, {each.table for each in first.tables}) == (
        7,
        {"public.one", "public.two"},
    )
    second = restore(db, folder.name)
    assert contents(db) == before
    assert (second.restored, [each.present for each in second.tables]) == (0, [4, 3])


def test_foreign_keys_in_order_and_in_circles(db: Database) -> None:
    """Rows come back where tables refer to each other, to themselves, and in a circle."""
    up = """
    create table public.b (id int primary key, a int);
    create table public.a (id int primary key, b int not null references public.b,
      own int references public.a);
    alter table public.b add constraint b_a_fkey foreign key (a) references public.a;
    create table public.c (a int references public.a);
    """
    down = "drop table public.a, public.b, public.c;"
    rows = """
    insert into public.b values (1, null), (2, null);
    insert into public.a values (1, 2, 2), (2, 1, 1);
    update public.b set a = id; insert into public.c values (1), (2), (null);
    """
    folder = cycle(db, up, down, rows)
    assert restore(db, folder).restored == 7
    assert contents(db)["b"] == [("(1,1)",), ("(2,2)",)]
    assert db.sql(
        "select bool_or(condeferrable) from pg_constraint where conname like '%fkey'"
    ) == [(False,)]


def test_triggers_do_not_fire_and_stay_as_they_were(db: Database) -> None:
    """Putting back fires no trigger, and each is enabled, or not, as before."""
    up = f"""{ONE}
    create function public.f() returns trigger language plpgsql as
      'begin new.name = ''touched''; return new; end';
    create trigger t_on before insert on public.one for each row execute function public.f();
    create trigger t_off before insert on public.one for each row execute function public.f();
    create trigger t_always before insert on public.one for each row execute function public.f();
    alter table public.one disable trigger t_off;
    alter table public.one enable always trigger t_always;
    """
    down = "drop table public.one; drop function public.f();"
    folder = cycle(
        db, up, down, "insert into public.one values (1, 'x'); update public.one set name = 'kept'"
    )
    restore(db, folder)
    assert db.sql("select name from public.one") == [("kept",)]
    states = db.sql(
        "select tgname, tgenabled::text from pg_trigger where not tgisinternal "
        "and tgrelid = 'public.one'::regclass order by 1"
    )
    assert states == [("t_always", "A"), ("t_off", "D"), ("t_on", "O")]


def test_identity_generated_and_sequences(db: Database) -> None:
    """Identity columns keep their values, generated ones are made, sequences go on."""
    up = """
    create table public.one (id int generated always as identity primary key, n serial,
      twice int generated always as (id * 2) stored);
    create sequence public.free;
    """
    down = "drop table public.one; drop sequence public.free;"
    rows = "insert into public.one default values; insert into public.one default values;"
    rows += "delete from public.one where id = 1; select nextval('public.free');"
    folder = cycle(db, up, down, rows)
    restore(db, folder)
    assert db.sql("select * from public.one") == [(2, 2, 4)]
    assert db.sql("insert into public.one default values returning id, n") == [(3, 3)]
    assert db.sql("select nextval('public.free')") == [(2,)]
    restore(db, folder)
    assert db.sql("insert into public.one default values returning id") == [(4,)]


def test_sequence_alone_comes_back(db: Database) -> None:
    """A sequence goes on from where it was though no row was saved with it, once only."""
    up = "create sequence public.free;"
    folder = cycle(db, up, "drop sequence public.free;", "select nextval('public.free')")
    db.sql("drop sequence public.free")
    assert "sequence public.free is not there" in str(refused(db, folder, MigrationError))
    db.sql(up)
    assert restore(db, folder).sequences == ("public.free",)
    assert db.sql("select nextval('public.free')") == [(2,)]
    assert restore(db, folder).sequences == ()


@pytest.mark.parametrize(
    "down",
    [
        "alter table public.t alter column id drop identity;",
        "alter table public.t alter n drop default; drop sequence public.t_n_seq;",
        "alter sequence public.free restart with 1;",
        "alter table public.t alter column id restart with 1;",
        "select setval('public.t_n_seq', 1, false);",
        "select setval('public.free', 3);",
        "truncate public.t restart identity;",
        "truncate public.t restart identity; alter sequence public.t_id_seq rename to other;",
        "delete from public.t; select setval('public.t_n_seq', 1); update public.t set v = null;",
    ],
)
def test_sequences_go_on_from_where_they_were(db: Database, down: str) -> None:
    """A position that a twin took while the column stayed is saved as it was before, and back."""
    db.given(
        1,
        """create table public.t (id int generated by default as identity primary key, n serial,
        v text); create sequence public.free;""",
    )
    db.given(2, "select 1", down)
    db.sql("insert into public.t (v) select 'x' from generate_series(1, 5)")
    db.sql("select setval('public.free', 7)")
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    if "drop identity" in down:
        db.sql("alter table public.t alter id add generated by default as identity")
    if "drop sequence" in down:
        db.sql("create sequence public.t_n_seq owned by public.t.n")
        db.sql("alter table public.t alter n set default nextval('public.t_n_seq')")
    result = restore(db, folder)
    assert result.sequences
    assert db.sql("select nextval('public.free')") == [(8,)]
    assert db.sql("insert into public.t (v) values ('y') returning id, n") == [(6, 6)]
    assert restore(db, folder).sequences == ()


@pytest.mark.parametrize("key", ["primary key", ""])
def test_dropped_columns_come_back(db: Database, key: str) -> None:
    """Values of dropped columns return to their rows, with a key or without; defaults give way."""
    folder = cycle(
        db,
        "alter table public.one add a text default 'none', add b int[];",
        "alter table public.one drop a, drop b;",
        "insert into public.one values (1, 'x', 'one', '{1,null}'), (2, null, null, null);",
        before=f"create table public.one (id int {key}, name text);",
    )
    (done,) = restore(db, folder).tables
    assert db.sql("select * from public.one order by 1") == [
        (1, "x", "one", [1, None]),
        (2, None, None, None),
    ]
    assert (done.kind, done.saved, done.restored, done.absent) == ("columns", 2, 2, 0)
    assert restore(db, folder).restored == 0


def test_rows_that_have_gone_since_are_told(db: Database) -> None:
    """Values of rows that have been deleted since are counted, and nobody is brought back."""
    folder = cycle(
        db,
        "alter table public.one add a text;",
        "alter table public.one drop a;",
        "insert into public.one values (1, 'x', 'a'), (2, 'y', 'b');",
        before=ONE,
    )
    db.sql("delete from public.one where id = 1")
    (done,) = restore(db, folder).tables
    assert (done.restored, done.absent) == (1, 1)
    assert db.sql("select * from public.one") == [(2, "y", "b")]


def test_deleted_rows_come_back_alone(db: Database) -> None:
    """Of rows deleted in a table that stayed, only those that are missing come back."""
    folder = cycle(
        db,
        "insert into public.one values (2, 'made');",
        "delete from public.one where id <= 2;",
        "insert into public.one values (1, 'x'), (3, 'y');",
        before=ONE,
    )
    (done,) = restore(db, folder).tables
    assert (done.kind, done.restored, done.present) == ("rows", 1, 1)
    assert db.sql("select * from public.one order by 1") == [(1, "x"), (2, "made"), (3, "y")]


@pytest.mark.parametrize(
    ("down", "restored"),
    [
        ("update public.one set name = 'gone' where id < 3;", 2),
        ("update public.one set name = null;", 2),
        (f"{CAST.format('varchar(1) using left(name, 1)')} {CAST.format('text')}", 2),
        ("alter table public.one alter n type int;", 1),
        ("delete from public.one where id = 1; update public.one set name = 'x', n = 0;", 3),
        (
            "update public.one set name = 'x'; alter table public.one drop n, add n numeric(9, 2);",
            5,
        ),
        ("update public.one set id = -id where id = 1;", 1),
    ],
)
def test_overwritten_values_come_back(db: Database, down: str, restored: int) -> None:
    """Values that a twin overwrites, or a type cuts short, return; what it left is no conflict."""
    up = f"{ONE} alter table public.one add n numeric(9, 2);"
    db.given(1, up, "")
    again = "alter table public.one alter n type numeric(9, 2); delete from public.one where id < 0"
    db.given(2, again, down)
    db.sql("insert into public.one values (1, 'one', 1.5), (2, 'two', 2), (3, null, null)")
    before = contents(db)
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((2, again))
    assert restore(db, folder).restored == restored
    assert contents(db) == before
    assert restore(db, folder).restored == 0


def test_overwritten_values_that_somebody_has_changed_since(db: Database) -> None:
    """A value that is neither what was saved nor what the twin left stops it all."""
    folder = cycle(
        db,
        "select 1",
        "update public.one set name = 'left';",
        "insert into public.one values (1, 'then'), (2, 'then');",
        before=ONE,
    )
    db.sql("update public.one set name = 'now' where id = 1")
    error = refused(db, folder, DataLossError)
    assert "1 of 2 saved rows of public.one have other values now" in str(error)
    assert restore(db, folder, existing="keep").restored == 1
    assert db.sql("select name from public.one order by id") == [("now",), ("then",)]


def test_overwritten_values_without_a_key(db: Database) -> None:
    """Without a key values return to the rows that have the same other values."""
    folder = cycle(
        db,
        "select 1",
        "update public.k set b = null where a > 1;",
        "insert into public.k values (1, 'x'), (2, 'y'), (2, 'z'), (3, null);",
        before="create table public.k (a int, b text);",
    )
    assert restore(db, folder).restored == 2
    assert contents(db)["k"] == [("(1,x)",), ("(2,y)",), ("(2,z)",), ("(3,)",)]
    assert restore(db, folder).restored == 0


def test_references_that_were_set_to_null_come_back(db: Database) -> None:
    """Rows that a foreign key's `on delete set null` has changed refer to the same rows again."""
    up = f"{ONE} create table public.two (id int primary key, "
    up += "one int references public.one on delete set null, alone int default 7);"
    db.given(1, up, "")
    db.given(2, "select 1", "delete from public.one;")
    db.sql("insert into public.one values (1), (2); insert into public.two values (1, 1), (2, 2)")
    before = contents(db)
    result = rollback_migrations(settings=db.settings, allow_data_loss=True)
    assert [(each.table, each.kind, each.rows) for each in result.migrations[0].lost] == [
        ("public.one", "rows", 2),
        ("public.two", "values", 2),
    ]
    assert result.saved_to is not None
    assert restore(db, result.saved_to).restored == 4
    assert contents(db) == before


def test_overwritten_by_one_twin_and_dropped_by_the_next(db: Database) -> None:
    """Of a table that two twins overwrite and a third one drops, the oldest values return."""
    db.given(1, ONE, "drop table public.one;")
    db.given(2, "select 1", "update public.one set name = 'second';")
    db.given(3, "select 1", "update public.one set name = 'third' where id = 1;")
    db.sql("insert into public.one values (1, 'a'), (2, 'b'), (3, null)")
    before = contents(db)
    folder = rollback_migrations(settings=db.settings, to="0", allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((1, ONE), (2, "select 1"), (3, "select 1"))
    restore(db, folder)
    assert contents(db) == before
    assert restore(db, folder).restored == 0


def test_overwritten_by_two_twins(db: Database) -> None:
    """Of values that two twins overwrite, one after the other, the older ones return."""
    db.given(1, ONE, "")
    db.given(2, "select 1", "update public.one set name = 'second';")
    db.given(3, "select 1", "update public.one set name = 'third' where id = 1;")
    db.sql("insert into public.one values (1, 'a'), (2, 'b')")
    before = contents(db)
    folder = rollback_migrations(settings=db.settings, steps=2, allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((2, "select 1"), (3, "select 1"))
    restore(db, folder)
    assert contents(db) == before
    assert restore(db, folder).restored == 0


@pytest.mark.parametrize(
    ("existing", "name", "counts"),
    [("keep", "now", (1, 1)), ("replace", "then", (2, 0))],
)
def test_rows_with_other_values_are_refused_unless_meant(
    db: Database, existing: str, name: str, counts: tuple[int, int]
) -> None:
    """A row of the same key with other values stops it all, or is kept, or replaced, as said."""
    folder = cycle(
        db, ONE, "drop table public.one;", "insert into public.one values (1, 'then'), (2, '')"
    )
    db.sql("insert into public.one values (1, 'now')")
    error = refused(db, folder, DataLossError)
    assert "1 of 2 saved rows of public.one are there with other values" in str(error)
    (done,) = restore(db, folder, existing=existing).tables
    assert (done.restored, done.kept) == counts
    assert db.sql("select name from public.one order by id") == [(name,), ("",)]


def test_values_with_other_values_are_refused_unless_meant(db: Database) -> None:
    """A value that somebody has given since stops it all, or is kept, or replaced, as said."""
    folder = cycle(
        db,
        "alter table public.one add a text;",
        "alter table public.one drop a;",
        "insert into public.one values (1, 'x', 'then');",
        before=ONE,
    )
    db.sql("update public.one set a = 'now'")
    assert "have other values now" in str(refused(db, folder, DataLossError))
    assert restore(db, folder, existing="keep").tables[0].kept == 1
    assert restore(db, folder, existing="replace").restored == 1
    assert db.sql("select a from public.one") == [("then",)]


def test_two_migrations_on_one_table(db: Database) -> None:
    """A table and a required column that a later migration added come back together."""
    column = "alter table public.one add a int not null;"
    db.given(1, ONE, "drop table public.one;")
    db.given(2, column, "alter table public.one drop a;")
    db.sql("insert into public.one values (1, 'x', 7), (2, 'y', 8)")
    folder = rollback_migrations(settings=db.settings, to="0", allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((1, ONE), (2, column))
    restore(db, folder)
    assert db.sql("select * from public.one order by 1") == [(1, "x", 7), (2, "y", 8)]
    assert restore(db, folder).restored == 0


def test_odd_names_and_schemas(db: Database) -> None:
    """Names that need quoting, and other schemas, are no matter."""
    up = 'create schema "o"";x"; '
    up += 'create table "o"";x"."T %s 1" ("a ""b" int primary key, "select" text);'
    folder = cycle(
        db,
        up,
        'drop schema "o"";x" cascade;',
        """insert into "o"";x"."T %s 1" values (1, 'x')""",
    )
    try:
        assert restore(db, folder).restored == 1
        assert db.sql('select * from "o"";x"."T %s 1"') == [(1, "x")]
    finally:
        db.sql('drop schema "o"";x" cascade')


# --- refused -------------------------------------------------------------------------------------


@pytest.fixture
def saved(db: Database) -> Path:
    """Give a folder with one row of public.one, the table being there again and empty."""
    return cycle(db, ONE, "drop table public.one;", "insert into public.one values (1, 'x')")


def change(folder: Path, **values: Any) -> None:
    """Change a manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_manifest_is_checked(db: Database, saved: Path) -> None:
    """A manifest of another format, of another database, broken or missing is told as such."""
    path = saved / "manifest.json"
    good = path.read_text()
    change(saved, format=2)
    assert "has the format 2" in str(refused(db, saved, ConfigError))
    path.write_text(good)
    identity = json.loads(good)["identity"]
    change(saved, identity={**identity, "project": "another"})
    error = refused(db, saved, ConfigError)
    assert "saved from another database" in str(error)
    assert "project another, not " in error.detail
    assert restore(db, saved, other_database=True).restored == 1
    db.sql("delete from public.one")
    path.write_text(good.replace("public.one.table.csv", "../x"))
    assert "no file of this folder" in str(refused(db, saved, ConfigError))
    path.write_text(good[:-9])
    assert "manifest.json cannot be read" in str(refused(db, saved, ConfigError))
    path.write_text("[]")
    assert "It says no format" in str(refused(db, saved, ConfigError))
    path.write_text('{"format": 1}')
    assert "It lacks 'target'" in str(refused(db, saved, ConfigError))
    path.write_text(json.dumps({**json.loads(good), "tables": [1]}))
    assert "not as a rollback wrote it" in str(refused(db, saved, ConfigError))
    path.unlink()
    assert "holds no saved rows" in str(refused(db, saved, ConfigError))
    shutil.rmtree(saved)
    assert "there is no folder" in str(refused(db, saved, ConfigError))


def test_files_are_checked(db: Database, saved: Path) -> None:
    """A file that was altered or is missing is named."""
    path = saved / "001_public.one.table.csv"
    path.write_text(path.read_text().replace("x", "y"))
    assert f"{path.name} was altered" in str(refused(db, saved, ConfigError))
    path.unlink()
    assert f"{path.name} cannot be read" in str(refused(db, saved, ConfigError))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("drop table public.one", "table public.one is not there"),
        (
            "drop table public.one; create view public.one as select 1 as id, 'x' as name",
            "public.one is a view now, and 1 saved rows belong to a table",
        ),
        ("alter table public.one drop name", "column public.one.name is not there"),
        ("alter table public.one alter name type varchar(3)", "is character varying(3) now"),
        ("alter table public.one add more int not null", "violates not-null constraint (23502)"),
        ("alter table public.one add check (name <> 'x')", "violates check constraint"),
        (
            "create rule r as on insert to public.one do instead nothing",
            "1 of 1 rows of public.one are not as saved",
        ),
    ],
)
def test_table_that_is_not_as_it_was(db: Database, saved: Path, sql: str, words: str) -> None:
    """What does not fit any more is told, with what to do, and nothing is changed."""
    db.sql(sql)
    assert words in str(refused(db, saved, MigrationError))


def test_blocked_table_is_not_waited_for(db: Database, saved: Path) -> None:
    """A table that another session holds ends it after --lock-timeout."""
    import psycopg

    with psycopg.connect(db.settings.local_db_url) as holder:
        holder.execute("lock table public.one")
        with pytest.raises(MigrationError, match="lock timeout"):
            restore(db, saved, lock_timeout=0.2)
    assert restore(db, saved).restored == 1


def test_impossible_arguments_are_refused(db: Database, saved: Path) -> None:
    """An unknown way to treat rows that are there is used wrongly."""
    assert "--existing takes" in str(refused(db, saved, ConfigError, existing="merge"))
    assert "there is no folder ''" in str(refused(db, "", ConfigError))


def test_surplus_duplicates_come_back(db: Database) -> None:
    """Of equal rows without a key those that went come back beside those that stayed, once."""
    folder = cycle(
        db,
        "select 1",
        "delete from public.d where ctid = (select min(ctid) from public.d where v = 'a');",
        "insert into public.d values ('a'), ('a'), ('b');",
        before="create table public.d (v text);",
    )
    (done,) = restore(db, folder).tables
    assert (done.saved, done.restored, done.present) == (1, 1, 0)
    assert contents(db)["d"] == [("(a)",), ("(a)",), ("(b)",)]
    (done,) = restore(db, folder).tables
    assert (done.restored, done.present) == (0, 1)


def test_surplus_duplicates_whose_column_goes_come_back_once(db: Database) -> None:
    """Rows that went, together with a column of those that stayed, are put back once, too."""
    folder = cycle(
        db,
        "alter table public.d add w int;",
        "alter table public.d drop w; delete from public.d where ctid = "
        "(select max(ctid) from public.d where v = 'a');",
        "insert into public.d values ('a', 1), ('a', 1), ('b', 1);",
        before="create table public.d (v text);",
    )
    restore(db, folder)
    before = contents(db)
    assert len(before["d"]) == 3
    restore(db, folder)
    assert contents(db) == before


CI = """
create schema other;
create collation other.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
"""


@pytest.mark.parametrize(
    "table",
    [
        "create table public.c (id int primary key, v text collate other.ci);",
        "create table public.c (id int, v text collate other.ci);",
        "create table public.c (id int, v varchar collate other.ci primary key);",
    ],
)
def test_values_of_a_collation_that_ignores_case_come_back(db: Database, table: str) -> None:
    """Values that their own collation holds to be equal are not the same, and are not lost."""
    db.given(1, CI + table)
    db.given(2, "select 1", "update public.c set v = lower(v);")
    db.sql("insert into public.c values (1, 'Ann'), (2, 'bob')")
    with pytest.raises(DataLossError, match=r"1 (value|row) would be lost"):
        rollback_migrations(settings=db.settings)
    before = contents(db)
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    assert contents(db) != before
    existing = "refuse" if "int primary key" in table else "replace"
    assert restore(db, folder, existing=existing).restored == 1
    assert contents(db) == before
    assert restore(db, folder).restored == 0


def test_case_that_somebody_has_changed_since(db: Database) -> None:
    """A value that differs by case alone from the saved one is somebody's, too."""
    db.given(1, CI + "create table public.c (id int primary key, v text collate other.ci);")
    db.given(2, "select 1", "update public.c set v = 'gone';")
    db.sql("insert into public.c values (1, 'Ann')")
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    db.sql("update public.c set v = 'ANN'")
    assert "have other values now" in str(refused(db, folder, DataLossError))


@pytest.mark.parametrize("key", ["primary key", ""])
def test_columns_with_names_like_our_own(db: Database, key: str) -> None:
    """A table may have columns that are named as what the comparison adds."""
    names = ("row", "at", "number", "count", "same", "conflict", "left_0")
    columns = ", ".join(f"riptide_{each} text" for each in names)
    folder = cycle(
        db,
        "select 1",
        "delete from public.o where id < 3; update public.o set riptide_at = 'y', "
        "riptide_row = 'y';",
        "insert into public.o select n, 'r', 'a', 'n', 'c', 's', 'f', 'l' "
        "from generate_series(1, 4) as n;",
        before=f"create table public.o (id int {key}, {columns});",
    )
    restore(db, folder)
    rows = {("r", "a", "n", "c", "s", "f", "l")}
    assert set(db.sql("select * from public.o")) >= {(n, *next(iter(rows))) for n in range(1, 5)}
    assert restore(db, folder).restored == 0


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_interrupted_restore_tells_its_state(
    db: Database, saved: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    """Ctrl-C and SIGTERM, which raises SystemExit, are told alike."""
    from riptide.migrations.put_back import PutBack

    def stopped(work: PutBack) -> None:
        raise stop

    monkeypatch.setattr(PutBack, "run", stopped)
    with pytest.raises(Interrupted) as caught:
        restore(db, saved)
    assert caught.value.state == "nothing was changed"
    assert "inv migrate.restore" in caught.value.next_step


def test_folder_without_a_manifest_is_not_proposed(db: Database, saved: Path) -> None:
    """What a killed rollback left unfinished is not the newest folder of saved rows."""
    (saved.parent / "99991231T000000Z").mkdir()
    error = refused(db, "nowhere", ConfigError)
    assert error.next_step == f"inv migrate.restore {saved.name}"
