"""Differences between two schemas, as lines for a person."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from riptide.migrations.snapshot import Difference

_MOST = 12
_WORD = re.compile(r"[^\s,]+[\s,]*|[\s,]+")


def listed(
    differences: Sequence[Difference], changed: str, gone: str, new: str, most: int = _MOST
) -> tuple[str, ...]:
    """Give differences as lines for a person.

    Args:
        differences: What differs.
        changed: What to call one that is in both.
        gone: What to call one that is only in the first.
        new: What to call one that is only in the second.
        most: How many lines; the rest is counted.
    """
    lines = []
    for each in differences[:most]:
        if each.before is None or each.after is None:
            lines.append(f"{new if each.before is None else gone}: {each.kind} {each.name}")
        else:
            before, after = _narrowed(each.before, each.after)
            lines.append(f"{changed}: {each.kind} {each.name}: {before}  →  {after}")
    if len(differences) > most:
        lines.append(f"… and {len(differences) - most} more")
    return tuple(lines)


def _narrowed(before: str, after: str, most: int = 70) -> tuple[str, str]:
    """Leave out what two definitions have in common at both ends, but for a few words."""
    one, two = _WORD.findall(before), _WORD.findall(after)
    start = 0
    while start < min(len(one), len(two)) and one[start] == two[start]:
        start += 1
    end = 0
    while end < min(len(one), len(two)) - start and one[-1 - end] == two[-1 - end]:
        end += 1
    start, end = max(0, start - 1), max(0, end - 1)
    shown = []
    for words in (one, two):
        text = " ".join("".join(words[start : len(words) - end]).split())
        text = text if len(text) <= most else text[: most - 1] + "…"
        left, right = "… " if start else "", " …" if end else ""
        shown.append(f"{left}{text}{right}" if text else "nothing")
    return shown[0], shown[1]
