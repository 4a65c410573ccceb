"""A push that is interrupted, killed, or whose database goes away."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from _inv import inv

from riptide import apply_migrations, list_migrations, open_stack
from riptide.migrations.durable import MANY
from riptide.stack.process import find

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _database import Database

    from riptide.results import StackStatus
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
        after = inv(db.settings, "migrate.push")
        output, _ = after.communicate(timeout=120)
        assert after.returncode == 0, (seed, number, output)
        assert len(db.applied()) == 3, (seed, number)
        runs = db.sql("select n, count(*) from public.runs group by n order by n")
        assert runs == [(1, 1), (2, 1), (3, 1)], (seed, number)
        db.clean()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGHUP and SIGQUIT")
@pytest.mark.parametrize("end", ["", "select no_such_function();", "select pg_sleep(6);"])
def test_what_a_push_says_to_be_applied_outlives_a_crash(
    make_project: Callable[..., Settings], end: str
) -> None:
    """A server that dies right after a push of many files has all that was said to be applied.

    So it is after one that failed at its end, and after one that was interrupted there.
    """
    settings = make_project()
    before = open_stack(settings).start()
    let_the_server_write_late(settings, before)
    for number in range(MANY):
        version = f"{20250101000000 + number}"
        write(settings, version, f"create table public.t{number} (id int);\n")
    if end:
        write(settings, "20250102000000", end)
    process = inv(settings, "migrate.push")
    if "sleep" in end:
        wait_for_sleep(settings)
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    os.kill(before.pids["postgres"], signal.SIGQUIT)
    said = f"{MANY} of {MANY + 1} migrations applied" if end else f"applied {MANY} migrations"
    assert said in output, output
    wait_until_gone(before.pids["postgres"])
    assert open_stack(settings).start().started
    assert tables(settings) == {f"t{number}" for number in range(MANY)}
    assert len(list_migrations(settings=settings).applied) == MANY


def let_the_server_write_late(settings: Settings, status: StackStatus) -> None:
    """Have what is not flushed stay in its memory for ten seconds, and not for some tenths."""
    assert status.data_dir is not None
    with (status.data_dir / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write("wal_writer_delay = '10s'\n")
    os.kill(status.pids["postgres"], signal.SIGHUP)
    deadline = time.monotonic() + 30
    with psycopg.connect(settings.local_db_url, autocommit=True) as connection:
        while connection.execute("show wal_writer_delay").fetchone() != ("10s",):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process."""
    deadline = time.monotonic() + 30
    while find(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
def test_files_that_vanish_change_nothing_of_what_is_told(
    started: Settings, *, renamed: bool, cancelled: bool
) -> None:
    """What a push has applied is read from the history: files may be renamed or deleted under it.

    One that failed is not taken for one that somebody else has applied, and nothing goes on
    without it.
    """
    last = write(started, "20250103000000", "create table public.last (id int);\n")
    slow = started.migrations_dir / "20250102000000_m.sql"
    process = inv(started, "migrate.push")
    wait_for_sleep(started)
    if renamed:
        slow.rename(slow.with_name("20250102000000_other.sql"))
    else:
        slow.unlink()
        last.unlink()
    if cancelled:
        with psycopg.connect(started.local_db_url, autocommit=True) as connection:
            connection.execute(
                "select pg_cancel_backend(pid) from pg_stat_activity "
                "where query like 'select pg_sleep(6)%' and pid <> pg_backend_pid()"
            )
    else:
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == (1 if cancelled else 130), output
    assert ("canceling statement due to user request (57014)" in output) == cancelled, output
    assert "1 of 3 migrations applied, nothing of the others" in output, output
    assert "another Supabase CLI" not in output
    assert tables(started) == {"quick"}


def test_push_whose_lock_is_lost_does_its_work(started: Settings) -> None:
    """Where the session that holds the lock is ended, what the CLI did is told as it is."""
    process = inv(started, "migrate.push")
    wait_for_sleep(started)
    with psycopg.connect(started.local_db_url, autocommit=True) as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name like 'riptide push %'"
        ).fetchall()
    assert ended == [(True,)]
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, "applied 2 migrations" in output) == (0, True), output
    assert tables(started) == {"quick", "slow", "end_"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_push_whose_cli_is_killed_converges(started: Settings) -> None:
    """A CLI that somebody kills is told with what is applied, and the next push ends the work."""
    process = inv(started, "migrate.push")
    wait_for_sleep(started)
    for each in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "push" in each.cmdline():
                each.kill()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert (
        "error: the push broke off: the Supabase CLI was ended by SIGKILL\n"
        "state: 1 of 2 migrations applied, nothing of the others\n"
        "next:  `inv migrate.push` again; it goes on from there\n"
    ) in output, output
    apply_migrations(settings=started)
    assert tables(started) == {"quick", "slow", "end_"}
    assert not list_migrations(settings=started).needs_a_look


@pytest.mark.parametrize("crashes", [False, True])
def test_push_whose_database_goes_away_claims_nothing(started: Settings, *, crashes: bool) -> None:
    """Where nobody can look what was applied no file is blamed, and none is said to be left out."""
    process = inv(started, "migrate.push")
    wait_for_sleep(started)
    if crashes:
        pid = open_stack(started).status().pids["postgres"]
        os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGQUIT)
        wait_until_gone(pid)
    else:
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
