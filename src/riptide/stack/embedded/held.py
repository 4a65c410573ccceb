"""Folders for a while: held by a lock while they are used, swept up where nobody holds them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._access import is_root
from riptide._oserror import told
from riptide.errors import RiptideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Seconds that a folder is given to get its lock, before it counts as an orphan's.
_YOUNG = 2.0


@contextmanager
def held_folder(prefix: str, *, state: str) -> Iterator[Path]:
    """Give a new folder among the system's temporary ones; it is gone afterwards.

    Args:
        prefix: How its name begins; `sweep` knows its kind by it.
        state: What state things are in where it cannot be made.

    Raises:
        StackError: It cannot be made.
    """
    from filelock import FileLock

    with told(Path(tempfile.gettempdir()), state=state, variable="TMPDIR"):
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        # As root, PostgreSQL runs as somebody else, who has to get to its data: through it, but
        # not to look around.
        folder.chmod(0o711 if is_root() else 0o700)
        lock = FileLock(folder / "lock")
        lock.acquire()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)  # Windows keeps a lock's file while it is held


def sweep(prefix: str, end: Callable[[Path], None]) -> None:
    """Remove the folders of processes that were killed before they could.

    Args:
        prefix: How their names begin.
        end: Ends what works for such a folder.
    """
    from filelock import FileLock, Timeout

    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(Timeout, OSError, RiptideError):  # it is at work, or another user's
            found = folder.stat()
            if os.name == "posix" and found.st_uid != os.geteuid():
                continue
            if time.time() - found.st_mtime < _YOUNG:
                continue
            with FileLock(folder / "lock", timeout=0):
                end(folder)
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
