"""Drift, plan, rehearsal, retry and lock of a push, on a real database through the real CLI."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from _database import record
from _inv import inv

from riptide import (
    DriftError,
    LockTimeoutError,
    MigrationError,
    apply_migrations,
    list_migrations,
    open_stack,
    plan_push,
    rollback_migrations,
)
from riptide.database import HISTORY
from riptide.migrations.lock import push_lock
from riptide.results import MigrationState
from riptide.runner import SubprocessRunner
from riptide.target import Target
from riptide.toolchain import find_cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from riptide.settings import Settings

ONE, TWO = "20250101000000_one.sql", "20250102000000_two.sql"


@pytest.fixture(scope="module")
def running(make_project: Callable[..., Settings]) -> Settings:
    """Give a project of this module's own, its stack started."""
    settings = make_project()
    open_stack(settings).start()
    return settings


@pytest.fixture
def project(running: Settings) -> Iterator[Settings]:
    """Give that project, with one migration applied; emptied afterwards."""
    record(running, write(running, ONE, "-- one\ncreate table public.one (id int);\n"))
    yield running
    for path in running.migrations_dir.iterdir():
        path.unlink()
    with psycopg.connect(running.local_db_url, autocommit=True) as connection:
        connection.execute("drop schema if exists supabase_migrations cascade")
        for name in tables(running):
            connection.execute(f"drop table public.{name} cascade".encode())


def write(settings: Settings, name: str, text: str) -> Path:
    """Write a migration."""
    path = settings.migrations_dir / name
    path.write_text(text, encoding="utf-8")
    return path


def tables(settings: Settings) -> set[str]:
    """Give the names of the tables in schema public."""
    with psycopg.connect(settings.local_db_url) as connection:
        rows = connection.execute(
            "select tablename from pg_tables where schemaname = 'public'"
        ).fetchall()
    return {name for (name,) in rows}


def run(settings: Settings, *words: str) -> tuple[int, str]:
    """Run a real `inv`; give its exit code and what it printed."""
    process = inv(settings, *words)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.parametrize(
    ("text", "state", "noted"),
    [
        ("-- one\ncreate table public.one (id int);\n", MigrationState.APPLIED, ""),
        ("-- 1\ncreate table  public.one (id int)\n", MigrationState.APPLIED, "comments"),
        ("-- one\ncreate table public.one (id bigint);\n", MigrationState.DRIFTED, "edited"),
    ],
)
def test_status_holds_files_to_what_was_applied(
    project: Settings, text: str, state: MigrationState, noted: str
) -> None:
    """The CLI's own stored statements tell an edit from a cosmetic one and from none."""
    rollback = project.rollbacks_dir / ONE
    rollback.write_text("drop table public.one;\n", encoding="utf-8")
    rollback_migrations(settings=project)
    rollback.unlink()
    apply_migrations(settings=project)
    write(project, ONE, text)
    (found,) = list_migrations(settings=project).migrations
    assert found.state is state
    assert (noted in found.note) if noted else found.note == ""


def test_drift_ends_a_push_and_fails_a_check(project: Settings) -> None:
    """An edited file is refused before anything is applied; `status --check` says so with 3."""
    write(project, ONE, "create table public.one (id bigint);\n")
    write(project, TWO, "create table public.two (id int);\n")
    with pytest.raises(DriftError, match="edited after being applied") as caught:
        apply_migrations(settings=project)
    assert caught.value.exit_code == 3
    assert tables(project) == {"one"}
    code, output = run(project, "migrate.status", "--check", "--diff")
    assert code == 3, output
    assert "+create table public.one (id bigint);" in output
    assert "20250101000000_one: edited since it was applied" in output
    assert "next: undo the edit" in output
    write(project, ONE, "create table public.one (id int);\n")
    code, output = run(project, "migrate.push")
    assert code == 0, output
    code, output = run(project, "migrate.status", "--check")
    assert code == 0, output


def test_check_fails_on_a_file_that_cannot_be_pushed(project: Settings) -> None:
    """A version that two files have is what a push stumbles over, so `--check` exits with 3."""
    write(project, "20250101000000_other.sql", "select 1;\n")
    code, output = run(project, "migrate.status", "--check")
    assert code == 3, output
    assert "two migrations have the version 20250101000000" in output


def test_history_without_statements_is_no_drift(project: Settings) -> None:
    """What an older CLI did not store cannot be compared, and is not said to be edited."""
    with psycopg.connect(project.local_db_url, autocommit=True) as connection:
        connection.execute(f"alter table {HISTORY} drop column statements".encode())
    write(project, ONE, "select 'something else';\n")
    (found,) = list_migrations(settings=project).migrations
    assert found.state is MigrationState.APPLIED
    write(project, TWO, "create table public.two (id int);\n")
    assert apply_migrations(settings=project).applied == (TWO,)
    assert tables(project) == {"one", "two"}


def test_push_that_may_not_wait_longer_gives_up(project: Settings) -> None:
    """Another one that holds the lock for longer than `lock_wait` ends a push, and nothing else."""
    write(project, TWO, "create table public.two (id int);\n")
    with (
        push_lock(project.target, purpose="rollback"),
        pytest.raises(LockTimeoutError, match=r"for 0\.2 s") as caught,
    ):
        apply_migrations(settings=project, lock_wait=0.2)
    assert "riptide rollback" in (caught.value.detail or "")
    assert tables(project) == {"one"}


