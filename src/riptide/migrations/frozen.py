"""The project as a push has looked at it: what changes in the meantime is not applied.

The Supabase CLI reads each file when it comes to it. Between RipTide's look and that an editor, a
`git pull` or a generator may write. So the CLI is given a folder that leads to the project's own,
but for the pending migrations: of these it holds what was planned and rehearsed.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._oserror import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from riptide.results import MigrationList
    from riptide.settings import Settings

_PREFIX = "riptide-push-"
# Seconds. Where a push was killed, its CLI may still read there.
_OLD = 3600.0
# Bytes that are left free in memory.
_ROOM = 64 << 20


@contextmanager
def frozen(
    settings: Settings, found: MigrationList, texts: Mapping[str, str]
) -> Iterator[Settings]:
    """Give settings whose folder has the pending migrations as they were read.

    Where no links can be made (Windows without the right to) it is the project's own folder.

    Args:
        settings: The project's.
        found: Its migrations.
        texts: The content of each pending file, by its name.

    Raises:
        StackError: The system's folder for temporary files cannot be written to.
    """
    state = "nothing was applied"
    base = _base(sum(map(len, texts.values())))
    _sweep(base)
    with told(base, state=state, variable="TMPDIR"):
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))
    try:
        # Without a project_id in config.toml the folder's name is the CLI's for the project.
        root = folder / "of" / (settings.root.name or "project")
        with told(base, state=state, variable="TMPDIR"):
            linked = _fill(root, settings, found, texts)
        yield replace(settings, root=root) if linked else settings
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(root: Path, settings: Settings, found: MigrationList, texts: Mapping[str, str]) -> bool:
    """Lay it out; give whether links can be made here."""
    copy = replace(settings, root=root)
    copy.migrations_dir.mkdir(parents=True)
    applied = [each.path for each in found.migrations if each.path and each.path.name not in texts]
    try:
        _link(_all_but(settings.supabase_dir, settings.root), root)
        _link(_all_but(settings.migrations_dir, settings.supabase_dir), copy.supabase_dir)
        _link(applied, copy.migrations_dir)
    except OSError:
        if sys.platform == "win32":
            return False
        raise
    for name, text in texts.items():
        (copy.migrations_dir / name).write_bytes(text.encode())
    return True


def _all_but(one: Path, folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each != one]


def _link(origins: Iterable[Path], folder: Path) -> None:
    for each in origins:
        (folder / each.name).symlink_to(each)


def _base(size: int) -> Path:
    """Give a folder for so many bytes: TMPDIR, or one in memory, where no disk need see them.

    A thousand files take 15 ms there, and on a disk up to a second.
    """
    memory = Path("/dev/shm")  # noqa: S108
    if "TMPDIR" not in os.environ:
        with suppress(OSError):
            if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * size + _ROOM:
                return memory
    return Path(tempfile.gettempdir())


def _sweep(base: Path) -> None:
    """Remove the folders of pushes that were killed before they could."""
    import psutil

    for folder in base.glob(f"{_PREFIX}*"):
        owner = re.match(rf"{_PREFIX}(\d+)-", folder.name)
        with suppress(OSError):
            mine = os.name != "posix" or folder.stat().st_uid == os.geteuid()
            if owner is None or not mine or psutil.pid_exists(int(owner[1])):
                continue
            if time.time() - folder.stat().st_mtime > _OLD:
                shutil.rmtree(folder, ignore_errors=True)
