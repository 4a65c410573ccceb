"""Taking migrations back on a real database: what is told, refused, saved and undone."""

from __future__ import annotations

import json
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from riptide import (
    ConfigError,
    DataLossError,
    LockTimeoutError,
    MigrationError,
    apply_migrations,
    create_migration,
    list_migrations,
    rollback_migrations,
)
from riptide.migrations.lock import push_lock
from riptide.target import Target

if TYPE_CHECKING:
    from _database import Database

ONE = "create table public.one (id int primary key, name text);"


def back(db: Database, **options: Any) -> Any:
    """Take migrations back."""
    return rollback_migrations(settings=db.settings, **options)


def refused(db: Database, kind: type[MigrationError] = MigrationError, **options: Any) -> Any:
    """Take migrations back in vain: schema, rows and history are as before. Give the error."""
    from riptide.migrations.snapshot import take

    def everything() -> tuple[Any, ...]:
        with psycopg.connect(db.settings.local_db_url) as connection:
            rows = {
                name: connection.execute(f'select * from public."{name}"'.encode()).fetchall()
                for name in db.tables()
            }
            return take(connection), rows, db.applied()

    before = everything()
    with pytest.raises(kind) as caught:
        back(db, **options)
    assert everything() == before
    return caught.value


# --- what is told --------------------------------------------------------------------------------


def test_what_goes_is_told(db: Database) -> None:
    """The report names tables, columns and other objects that go, what comes back, what changes."""
    db.given(1, f"{ONE} create function public.f() returns int language sql return 1;")
    db.given(
        2,
        "alter table public.one add column extra int; create table public.two (id int);"
        "create view public.v as select 1 as one; drop function public.f();"
        "comment on table public.one is 'new';",
        "drop view public.v; drop table public.two; alter table public.one drop column extra;"
        "create function public.f() returns int language sql return 1;"
        "comment on table public.one is null; update public.one set name = 'b';",
    )
    db.sql("insert into public.one (id, name) values (1, null), (2, 'b')")
    result = back(db)
    (told,) = result.migrations
    assert (told.tables, told.columns) == (("public.two",), ("public.one.extra",))
    assert told.others == ("view public.v",)
    assert told.made == ("function public.f()",)
    assert told.changed == ("table public.one",)
    assert [(each.table, each.rows) for each in told.updated] == [("public.one", 2)]
    assert (told.lost, result.lost, result.saved_to) == ((), 0, None)
    assert db.sql("select distinct name from public.one") == [("b",)]


@pytest.mark.parametrize(
    ("down", "kind", "rows"),
    [
        ("drop table public.one;", "table", 3),
        ("drop table public.one; create table public.one (id int, name text);", "table", 3),
        ("drop schema other cascade; drop table public.one;", "table", 3),
        ("alter table public.one drop column name;", "columns", 2),
        ("alter table public.one drop name; alter table public.one add name text;", "columns", 2),
        ("delete from public.one where id > 1;", "rows", 2),
        ("truncate public.one;", "rows", 3),
        ("truncate public.one; insert into public.one values (9);", "rows", 3),
        ("do $$ begin delete from public.one where id = 1; end $$;", "rows", 1),
        ("update public.one set name = null;", "values", 2),
        ("update public.one set name = 'b' where id = 1; drop table public.other;", "values", 1),
        (
            "update public.one set name = 'b'; alter table public.one rename name to title;",
            "values",
            2,
        ),
        ("alter table public.one alter name type varchar(1) using left(name, 0);", "values", 1),
        (
            "delete from public.one; insert into public.one values (1, 'b'), (2, ''), (3, null);",
            "values",
            1,
        ),
        ("update public.one set id = id + 100;", "rows", 3),
        (
            "alter table public.one drop constraint one_pkey; update public.one set name = 'b';",
            "values",
            2,
        ),
        (
            "update public.one set name = 'b'; alter table public.one drop column name;",
            "columns",
            2,
        ),
    ],
)
def test_rows_are_counted_and_not_lost(db: Database, down: str, kind: str, rows: int) -> None:
    """Whatever way rows would go, they are counted, nothing is changed, and the exit code is 3."""
    up = f"{ONE} create schema if not exists other; create table public.other (id int);"
    db.given(1, up, down)
    db.sql("insert into public.one values (1, 'a'), (2, ''), (3, null)")
    error = refused(db, DataLossError)
    noun = "value" if kind in ("columns", "values") else "row"
    assert f"{rows} {noun}{'' if rows == 1 else 's'} would be lost" in str(error)
    assert "public.one: " in error.detail
    assert "inv migrate.rollback --allow-data-loss" in error.next_step
    assert error.exit_code == 3
    (told,) = back(db, dry_run=True).migrations
    assert [(each.table, each.kind, each.rows) for each in told.lost] == [
        ("public.one", kind, rows)
    ]


