"""Output that nobody reads, or that has no room, while the work is going on."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from _inv import inv, inv_to

from riptide import list_migrations, open_stack

if TYPE_CHECKING:
    from _database import Database

BUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"])


@pytest.fixture
def pending(db: Database) -> Database:
    """Give a database with two migrations and their twins to come."""
    for number in (1, 2):
        db.migration(number, f"create table public.t{number} ();", f"drop table public.t{number};")
    return db


def unread(db: Database, *words: str, unbuffered: str) -> int:
    """Run `inv` with both its streams a pipe that nobody reads any more; give its exit code."""
    process = inv(db.settings, *words, PYTHONUNBUFFERED=unbuffered)
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(timeout=60)


@BUFFERED
def test_a_push_that_nobody_reads_is_done(pending: Database, unbuffered: str) -> None:
    """A reader that goes away ends no push, and the exit code is the push's."""
    assert unread(pending, "migrate.push", unbuffered=unbuffered) == 0
    assert pending.tables() == {"t1", "t2"}


@BUFFERED
def test_a_failure_that_nobody_reads_is_one(pending: Database, unbuffered: str) -> None:
    """A push that fails exits with 1, and a check that finds something with 3, read or not."""
    pending.migration(2, "select nope;")
    assert unread(pending, "migrate.push", unbuffered=unbuffered) == 1
    assert pending.tables() == {"t1"}
    assert unread(pending, "migrate.status", "--check", unbuffered=unbuffered) == 3


@BUFFERED
def test_a_rollback_that_nobody_reads_is_done(db: Database, unbuffered: str) -> None:
    """All that was asked for is taken back."""
    for number in (1, 2):
        db.given(number, f"create table public.t{number} ();", f"drop table public.t{number};")
    assert unread(db, "migrate.rollback", "--steps=2", unbuffered=unbuffered) == 0
    assert (db.tables(), db.applied()) == (set(), [])


@BUFFERED
def test_a_reset_that_nobody_reads_is_done(pending: Database, unbuffered: str) -> None:
    """What was emptied is replayed, and the stack runs."""
    assert unread(pending, "migrate.reset", "--yes", unbuffered=unbuffered) == 0
    assert pending.tables() == {"t1", "t2"}
    assert open_stack(pending.settings).status().running


def test_logs_end_with_their_reader(db: Database) -> None:
    """What goes on until somebody has seen enough ends then, and well."""
    process = inv(db.settings, "stack.logs", "--follow", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    api = open_stack(db.settings).status().api_url
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        httpx.get(f"{api}/rest/v1/")  # is a line of the log
        time.sleep(0.2)
    if process.poll() is None:
        process.kill()
    assert process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_plan_that_has_no_room_is_told_as_it_is(pending: Database) -> None:
    """Where the plan cannot be printed nothing is applied, and that is what is said."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = inv_to(
            full, subprocess.PIPE, pending.settings, "migrate.push", PYTHONUNBUFFERED="1"
        )
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be written to stdout" in said
    assert "state: nothing was applied" in said
    assert pending.tables() == set()
    assert list_migrations(settings=pending.settings).applied == ()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_refusal_that_has_no_room_is_one(db: Database) -> None:
    """Where what would have gone cannot be printed, the refusal is told, and is the exit code's."""
    db.given(1, "create table public.one (id int);", "drop table public.one;")
    db.sql("insert into public.one values (1)")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = inv_to(full, subprocess.PIPE, db.settings, "migrate.rollback", "--json")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert "error: 1 row would be lost" in said
    assert "state: nothing was changed" in said
    assert db.tables() == {"one"}
