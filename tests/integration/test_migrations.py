"""Migrations through the real Supabase CLI on a real database."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from _database import record

from riptide import (
    ConfigError,
    DatabaseError,
    DriftError,
    LockTimeoutError,
    MigrationError,
    StackError,
    apply_migrations,
    create_migration,
    initialize_supabase,
    list_migrations,
    open_stack,
    reset_database,
    rollback_migrations,
)
from riptide.database import HISTORY
from riptide.migrations.init import would_write
from riptide.migrations.lock import CLI_SESSION, push_lock
from riptide.results import MigrationState
from riptide.settings import Settings
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from riptide.results import MigrationList


@pytest.fixture(scope="module")
def running(make_project: Callable[..., Settings]) -> Settings:
    """Give a project of this module's own, its stack started."""
    settings = make_project()
    open_stack(settings).start()
    return settings


@pytest.fixture
def empty(running: Settings) -> Iterator[Settings]:
    """Give that project without files, without tables and without history."""
    yield running
    for folder in (running.migrations_dir, running.rollbacks_dir):
        for path in folder.iterdir():
            path.unlink()
    with psycopg.connect(running.local_db_url, autocommit=True) as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
        for (name,) in tables:
            connection.execute(f'drop table public."{name}" cascade')
        connection.execute("drop schema if exists supabase_migrations cascade")


def write(settings: Settings, version: str, name: str, up: str, down: str | None = "") -> Path:
    """Write a migration and, unless ``down`` is None, its twin."""
    path = settings.migrations_dir / f"{version}_{name}.sql"
    path.write_text(up, encoding="utf-8")
    if down is not None:
        (settings.rollbacks_dir / path.name).write_text(down, encoding="utf-8")
    return path


def record_all(settings: Settings) -> None:
    """Have the files applied, where it is no matter by whom."""
    record(settings, *sorted(settings.migrations_dir.iterdir()))


def states(found: MigrationList) -> dict[str, MigrationState]:
    """Give where each version stands."""
    return {each.version: each.state for each in found.migrations}


def tables(settings: Settings) -> set[str]:
    """Give the names of the tables in schema public."""
    with psycopg.connect(settings.local_db_url) as connection:
        rows = connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
    return {name for (name,) in rows}


def test_push_applies_in_order_and_once(empty: Settings) -> None:
    """A push applies every pending file, oldest first; the next one finds nothing to do."""
    write(empty, "20250101000000", "one", "create table public.one (id int primary key);")
    write(empty, "20250102000000", "two", "create table public.two (id int references public.one);")
    assert set(states(list_migrations(settings=empty)).values()) == {MigrationState.PENDING}
    first = apply_migrations(settings=empty)
    assert first.applied == ("20250101000000_one.sql", "20250102000000_two.sql")
    assert tables(empty) == {"one", "two"}
    assert apply_migrations(settings=empty).up_to_date
    assert set(states(list_migrations(settings=empty)).values()) == {MigrationState.APPLIED}


def test_history_of_these_tests_is_the_cli_s(empty: Settings) -> None:
    """Rows that tests write into the history themselves are what a push would have written."""
    write(
        empty, "20250101000000", "one", "-- one\ncreate table public.one (id int);\n\nselect ';';\n"
    )
    write(empty, "20250102000000", "two", "create table public.two (id int);\n")
    query = (
        "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute "
        f"where attrelid = '{HISTORY}'::regclass and attnum > 0 and not attisdropped order by 1"
    )
    found = []
    for apply in (lambda: apply_migrations(settings=empty), lambda: record_all(empty)):
        with psycopg.connect(empty.local_db_url, autocommit=True) as connection:
            connection.execute(
                "drop schema if exists supabase_migrations cascade; "
                "drop table if exists public.one, public.two"
            )
            apply()
            rows = connection.execute(f"select * from {HISTORY} order by 1".encode()).fetchall()
            found.append((connection.execute(query.encode()).fetchall(), rows))
    assert found[0] == found[1]