@pytest.mark.parametrize(
    "down",
    [
        "alter table public.one rename to uno; alter table public.uno rename to one;",
        "alter table public.one alter column name type varchar;",
        "alter table public.one alter column name type varchar(1);",
        "alter table public.one drop twice; alter table public.one alter id type text;",
        "alter table public.one drop twice; alter table public.one alter id type numeric(9, 3);",
        "update public.one set name = name;",
        "update public.one set name = 'x' where name is null;",
        "delete from public.one; insert into public.one values (1, 'a'), (2, '');",
        "alter table public.one add column n int default (random() * 9)::int;",
        "alter table public.one rename column name to title;",
        "alter table public.one set schema other; alter table other.one set schema public;",
        "alter table public.one drop column twice;",
        "insert into public.one values (7, 'x');",
        "",
        "\ufeff",
        "-- nothing to take back\r\n",
    ],
)
def test_what_loses_no_row_is_done(db: Database, down: str) -> None:
    """Renamed, moved and rewritten tables keep their rows; generated columns have none."""
    up = "create table public.one (id int primary key, name text, "
    up += "twice int generated always as (id * 2) stored); create schema if not exists other;"
    db.given(1, up, down)
    db.sql("insert into public.one values (1, 'a'), (2, '')")
    assert back(db).lost == 0
    assert db.sql("select count(*) > 1 from public.one") == [(True,)]
    assert db.applied() == []


def test_sequence_of_no_column_is_not_lost(db: Database) -> None:
    """A used sequence that no column owns is refused to go, with its number; an unused one goes."""
    db.given(1, "create sequence public.used; create sequence public.new;", "drop sequence new;")
    db.twin(1).write_text("drop sequence public.new;")
    db.sql("select nextval('public.used')")
    assert back(db).lost == 0
    db.given(2, "create sequence public.new;", "drop sequence public.new, public.used;")
    db.sql("select nextval('public.used')")
    error = refused(db, DataLossError)
    assert "1 sequence would be lost\n  public.used: 1 sequence whose last number is 2" in str(
        error
    )


@pytest.mark.parametrize(
    ("down", "lost", "note"),
    [
        ("update public.k set b = null where a = 1;", [("values", 2, ("b",))], "by their other"),
        ("update public.k set b = case b when 'x' then 'y' else 'x' end where a = 1;", [], ""),
        ("update public.k set a = 9, b = null where a = 2;", [("rows", 2, ())], "nothing tells"),
        ("update public.k set b = b || '!'; delete from public.k where a = 2;",
         [("rows", 4, ())], "nothing tells"),
        ("alter table public.k alter b type varchar(1) using left(b, 0);",
         [("values", 3, ("b",))], "by their other"),
        ("alter table public.k alter a type bigint;", [], ""),
    ],
)  # fmt: skip
def test_values_without_a_key(
    db: Database, down: str, lost: list[tuple[str, int, tuple[str, ...]]], note: str
) -> None:
    """Without a primary key values are compared as sets, and it is told."""
    db.given(1, "create table public.k (a int, b text);", down)
    db.sql("insert into public.k values (1, 'x'), (1, 'y'), (2, 'z'), (2, null)")
    (told,) = back(db, dry_run=True).migrations
    assert [(each.kind, each.rows, each.columns) for each in told.lost] == lost
    assert note in " ".join(told.notes)
    assert bool(told.notes) == bool(note)


