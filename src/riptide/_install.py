"""Installing a toolchain: beside its place first, under a lock, and then by one rename."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riptide import _npm
from riptide._access import is_root, make_folder
from riptide._layout import (
    COMPLETE,
    PACKAGE_FILES,
    is_whole,
    package_names,
    package_version,
    pinned,
    postgres_package,
    programs,
)
from riptide.errors import LockTimeoutError, RiptideError, ToolNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide._layout import Platform
    from riptide.node import Node
    from riptide.runner import Runner

LOCK_TIMEOUT = _npm.NPM_TIMEOUT + 60.0
"""Seconds to wait for another process's installation."""


def ensure_installed(
    root: Path, target: Platform, node: Node, runner: Runner, tell: Callable[[str], None]
) -> None:
    """Install the toolchain unless another process did so meanwhile.

    Args:
        root: Where it goes.
        target: Whose packages it holds.
        node: Whose npm to use.
        runner: What runs npm.
        tell: Called with a short phrase whenever another step begins.

    Raises:
        ToolNotFoundError: npm is missing, or the folder is full or cannot be written to.
        CommandError: npm failed.
        LockTimeoutError: Another process has been installing for half an hour.
    """
    try:
        make_folder(root.parent)
        with _locked(root, tell):
            if not is_whole(root, target):
                _install(root, target, node, runner, tell)
    except OSError as error:
        known = _npm.folder_error(root.parent, _npm.error_name(error), error.strerror or "")
        raise known or ToolNotFoundError(
            f"the toolchain cannot be installed in {root.parent}: {error.strerror or error}",
            state="nothing was installed",
            next_step="set RIPTIDE_CACHE_DIR to another folder",
        ) from error


@contextmanager
def _locked(root: Path, tell: Callable[[str], None]) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(root.with_name(f"{root.name}.lock"), mode=0o644)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("another process is installing the toolchain: waiting for it")
        try:
            lock.acquire(timeout=LOCK_TIMEOUT, poll_interval=0.1)
        except Timeout as error:
            raise LockTimeoutError(
                f"another process has been installing for {LOCK_TIMEOUT / 60:.0f} min",
                state="nothing was installed",
                next_step=f"end that process: it holds {lock.lock_file}",
            ) from error
    try:
        yield
    finally:
        lock.release()


def _install(
    root: Path, target: Platform, node: Node, runner: Runner, tell: Callable[[str], None]
) -> None:
    began = time.monotonic()
    _clean_up_after_the_dead(root)
    staging = root.with_name(f"{root.name}.{os.getpid()}.tmp")
    try:
        staging.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PACKAGE_FILES / name, staging / name)
        if _npm.free_mb(staging) < _npm.SPACE_NEEDED_MB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        tell(f"installing the toolchain in {root.parent} (once, {_npm.SPACE_NEEDED_MB} MB)")
        _npm.npm_install(node, staging, target, runner, tell)
        tell("linking PostgreSQL's libraries and checking what was installed")
        versions = _check(staging, target)
        if target.postgres:
            _link_libraries(postgres_package(staging / "node_modules", target))
        (staging / COMPLETE).write_text(json.dumps(versions, indent=1), encoding="utf-8")
        if is_root():
            _open_to_all(staging)
        _put_in_place(staging, root)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    tell(f"toolchain installed in {time.monotonic() - began:.1f} s")


def _link_libraries(package: Path) -> None:
    """Make the links that PostgreSQL's package would make in its install script.

    npm packages cannot hold symbolic links: ``native/pg-symlinks.json`` lists them, as paths from
    the package's folder, ``source`` being the file and ``target`` the link.
    """
    listed = package / "native" / "pg-symlinks.json"
    if not listed.is_file():
        return
    for each in json.loads(listed.read_text(encoding="utf-8")):
        file, link = package / each["source"], package / each["target"]
        if link.is_symlink() or link.exists():
            continue
        try:
            link.symlink_to(os.path.relpath(file, link.parent))
        except OSError:
            if os.name != "nt":
                raise
            shutil.copy2(file, link)  # Windows allows links to developers and administrators only