def test_pushes_at_once_all_succeed(empty: Settings) -> None:
    """Of several pushes at once every one succeeds, and each file is applied once."""
    from concurrent.futures import ThreadPoolExecutor

    write(empty, "20250101000000", "one", "create table public.one (id int);")
    write(empty, "20250102000000", "two", "create table public.two (id int);")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: apply_migrations(settings=empty), range(4)))
    assert sorted(len(each.applied) for each in results) == [0, 0, 0, 2]
    assert tables(empty) == {"one", "two"}


def test_lock_of_another_push_is_waited_for_in_vain(empty: Settings) -> None:
    """A push that holds the lock for too long ends the other one's wait with nothing changed."""
    said: list[str] = []
    with (
        push_lock(empty.target, purpose="rollback"),
        pytest.raises(LockTimeoutError, match="another push") as caught,
        push_lock(empty.target, wait=0.2, progress=said.append),
    ):
        pytest.fail("two held it")
    assert "riptide rollback" in (caught.value.detail or "")
    assert "waiting for another push or rollback: pid" in said[0]


def test_dry_run_changes_nothing(empty: Settings) -> None:
    """A dry run names what would be applied, by the CLI's own word, and applies nothing."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    result = apply_migrations(settings=empty, dry_run=True)
    assert result.applied == ("20250101000000_one.sql",)
    assert result.dry_run
    assert tables(empty) == set()


def test_failing_sql_names_file_line_and_state(empty: Settings) -> None:
    """SQL that fails is told with file, line, caret and SQLSTATE, and leaves nothing behind."""
    write(empty, "20250101000000", "good", "create table public.good (id int);")
    bad = write(
        empty,
        "20250102000000",
        "bad",
        "create table public.bad (id int);\n"
        "-- a comment; with a semicolon\n"
        "create function public.f() returns int language plpgsql as $$\n"
        "begin return 1; end $$;\n"
        "\n"
        "insert into public.bad\n"
        "values (1),\n"
        "       (nope);\n",
    )
    with pytest.raises(MigrationError) as caught:
        apply_migrations(settings=empty)
    error = caught.value
    assert (error.file, error.line, error.sqlstate) == (bad, 8, "42703")
    assert error.message == '20250102000000_bad.sql:8: column "nope" does not exist (42703)'
    assert error.detail == "   8 │        (nope);\n     │         ^"
    assert "1 of 2 migrations applied" in (error.state or "")
    assert tables(empty) == {"good"}
    assert states(list_migrations(settings=empty)) == {
        "20250101000000": MigrationState.APPLIED,
        "20250102000000": MigrationState.PENDING,
    }


def test_violated_constraint_names_the_statement_s_line(empty: Settings) -> None:
    """An error without a position is told with the line where the statement's first word is."""
    write(
        empty,
        "20250101000000",
        "bad",
        "create table public.t (id int check (id > 0));\n"
        "insert into public.t values (1);\n"
        "/* why */ -- and how\n"
        "insert into public.t values (-1);\n",
    )
    with pytest.raises(MigrationError) as caught:
        apply_migrations(settings=empty)
    assert (caught.value.line, caught.value.sqlstate) == (4, "23514")
    assert "Failing row contains (-1)" in (caught.value.detail or "")


def test_file_that_is_not_utf8_is_refused_before_anything(empty: Settings) -> None:
    """The CLI would apply it with its characters replaced; here nothing at all is applied."""
    write(empty, "20250101000000", "good", "create table public.good (id int);")
    bad = empty.migrations_dir / "20250102000000_latin.sql"
    bad.write_bytes(b"select 1;\n-- caf\xe9\n")
    with pytest.raises(MigrationError, match=r"latin\.sql:2: not UTF-8") as caught:
        apply_migrations(settings=empty)
    assert caught.value.line == 2
    assert tables(empty) == set()