def test_value_that_comes_in_the_meantime_is_not_lost(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that somebody writes between rehearsal and rollback stops it."""
    from riptide.migrations import rollback, rollback_rehearsal

    db.given(1, ONE, "update public.one set name = 'x';")
    db.sql("insert into public.one values (1, null)")
    rehearse = rollback_rehearsal.rehearse

    def late(*arguments: Any) -> Any:
        found = rehearse(*arguments)
        db.sql("update public.one set name = 'new'")
        return found

    monkeypatch.setattr(rollback, "rehearse", late)
    with pytest.raises(DataLossError, match="would take 1 value with it"):
        back(db)
    assert db.sql("select name from public.one") == [("new",)]


def test_type_that_goes_with_its_column(db: Database) -> None:
    """A twin that turns a column into another type and drops the old one is not in its own way."""
    up = "create type public.mood as enum ('good', 'bad');"
    up += "create table public.one (id int primary key, m public.mood);"
    db.given(1, up, "alter table public.one alter m type text; drop type public.mood;")
    db.sql("insert into public.one values (1, 'good')")
    assert back(db).lost == 0
    assert db.sql("select m from public.one") == [("good",)]


def test_cascaded_deletes_are_counted(db: Database) -> None:
    """Rows that a foreign key's cascade deletes in another table are counted there."""
    db.given(
        1,
        f"{ONE} create table public.two (id int references public.one on delete cascade);",
        "delete from public.one;",
    )
    db.sql("insert into public.one values (1); insert into public.two values (1), (1)")
    error = refused(db, DataLossError)
    assert "public.one: 1 row" in error.detail
    assert "public.two: 2 rows" in error.detail


def test_partitions_are_counted_once(db: Database) -> None:
    """A partitioned table's rows are counted in its partitions, once."""
    db.given(
        1,
        "create table public.p (id int) partition by range (id);"
        "create table public.p1 partition of public.p for values from (0) to (10);",
        "drop table public.p;",
    )
    db.sql("insert into public.p values (1), (2)")
    assert "2 rows would be lost" in str(refused(db, DataLossError))
    saved = back(db, allow_data_loss=True).saved_to
    assert json.loads((saved / "manifest.json").read_text())["tables"][0]["name"] == "p1"


@pytest.mark.parametrize(
    "down",
    [
        "update auth.users set email = 'x@example.com';",
        "delete from auth.users;",
        "insert into auth.users (id) values (gen_random_uuid());",
        "delete from supabase_migrations.schema_migrations;",
        "select lo_unlink(1);",
    ],
)
def test_rows_of_the_platform_are_never_touched(db: Database, down: str) -> None:
    """A twin that writes rows of auth, of the history or large objects is refused with any flag."""
    db.given(1, ONE, down)
    db.sql("insert into auth.users (id, email) values (gen_random_uuid(), 'a@example.com')")
    db.sql("select lo_create(1)")
    try:
        error = refused(db, DataLossError, allow_data_loss=True)
        assert "the platform's own" in str(error)
        assert "no flag allows it" in error.next_step
        assert db.sql("select email from auth.users") == [("a@example.com",)]
    finally:
        db.sql("select lo_unlink(1)")


# --- which ---------------------------------------------------------------------------------------


def test_to_a_version(db: Database) -> None:
    """Everything newer than the version is taken back, the version stays; twice is once."""
    first = db.given(1, ONE, "drop table public.one;")
    second = db.given(2, "create table public.two (id int);", "drop table public.two;")
    db.given(3, "create table public.three (id int);", "drop table public.three;")
    result = back(db, to=f"{first}_m.sql")
    assert [each[:14] for each in result.rolled_back] == ["20250103000000", second]
    assert db.applied() == [first]
    assert back(db, to=first).rolled_back == ()
    assert back(db, to="0").rolled_back == (f"{first}_m",)
    assert (db.applied(), db.tables()) == ([], set())
    assert back(db, to="0").rolled_back == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "0 steps cannot be taken back"),
        ({"steps": -1}, "-1 steps cannot be taken back"),
        ({"steps": 3}, "3 steps cannot be taken back: 2 applied"),
        ({"to": "20240101000000"}, "version 20240101000000 is not applied"),
        ({"to": "last"}, "--to takes a version"),
        ({"to": ""}, "--to takes a version"),
        ({"to": "20250101000000", "steps": 2}, "--steps and --to cannot both"),
        ({"lock_wait": -1.0}, "--lock-wait takes seconds"),
        ({"lock_timeout": 0.0}, "--lock-timeout takes seconds"),
        ({"lock_timeout": float("nan")}, "--lock-timeout takes seconds"),
    ],
)
def test_impossible_arguments_are_refused(
    db: Database, options: dict[str, Any], words: str
) -> None:
    """What cannot be meant is used wrongly, and changes nothing."""
    db.given(1, ONE, "drop table public.one;")
    db.given(2, "create table public.two (id int);", "drop table public.two;")
    with pytest.raises(ConfigError) as caught:
        back(db, **options)
    assert words in str(caught.value)
    assert caught.value.state == "nothing was changed"
    assert len(db.applied()) == 2


