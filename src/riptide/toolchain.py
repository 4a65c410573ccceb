"""The Supabase CLI and the embedded stack's npm packages: found, or installed once a lock file.

A toolchain is a folder of the cache named by the hash of the committed package.json and
package-lock.json: another lock file gives another folder, and a folder is either whole or absent.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._access import can_traverse, is_root
from riptide._layout import (
    COMPLETE,
    PACKAGE_FILES,
    cli_binary,
    is_whole,
    package_version,
    postgres_bin,
    this_platform,
)
from riptide._oserror import told
from riptide.errors import ConfigError, ToolNotFoundError
from riptide.node import Node, find_node, parse_version, recall, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from riptide.runner import Runner
    from riptide.settings import Settings

SUPPORTED_CLI_MAJOR = 3
"""The Supabase CLI's major version whose commands and JSON this package knows."""

_NOBODY = -1
"""A user who owns nothing and is in no group: what the permissions of others are asked for."""

_QUIET = {"SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The installed npm packages, and the Node.js to run them with.

    Attributes:
        root: ``<cache>/toolchain-<hash>``.
        node: Runs the gateway.
    """

    root: Path
    node: Node

    @property
    def node_modules(self) -> Path:
        """The folder that Node.js imports from."""
        return self.root / "node_modules"

    @property
    def cli(self) -> Path:
        """The Supabase CLI's native binary, which starts 80 ms sooner than through Node.js."""
        return cli_binary(self.node_modules, this_platform())

    @property
    def postgres_bin(self) -> Path:
        """The folder of initdb, pg_ctl and postgres.

        Raises:
            ToolNotFoundError: There is no PostgreSQL for this platform.
        """
        return postgres_bin(self.node_modules, this_platform())

    @property
    def versions(self) -> dict[str, str]:
        """Versions of ``postgresql``, ``@supabase/lite``, ``supabase`` (the CLI) and ``node``."""
        written = json.loads((self.root / COMPLETE).read_text(encoding="utf-8"))
        return {**written, "node": ".".join(map(str, self.node.version))}


def installed_toolchain(settings: Settings, *, runner: Runner | None = None) -> Toolchain | None:
    """Give the toolchain if it is installed, in a few milliseconds.

    Args:
        settings: Say where the cache folder is.
        runner: What asks Node.js for its version, once a binary.

    Raises:
        ToolNotFoundError: Node.js is missing or too old, or the platform is not supported.
    """
    if not toolchain_is_installed(settings):
        return None
    root = toolchain_root(settings)
    return Toolchain(root=root, node=find_node(runner=runner, cache_dir=root.parent))


def toolchain_is_installed(settings: Settings) -> bool:
    """Whether the toolchain is there; neither runs nor changes anything.

    Raises:
        ToolNotFoundError: The platform is not supported.
    """
    return is_whole(toolchain_root(settings), this_platform())


def ensure_toolchain(
    settings: Settings,
    *,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> Toolchain:
    """Give the toolchain; install it first where it is not there.

    Two processes at once are safe: one installs, the other waits. An interrupted installation
    leaves nothing that a later one would take for whole.

    Args:
        settings: Say where the cache folder is.
        runner: What runs node and npm; a `SubprocessRunner` by default.
        progress: Called with a short phrase whenever another step begins, and every 5 s while npm
            works (then from another thread).

    Raises:
        ToolNotFoundError: Node.js or npm is missing, the platform is not supported, or the cache
            folder is full or cannot be written to.
        CommandError: npm failed.
        StackError: The cache folder is another user's.
        LockTimeoutError: Another process has been installing for half an hour.
    """
    from riptide.runner import SubprocessRunner

    runner = runner or SubprocessRunner()
    tell = progress or (lambda _phrase: None)
    target = this_platform()
    root = toolchain_root(settings)
    with cache_told(settings):
        node = find_node(runner=runner, cache_dir=root.parent)
        if not is_whole(root, target):
            from riptide._install import ensure_installed

            ensure_installed(root, target, node, runner, tell)
    return Toolchain(root=root, node=node)


def toolchain_root(settings: Settings) -> Path:
    """Give the folder that the toolchain of this version of the package is or will be in."""
    import hashlib

    digest = hashlib.sha256()
    for name in ("package-lock.json", "package.json"):
        digest.update((PACKAGE_FILES / name).read_bytes())
    return cache_dir(settings) / f"toolchain-{digest.hexdigest()[:12]}"


def cache_dir(settings: Settings) -> Path:
    """Give the cache folder: ``RIPTIDE_CACHE_DIR``, else the user's, else the machine's.

    PostgreSQL does not run as root: where this process is root, another user must be able to read
    the binaries, which a 0700 home forbids. Then it is the machine's (``/var/cache/riptide``).
    """
    if settings.cache_dir is not None:
        return settings.cache_dir.absolute()
    import platformdirs

    usual = platformdirs.user_cache_path("riptide", appauthor=False)
    if is_root() and not can_traverse(usual, _NOBODY, ()):
        return platformdirs.site_cache_path("riptide", appauthor=False)
    return usual


def find_cli(
    settings: Settings,
    *,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
    state: str | None = None,
) -> Path:
    """Give the Supabase CLI to use, the first of these that there is.

    1. ``RIPTIDE_SUPABASE_CLI``
    2. the project's own, ``<root>/node_modules/.bin/supabase``
    3. ``supabase`` on PATH
    4. the toolchain's, which is installed where it is not there yet

    One that npm installed is called by its native binary, not through Node.js.

    Args:
        settings: The project's.
        runner: What asks a CLI for its version, and runs npm.
        progress: See `ensure_toolchain`.
        state: What state things are in, for the error about a CLI that cannot be used: only the
            caller knows what it has done already.

    Raises:
        ConfigError: ``RIPTIDE_SUPABASE_CLI`` names no program.
        ToolNotFoundError: The first one that there is has another major version, or none could
            be installed.
        CommandError: npm failed.
    """
    return (
        present_cli(settings, runner=runner, state=state)
        or ensure_toolchain(settings, runner=runner, progress=progress).cli
    )


def present_cli(
    settings: Settings, *, runner: Runner | None = None, state: str | None = None
) -> Path | None:
    """Give the Supabase CLI that `find_cli` would, or ``None`` where that would install one.

    Raises:
        ConfigError: See `find_cli`.
        ToolNotFoundError: The first one that there is has another major version.
    """
    for place, found in _given_clis(settings, state):
        version, binary = _npm_cli(found)
        text = version or _ask_cli(found, cache_dir(settings), runner)
        parsed = parse_version(text)
        if parsed is None or parsed[0] != SUPPORTED_CLI_MAJOR:
            raise _unsupported(place, found, text if parsed else "", state)
        return binary
    target = this_platform()
    root = toolchain_root(settings)
    # Without asking for Node.js, which this binary does not need.
    with cache_told(settings):
        return cli_binary(root / "node_modules", target) if is_whole(root, target) else None


def cache_told(settings: Settings) -> AbstractContextManager[None]:
    """Tell what the system refuses in the cache folder as an error of that folder."""
    return told(cache_dir(settings), state="nothing was changed", variable="RIPTIDE_CACHE_DIR")


def _given_clis(settings: Settings, state: str | None) -> Iterator[tuple[str, Path]]:
    if settings.cli_path is not None:
        path = settings.cli_path.absolute()
        if not path.is_file() or not os.access(path, os.X_OK):
            what = "is not executable" if path.is_file() else "is not there"
            raise ConfigError(
                f"RIPTIDE_SUPABASE_CLI names a program that {what}: {path}",
                state=state,
                next_step="unset RIPTIDE_SUPABASE_CLI, or set it to a Supabase CLI",
            )
        yield "RIPTIDE_SUPABASE_CLI", path
    project = shutil.which("supabase", path=str(settings.root / "node_modules" / ".bin"))
    if project:
        yield "node_modules", Path(project)
    on_path = shutil.which("supabase")
    if on_path:
        yield "PATH", Path(on_path)


def _npm_cli(found: Path) -> tuple[str, Path]:
    """Give the version that npm's files tell, without a process, and the native binary."""
    target = this_platform()
    real = found.resolve()
    if real.name.startswith("supabase") and real.parent.name == "bin":
        version = package_version(real.parent.parent)  # already the native binary
        if version and real.parent.parent.name == f"cli-{target.cli}":
            return version, real
    for package in (
        real.parent.parent,  # .bin/supabase is a link to supabase/dist/supabase.js
        found.parent.parent / "supabase",  # on Windows .bin/supabase.cmd is a file of its own
        found.parent / "node_modules" / "supabase",  # and so is npm's global one
    ):
        version = package_version(package) if package.name == "supabase" else ""
        if version and package.parent.name == "node_modules":
            for modules in (package.parent, package / "node_modules"):
                binary = cli_binary(modules, target)
                if package_version(binary.parent.parent) == version and binary.is_file():
                    return version, binary
            return version, found
    return "", found


def _ask_cli(found: Path, kept_in: Path, runner: Runner | None) -> str:
    from riptide.runner import SubprocessRunner

    real = found.resolve()
    answer = recall(real, kept_in)
    if answer is None:
        completed = (runner or SubprocessRunner()).run(
            [str(found), "--version"], env=_QUIET, timeout=60
        )
        answer = completed.stdout.strip() if completed.exit_code == 0 else ""
        if answer and _is_cli_itself(real):
            remember(real, kept_in, answer)
    return answer


def _is_cli_itself(real: Path) -> bool:
    """Tell a program from a version manager's shim, which is one file for every version."""
    with real.open("rb") as stream:
        return real.stem.startswith("supabase") and stream.read(2) != b"#!"


def _unsupported(place: str, found: Path, version: str, state: str | None) -> ToolNotFoundError:
    steps = {
        "RIPTIDE_SUPABASE_CLI": "unset RIPTIDE_SUPABASE_CLI, or set it to a supported CLI",
        "node_modules": f"npm install --save-dev supabase@{SUPPORTED_CLI_MAJOR}",
        "PATH": f"update it, or `npm install --save-dev supabase@{SUPPORTED_CLI_MAJOR}` here",
    }
    said = f"is version {version}" if version else "did not say its version"
    return ToolNotFoundError(
        f"the Supabase CLI {found} {said}; version {SUPPORTED_CLI_MAJOR} is supported",
        detail=f"  It was found by: {place}.",
        state=state,
        next_step=steps[place],
    )
