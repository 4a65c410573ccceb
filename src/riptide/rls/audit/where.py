"""Finds the migration that makes what a finding is about, for an editor or a code scanner."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from riptide.results import AuditFinding
    from riptide.settings import Settings

_KINDS = (
    r"(?:unlogged\s+|foreign\s+)?table|(?:materialized\s+|recursive\s+)?view|function|procedure"
)


def located(findings: Iterable[AuditFinding], settings: Settings) -> list[AuditFinding]:
    """Give the findings with file and line, where the newest migration that makes it is clear.

    It reads the files as they are: what a migration makes by ``execute`` is not found.
    """
    found = list(findings)
    if not found or not settings.migrations_dir.is_dir():
        return found
    files = sorted(settings.migrations_dir.glob("*.sql"), reverse=True)
    texts = [(path, path.read_text(encoding="utf-8", errors="replace")) for path in files]
    return [_with_place(each, texts) if each.file is None else each for each in found]


def _with_place(finding: AuditFinding, texts: list[tuple[Path, str]]) -> AuditFinding:
    schema, _, rest = finding.object.partition(".")
    name = _word(rest.partition("(")[0])
    if not rest:
        return finding
    of = rf"(?:{_word(schema)}\s*\.\s*)?{name}"
    patterns = [rf"\bcreate\s+(?:or\s+replace\s+)?(?:{_KINDS})\s+(?:if\s+not\s+exists\s+)?{of}"]
    if finding.policy:
        patterns.insert(0, rf"\bcreate\s+policy\s+{_word(finding.policy)}\s+on\s+{of}")
    for pattern in patterns:
        for path, text in texts:
            if match := re.search(rf"{pattern}(?![\w$\"])", text, re.IGNORECASE):
                line = text.count("\n", 0, match.start()) + 1
                return replace(finding, file=path, line=line)
    return finding


def _word(name: str) -> str:
    return rf'(?:"{re.escape(name)}"|(?<![\w$"]){re.escape(name)})'
