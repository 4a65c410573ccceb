"""A whole stack for a while: of the project's copy, on free ports, gone afterwards.

The copy is what keeps the developer's own stack out of it: an embedded stack is known by its
project's folder, so one of another folder can neither be taken for theirs nor end or empty it.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from riptide._access import is_root, make_folder
from riptide._interrupts import ignored
from riptide._oserror import told
from riptide.errors import StackError
from riptide.stack.embedded.held import held_folder, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from riptide.results import StackStatus
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack

PREFIX = "riptide-stack-"

# Not of the developer's stack or linked project, and not what npm can bring back.
_LEFT_OUT = (".temp", ".branches", "node_modules")


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
    project = project.resolve()  # links to what is in it have to hold elsewhere
    sweep(PREFIX, _end)
    with held_folder(PREFIX, state="nothing was started") as base:
        stacks: list[EmbeddedStack] = []
        try:
            with told(base, state="nothing was started", variable="TMPDIR"):
                root = copy_project(project, base / "project")
            yield _start(root, stacks, progress)
        finally:
            with ignored():
                for each in stacks:
                    each.stop(delete_data=True)


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

    The links are for what leads out of ``supabase/``: seeds that ``config.toml`` names, ``.env``,
    the Supabase CLI in ``node_modules``. E-mail templates are copied wherever they are: the CLI
    refuses one that is not really below the project's folder.

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
    for path in _templates(project):
        _copy_really(project, root, path)
    if is_root():
        (root / "supabase").chmod(0o755)  # whatever it was there: PostgreSQL's data is in it
    return root


def _templates(project: Path) -> list[PurePosixPath]:
    """Give what ``config.toml`` has e-mails made of, from the project's folder.

    A path of https://supabase.com/docs/guides/local-development/customizing-email-templates.
    """
    from riptide._toml import read_toml

    _, config = read_toml(project / "supabase" / "config.toml")
    auth = config.get("auth")
    emails = auth.get("email") if isinstance(auth, dict) else None
    emails = emails if isinstance(emails, dict) else {}
    groups = [emails.get(each) for each in ("template", "notification")]
    found = [
        each.get("content_path")
        for group in groups
        if isinstance(group, dict)
        for each in group.values()
        if isinstance(each, dict)
    ]
    paths = [PurePosixPath(each) for each in found if isinstance(each, str)]
    return [each for each in paths if not each.is_absolute() and ".." not in each.parts]


def _copy_really(project: Path, root: Path, path: PurePosixPath) -> None:
    """Have a file in the copy itself, and links only beside the way that leads to it."""
    origin, copy = project, root
    for part in path.parts[:-1]:
        origin, copy = origin / part, copy / part
        if copy.is_symlink():
            copy.unlink()
            copy.mkdir()
            for each in origin.iterdir():
                (copy / each.name).symlink_to(each, target_is_directory=each.is_dir())
    origin, copy = origin / path.name, copy / path.name
    if copy.is_symlink():
        copy.unlink()
        shutil.copy2(origin, copy)


def _end(folder: Path) -> None:
    """End and delete the stack of a process that was killed before it could."""
    from riptide.project_config import ProjectConfig
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack

    root = folder / "project"
    if (root / "supabase").is_dir():
        # What is to be ended is written in its state, whatever config.toml says.
        settings = Settings.bare(root, ProjectConfig(project_id="orphan"))
        EmbeddedStack(settings).stop(delete_data=True)