def test_out_of_order_is_refused_and_allowed_when_asked(empty: Settings) -> None:
    """A file older than the newest applied one needs include_all."""
    write(empty, "20250102000000", "two", "create table public.two (id int);")
    record_all(empty)
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    assert states(list_migrations(settings=empty))["20250101000000"] is MigrationState.OUT_OF_ORDER
    with pytest.raises(DriftError, match="after newer ones") as caught:
        apply_migrations(settings=empty)
    assert caught.value.exit_code == 3
    assert tables(empty) == {"two"}
    assert apply_migrations(settings=empty, include_all=True).applied == ("20250101000000_one.sql",)


def test_applied_without_file_is_refused(empty: Settings) -> None:
    """A history row that has no file here ends the push before anything is applied."""
    gone = write(empty, "20250101000000", "one", "create table public.one (id int);")
    record_all(empty)
    gone.unlink()
    write(empty, "20250102000000", "two", "create table public.two (id int);")
    assert states(list_migrations(settings=empty))["20250101000000"] is MigrationState.MISSING
    with pytest.raises(DriftError, match="no file for"):
        apply_migrations(settings=empty)
    assert tables(empty) == {"one"}


@pytest.mark.parametrize(
    ("text", "line", "shown"),
    [
        ("begin;\ncreate table public.kept ();\ncommit;\nselect nope;\n", 1, "begin"),
        (
            "-- pg-delta: transaction=false\ncreate table public.kept ();\nselect nope;\n",
            2,
            "create",
        ),
    ],
)
def test_half_a_file_is_not_said_to_be_nothing(
    empty: Settings, text: str, line: int, shown: str
) -> None:
    """Where a file is not one transaction, a failure does not claim that nothing was applied."""
    write(empty, "20250101000000", "halves", text)
    with pytest.raises(MigrationError) as caught:
        apply_migrations(settings=empty)
    assert tables(empty) == {"kept"}
    state = caught.value.state or ""
    assert f"not one transaction (line {line}: {shown}" in state
    assert "nothing of this file" not in state
    assert "0 of 1 migration applied" in state


def test_concurrent_index_beside_other_statements_is_refused(empty: Settings) -> None:
    """`create index concurrently` has a file of its own, or nothing at all is applied."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    mixed = write(
        empty,
        "20250102000000",
        "mixed",
        "create table public.two (id int);\ncreate index concurrently i on public.one (id);\n",
    )
    with pytest.raises(MigrationError, match="file of its own") as caught:
        apply_migrations(settings=empty)
    assert (caught.value.file, caught.value.line) == (mixed, 2)
    assert tables(empty) == set()
    mixed.write_text("create index concurrently i on public.one (id);\n", encoding="utf-8")
    assert len(apply_migrations(settings=empty).applied) == 2


@pytest.mark.parametrize("text", [None, "select 1;\nvacuum;\n"])
def test_reset_refuses_what_a_push_would_before_the_rows_go(
    empty: Settings, text: str | None
) -> None:
    """A file that is still the template, or that is refused for its statements, empties nothing."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    record_all(empty)
    made = create_migration("later", settings=empty)
    if text:
        made.path.write_text(text, encoding="utf-8")
    with pytest.raises(MigrationError) as caught:
        reset_database(settings=empty)
    assert caught.value.file == made.path
    assert "emptied" not in (caught.value.state or "")
    assert tables(empty) == {"one"}


