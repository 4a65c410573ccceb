"""What GitHub Actions shows of a check: annotations beside the lines, and the job's summary.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from riptide.results import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from riptide.render.annotation import Annotation

_COMMANDS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
# What GitHub keeps of one step's annotations is ten of a kind, the first ones.
_WEIGHT = list(_COMMANDS)


def in_actions() -> bool:
    """Whether this runs in GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotate(found: Iterable[Annotation]) -> None:
    """Write a workflow command for each finding that is not excepted, the gravest first.

    They go to stderr, which Actions reads as well: stdout is for the result.
    """
    if not in_actions():
        return
    told = [each for each in found if not each.reason]
    for each in sorted(told, key=lambda one: _WEIGHT.index(one.level)):
        sys.stderr.write(_command(each) + "\n")
    sys.stderr.flush()


def summarize(
    title: str, sentence: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Append a table to the job's summary, where there is one.

    Raises:
        OSError: The file cannot be written.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not in_actions() or not path:
        return
    text = f"### {_cell(title)}\n\n{_cell(sentence)}\n\n"
    if rows:
        table = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
        text += "".join(f"| {' | '.join(row)} |\n" for row in table) + "\n"
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(text)


def _command(each: Annotation) -> str:
    properties = {
        "file": _from_workspace(each.file),
        "line": str(each.line),
        "title": f"{each.rule}: {each.name}",
    }
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{_COMMANDS[each.level]} {given}::{_data(each.text)}"


def _from_workspace(path: Path) -> str:
    """Give a path from the repository's folder, which a project may be in a folder of."""
    workspace = os.environ.get("GITHUB_WORKSPACE", "")
    if workspace and path.resolve().is_relative_to(Path(workspace).resolve()):
        return path.resolve().relative_to(Path(workspace).resolve()).as_posix()
    return path.as_posix()


def _data(text: str) -> str:
    """Escape as the runner undoes it: actions/toolkit, packages/core/src/command.ts."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    """Give a text that GitHub's Markdown shows as it is, on one line."""
    text = re.sub(r"\s+", " ", text)
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&-])", r"\\\1", text)
