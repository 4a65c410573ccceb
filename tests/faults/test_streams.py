"""Output that nobody reads, or that has no room, while the work is going on."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from _inv import inv, inv_to

from riptide import apply_migrations, list_migrations, open_stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.settings import Settings

ONE, TWO = "20250101000000", "20250102000000"


@pytest.fixture(scope="module")
def shared(make_project: Callable[..., Settings]) -> Settings:
    """Give a project whose stack runs."""
    settings = make_project()
    open_stack(settings).start()
    return settings


@pytest.fixture
def started(shared: Settings) -> Settings:
    """Give it with two migrations and their twins, nothing of them applied."""
    from riptide import rollback_migrations

    if list_migrations(settings=shared).applied:
        rollback_migrations(settings=shared, to="0")
    for version in (ONE, TWO):
        write(shared, version, f"create table public.t{version} (id int);\n")
        twin = shared.rollbacks_dir / f"{version}_m.sql"
        twin.write_text(f"drop table public.t{version};\n", encoding="utf-8")
    return shared


def write(settings: Settings, version: str, text: str) -> Path:
    """Write a migration."""
    path = settings.migrations_dir / f"{version}_m.sql"
    path.write_text(text, encoding="utf-8")
    return path


def applied(settings: Settings) -> list[str]:
    """Give the versions that are applied."""
    return [each.version for each in list_migrations(settings=settings).applied]


def unread(settings: Settings, *words: str, unbuffered: str) -> int:
    """Run `inv` with both its streams a pipe that nobody reads any more; give its exit code."""
    process = inv(settings, *words, PYTHONUNBUFFERED=unbuffered)
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(timeout=60)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_push_that_nobody_reads_is_done(started: Settings, unbuffered: str) -> None:
    """A reader that goes away ends no push, and the exit code is the push's."""
    assert unread(started, "migrate.push", unbuffered=unbuffered) == 0
    assert applied(started) == [ONE, TWO]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_failure_that_nobody_reads_is_one(started: Settings, unbuffered: str) -> None:
    """A push that fails exits with 1, and a check that finds something with 3, read or not."""
    write(started, TWO, "select nope;\n")
    assert unread(started, "migrate.push", unbuffered=unbuffered) == 1
    assert applied(started) == [ONE]
    assert unread(started, "migrate.status", "--check", unbuffered=unbuffered) == 3


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_rollback_that_nobody_reads_is_done(started: Settings, unbuffered: str) -> None:
    """All that was asked for is taken back."""
    apply_migrations(settings=started)
    assert unread(started, "migrate.rollback", "--steps=2", unbuffered=unbuffered) == 0
    assert applied(started) == []


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reset_that_nobody_reads_is_done(started: Settings, unbuffered: str) -> None:
    """What was emptied is replayed, and the stack runs."""
    assert unread(started, "migrate.reset", "--yes", unbuffered=unbuffered) == 0
    assert applied(started) == [ONE, TWO]
    assert open_stack(started).status().running


def test_logs_end_with_their_reader(started: Settings) -> None:
    """What goes on until somebody has seen enough ends then, and well."""
    process = inv(started, "stack.logs", "--follow", PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        httpx.get(f"{open_stack(started).status().api_url}/rest/v1/")  # is a line of the log
        time.sleep(0.2)
    if process.poll() is None:
        process.kill()
    assert process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_plan_that_has_no_room_is_told_as_it_is(started: Settings) -> None:
    """Where the plan cannot be printed nothing is applied, and that is what is said."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = inv_to(full, subprocess.PIPE, started, "migrate.push", PYTHONUNBUFFERED="1")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot be written to stdout" in said
    assert "state: nothing was applied" in said
    assert applied(started) == []
