"""Processes that outlive this one: starting them, knowing them again, ending them.

A pid alone proves nothing (it may have been given to another program since). So a process is
taken for ours only when it carries our `Mark`, and nothing else is ever signalled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._access import can_traverse
from riptide._interrupts import deferred
from riptide.errors import ConfigError, StackError
from riptide.runner import ServiceUser, step_down

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import psutil

# Bytes that a log may have when its process starts.
LOG_LIMIT = 10_000_000

# Children of this very process, kept so that a dead one is reaped and does not stay a zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}
_exit_codes: dict[int, int] = {}


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    user: ServiceUser | None = None,
) -> int:
    """Start a process that goes on when this one ends; give its pid.

    Args:
        argv: The program and its arguments.
        log: Where its output is appended. A file, because a pipe that nobody reads would one day
            block the process.
        cwd: Where it runs.
        env: Variables to add to this process's own.
        user: Whom it runs as, where root has to step down.

    Raises:
        StackError: It could not be started.
    """
    _rotate(log)
    detached = 0
    if sys.platform == "win32":
        detached = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    try:
        # A signal on the way would leave it behind: until it runs its own program nothing marks it.
        with log.open("ab") as output, deferred():
            process = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                creationflags=detached,
                **step_down(user),
            )
            _children[process.pid] = process
    except OSError as error:
        raise StackError(
            f"{Path(argv[0]).name} could not be started: {error.strerror or error}",
            state="what was started before it is stopped again",
        ) from error
    return process.pid


def _rotate(log: Path) -> None:
    """Put a log that has grown large aside; the one before it goes."""
    with suppress(OSError):  # none yet, or another user's: appending to it will tell
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_name(f"{log.name}.1"))


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a process that works for a folder is known again.

    Attributes:
        arguments: Whole arguments of its command line, such as the folder as it was when the
            process was started.
        place: Where that folder is now. A process follows its own folder when that is moved, so
            one that works in another folder that is there works for somebody else.
        program: The file name, but for its suffix, that one of the arguments has; any where it is
            empty.
    """

    arguments: tuple[str, ...]
    place: Path
    program: str = ""

    def is_on(self, process: psutil.Process) -> bool:
        """Whether a process carries it."""
        import psutil

        try:
            command_line = process.cmdline()
        except psutil.Error:
            return False
        if not all(each in command_line for each in self.arguments):
            return False
        if self.program and not any(Path(each).stem == self.program for each in command_line):
            return False
        folder = folder_of(process)
        return folder is None or not folder.is_dir() or _is_within(folder, self.place)


def folder_of(process: psutil.Process) -> Path | None:
    """Give the folder that a process works in; ``None`` where this user may not know."""
    import psutil

    try:
        return Path(process.cwd())
    except (psutil.Error, OSError):
        return None


def _is_within(folder: Path, place: Path) -> bool:
    here, there = folder.resolve(), place.resolve()
    return here == there or there in here.parents


def find(pid: int | None, mark: Mark | None = None) -> psutil.Process | None:
    """Give the process if it lives and carries ``mark``.

    Args:
        pid: Its number, or ``None`` where none is known.
        mark: What it has to carry; by default nothing.
    """
    import psutil

    if pid is None:
        return None
    if (child := _children.get(pid)) is not None and child.poll() is not None:
        _exit_codes[pid] = child.returncode
        del _children[pid]
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (psutil.Error, OverflowError, ValueError):
        return None
    return process if mark is None or mark.is_on(process) else None


def exit_code(pid: int) -> int | None:
    """Give what a process that `spawn` started, and `find` found ended, has exited with."""
    return _exit_codes.get(pid)


def find_all(*marks: Mark) -> list[psutil.Process]:
    """Give every process that carries one of ``marks``: orphans of a killed start."""
    import psutil

    found = []
    for pid in psutil.pids():
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if pid != os.getpid() and any(each.is_on(process) for each in marks) and find(pid):
                found.append(process)
    return found


def end(process: psutil.Process, *, first: int = signal.SIGTERM, grace: float = 10.0) -> None:
    """End a process that `find` gave: asked first, after ``grace`` seconds by force."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        process.send_signal(first)
        if not _gone(process, grace):
            process.kill()
            _gone(process, 5.0)


def _gone(process: psutil.Process, seconds: float) -> bool:
    """Wait until a process has ended.

    A zombie has: its parent may be an init that takes seconds to collect it, for which
    `psutil.Process.wait` would wait too.
    """
    deadline = time.monotonic() + seconds
    while find(process.pid) is not None and process.is_running():
        if not wait_until(deadline):
            return False
    return True


def wait_until(deadline: float, interval: float = 0.01) -> bool:
    """Sleep ``interval`` seconds and give True; at the monotonic time ``deadline`` give False."""
    if time.monotonic() >= deadline:
        return False
    time.sleep(interval)
    return True


def service_user(wanted: str | None = None) -> ServiceUser | None:
    """Choose whom PostgreSQL runs as; ``None`` where this process is not root.

    PostgreSQL refuses to run as root
    (https://www.postgresql.org/docs/17/app-postgres.html). In this order: ``wanted``
    (``RIPTIDE_RUN_AS``), the user that called sudo, ``postgres``, ``nobody``.

    Raises:
        ConfigError: ``wanted`` does not exist or is root itself.
        StackError: None of them exists.
    """
    if os.name != "posix" or os.geteuid() != 0:
        return None
    import pwd

    for name in filter(None, (wanted, os.environ.get("SUDO_USER"), "postgres", "nobody")):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            if name == wanted:
                raise ConfigError(
                    f"RIPTIDE_RUN_AS: there is no user {name!r}",
                    next_step="set it to a user that exists, or unset it",
                ) from None
            continue
        if entry.pw_uid != 0:
            return ServiceUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
        if name == wanted:
            raise ConfigError(
                "RIPTIDE_RUN_AS is root, and PostgreSQL refuses to run as root",
                next_step="set it to an ordinary user, or unset it",
            )
    raise StackError(
        "PostgreSQL refuses to run as root, and there is no other user to run it as",
        state="nothing was started",
        next_step="useradd --system riptide, and set RIPTIDE_RUN_AS=riptide",
    )


def reachable_by(path: Path, user: ServiceUser | None) -> bool:
    """Whether ``user`` can get to ``path`` (``None`` stands for this process's own)."""
    return user is None or can_traverse(path, user.uid, [user.gid])
