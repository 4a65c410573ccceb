"""A push that is interrupted, killed, or whose database goes away."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from _inv import inv

from riptide import MigrationError, apply_migrations, list_migrations, open_stack
from riptide.stack.process import find

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _database import Database

    from riptide.settings import Settings

SLOW = """\
create table public.slow (id int);
select pg_sleep(6);
create table public.end_ (id int);
"""

# Counts how often it was run; slow enough for a moment to fall into each part of a file.
STEP = """\
create table if not exists public.runs (n int);
insert into public.runs values ({n});
select pg_sleep(0.05);
"""


def write(settings: Settings, version: str, text: str) -> Path:
    """Write a migration."""
    path = settings.migrations_dir / f"{version}_m.sql"
    path.write_text(text, encoding="utf-8")
    return path


def tables(settings: Settings) -> set[str]:
    """Give the names of the tables in schema public."""
    with psycopg.connect(settings.local_db_url) as connection:
        rows = connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
    return {name for (name,) in rows}


def wait_for_sleep(settings: Settings) -> None:
    """Wait until the CLI's session is in the middle of the slow file."""
    deadline = time.monotonic() + 30
    with psycopg.connect(settings.local_db_url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = connection.execute(
                "select from pg_stat_activity where query like 'select pg_sleep(6)%' "
                "and state = 'active' and pid <> pg_backend_pid()"
            ).fetchone()
            if row is not None:
                return
            time.sleep(0.05)
    pytest.fail("the push did not get to the slow statement")


@pytest.fixture
def started(make_project: Callable[..., Settings]) -> Settings:
    """Give a project whose stack runs, with a quick and a slow migration."""
    settings = make_project()
    open_stack(settings).start()
    write(settings, "20250101000000", "create table public.quick (id int);\n")
    write(settings, "20250102000000", SLOW)
    return settings


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_push_commits_nothing_later(started: Settings, number: signal.Signals) -> None:
    """What an interrupted push says of the database is so, and stays so: nothing commits later."""
    process = inv(started, "migrate.push")
    wait_for_sleep(started)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number, output
    assert "state: 1 of 2 migrations applied, nothing of the others" in output, output
    assert "next:  inv migrate.push" in output
    assert tables(started) == {"quick"}
    time.sleep(6)
    assert tables(started) == {"quick"}
    assert len(list_migrations(settings=started).pending) == 1


def test_killed_push_is_waited_for_by_the_next_one(started: Settings) -> None:
    """After kill -9 of `inv` in a push, a plain one ends well, each file applied once."""
    process = inv(started, "migrate.push")
    wait_for_sleep(started)
    process.kill()
    process.communicate()
    apply_migrations(settings=started)
    assert tables(started) == {"quick", "slow", "end_"}
    assert not list_migrations(settings=started).needs_a_look


def test_push_whose_connection_is_cut_converges(started: Settings) -> None:
    """A push whose database session is ended fails in its own form, and the next one ends well."""
    process = inv(started, "migrate.push")
    wait_for_sleep(started)
    with psycopg.connect(started.local_db_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where query like 'select pg_sleep(6)%' and pid <> pg_backend_pid()"
        )
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1, output
    assert "unexpected" not in output
    assert "1 of 2 migrations applied" in output
    apply_migrations(settings=started)
    assert tables(started) == {"quick", "slow", "end_"}


@pytest.mark.timeout(400)
def test_push_killed_at_any_moment_converges(db: Database) -> None:
    """After kill -9 at any moment one plain push ends the work, each file applied just once."""
    seed = random.randrange(1 << 30)
    moments = random.Random(seed)
    began = time.monotonic()
    for number in range(31):
        for each in (1, 2, 3):
            db.migration(each, STEP.format(n=each))
        process = inv(db.settings, "migrate.push")
        if number == 0:  # how long one takes that is left alone
            process.communicate(timeout=60)
            whole = time.monotonic() - began
        else:
            time.sleep(moments.uniform(0, whole))
            process.kill()
            process.communicate(timeout=60)
        if number % 5 == 0:
            after = inv(db.settings, "migrate.push")
            output, _ = after.communicate(timeout=120)
            assert after.returncode == 0, (seed, number, output)
        else:
            apply_migrations(settings=db.settings)  # the same, without the command's start
        assert len(db.applied()) == 3, (seed, number)
        runs = db.sql("select n, count(*) from public.runs group by n order by n")
        assert runs == [(1, 1), (2, 1), (3, 1)], (seed, number)
        db.clean()


@pytest.mark.parametrize("well", [True, False])
def test_what_a_push_says_to_be_applied_outlives_a_crash(db: Database, *, well: bool) -> None:
    """A server that dies at once after a push, or one that failed half way, has what was said."""
    for number in range(1, 9):
        db.migration(number, f"create table public.t{number} (id int);")
    if not well:
        db.migration(9, "select no_such_function();")
    before = open_stack(db.settings).status()
    assert before.data_dir is not None
    # The server writes nothing by itself meanwhile.
    parameters = before.data_dir / "postgresql.auto.conf"
    kept = parameters.read_text(encoding="utf-8")
    parameters.write_text(f"{kept}\nwal_writer_delay = '10s'\n", encoding="utf-8")
    os.kill(before.pids["postgres"], signal.SIGHUP)
    try:
        if well:
            apply_migrations(settings=db.settings)
        else:
            with pytest.raises(MigrationError) as caught:
                apply_migrations(settings=db.settings)
            assert "8 of 9 migrations applied" in (caught.value.state or "")
    finally:
        os.kill(before.pids["postgres"], signal.SIGQUIT)
        parameters.write_text(kept, encoding="utf-8")
    deadline = time.monotonic() + 30
    while find(before.pids["postgres"]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert open_stack(db.settings).start().started
    assert len(db.applied()) == 8
    assert db.tables() == {f"t{number}" for number in range(1, 9)}


def test_push_whose_database_goes_away_claims_nothing(started: Settings) -> None:
    """Where nobody can look what was applied no file is blamed, and none is said to be left out."""
    process = inv(started, "migrate.push")
    wait_for_sleep(started)
    open_stack(started).stop()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "error: the push broke off at 20250102000000_m.sql: " in output
    assert "state: how much was applied is not known" in output
    assert "next:  inv migrate.status, once the database answers" in output
    assert "nothing of this file" not in output
    open_stack(started).start()
    apply_migrations(settings=started)
    assert tables(started) == {"quick", "slow", "end_"}
