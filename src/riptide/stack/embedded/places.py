"""Where an embedded stack keeps its files, and the lock that its commands take in turn."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._oserror import told
from riptide.errors import LockTimeoutError, RiptideError, StackError
from riptide.stack.process import reachable_by, service_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.runner import ServiceUser
    from riptide.settings import Settings

# Seconds that a second start or stop waits for the first one.
LOCK_WAIT = 120.0

_MACHINES = Path("/var/lib/riptide")


def home_for(settings: Settings, user: ServiceUser | None) -> Path:
    """Give the folder for PostgreSQL's data and log.

    In the project; but where root has to step down to a user who cannot get to the project
    (a 0700 home), in ``/var/lib/riptide``.

    Raises:
        StackError: The user cannot get there.
    """
    if settings.data_dir is None and reachable_by(settings.run_dir, user):
        return settings.run_dir / "postgres"
    parent = settings.data_dir or _MACHINES
    if not reachable_by(parent, user) and user is not None:
        raise StackError(
            f"user {user.name}, whom PostgreSQL has to run as, cannot get to {parent}",
            state="nothing was started",
            next_step="set RIPTIDE_DATA_DIR to a folder that every user may enter",
        )
    return parent.absolute() / outside_name(settings, settings.root)


def outside_name(settings: Settings, root: Path) -> str:
    """Give the name of a project's folder where its data is kept outside of it.

    A folder of its own: what else is in the chosen one is never touched.
    """
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9_-]", "_", settings.config.project_id)[:40]
    return f"{name}-{digest}"


def usual_home(settings: Settings) -> Path:
    """Give the folder that the data is in where no state says another; never fails."""
    try:
        return home_for(settings, service_user(settings.run_as))
    except RiptideError:  # no such user, or one who cannot get there: the next start says so
        return settings.run_dir / "postgres"


def possible_homes(settings: Settings) -> list[Path]:
    """Give every folder that a lost stack's data may have been in."""
    name = outside_name(settings, settings.root)
    parents = [settings.data_dir.absolute()] if settings.data_dir else []
    homes = [usual_home(settings), settings.run_dir / "postgres"]
    homes += [each / name for each in (*parents, _MACHINES)]
    return list(dict.fromkeys(homes))


@contextmanager
def locked(run_dir: Path, tell: Callable[[str], None], *, state: str) -> Iterator[None]:
    """Hold the project's lock; make the folder that it is in.

    Args:
        run_dir: The folder of the lock.
        tell: Called where another process has it.
        state: What state things are in when the folder cannot be written.

    Raises:
        StackError: The folder cannot be written.
        LockTimeoutError: Another process has held it for two minutes.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(run_dir / "stack.lock")
    with told(run_dir, state=state):
        run_dir.mkdir(parents=True, exist_ok=True)
        ignore = run_dir / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell("waiting for another process that starts or stops this stack")
            try:
                lock.acquire(timeout=LOCK_WAIT)
            except Timeout:
                raise LockTimeoutError(
                    f"another process has been starting or stopping this stack for {LOCK_WAIT:g} s",
                    state="nothing was changed by this one",
                    next_step="inv stack.status",
                ) from None
    try:
        yield
    finally:
        lock.release()