def test_missing_and_edited_migrations_are_taken_back_with_a_note(db: Database) -> None:
    """A migration without its file, or with an edited one, is taken back with its twin and told."""
    db.given(1, ONE, "drop table public.one;")
    db.given(2, "create table public.two (id int);", "drop table public.two;")
    (db.settings.migrations_dir / "20250102000000_m.sql").unlink()
    (db.settings.migrations_dir / "20250101000000_m.sql").write_text("select 1;")
    two, one = back(db, steps=2).migrations
    assert two.notes == ("its file is missing here; it is taken back with its twin",)
    assert one.notes == ("its file was edited after it was applied",)
    assert db.tables() == set()


def test_twin_that_drops_what_it_did_not_make(db: Database) -> None:
    """A table or column that the migration does not even name is refused by name, unless meant."""
    db.given(1, f"{ONE} create table public.keep (id int);")
    db.given(
        2,
        "/* not public.keep */ create table public.two (id int); -- nor name",
        "drop table public.two, public.keep; alter table public.one drop name;",
    )
    error = refused(db, DataLossError)
    assert "column public.one.name (by 20250102000000_m)" in error.detail
    assert "table public.keep (by 20250102000000_m)" in error.detail
    assert "public.two" not in error.detail
    assert back(db, dry_run=True).refused
    back(db, allow_data_loss=True)
    assert db.tables() == {"one"}


def test_history_of_an_older_shape(db: Database) -> None:
    """A history that keeps neither names nor statements is enough, where the files are there."""
    db.given(1, ONE, "drop table public.one;")
    db.sql("alter table supabase_migrations.schema_migrations drop name, drop statements")
    assert back(db).rolled_back == ("20250101000000_m",)


# --- refused before anything ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("down", "words"),
    [
        (None, "has no rollback: supabase/rollbacks/20250101000000_m.sql is not there"),
        (b"begin;\ndrop table public.one;\ncommit;\n", ":1: begin would end the transaction"),
        (b"drop table public.one;\n\ncommit;\n", ":3: commit would end the transaction"),
        (b"create index concurrently i on public.one (id);", "outside a transaction only"),
        (b"vacuum public.one;", "outside a transaction only"),
        (b"copy public.one from stdin;", "nobody at the other end"),
        (b"drop table\xff public.one;", ":1: not UTF-8"),
        (b"drop table public.one;\n\0", ":2: a NUL"),
    ],
)
def test_unusable_twins_are_refused(db: Database, down: bytes | None, words: str) -> None:
    """A twin that is missing, or could not be undone, is refused with file and line."""
    db.given(1, ONE, None)
    if down is not None:
        db.twin(1).write_bytes(down)
    assert words in str(refused(db))
    assert "nothing was changed" in str(refused(db))


@pytest.mark.parametrize(
    ("down", "line", "sqlstate", "words"),
    [
        ("drop table public.late;\nselect * from nowhere;\n", 2, "42P01", "     │               ^"),
        ("select 1;\n\n\tselect 1 / 0;\n", 3, "22012", "   3 │  select 1 / 0;"),
        ("select 1;\nselekt;\n", 2, "42601", "   2 │ selekt;"),
        ("do $$ begin commit; end $$;", 1, "2D000", "   1 │ do $$ begin commit; end $$;"),
        ("insert into public.late values (1, 5);", None, "23503", "at its end, insert or update"),
        (
            "select 1;\ninsert into public.late values (1, 5);\nalter table public.late add c int;",
            3,
            "55006",
            "pending trigger events",
        ),
    ],
)
def test_failing_twin_is_undone_and_placed(
    db: Database, down: str, line: int | None, sqlstate: str, words: str
) -> None:
    """A twin that fails, at a statement or at the end, is undone whole and told with its place."""
    up = f"{ONE} create table public.late (id int, one int references public.one "
    db.given(1, f"{up} deferrable initially deferred);", down)
    error = refused(db)
    assert (error.line, error.sqlstate) == (line, sqlstate)
    assert words in str(error)
    assert "supabase/rollbacks/20250101000000_m.sql" in error.message
    assert error.next_step == "mend the file, then inv migrate.rollback"


def test_later_failure_is_seen_in_the_rehearsal(db: Database) -> None:
    """Where the second of two twins fails, neither is taken back: the rehearsal runs both."""
    db.given(1, ONE, "drop table public.one;\nselect 1/0;")
    db.given(2, "create table public.two (id int);", "drop table public.two;")
    error = refused(db, steps=2)
    assert (error.line, error.state) == (2, "nothing was changed")
    assert error.next_step == "mend the file, then inv migrate.rollback --steps 2"