def test_index_that_a_failed_try_has_left_is_told(empty: Settings) -> None:
    """A failed `create index concurrently` leaves an index that is not valid, which is told."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    record_all(empty)
    file = write(
        empty, "20250102000000", "i", "create unique index concurrently I_one on public.one (id);"
    )
    with psycopg.connect(empty.local_db_url, autocommit=True) as connection:
        connection.execute("insert into public.one values (1), (1)")
    with pytest.raises(MigrationError, match="could not create unique index") as caught:
        apply_migrations(settings=empty)
    assert "an index is left that no query uses: public.i_one" in (caught.value.state or "")
    assert "nothing of this file" not in (caught.value.state or "")
    assert (caught.value.next_step or "").startswith("drop index concurrently public.i_one; then ")
    with psycopg.connect(empty.local_db_url, autocommit=True) as connection:
        connection.execute("delete from public.one")
    file.write_text(file.read_text().replace("I_one", "if not exists I_one"))
    with pytest.raises(DriftError, match=r"public\.i_one is there and not valid") as drift:
        apply_migrations(settings=empty)
    assert drift.value.next_step == "reindex index concurrently public.i_one"
    with psycopg.connect(empty.local_db_url, autocommit=True) as connection:
        connection.execute(drift.value.next_step.encode())
    assert apply_migrations(settings=empty).up_to_date


def test_index_that_waits_for_a_lock_is_tried_once(empty: Settings) -> None:
    """What a lock timeout leaves of an index would be passed over by a second try."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    record_all(empty)
    write(
        empty, "20250102000000", "i", "create index concurrently if not exists i on public.one (id)"
    )
    said: list[str] = []
    with psycopg.connect(empty.local_db_url) as holder:
        holder.execute("insert into public.one values (1)")
        with pytest.raises(MigrationError, match="lock timeout") as caught:
            apply_migrations(settings=empty, lock_timeout=0.5, progress=said.append)
    assert not any("did not get a lock" in each for each in said)
    assert "an index is left that no query uses: public.i" in (caught.value.state or "")
    with psycopg.connect(empty.local_db_url, autocommit=True) as connection:
        connection.execute("drop index concurrently public.i")
    assert len(apply_migrations(settings=empty).applied) == 1


def test_push_behind_a_locked_table_ends(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that needs a lock which another session holds fails in time, and nothing is left."""
    monkeypatch.setattr("riptide.migrations.run.ATTEMPTS", 2)
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    record_all(empty)
    write(empty, "20250102000000", "two", "alter table public.one add column name text;")
    with psycopg.connect(empty.local_db_url) as holder:
        holder.execute("lock table public.one in access share mode")
        with pytest.raises(MigrationError, match="lock timeout") as caught:
            apply_migrations(settings=empty, lock_timeout=0.5)
    assert caught.value.sqlstate == "55P03"
    assert "nothing of this file was applied" in (caught.value.state or "")
    assert apply_migrations(settings=empty).applied == ("20250102000000_two.sql",)


def test_push_waits_for_a_cli_at_work(empty: Settings) -> None:
    """A CLI that knows nothing of the lock (its `inv` was killed) is waited for, then told."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    said: list[str] = []
    with (
        psycopg.connect(empty.local_db_url, application_name=CLI_SESSION),
        pytest.raises(LockTimeoutError, match="another Supabase CLI") as caught,
        push_lock(empty.target, wait=0.3, progress=said.append),
    ):
        pytest.fail("it was not waited for")
    assert "pg_terminate_backend" in (caught.value.next_step or "")
    assert "waiting for another Supabase CLI: pid" in said[0]
    with push_lock(empty.target, wait=0.3) as session:
        assert session is not None


@pytest.mark.parametrize(
    "change",
    [
        f"drop table {HISTORY}; create table {HISTORY} (id int)",
        f"insert into {HISTORY} (version) values ('one')",
        f"drop table {HISTORY}; create table {HISTORY} (version bytea)",
    ],
)
def test_odd_history_is_told(empty: Settings, change: str) -> None:
    """A history that is not the CLI's table is an error of its own, and nothing is applied."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    apply_migrations(settings=empty)
    with psycopg.connect(empty.local_db_url, autocommit=True) as connection:
        connection.execute(change.encode())
        if "bytea" in change:
            connection.execute("insert into supabase_migrations.schema_migrations values ('\\x41')")
    for call in (list_migrations, apply_migrations, rollback_migrations):
        with pytest.raises(DatabaseError, match="not as the Supabase CLI makes it"):
            call(settings=empty)
    assert tables(empty) == {"one"}


def test_byte_order_marks_and_crlf_are_taken(empty: Settings) -> None:
    """A file and its twin that an editor on Windows wrote are applied and taken back."""
    path = write(empty, "20250101000000", "one", "")
    path.write_bytes(b"\xef\xbb\xbfcreate table public.one (id int);\r\nselect 1;\r\n")
    twin = empty.rollbacks_dir / path.name
    twin.write_bytes(b"\xef\xbb\xbfdrop table public.one;\r\n")
    apply_migrations(settings=empty)
    assert tables(empty) == {"one"}
    rollback_migrations(settings=empty)
    assert tables(empty) == set()


def test_rollback_takes_back_the_newest_and_keeps_the_rest(empty: Settings) -> None:
    """A rollback undoes the newest file and its history row; other tables keep their rows."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    write(
        empty,
        "20250102000000",
        "two",
        "create table public.two (id int);",
        "drop table if exists public.two;",
    )
    record_all(empty)
    with psycopg.connect(empty.local_db_url, autocommit=True) as connection:
        connection.execute("insert into public.one values (1), (2)")
    result = rollback_migrations(settings=empty)
    assert result.rolled_back == ("20250102000000_two",)
    assert tables(empty) == {"one"}
    with psycopg.connect(empty.local_db_url) as connection:
        assert connection.execute("select count(*) from public.one").fetchone() == (2,)
    assert states(list_migrations(settings=empty))["20250102000000"] is MigrationState.PENDING
    assert apply_migrations(settings=empty).applied == ("20250102000000_two.sql",)


