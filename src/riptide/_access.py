"""Whose files are whose, and which folders another user could reach (POSIX.1-2017, 4.5)."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def can_traverse(path: Path, uid: int, gids: Sequence[int]) -> bool:
    """Tell whether a user may pass through every folder on the way to ``path`` and into it.

    Each folder that exists counts, ``path`` included; what does not exist yet is left out, as
    whoever makes it decides on its mode. Symbolic links are followed. Access control lists are
    not looked at. On Windows, where there is no such bit, the answer is yes.

    Args:
        path: Where the user wants to go; need not exist.
        uid: The user's number.
        gids: The numbers of all groups that the user is in.
    """
    if os.name != "posix" or uid == 0:
        return True
    goal = path.absolute().resolve()
    for folder in (*reversed(goal.parents), goal):
        try:
            status = folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except PermissionError:
            return False
        if stat.S_ISDIR(status.st_mode) and not _may_pass(status, uid, gids):
            return False
    return True


def _may_pass(folder: os.stat_result, uid: int, gids: Sequence[int]) -> bool:
    # The first class that fits decides: an owner without x is refused even where others have it.
    if folder.st_uid == uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid in gids:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def is_root() -> bool:
    """Tell whether this process is root; on Windows nobody is."""
    return os.name == "posix" and os.geteuid() == 0


def owner_of(path: Path) -> int | None:
    """Give the number of the user whom a file belongs to; ``None`` where it is not to be seen."""
    try:
        return path.stat().st_uid
    except OSError:
        return None


def user_name(uid: int) -> str | None:
    """Give the name of the user with a number, or ``None`` where nobody has it."""
    if sys.platform == "win32":
        return None
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; as root so that every user may enter, whatever the umask.

    Raises:
        OSError: It cannot be made.
    """
    for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        each.mkdir(exist_ok=True)
        if is_root():
            each.chmod(0o755)