# --- saved first ---------------------------------------------------------------------------------


def test_rows_are_saved_first(db: Database) -> None:
    """With leave, rows go into CSV files that only this user can read, beside a manifest."""
    version = db.given(1, ONE, "drop table public.one;")
    db.sql("""insert into public.one values (1, null), (2, ''), (3, E'"q",\\n\u00e9')""")
    result = back(db, allow_data_loss=True)
    folder = result.saved_to
    assert folder.parent == db.settings.supabase_dir / ".temp" / "rollback"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder.parent / ".gitignore").read_text() == "*\n"
    names = sorted(each.name for each in folder.iterdir())
    assert names == ["001_public.one.table.csv", "manifest.json"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    text = (folder / names[0]).read_text(encoding="utf-8")
    assert text == 'id,name\n"1",\n"2",""\n"3","""q"",\n\u00e9"\n'
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["versions"]) == (1, [version])
    (table,) = manifest["tables"]
    assert (table["kind"], table["key"], table["rows"]) == ("table", ["id"], 3)
    assert db.tables() == set()


def test_nothing_is_saved_where_nothing_goes(db: Database) -> None:
    """Without rows there is no folder, also with leave to lose some."""
    db.given(1, ONE, "drop table public.one;")
    assert back(db, allow_data_loss=True).saved_to is None