def test_failing_rollback_undoes_itself(empty: Settings) -> None:
    """A twin that fails halfway leaves the database and the history as they were."""
    write(
        empty,
        "20250101000000",
        "one",
        "create table public.one (id int);",
        "drop table public.one;\nselect * from public.nowhere;\n",
    )
    record_all(empty)
    with pytest.raises(MigrationError) as caught:
        rollback_migrations(settings=empty)
    assert (caught.value.line, caught.value.sqlstate) == (2, "42P01")
    assert tables(empty) == {"one"}
    assert states(list_migrations(settings=empty))["20250101000000"] is MigrationState.APPLIED


def test_rollback_does_not_wait_for_ever(empty: Settings) -> None:
    """A table that another session has locked ends the rollback in time, with nothing changed."""
    write(
        empty,
        "20250101000000",
        "one",
        "create table public.one (id int);",
        "drop table public.one;",
    )
    record_all(empty)
    with psycopg.connect(empty.local_db_url) as holder:
        holder.execute("lock table public.one")
        with pytest.raises(MigrationError, match="lock timeout") as caught:
            rollback_migrations(settings=empty, lock_timeout=1)
    assert caught.value.sqlstate == "55P03"
    assert tables(empty) == {"one"}


@pytest.mark.parametrize(
    ("down", "message"),
    [
        (None, "has no rollback"),
        ("drop table public.one;\ncommit;\n", "commit would end the transaction"),
    ],
)
def test_unusable_twin_is_refused(empty: Settings, down: str | None, message: str) -> None:
    """No twin, or one that would commit by itself, is refused with nothing changed."""
    write(empty, "20250101000000", "one", "create table public.one (id int);", down)
    record_all(empty)
    with pytest.raises(MigrationError, match=message) as caught:
        rollback_migrations(settings=empty)
    assert "supabase/rollbacks/20250101000000_one.sql" in str(caught.value)
    assert tables(empty) == {"one"}


