"""What the system refuses (a full disk, another user's folder), in the form of every error."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._access import is_root, owner_of, user_name
from riptide.errors import RiptideError, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM}

# Below it are root and the users of services, whom nobody logs in as.
_FIRST_PERSON = 1000


@contextmanager
def told(where: Path, *, state: str, variable: str | None = None) -> Iterator[None]:
    """Turn an `OSError` of what is done within into a `StackError`.

    Args:
        where: The folder that is worked in, for an error that names no file.
        state: What state things are in when one comes.
        variable: What a person sets to have another folder used instead of ``where``.
    """
    try:
        yield
    except OSError as error:
        message, step = explain(error, where, variable=variable)
        raise StackError(message, state=state, next_step=step) from error


def as_error(error: OSError) -> RiptideError:
    """Give the error of a step that nothing more is known of."""
    message, step = explain(error, None)
    state = "the step under way failed; what was done before it stays"
    return RiptideError(message, state=state, next_step=step)


def unprinted(error: OSError) -> RiptideError:
    """Give the error for a result that could not be written, once the work was done."""
    return RiptideError(
        f"the result cannot be written to stdout: {error.strerror or error}",
        state="what was asked for is done",
        next_step="inv stack.status or inv migrate.status, with room for what they print",
    )


def explain(error: OSError, where: Path | None, *, variable: str | None = None) -> tuple[str, str]:
    """Give what failed and what to do about it."""
    path = _path(error) or where
    reason = error.strerror or str(error)
    if path is None:
        what = "stdout or a file cannot be written" if error.errno in _FULL else "refused"
        return f"{what}: {reason}", "mend that, then the same command again"
    if where is None or not path.is_relative_to(where):
        variable = None  # it would not help
    other = f", or set {variable} to another folder" if variable else ""
    if error.errno in _FULL:
        return (
            f"the disk is full: {path} cannot be written",
            f"free some space (df -h {_nearest(path)}){other}, then the same command again",
        )
    if error.errno == errno.EROFS:
        return (
            f"{path} cannot be written: it is on a read-only file system",
            f"mount it writable{other or ', or work in a copy of the project'}",
        )
    if error.errno in _FORBIDDEN and os.name == "posix":
        return _forbidden(path, reason, variable)
    return f"{path}: {reason}", f"mend that{other}, then the same command again"


def _forbidden(path: Path, reason: str, variable: str | None) -> tuple[str, str]:
    """Say whose a file or the folder is that refuses this user."""
    blamed = _nearest(path)
    if blamed == path and _may_use(path):  # it is the folder that may not be changed
        blamed = path.parent
    owner, me = owner_of(blamed), os.geteuid()
    if owner is None or owner == me or is_root():
        step = f"chmod u+rwX {blamed}" if owner == me else "see who may (ls -ld, mount)"
        return f"{path}: {reason}", f"{step}, then the same command again"
    name, mine = user_name(owner) or str(owner), user_name(me) or str(me)
    whose = "it" if blamed == path else blamed
    if variable:
        step = f"set {variable} to a folder of your own"
    elif owner < _FIRST_PERSON:
        step = "run it as root: sudo inv …; or stop the stack (sudo inv stack.stop) and take the "
        step += f"folder: sudo chown -R {mine} {_folder(blamed)}"
    else:
        step = f"run it as that user: sudo -u {name} inv …; or work in a copy of your own"
    return f"{path}: {reason} ({whose} belongs to user {name}, this is user {mine})", step


def _may_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0))


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _nearest(path: Path) -> Path:
    """Give the path, or the first folder above it that can be seen."""
    return next((each for each in (path, *path.parents) if owner_of(each) is not None), path)


def _path(error: OSError) -> Path | None:
    for given in (error.filename2, error.filename):
        if isinstance(given, str | bytes | os.PathLike) and given:
            return Path(os.fsdecode(given))
    return None
