"""Whether a file is still what was applied: its text against the statements in the history.

The Supabase CLI stores each statement verbatim, comments included, but never looks at it again: an
applied file that is edited afterwards stays "up to date".
"""

from __future__ import annotations

import difflib
from enum import Enum
from typing import TYPE_CHECKING

from riptide.migrations.sql import significant, split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Edit(Enum):
    """How a file differs from what was applied."""

    NONE = "not edited"
    COSMETIC = "edited since, in comments and white space only"
    LINE_ENDS = "applied with other line ends (CRLF, LF)"
    REAL = "edited since it was applied"


def edit_of(stored: Sequence[str], text: str) -> Edit:
    """Compare a file with what the history holds of it.

    Args:
        stored: The statements that were applied.
        text: The file's content now.
    """
    if _stands_in(stored, text):
        return Edit.NONE
    applied, now = significant(";\n".join(stored)), significant(text)
    if applied == now:
        return Edit.COSMETIC
    # In what is quoted they count for PostgreSQL; but git changes them by itself (core.autocrlf).
    if [_with_lf(each) for each in applied] == [_with_lf(each) for each in now]:
        return Edit.LINE_ENDS
    return Edit.REAL


def difference(stored: Sequence[str], text: str, name: str) -> str:
    """Give a unified diff from what was applied to what the file says now.

    Args:
        stored: The statements that were applied.
        text: The file's content now.
        name: The file's, for the diff's head.
    """
    now = [each.text for each in split(text)]
    for shown in (str.rstrip, _with_marks):
        found = "\n".join(
            difflib.unified_diff(
                _lines(stored, shown),
                _lines(now, shown),
                f"applied/{name}",
                f"now/{name}",
                lineterm="",
            )
        )
        if found:
            break
    return found


def _stands_in(stored: Sequence[str], text: str) -> bool:
    """Whether the statements follow one another in the text, with nothing but their ends between.

    The usual case, and a hundred times faster than reading the SQL.
    """
    position = 0
    for each in stored:
        statement = each.strip()
        start = text.find(statement, position)
        if start < 0 or text[position:start].strip(" \t\r\n;"):
            return False
        position = start + len(statement)
    tail = text[position:].strip(" \t\r\n;")
    return not tail or not split(tail)  # comments behind the last statement were never stored


def _lines(statements: Sequence[str], shown: Callable[[str], str]) -> list[str]:
    return [shown(line) for each in statements for line in f"{each.strip()};".split("\n")]


def _with_lf(text: str) -> str:
    return text.replace("\r\n", "\n")


def _with_marks(line: str) -> str:
    """Make visible what stands at a line's end and is not seen there."""
    text = line.rstrip()
    rest = line[len(text) :].replace(" ", "·").replace("\t", "→").replace("\r", "␍")
    return text + rest