def test_impossible_steps_are_refused(empty: Settings) -> None:
    """Fewer than one step, or more than are applied, is refused with nothing changed."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    with pytest.raises(ConfigError, match="nothing to take back"):
        rollback_migrations(settings=empty)
    record_all(empty)
    for steps in (0, 2):
        with pytest.raises(ConfigError, match="cannot be taken back"):
            rollback_migrations(settings=empty, steps=steps)
    assert tables(empty) == {"one"}
    assert rollback_migrations(settings=empty, dry_run=True).rolled_back == ("20250101000000_one",)
    assert tables(empty) == {"one"}


def test_reset_replays_and_seeds(make_project: Callable[..., Settings]) -> None:
    """A reset empties the database, replays every file, and runs the seed when it is wanted."""
    settings = make_project()
    open_stack(settings).start()
    write(settings, "20250101000000", "one", "create table public.one (id int);")
    (settings.supabase_dir / "seed.sql").write_text("insert into public.one values (41), (42);")
    apply_migrations(settings=settings)
    with psycopg.connect(settings.local_db_url, autocommit=True) as connection:
        connection.execute("create table public.by_hand (id int)")
    result = reset_database(settings=settings)
    assert result.applied == ("20250101000000_one.sql",)
    assert tables(settings) == {"one"}
    with psycopg.connect(settings.local_db_url) as connection:
        assert connection.execute("select sum(id) from public.one").fetchone() == (83,)
    reset_database(settings=settings, seed=False)
    with psycopg.connect(settings.local_db_url) as connection:
        assert connection.execute("select sum(id) from public.one").fetchone() == (None,)


def test_seed_that_was_edited_is_not_said_to_be_run_again(empty: Settings) -> None:
    """The CLI runs a seed file once; of one that was edited since it only keeps the new hash."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    record_all(empty)
    seed = empty.supabase_dir / "seed.sql"
    try:
        found = []
        for number in (1, 2):
            seed.write_text(f"insert into public.one values ({number});")
            found.append(apply_migrations(settings=empty, include_seed=True))
        assert [each.seeded for each in found] == [("supabase/seed.sql",), ()]
        assert [each.not_seeded for each in found] == [(), ("supabase/seed.sql",)]
        with psycopg.connect(empty.local_db_url) as connection:
            assert connection.execute("select id from public.one").fetchall() == [(1,)]
    finally:
        seed.unlink()


def test_failing_seed_is_told_as_the_seed_s(empty: Settings) -> None:
    """When the migrations went well and the seed did not, the error says which it was."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    seed = empty.supabase_dir / "seed.sql"
    seed.write_text("insert into public.nowhere values (1);")
    try:
        with pytest.raises(MigrationError, match="seed") as caught:
            apply_migrations(settings=empty, include_seed=True)
    finally:
        seed.unlink()
    assert caught.value.sqlstate == "42P01"
    assert "1 of 1 migration applied" in (caught.value.state or "")


def test_unreachable_database_is_told(make_project: Callable[..., Settings]) -> None:
    """Where no database listens, each function says so and names the next command."""
    settings = make_project()
    with pytest.raises(DatabaseError, match="cannot be reached") as caught:
        list_migrations(settings=settings)
    assert caught.value.next_step == "inv stack.start"
    for call in (apply_migrations, rollback_migrations):
        with pytest.raises(StackError, match="not running") as stopped:
            call(settings=settings)
        assert stopped.value.next_step == "inv stack.start"
    remote = Target(kind="remote", url="postgresql://postgres@127.0.0.1:1/postgres")
    with pytest.raises(DatabaseError, match="cannot be reached"):
        apply_migrations(settings=replace(settings, target=remote))


def test_local_is_this_project_s_stack(
    running: Settings, make_project: Callable[..., Settings]
) -> None:
    """A push to a port where another project's database listens is refused, and changes nothing."""
    other = make_project()
    write(other, "20250101000000", "one", "create table public.one (id int);")
    config = running.config
    aimed = replace(other, config=config, target=Target(url=running.local_db_url))
    with pytest.raises(StackError, match="not running"):
        apply_migrations(settings=aimed)
    assert tables(running) == set()


def test_wrong_password_is_told_without_it(running: Settings) -> None:
    """A refused password is an error in which neither password stands."""
    url = running.local_db_url.replace(":postgres@", ":s3cret-word@")
    with pytest.raises(DatabaseError, match="cannot be reached") as caught:
        list_migrations(settings=replace(running, target=Target(kind="remote", url=url)))
    assert "password authentication failed" in str(caught.value)
    assert "s3cret-word" not in str(caught.value)


def test_remote_url_target_is_pushed_by_the_cli(empty: Settings) -> None:
    """A database given by its URL is pushed to by the CLI's --remote."""
    write(empty, "20250101000000", "one", "create table public.one (id int);")
    remote = replace(empty, target=Target(kind="remote", url=empty.local_db_url))
    assert apply_migrations(settings=remote).applied == ("20250101000000_one.sql",)
    assert tables(empty) == {"one"}


