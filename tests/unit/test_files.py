"""Migration files: finding, reading and writing them."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from riptide.errors import ConfigError, LockTimeoutError, MigrationError
from riptide.migrations import new_files
from riptide.migrations.files import MigrationFile, read_sql, scan
from riptide.migrations.new_files import create_migration, next_version

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.settings import Settings


def touch(settings: Settings, name: str, *, twin: bool = False) -> Path:
    """Write a small migration."""
    path = settings.migrations_dir / name
    path.write_text("select 1;", encoding="utf-8")
    if twin:
        (settings.rollbacks_dir / name).write_text("", encoding="utf-8")
    return path


def test_scan_sorts_and_finds_twins(settings: Settings) -> None:
    """Files come oldest first, each with its twin where there is one; others are left out."""
    touch(settings, "20250102000000_b.sql")
    touch(settings, "20250101000000_a_b.sql", twin=True)
    touch(settings, "README.md")
    found = scan(settings)
    assert [(each.version, each.name) for each in found] == [
        ("20250101000000", "a_b"),
        ("20250102000000", "b"),
    ]
    assert found[0].rollback_path == settings.rollbacks_dir / "20250101000000_a_b.sql"
    assert found[1].rollback_path is None


def test_scan_refuses_two_of_one_version(settings: Settings) -> None:
    """Two files with one version are refused: the CLI would fail in the middle of a push."""
    touch(settings, "20250101000000_a.sql")
    touch(settings, "20250101000000_b.sql")
    with pytest.raises(MigrationError, match="two migrations have the version 20250101000000"):
        scan(settings)


@pytest.mark.parametrize("name", ["20250101000000_.sql", "teams.sql", "x_teams.sql", "1-a.SQL"])
def test_scan_refuses_what_the_cli_passes_over(settings: Settings, name: str) -> None:
    """A file that the CLI would skip without a word is an error."""
    touch(settings, name)
    with pytest.raises(MigrationError, match="would pass it over"):
        scan(settings)


def test_scan_of_a_project_without_migrations(settings: Settings) -> None:
    """A project without the folder has no migrations."""
    settings.migrations_dir.rmdir()
    assert scan(settings) == []


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"select 1;\nselect '\xe9';", 2, "not UTF-8"),
        (b"select 1;\n\nselect '\0';", 3, "NUL"),
        ("select 1;".encode("utf-16"), 1, "not UTF-8"),
    ],
)
def test_read_refuses_what_postgresql_cannot_take(
    settings: Settings, data: bytes, line: int, message: str
) -> None:
    """Another encoding or a NUL is refused with its line."""
    path = touch(settings, "20250101000000_a.sql")
    path.write_bytes(data)
    with pytest.raises(MigrationError, match=message) as caught:
        read_sql(path, settings)
    assert (caught.value.file, caught.value.line) == (path, line)


def test_create_writes_both_files(settings: Settings) -> None:
    """A new migration and its twin name each other, and the version is the time in UTC."""
    before = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    made = create_migration("add_teams", settings=settings)
    assert before <= made.version <= datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    assert made.path == settings.migrations_dir / f"{made.version}_add_teams.sql"
    assert made.rollback_path == settings.rollbacks_dir / made.path.name
    assert f"supabase/rollbacks/{made.path.name}" in made.path.read_text()
    assert made.path.name in made.rollback_path.read_text()


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a/b", "a/../x", "../x", "a.b", "é", "a-b", "a\n", "x" * 121, "-x"]
)
def test_create_refuses_a_bad_name(settings: Settings, name: str) -> None:
    """A name that is empty, a path, or more than letters, digits and underscores writes nothing."""
    with pytest.raises(ConfigError) as caught:
        create_migration(name, settings=settings)
    assert caught.value.state == "nothing was written"
    assert list(settings.supabase_dir.rglob("*.sql")) == []


def test_create_refuses_a_taken_name(settings: Settings) -> None:
    """A name is taken once, whatever its case, as some file systems do not tell case apart."""
    create_migration("add_teams", settings=settings)
    with pytest.raises(ConfigError, match="is taken by supabase/migrations/"):
        create_migration("ADD_teams", settings=settings)
    assert len(scan(settings)) == 1


def test_versions_never_collide(settings: Settings) -> None:
    """Migrations made within one second get versions of their own, in order."""
    made = [create_migration(f"step_{number}", settings=settings) for number in range(5)]
    versions = [each.version for each in made]
    assert versions == sorted(set(versions))


@pytest.mark.parametrize(
    ("latest", "expected"),
    [
        (None, "20250601120000"),
        ("20250601115959", "20250601120000"),
        ("20250601120000", "20250601120001"),
        ("20991231235959", "21000101000000"),
        ("99999999999999", "100000000000000"),
    ],
)
def test_next_version(settings: Settings, latest: str | None, expected: str) -> None:
    """The next version is the time, or one second after the newest file where that is later."""
    files = [MigrationFile(latest, "x", settings.migrations_dir / "x", None)] if latest else []
    assert next_version(files, datetime(2025, 6, 1, 12, tzinfo=UTC)) == expected


def test_create_in_a_folder_that_cannot_be_written(settings: Settings) -> None:
    """A file in the place of the folder is an error that names it, not a traceback."""
    settings.rollbacks_dir.rmdir()
    settings.rollbacks_dir.write_text("")
    with pytest.raises(ConfigError, match="supabase/rollbacks cannot be written"):
        create_migration("x", settings=settings)
    assert scan(settings) == []


def test_create_that_cannot_write_the_migration_leaves_no_twin(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the migration cannot be written its twin, written first, goes too."""

    def write(path: Path, text: str, **_: object) -> int:
        if path.parent == settings.migrations_dir:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return path.write_bytes(text.encode())

    monkeypatch.setattr("pathlib.Path.write_text", write)
    with pytest.raises(ConfigError, match=r"_foo\.sql cannot be written: Read-only") as caught:
        create_migration("foo", settings=settings)
    assert caught.value.state == "no migration was made"
    assert list(settings.rollbacks_dir.iterdir()) == []
    assert list(settings.migrations_dir.iterdir()) == []