def test_plan_says_what_to_know_before(project: Settings) -> None:
    """A plan names the database, counts statements, and marks what loses rows or locks."""
    write(project, TWO, "create index on public.one (id);\n\ndrop table public.one;\n")
    plan = plan_push(settings=project)
    assert (plan.identity, plan.applied) == (project.config.project_id, 1)
    (file,) = plan.files
    assert (file.file, file.statements) == (TWO, 2)
    assert {(each.line, each.hazard) for each in file.findings if each.hazard} == {
        (1, "lock"),
        (3, "data"),
    }
    code, output = run(project, "migrate.push")
    assert code == 0, output
    assert "1 applied, 1 to go" in output
    assert "line 3: destroys data: " in output
    assert f"applied {TWO}" in output
    code, output = run(project, "migrate.push", "--json")
    assert json.loads(output[output.index("{") :])["plan"]["files"] == []


def test_rehearsal_fails_before_the_target_is_touched(project: Settings) -> None:
    """A file that fails is found on the scratch database first; the target is as it was."""
    write(project, TWO, "create table public.two (id int);\n")
    bad = write(project, "20250103000000_bad.sql", "select 1;\nselect * from public.nope;\n")
    with pytest.raises(MigrationError) as caught:
        apply_migrations(settings=project, rehearse=True)
    assert (caught.value.file, caught.value.line, caught.value.sqlstate) == (bad, 2, "42P01")
    assert "the target was not touched" in (caught.value.state or "")
    assert tables(project) == {"one"}
    bad.unlink()
    result = apply_migrations(settings=project, rehearse=True)
    assert result.rehearsed is not None
    assert tables(project) == {"one", "two"}


def test_target_that_is_not_local_is_rehearsed(project: Settings) -> None:
    """A remote push is rehearsed unasked, and what only hosted Supabase has is told.

    The scratch database is the embedded one, whatever the project's own stack is.
    """
    target = Target(kind="remote", url=project.local_db_url)
    remote = replace(project, target=target, backend="docker")
    two = write(project, TWO, "create extension pg_net;\n")
    with pytest.raises(MigrationError, match="not available") as caught:
        apply_migrations(settings=remote)
    assert "--no-rehearse" in (caught.value.next_step or "")
    two.write_text("create table public.two (id int);\n", encoding="utf-8")
    assert apply_migrations(settings=remote, rehearse=False).rehearsed is None


def test_blocked_file_is_applied_when_the_lock_comes_free(project: Settings) -> None:
    """A push that met a lock goes through by itself once the other transaction has ended."""
    write(project, TWO, "alter table public.one add column name text;\n")
    said: list[str] = []
    with psycopg.connect(project.local_db_url) as holder:
        holder.execute("lock table public.one in access share mode")

        def let_go() -> None:
            while not any("did not get a lock" in each for each in said):
                time.sleep(0.02)
            holder.rollback()

        waiter = threading.Thread(target=let_go)
        waiter.start()
        result = apply_migrations(settings=project, lock_timeout=0.3, progress=said.append)
        waiter.join()
    assert result.applied == (TWO,)


def test_eight_pushes_at_once(project: Settings) -> None:
    """Of eight pushes at once every one succeeds, and each file is applied once."""
    for number in range(2, 6):
        write(project, f"2025010{number}000000_m.sql", f"create table public.m{number} (id int);")
    at_once = [inv(project, "migrate.push") for _ in range(8)]
    try:
        said = [(each.communicate(timeout=120)[0], each.returncode) for each in at_once]
    finally:
        for each in at_once:
            each.kill()
    assert [code for _, code in said] == [0] * 8, said
    applied = sorted(text.count("applied 4 migrations") for text, _ in said)
    assert applied == [0] * 7 + [1], said
    assert tables(project) == {"one", "m2", "m3", "m4", "m5"}


# Stands before the CLI, and does in its place what an editor may do before it reads, or afterwards.
EDITOR = """\
#!/bin/sh
edit() {{ echo 'create table public.edited (id int);' > '{folder}/{two}'; }}
[ "$2 {when}" = "push before" ] && edit
'{cli}' "$@"
code=$?
[ "$2 {when}" = "push after" ] && edit
exit $code
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("when", ["before", "after"])
def test_edit_while_the_cli_runs_is_told(project: Settings, tmp_path: Path, when: str) -> None:
    """What was applied is held to what was planned; an edit that came too late fails nothing."""
    write(project, TWO, "create table public.two (id int);\n")
    real = find_cli(project, runner=SubprocessRunner())
    editor = tmp_path / "supabase"
    script = EDITOR.format(folder=project.migrations_dir, two=TWO, cli=real, when=when)
    editor.write_text(script, encoding="utf-8")
    editor.chmod(0o755)
    edited = replace(project, cli_path=editor)
    if when == "after":
        result = apply_migrations(settings=edited)
        assert (result.applied, result.edited) == ((TWO,), (TWO,))
        assert tables(project) == {"one", "two"}
        return
    with pytest.raises(DriftError, match="before the CLI came to them") as caught:
        apply_migrations(settings=edited)
    assert caught.value.detail == f"  {TWO}: what was applied is not what was planned"
    assert "all pending files are applied" in (caught.value.state or "")
    assert tables(project) == {"one", "edited"}


def test_large_file_is_taken(project: Settings) -> None:
    """A file of 10 MB is planned, applied, and found unedited."""
    row = "insert into public.one values (1);\n"
    write(project, TWO, row * (10_000_000 // len(row) // 40) + f"select '{'x' * 9_800_000}';\n")
    assert apply_migrations(settings=project).applied == (TWO,)
    assert not list_migrations(settings=project).needs_a_look