def test_created_migration_is_taken_by_the_cli(empty: Settings) -> None:
    """What create_migration writes, filled in, the CLI applies, and its twin takes back."""
    made = create_migration("add_teams", settings=empty)
    for path, text in (
        (made.path, "create table public.teams (id int);"),
        (made.rollback_path, "drop table public.teams;"),
    ):
        path.write_text(path.read_text("utf-8") + text, encoding="utf-8")
    assert apply_migrations(settings=empty).applied == (made.path.name,)
    assert rollback_migrations(settings=empty).rolled_back == (made.path.stem,)


def test_initialize_makes_a_project_that_works(tmp_path: Path) -> None:
    """`supabase init` by the real CLI makes a project whose settings load; twice is once.

    In a git repository the CLI writes more, and that is said too.
    """
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    expected = would_write(tmp_path)
    assert len(expected) == 5
    made = initialize_supabase(tmp_path)
    assert [each.relative_to(tmp_path).as_posix() for each in made.created] == expected
    assert would_write(tmp_path) == []
    assert Settings.load(tmp_path, environ={}).config.db_port == 54322
    assert initialize_supabase(tmp_path).created == ()


# --- roles that are in a hurry -------------------------------------------------------------------


@pytest.fixture
def own_role(empty: Settings) -> Iterator[Settings]:
    """Give the project; what a test sets on the role postgres is gone afterwards."""
    yield empty
    with psycopg.connect(empty.local_db_url, options="-c statement_timeout=0") as connection:
        connection.execute("alter role postgres reset all")


def test_role_that_is_told_to_hurry(own_role: Settings) -> None:
    """A role's own timeouts cut no session of ours short, so that what was applied is told."""
    write(
        own_role,
        "20250101000000",
        "hurry",
        "create table public.t1 (a int); alter role postgres set statement_timeout = '1ms';"
        "alter role postgres set transaction_timeout = '500ms';",
        "drop table public.t1; select pg_sleep(0.6);",
    )
    assert len(apply_migrations(settings=own_role).applied) == 1
    assert not list_migrations(settings=own_role).pending
    assert rollback_migrations(settings=own_role).rolled_back == ("20250101000000_hurry",)


def test_role_that_is_read_only_stays_so(own_role: Settings) -> None:
    """A role that somebody made read only takes nothing back, and its history can be read."""
    write(
        own_role,
        "20250101000000",
        "ro",
        "create table public.t1 (a int);"
        "alter role postgres set default_transaction_read_only = on;",
        "drop table public.t1;",
    )
    assert len(apply_migrations(settings=own_role).applied) == 1
    with pytest.raises(MigrationError, match="read-only transaction") as caught:
        rollback_migrations(settings=own_role)
    assert caught.value.state == "nothing was changed"
    with psycopg.connect(
        own_role.local_db_url, options="-c default_transaction_read_only=off"
    ) as connection:
        connection.execute("alter role postgres reset default_transaction_read_only")


def test_options_of_a_url_count(empty: Settings) -> None:
    """What a URL's own options say is not taken away by what a session of ours is told."""
    from riptide.database import connect

    url = f"{empty.local_db_url}?options=-c%20statement_timeout%3D7s%20-c%20work_mem%3D5MB"
    with connect(Target(kind="remote", url=url)) as connection:
        shown = [
            connection.execute(f"show {name}".encode()).fetchone()
            for name in ("statement_timeout", "work_mem", "lock_timeout", "idle_session_timeout")
        ]
    assert shown == [("7s",), ("5MB",), ("0",), ("0",)]


def test_history_that_cannot_be_read_after_a_push(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error after the CLI's success says what the CLI has applied."""

    def gone(*_: object) -> list[str]:
        raise DatabaseError("refused")

    write(empty, "20250101000000", "one", "create table public.t1 (a int);")
    monkeypatch.setattr("riptide.migrations.locked_push.applied_versions", gone)
    with pytest.raises(DatabaseError) as caught:
        apply_migrations(settings=empty)
    assert "the CLI says that it applied 1 migration" in str(caught.value)
    assert tables(empty) == {"t1"}