def test_scan_refuses_a_folder_that_is_none(settings: Settings) -> None:
    """A file where the folder should be is told, and not taken for a project without migrations."""
    settings.migrations_dir.rmdir()
    settings.migrations_dir.write_text("")
    with pytest.raises(MigrationError, match="supabase/migrations is not a folder"):
        scan(settings)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
def test_what_is_no_file_is_refused_and_not_waited_for(settings: Settings, kind: str) -> None:
    """A pipe, a folder or a link to itself with a migration's name is told as such."""
    path = settings.migrations_dir / "20250101000000_f.sql"
    make = {"pipe": os.mkfifo, "folder": os.mkdir, "loop": lambda path: path.symlink_to(path)}
    make[kind](path)
    with pytest.raises(MigrationError, match="is not a file that can be read") as caught:
        scan(settings)
    assert "move it out of supabase/migrations" in (caught.value.next_step or "")
    with pytest.raises(MigrationError, match="read"):
        read_sql(path, settings)


def test_create_while_another_one_holds_the_lock(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that goes on writing is told as that, not as a folder that is read-only."""
    from filelock import FileLock

    monkeypatch.setattr(new_files, "LOCK_WAIT", 0.05)
    settings.run_dir.mkdir(parents=True)
    with (
        FileLock(settings.run_dir / "migrations.lock"),
        pytest.raises(LockTimeoutError, match="another process has been writing") as caught,
    ):
        create_migration("create_teams", settings=settings)
    assert caught.value.state == "no migration was made"
    assert caught.value.exit_code == 1
    assert list(settings.migrations_dir.iterdir()) == []