def test_row_that_comes_in_the_meantime_is_not_lost(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row inserted between rehearsal and rollback stops it; with leave it is saved, too."""
    from riptide.migrations import rollback, rollback_rehearsal

    db.given(1, ONE, "drop table public.one;")
    rehearse = rollback_rehearsal.rehearse

    def late(*arguments: Any) -> Any:
        found = rehearse(*arguments)
        db.sql("insert into public.one select coalesce(max(id), 0) + 1 from public.one")
        return found

    monkeypatch.setattr(rollback, "rehearse", late)
    with pytest.raises(DataLossError) as caught:
        back(db)
    assert "came in the meantime" in str(caught.value)
    assert "0 of 1 taken back" in str(caught.value)
    assert db.sql("select id from public.one") == [(1,)]
    folder = back(db, allow_data_loss=True).saved_to
    assert json.loads((folder / "manifest.json").read_text())["tables"][0]["rows"] == 2


@pytest.mark.parametrize("allow", [False, True])
def test_table_that_comes_in_the_meantime_is_not_lost(
    db: Database, monkeypatch: pytest.MonkeyPatch, allow: bool
) -> None:
    """A table made between rehearsal and rollback, and dropped by a cascade, loses no row."""
    from riptide.migrations import rollback, rollback_rehearsal

    db.given(1, "create schema other;", "drop schema other cascade;")
    rehearse = rollback_rehearsal.rehearse

    def late(*arguments: Any) -> Any:
        found = rehearse(*arguments)
        db.sql("create table other.new (id int); insert into other.new values (1), (2)")
        return found

    monkeypatch.setattr(rollback, "rehearse", late)
    if allow:
        folder = back(db, allow_data_loss=True).saved_to
        assert json.loads((folder / "manifest.json").read_text())["tables"][0]["rows"] == 2
    else:
        with pytest.raises(DataLossError):
            back(db)
        assert db.sql("select count(*) from other.new") == [(2,)]


def test_rows_deleted_in_a_table_that_stays_are_saved_alone(db: Database) -> None:
    """Of a table that stays only the rows that went are saved, with a key and without one."""
    db.given(
        1,
        f"{ONE} create table public.two (a text, b json);",
        "delete from public.one where id > 2; delete from public.two where ctid in "
        "(select ctid from public.two where a = 'x' limit 1);",
    )
    db.sql("insert into public.one select n, 'n' from generate_series(1, 5) as n")
    db.sql("""insert into public.two values ('x', '{}'), ('x', '{}'), ('y', null)""")
    folder = back(db, allow_data_loss=True).saved_to
    tables = json.loads((folder / "manifest.json").read_text())["tables"]
    assert {each["name"]: (each["kind"], each["rows"]) for each in tables} == {
        "one": ("rows", 3),
        "two": ("rows", 1),
    }


def test_row_level_security_hides_no_row(db: Database) -> None:
    """Rows that policies would hide from others, forced or not, are counted and saved."""
    db.given(
        1,
        f"{ONE} alter table public.one enable row level security;"
        "alter table public.one force row level security;",
        "drop table public.one;",
    )
    db.sql("insert into public.one values (1, 'a')")
    assert "1 row would be lost" in str(refused(db, DataLossError))


# --- others at work ------------------------------------------------------------------------------


def test_rollbacks_at_once(db: Database) -> None:
    """Of two rollbacks at once one waits for the other, and each migration goes once."""
    for number in (1, 2):
        name = f"public.t{number}"
        db.given(number, f"create table {name} (id int);", f"drop table {name};")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: back(db), range(2)))
    assert sorted(each.rolled_back for each in done) == [
        ("20250101000000_m",),
        ("20250102000000_m",),
    ]
    assert db.applied() == []


def test_held_lock_is_waited_for(db: Database) -> None:
    """A push or rollback that goes on for longer than --lock-wait is told, with who it is."""
    db.given(1, ONE, "drop table public.one;")
    with push_lock(db.settings.target), pytest.raises(LockTimeoutError, match=r"for 0\.2 s"):
        back(db, lock_wait=0.2)
    assert db.applied()


def test_twin_cannot_let_the_lock_go(db: Database) -> None:
    """A twin that ends the session's advisory locks leaves the one that keeps others out."""
    from riptide.migrations import lock

    seen = "create table public.seen as select count(*) from pg_locks where locktype = 'advisory';"
    for number in (1, 2):
        db.given(number, "select 1;", f"select pg_advisory_unlock_all(); {seen * (number == 1)}")
    with push_lock(db.settings.target, wait=5):
        pass
    tried: list[str] = []

    def watch(phrase: str) -> None:
        """Try to get the lock each time that the rollback goes on to something."""
        if phrase.startswith(("rehearsing", "waiting")):
            return
        with pytest.raises(LockTimeoutError), push_lock(db.settings.target, wait=0.05):
            pass
        tried.append(phrase)

    back(db, steps=2, progress=watch)
    assert tried == ["taking back 20250102000000_m", "taking back 20250101000000_m"]
    assert db.sql("select count >= 1 from public.seen") == [(True,)]
    with push_lock(db.settings.target, wait=5) as free:
        assert free is not None
        held = free.execute(lock._HOLDER, [lock._KEY]).fetchall()
    assert len(held) == 1


def test_blocked_table_is_not_waited_for(db: Database) -> None:
    """A table that another session holds ends it after --lock-timeout, with nothing changed."""
    db.given(1, ONE, "drop table public.one;")
    with psycopg.connect(db.settings.local_db_url) as holder:
        holder.execute("lock table public.one")
        began = time.monotonic()
        with pytest.raises(MigrationError, match="lock timeout") as caught:
            back(db, lock_timeout=0.3)
        assert time.monotonic() - began < 5
    assert caught.value.sqlstate == "55P03"
    assert db.applied()


def test_table_blocked_after_the_rehearsal(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is blocked when the second of two is taken back leaves the first one done."""
    from riptide.migrations import rollback, rollback_rehearsal

    db.given(1, ONE, "drop table public.one;")
    db.given(2, "create table public.two (id int);", "drop table public.two;")
    rehearse, holder = rollback_rehearsal.rehearse, psycopg.connect(db.settings.local_db_url)

    def late(*arguments: Any) -> Any:
        found = rehearse(*arguments)
        holder.execute("lock table public.one")
        return found

    monkeypatch.setattr(rollback, "rehearse", late)
    with holder, pytest.raises(MigrationError) as caught:
        back(db, steps=2, lock_timeout=0.3)
    holder.close()
    assert caught.value.state == "nothing of this one was changed; 1 of 2 taken back"
    assert db.tables() == {"one"}


def test_history_row_that_somebody_else_removed(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the history row has gone in the meantime, the twin is undone."""
    from riptide.migrations import rollback, rollback_rehearsal

    db.given(1, ONE, "drop table public.one;")
    rehearse = rollback_rehearsal.rehearse

    def late(*arguments: Any) -> Any:
        found = rehearse(*arguments)
        db.sql("delete from supabase_migrations.schema_migrations")
        return found

    monkeypatch.setattr(rollback, "rehearse", late)
    with pytest.raises(MigrationError, match="somebody else"):
        back(db)
    assert db.tables() == {"one"}


def test_pooler_has_no_lock(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a transaction pooler, where nothing can be locked, nothing is taken back."""
    db.given(1, ONE, "drop table public.one;")
    monkeypatch.setattr(Target, "pools_transactions", property(lambda _: True))
    remote = Target(kind="remote", url=db.settings.local_db_url)
    with pytest.raises(ConfigError, match="pools transactions") as caught:
        rollback_migrations(settings=replace(db.settings, target=remote))
    assert caught.value.next_step == "use the database's direct URL (port 5432)"
    assert db.tables() == {"one"}


def test_session_settings_of_a_twin_do_not_last(db: Database) -> None:
    """What one twin sets, a role or a path, the next one does not find."""
    db.given(1, ONE, "drop table one;")
    db.given(2, "select 1;", "set search_path = ''; set role anon; set lock_timeout = 0;")
    assert len(back(db, steps=2).rolled_back) == 2


def test_deferred_constraints_of_each_twin(db: Database) -> None:
    """Each twin of several finds deferred constraints deferred, as it would alone."""
    db.given(
        1,
        f"{ONE} create table public.late (one int references public.one "
        "deferrable initially deferred);",
        "insert into public.late values (4); insert into public.one values (4);",
    )
    db.given(
        2, "select 1;", "insert into public.late values (3); insert into public.one values (3);"
    )
    back(db, steps=2)
    assert db.sql("select one from public.late order by 1") == [(3,), (4,)]


def test_up_down_up_gives_the_same(db: Database) -> None:
    """Pushed by the CLI, taken back, pushed again: the CLI finds nothing odd."""
    db.migration(1, ONE, "drop table public.one;")
    db.migration(2, "alter table public.one add column c int;", "alter table public.one drop c;")
    assert len(apply_migrations(settings=db.settings).applied) == 2
    back(db, to="0")
    assert len(apply_migrations(settings=db.settings).applied) == 2
    assert not list_migrations(settings=db.settings).needs_a_look


def test_ten_megabytes(db: Database) -> None:
    """A twin of 10 MB is run."""
    db.given(1, ONE, "")
    line = "select 'a row of text that is long enough to make a large file of it';\n"
    db.twin(1).write_text(f"/*{line * 140_000}*/ drop table public.one;", encoding="utf-8")
    back(db)
    assert db.tables() == set()


def test_nothing_runs_in_threads(db: Database) -> None:
    """No thread is left when a rollback is done."""
    db.given(1, ONE, "drop table public.one;")
    back(db)
    assert threading.active_count() == 1


def test_twin_that_is_still_the_template(db: Database) -> None:
    """A rollback that nobody has written yet takes nothing back, and its history row stays."""
    made = create_migration("create_teams", settings=db.settings)
    with pytest.raises(MigrationError, match="is still the template: it has no statement"):
        apply_migrations(settings=db.settings)
    made.path.write_text("create table public.teams (id int);", encoding="utf-8")
    apply_migrations(settings=db.settings)
    with pytest.raises(MigrationError, match=r"no rollback: .* is still the template") as caught:
        rollback_migrations(settings=db.settings)
    assert "empty if there is nothing to take back" in (caught.value.next_step or "")
    assert db.tables() == {"teams"}
    assert len(db.applied()) == 1


# --- sequences -----------------------------------------------------------------------------------

SERIAL = """
create table public.t (id int generated by default as identity primary key, n serial, v text);
create sequence public.free;
"""
USED = """
insert into public.t (v) select 'x' from generate_series(1, 5);
select setval('public.free', 7);
"""
LOST_POSITIONS = [
    ("alter table public.t alter column id drop identity;", "t_id_seq"),
    ("alter table public.t alter n drop default; drop sequence public.t_n_seq;", "t_n_seq"),
    ("alter sequence public.free restart with 1;", "free"),
    ("alter table public.t alter column id restart with 1;", "t_id_seq"),
    ("select setval('public.t_n_seq', 1, false);", "t_n_seq"),
    ("select setval('public.free', 3);", "free"),
]


def positions(db: Database) -> dict[str, tuple[int, bool]]:
    """Give every sequence's position."""
    names = db.sql("select relname from pg_class where relkind = 'S' "
                   "and relnamespace = 'public'::regnamespace")  # fmt: skip
    return {
        name: db.sql(f'select last_value, is_called from public."{name}"')[0] for (name,) in names
    }


@pytest.mark.parametrize(
    "down",
    [
        "select setval('public.t_id_seq', 1, false);",
        "select setval('public.free', 1000);",
        "do $$ begin perform setval(pg_get_serial_sequence('public.t', 'id'), 900); end $$;",
        "do $$ begin execute 'select set' || 'val(''public.free'', 1)'; end $$;",
        "alter sequence public.free restart with 3; select nextval('public.free');",
        "truncate public.t restart identity; select setval('public.t_id_seq', 50);",
        "select setval('public.free', 2); select 1 / 0;",
        "select setval('public.t_n_seq', 2); select setval('public.free', 99); select 'x'::int;",
    ],
)
def test_rehearsal_moves_no_sequence(db: Database, down: str) -> None:
    """What a rehearsal, or a twin that fails, did to sequences is undone, setval() too."""
    db.given(1, SERIAL, down)
    db.sql(USED)
    before = positions(db)
    if "1 / 0" in down or "'x'::int" in down:
        assert "rollbacks" in str(refused(db, dry_run=True))
        refused(db)
    else:
        assert back(db, dry_run=True).dry_run
    assert positions(db) == before


def test_sequence_in_use_is_not_waited_for_while_it_is_placed(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a rehearsal nor the look for what failed waits for a sequence that is in use."""
    db.given(1, SERIAL, "select setval('public.free', 1); select 'x'::text::int;")
    db.sql(USED)
    with psycopg.connect(db.settings.local_db_url) as other:
        other.execute("select nextval('public.free')")
        began = time.monotonic()
        with pytest.raises(MigrationError):
            back(db, lock_timeout=0.2)
        assert time.monotonic() - began < 5
    assert positions(db)["free"] == (8, True)


def test_identity_of_a_partitioned_table(db: Database) -> None:
    """A sequence that numbers a partitioned table, and goes while that stays, is a loss, too."""
    db.given(
        1,
        "create table public.p (id int generated always as identity, v text) "
        "partition by list (v); create table public.p_x partition of public.p for values in ('x');",
        "alter table public.p alter id drop identity;",
    )
    db.sql("insert into public.p (v) values ('x'), ('x')")
    assert "whose last number is 2" in refused(db, DataLossError).detail


def test_number_that_somebody_took_is_not_given_twice(db: Database) -> None:
    """A number that another session takes while a twin is rehearsed stays taken."""
    db.given(1, SERIAL, "select nextval('public.free'); select pg_sleep(1);")
    db.sql(USED)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(back, db, dry_run=True)
        time.sleep(0.2)
        taken = [db.sql("select nextval('public.free')")[0][0] for _ in range(20)]
        future.result()
    assert db.sql("select nextval('public.free')")[0][0] > max(taken)


def test_failing_rollback_moves_no_sequence(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A twin that only fails in earnest leaves its sequences where they were, too."""
    from riptide.migrations import rollback, rollback_rehearsal

    db.given(1, SERIAL, "select setval('public.free', 9); select 1 / count(*) from public.t;")
    db.sql(USED)
    before = positions(db)
    rehearse = rollback_rehearsal.rehearse

    def late(*arguments: Any) -> Any:
        found = rehearse(*arguments)
        db.sql("delete from public.t")
        return found

    monkeypatch.setattr(rollback, "rehearse", late)
    with pytest.raises(MigrationError, match="division by zero"):
        back(db)
    assert positions(db) == before


@pytest.mark.parametrize(("down", "name"), LOST_POSITIONS)
def test_position_that_goes_while_its_column_stays(db: Database, down: str, name: str) -> None:
    """A sequence that is dropped or set back while what it numbers stays is refused."""
    db.given(1, SERIAL, down)
    before = positions(db)
    assert back(db, dry_run=True).lost == 0  # nothing was given yet
    db.sql(USED)
    before = positions(db)
    error = refused(db, DataLossError)
    last = before[name][0]
    assert f"public.{name}: 1 sequence whose last number is {last}" in error.detail
    assert "1 sequence would be lost" in str(error)
    assert positions(db) == before


@pytest.mark.parametrize(
    "down",
    [
        "drop table public.t; drop sequence if exists public.t_id_seq;",
        "alter table public.t drop column n;",
        "alter sequence public.free restart with 100;",
        """alter table public.t alter id drop identity; create sequence public.s start 6
        owned by public.t.id; alter table public.t alter id set default nextval('public.s');""",
        "alter sequence public.free rename to other; alter sequence public.t_n_seq owned by none;",
    ],
)
def test_position_that_is_not_lost(db: Database, down: str) -> None:
    """What goes with its column is counted there; what goes on from where it was is no loss."""
    db.given(1, SERIAL, down)
    db.sql(USED)
    (told,) = back(db, dry_run=True).migrations
    assert [each for each in told.lost if each.kind == "sequence"] == []
