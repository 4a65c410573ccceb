"""The gateway as one file: its modules and @supabase/lite's, joined by esbuild once a version.

Node.js takes 0.7 s to find, read and start the 430 files that they come in, 0.3 s for the one, and
0.2 s where it finds V8's code of it beside it (``gateway.cjs`` keeps that).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib import resources
from typing import TYPE_CHECKING

from riptide._layout import bundler, this_platform

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.runner import Runner
    from riptide.toolchain import Toolchain

# What Node.js is given. It loads what esbuild makes of the second.
ENTRY = "gateway.cjs"
_MAIN = "gateway_main.mjs"
_JOINED = "gateway_main.cjs"

# https://esbuild.github.io/api/
_OPTIONS = (
    "--bundle",
    "--platform=node",
    "--format=cjs",
    "--target=node20",
    # lite tells errors by the names of their classes, which joining may change.
    "--keep-names",
    "--minify-whitespace",
    "--minify-syntax",
    # What lite would load for other databases, and for SQL that the stack does not have parsed:
    # it finds its own WebAssembly beside itself only.
    "--external:@electric-sql/pglite",
    "--external:pgsql-parser",
    "--legal-comments=none",
    "--log-level=warning",
)


def source_files() -> list[tuple[str, bytes]]:
    """Give the gateway's own files as they stand in the package: name and content."""
    folder = resources.files("riptide.stack.embedded")
    return sorted(
        (each.name, each.read_bytes())
        for each in folder.iterdir()
        if each.name.startswith("gateway") and each.name.endswith((".mjs", ".cjs"))
    )


def files_digest() -> str:
    """Give what tells the gateway's files of this version of the package from another one's."""
    parts = [*(content for _, content in source_files()), *(each.encode() for each in _OPTIONS)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def bundled(toolchain: Toolchain) -> Path:
    """Give the file that Node.js runs; `ensure_bundle` makes it."""
    return toolchain.root / f"gateway-{files_digest()}" / ENTRY


def ensure_bundle(toolchain: Toolchain, runner: Runner) -> None:
    """Make the gateway's one file where there is none.

    The sources are joined in a folder below the toolchain's, as a package is looked for from the
    importing file's folder upwards. The result is in a folder named by what it is made of: a newer
    version never changes an older one's while that one runs.

    Args:
        toolchain: Holds the packages, and esbuild.
        runner: Runs it.

    Raises:
        CommandError: esbuild failed; nothing is left.
        OSError: The cache folder cannot be written to.
    """
    made = bundled(toolchain)
    if _is_whole(made.parent):
        return
    staging = toolchain.root / f"{made.parent.name}.{os.getpid()}.tmp"
    sources = staging / "sources"
    try:
        sources.mkdir(parents=True, exist_ok=True)
        for name, content in source_files():
            (sources / name).write_bytes(content)
        runner.run(
            [
                str(bundler(toolchain.node_modules, this_platform())),
                _MAIN,
                *_OPTIONS,
                f"--outfile={staging / _JOINED}",
            ],
            cwd=sources,
            timeout=60,
        ).check("the gateway's modules could not be joined")
        (sources / ENTRY).rename(staging / ENTRY)
        shutil.rmtree(sources)
        try:
            staging.rename(made.parent)
        except OSError:
            if _is_whole(made.parent):  # another process was quicker
                return
            # Somebody deleted parts of it, or the machine went down before they were on the disk.
            shutil.rmtree(made.parent, ignore_errors=True)
            staging.rename(made.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Whether what Node.js needs is there: a cache is what people and cleaners delete from."""
    try:
        return all((folder / name).stat().st_size for name in (ENTRY, _JOINED))
    except FileNotFoundError:
        return False
