"""The copy of a project that a push has the CLI read."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from riptide.database import HistoryRow
from riptide.errors import StackError
from riptide.migrations import frozen as module
from riptide.migrations.files import scan
from riptide.migrations.frozen import frozen
from riptide.migrations.history import join
from riptide.results import MigrationList

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.settings import Settings

APPLIED, PENDING = "20250101000000_a.sql", "20250102000000_b.sql"
TEXT = "select 'ä';\r\n"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which copies are made."""
    folder = tmp_path / "base"
    folder.mkdir()
    monkeypatch.setattr(module, "_base", lambda _: folder)
    return folder


@pytest.fixture
def found(settings: Settings) -> MigrationList:
    """Give a project's migrations: one applied, one to go."""
    for name in (APPLIED, PENDING):
        (settings.migrations_dir / name).write_text("select 1;\n", encoding="utf-8")
    rows = [HistoryRow("20250101000000", "a")]
    return MigrationList(target="test", migrations=join(scan(settings), rows))


def test_copy_has_the_pending_files_as_they_were_read(
    base: Path, settings: Settings, found: MigrationList
) -> None:
    """The pending files hold what was read, byte for byte; all else is the project's own."""
    (settings.root / "seeds").mkdir()
    (settings.root / "seeds" / "a.sql").write_text("select 2;\n", encoding="utf-8")
    with frozen(settings, found, {PENDING: TEXT}) as copy:
        assert copy.root.name == settings.root.name
        assert copy.target == settings.target
        (settings.migrations_dir / PENDING).write_text("drop table a;\n", encoding="utf-8")
        (settings.migrations_dir / "20250103000000_c.sql").write_text("", encoding="utf-8")
        names = sorted(each.name for each in copy.migrations_dir.iterdir())
        assert names == [APPLIED, PENDING]
        assert (copy.migrations_dir / PENDING).read_bytes() == TEXT.encode()
        assert (copy.migrations_dir / APPLIED).samefile(settings.migrations_dir / APPLIED)
        config = copy.supabase_dir / "config.toml"
        assert config.samefile(settings.supabase_dir / "config.toml")
        assert (copy.supabase_dir / ".." / "seeds" / "a.sql").read_text("utf-8") == "select 2;\n"
    assert list(base.iterdir()) == []
    assert (settings.root / "seeds" / "a.sql").exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_nobody_else_may_read_it(base: Path, settings: Settings, found: MigrationList) -> None:
    """A migration may hold what others of the machine are not to know."""
    with frozen(settings, found, {PENDING: TEXT}):
        (folder,) = base.iterdir()
        assert folder.stat().st_mode & 0o077 == 0


def test_what_a_killed_push_left_is_swept_up(
    base: Path, settings: Settings, found: MigrationList
) -> None:
    """A folder whose push is gone goes an hour later; until then its CLI may read there."""
    gone = 2**22 + 1  # above Linux's highest pid
    old, young = base / f"riptide-push-{gone}-old", base / f"riptide-push-{gone}-young"
    alive, other = base / f"riptide-push-{os.getpid()}-x", base / "riptide-push-me"
    for each in (old, young, alive, other):
        each.mkdir()
        if each != young:
            os.utime(each, (0, 0))
    with frozen(settings, found, {PENDING: TEXT}):
        pass
    assert {*base.iterdir()} == {young, alive, other}


def test_no_room_is_said_before_anything_is_applied(
    base: Path, settings: Settings, found: MigrationList
) -> None:
    """Where there can be no copy nothing is pushed."""
    shutil.rmtree(base)
    with (
        pytest.raises(StackError) as caught,
        frozen(settings, found, {PENDING: TEXT}),
    ):
        pytest.fail("there is a copy")
    assert caught.value.state == "nothing was applied"
    assert "TMPDIR" in str(caught.value.next_step)


def test_memory_is_left_where_it_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have 64 MB of it, and others need them too."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("TMPDIR", raising=False)
    assert module._base(1 << 60) == tmp_path


def test_a_folder_that_was_chosen_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets TMPDIR has it there."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert module._base(1) == tmp_path
