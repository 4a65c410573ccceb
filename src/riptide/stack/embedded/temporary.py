"""A whole stack for a while: of the project's copy, on free ports, gone afterwards.

The copy is what keeps the developer's own stack out of it: an embedded stack is known by its
project's folder, so one of another folder can neither be taken for theirs nor end or empty it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._access import is_root, make_folder
from riptide._interrupts import ignored
from riptide._oserror import told
from riptide.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.results import StackStatus
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack

PREFIX = "riptide-stack-"

# Not of the developer's stack or linked project, and not what npm can bring back.
_LEFT_OUT = (".temp", ".branches", "node_modules")

# Seconds that a folder is given to get its lock, before it counts as an orphan's.
_YOUNG = 10.0


@contextmanager
def temporary_stack(
    project: Path, *, progress: Callable[[str], None] | None = None
) -> Iterator[tuple[Settings, StackStatus]]:
    """Start an embedded stack of a copy of ``project``; leave nothing behind.

    Args:
        project: The folder that has ``supabase/config.toml``. Nothing in it is changed.
        progress: Called with a phrase before something that takes time.

    Yields:
        The settings of the copy, with the ports in use, and the status of its stack: empty, no
        migration is applied.

    Raises:
        RiptideError: As of `riptide.open_stack`.
    """
    from filelock import FileLock

    project = project.resolve()  # links to what is in it have to hold elsewhere
    sweep()
    with told(Path(tempfile.gettempdir()), state="nothing was started", variable="TMPDIR"):
        base = Path(tempfile.mkdtemp(prefix=PREFIX))
        # As root, PostgreSQL runs as somebody else, who has to get to its data: through it, but
        # not to look around.
        base.chmod(0o711 if is_root() else 0o700)
    # Held as long as this process lives: a folder whose lock is free is an orphan's.
    with FileLock(base / "lock"):
        stacks: list[EmbeddedStack] = []
        try:
            with told(base, state="nothing was started", variable="TMPDIR"):
                root = copy_project(project, base / "project")
            yield _start(root, stacks, progress)
        finally:
            with ignored():
                for each in stacks:
                    each.stop(delete_data=True)
                shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(base, ignore_errors=True)  # Windows keeps a lock's file while it is held


def _start(
    root: Path, stacks: list[EmbeddedStack], progress: Callable[[str], None] | None
) -> tuple[Settings, StackStatus]:
    """Start the stack of ``root`` on ports that are free; remember it as soon as it is tried."""
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack
    from riptide.stack.ports import free_port, port_is_free

    for last in (False, False, True):
        api_port, db_port = free_port(), free_port()
        settings = Settings.load(
            root, backend="embedded", target="local", api_port=api_port, db_port=db_port
        )
        # The developer's data is not to be in the same folder, not even beside this one.
        settings = replace(settings, data_dir=None)
        make_folder(settings.run_dir)
        stack = EmbeddedStack(settings, reason="for a while")
        stacks[:] = [stack]
        try:
            return settings, stack.start(progress=progress)
        except StackError:
            # Another worker may have taken a port between the look at it and the start.
            if last or (port_is_free(api_port) and port_is_free(db_port)):
                raise
    raise AssertionError("the last attempt returns or raises")


def copy_project(project: Path, root: Path) -> Path:
    """Copy ``supabase/`` to a new folder, and link to whatever else the project has.

    The links are for what leads out of ``supabase/``: seeds and templates that ``config.toml``
    names, ``.env``, the Supabase CLI in ``node_modules``.

    Args:
        project: The folder that has ``supabase/config.toml``.
        root: The folder to make.

    Raises:
        OSError: Something cannot be read or written.
    """
    make_folder(root)
    for each in project.iterdir():
        if each.name == "supabase":
            continue
        try:
            (root / each.name).symlink_to(each, target_is_directory=each.is_dir())
        except OSError:  # Windows lets few users make links
            if each.is_file():
                shutil.copy2(each, root)
    shutil.copytree(
        project / "supabase",
        root / "supabase",
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
        ignore_dangling_symlinks=True,
    )
    if is_root():
        (root / "supabase").chmod(0o755)  # whatever it was there: PostgreSQL's data is in it
    return root


def sweep() -> None:
    """End and remove the stacks of processes that were killed before they could."""
    from filelock import FileLock, Timeout

    from riptide.errors import RiptideError
    from riptide.project_config import ProjectConfig
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack

    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(Timeout, OSError, RiptideError):  # it is at work, or another user's
            found = folder.stat()
            if os.name == "posix" and found.st_uid != os.geteuid():
                continue
            if time.time() - found.st_mtime < _YOUNG:
                continue
            with FileLock(folder / "lock", timeout=0):
                root = folder / "project"
                if (root / "supabase").is_dir():
                    # What is to be ended is written in its state, whatever config.toml says.
                    settings = Settings.bare(root, ProjectConfig(project_id="orphan"))
                    EmbeddedStack(settings).stop(delete_data=True)
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