def _check(staging: Path, target: Platform) -> dict[str, str]:
    """Check that all is there that npm was asked for, and give the versions for a person.

    npm takes it for a success when an optional package cannot be had, or when the disk was full
    while it was unpacked, and may leave parts of it: only the list that it writes last is true.
    """
    modules = staging / "node_modules"
    unpacked = _unpacked(modules)
    for package in package_names(target):
        if package not in unpacked:
            raise _incomplete(staging, package)
    for program in programs(modules, target):
        if not program.is_file():
            raise _incomplete(staging, str(program.relative_to(modules)))
        if os.name == "posix" and not program.stat().st_mode & 0o111:
            program.chmod(0o755)
        if not os.access(program, os.X_OK):
            raise ToolNotFoundError(
                f"programs cannot be run from {staging.parent} (is it mounted noexec?)",
                state="nothing was installed",
                next_step="set RIPTIDE_CACHE_DIR to a folder that programs may be run from",
            )
    for name, wanted in pinned().items():
        found = package_version(modules / name)
        if found != wanted:
            raise _incomplete(staging, f"{name} {wanted}" + (f" (found {found})" if found else ""))
    versions = {name: package_version(modules / name) for name in ("@supabase/lite", "supabase")}
    if target.postgres:
        packaged = package_version(postgres_package(modules, target))
        versions["postgresql"] = ".".join(packaged.split(".")[:2])
    return versions


def _unpacked(modules: Path) -> set[str]:
    """Give the packages that npm says it unpacked to the end."""
    try:
        text = (modules / ".package-lock.json").read_text(encoding="utf-8")
        packages: dict[str, Any] = json.loads(text)["packages"]
    except (OSError, ValueError, KeyError):
        return set()
    return {path.removeprefix("node_modules/") for path in packages}


def _incomplete(staging: Path, missing: str) -> RiptideError:
    known = _npm.folder_error(staging.parent, "ENOSPC") if _npm.is_full(staging) else None
    return known or ToolNotFoundError(
        f"npm did not install {missing}",
        detail="  npm passes over an optional package that it cannot download.",
        state="nothing was installed",
        next_step="check the network and npm's registry (`npm ping`), then run it again",
    )


def _open_to_all(tree: Path) -> None:
    """Let every user read what root installed, as ``chmod -R a+rX`` does."""
    for here, folders, files in os.walk(tree):
        for path in (Path(here), *(Path(here, name) for name in files)):
            if path.is_symlink():
                continue
            mode = path.stat().st_mode & 0o7777
            wanted = mode | (0o555 if path == Path(here) or mode & 0o111 else 0o444)
            if wanted != mode:
                path.chmod(wanted)
        del folders


def _put_in_place(staging: Path, root: Path) -> None:
    if root.exists():  # somebody deleted parts of it
        aside = root.with_name(f"{root.name}.{os.getpid()}.old.tmp")
        root.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    for wait in (0.2, 0.5, 1.0, 2.0, 0.0):
        try:
            staging.rename(root)
        except PermissionError:
            # On Windows a virus scanner may still hold one of the new files.
            if os.name != "nt" or not wait:
                raise
            time.sleep(wait)
        else:
            return


def _clean_up_after_the_dead(root: Path) -> None:
    """Remove what killed installations left, and end the npm that one of them left running.

    Called with the lock held: no other process is installing this toolchain.
    """
    import psutil

    for staging in root.parent.glob("toolchain-*.tmp"):
        pid = staging.name.split(".")[1]
        ours = staging.name.startswith(f"{root.name}.")
        if ours or not pid.isdigit() or not psutil.pid_exists(int(pid)):
            _end_orphans(staging)
            shutil.rmtree(staging, ignore_errors=True)


def _end_orphans(staging: Path) -> None:
    import psutil

    orphans = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_npm.STAMP) == str(staging):
                process.kill()
                orphans.append(process)
        except (psutil.Error, OSError):
            continue
    psutil.wait_procs(orphans, timeout=5)
