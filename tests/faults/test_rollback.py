"""A rollback that is killed, interrupted, cut off, or has no room for the rows."""

from __future__ import annotations

import errno
import random
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from _inv import inv
from _requires import require_root

from riptide import (
    DatabaseError,
    RiptideError,
    restore_rows,
    rollback_migrations,
)
from riptide.migrations.saved_rows import rollback_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg
    from _database import Database

UP = "create table public.t{n} (id int primary key, name text);"
DOWN = "drop table public.t{n}; select pg_sleep(0.1);"
ROWS = 2000
ALL = ("migrate.rollback", "--to", "0", "--allow-data-loss")


def given(db: Database, count: int = 3) -> None:
    """Apply some migrations, each with a table of some rows."""
    for number in range(1, count + 1):
        db.given(number, UP.format(n=number), DOWN.format(n=number))
        db.sql(f"insert into public.t{number} select n, n from generate_series(1, {ROWS}) as n")


def consistent(db: Database) -> list[str]:
    """Check that table and history row of each migration are both there or both gone."""
    applied = db.applied()
    tables = {f"t{int(version[6:8])}" for version in applied}
    assert db.tables() == tables
    for name in tables:
        assert db.sql(f"select count(*) from public.{name}") == [(ROWS,)]
    return applied


@contextmanager
def started(db: Database, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start an `inv`, and leave nothing of it behind."""
    process = inv(db.settings, *words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(db: Database, query: str) -> None:
    """Wait until a session runs a query."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = db.sql(
            f"select 1 from pg_stat_activity where query like '{query}%' and state = 'active' "
            "and pid <> pg_backend_pid()"
        )
        if found:
            return
        time.sleep(0.01)
    pytest.fail(f"nobody runs {query}")


@pytest.mark.timeout(300)
def test_killed_rollback_converges(db: Database) -> None:
    """After kill -9 at any moment each migration is whole, and one plain command ends the work."""
    seed = random.randrange(1 << 30)
    moments = random.Random(seed)
    for number in range(30):
        given(db)
        with started(db, *ALL):
            if number % 2:  # from somewhere after the first transaction began
                wait_for(db, "drop table")
                time.sleep(moments.uniform(0, 1.0))
            else:
                time.sleep(moments.uniform(0.1, 2.0))
        with started(db, *ALL) as after:
            output, _ = after.communicate(timeout=120)
        assert after.returncode == 0, (seed, number, output)
        assert consistent(db) == [], seed
        # Whatever was taken away is in one of the folders, whole.
        db.apply(*((each, UP.format(n=each)) for each in (1, 2, 3)))
        for folder in sorted(rollback_dir(db.settings).glob("*Z*")):
            if (folder / "manifest.json").is_file():
                restore_rows(folder, settings=db.settings)
            shutil.rmtree(folder)
        assert len(consistent(db)) == 3, seed
        db.clean()


def test_interrupted_rollback_tells_the_truth(db: Database) -> None:
    """Ctrl-C in the middle says how many are taken back, and so it is."""
    given(db, 1)
    db.given(2, UP.format(n=2), "drop table public.t2; select pg_sleep(3);")
    db.sql("insert into public.t2 values (1)")
    before = set(rollback_dir(db.settings).glob("*/*"))  # other tests' rows
    with started(db, *ALL) as process:
        deadline = time.monotonic() + 60
        # In earnest: rows come first.
        while not set(rollback_dir(db.settings).glob("*/*.csv")) - before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        wait_for(db, "drop table public.t2")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "state: 0 of 2 taken back; nothing of the others" in output
    assert "next:  inv migrate.rollback --to 0" in output
    assert len(db.applied()) == 2
    assert set(rollback_dir(db.settings).glob("*/*")) == before


def test_interrupted_rehearsal_changes_nothing(db: Database) -> None:
    """Ctrl-C in the rehearsal says that nothing was changed."""
    given(db, 1)
    db.twin(1).write_text("select pg_sleep(20);", encoding="utf-8")
    with started(db, "migrate.rollback") as process:
        wait_for(db, "select pg_sleep(20)")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "state: nothing was changed" in output
    assert len(consistent(db)) == 1


def test_killed_rollback_lets_go_of_its_locks(db: Database) -> None:
    """The server does not work on for a client that is gone: table and lock are free at once."""
    given(db, 1)
    db.twin(1).write_text("lock table public.t1; select pg_sleep(60);", encoding="utf-8")
    with started(db, "migrate.rollback"):
        wait_for(db, "lock table public.t1")
    began = time.monotonic()
    db.twin(1).write_text(DOWN.format(n=1), encoding="utf-8")
    rollback_migrations(settings=db.settings, allow_data_loss=True)
    assert time.monotonic() - began < 10


def test_connection_that_is_cut(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is ended from outside is told in the one form; the next call converges."""
    from riptide.migrations import rollback
    from riptide.migrations import take_back as module

    given(db, 2)
    take_back = module.take_back
    done: list[str] = []

    def cut(connection: psycopg.Connection, *arguments: Any, **options: Any) -> None:
        if done:
            db.sql(f"select pg_terminate_backend({connection.info.backend_pid})")
        take_back(connection, *arguments, **options)
        done.append("one")

    with monkeypatch.context() as patch:
        patch.setattr(rollback, "take_back", cut)
        with pytest.raises(DatabaseError, match="connection was lost") as caught:
            rollback_migrations(settings=db.settings, steps=2, allow_data_loss=True)
    assert "1 of 2 taken back, their rows in supabase/.temp/rollback/" in str(caught.value)
    assert caught.value.next_step == "inv migrate.status"
    assert len(consistent(db)) == 1
    rollback_migrations(settings=db.settings, to="0", allow_data_loss=True)
    assert consistent(db) == []


def test_disk_without_room(db: Database, tmp_path: Path) -> None:
    """Where the rows do not fit on the disk nothing is taken back, and no half of them is left."""
    require_root()  # who alone can make a small disk; the next test has no need of one
    given(db, 1)
    base = rollback_dir(db.settings)
    base.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(base)], check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here; the next test has no need of one")
    try:
        with pytest.raises(RiptideError, match="No space left on device") as caught:
            rollback_migrations(settings=db.settings, allow_data_loss=True)
        assert "nothing of this one was changed; 0 of 1 taken back" in str(caught.value)
        assert "make room there" in str(caught.value)
        assert len(consistent(db)) == 1
        assert [each.name for each in base.iterdir()] == [".gitignore"]
    finally:
        subprocess.run(["umount", str(base)], check=True)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_disk_that_fails(db: Database, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A write, a sync or a rename that fails while rows are saved leaves the database as it was."""
    from pathlib import Path

    from riptide.migrations import saved_files

    given(db, 1)

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        def __init__(self, path: Path) -> None:
            self.write = fail

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr(saved_files, "private", Full)
        elif call == "fsync":
            patch.setattr(saved_files, "to_disk", fail)
        else:
            patch.setattr(Path, "replace", fail)
        with pytest.raises(RiptideError, match="No space left on device"):
            rollback_migrations(settings=db.settings, allow_data_loss=True)
    assert len(consistent(db)) == 1
    rollback_migrations(settings=db.settings, allow_data_loss=True)
    assert consistent(db) == []
