"""SARIF 2.1.0, which code scanners read: the one place that knows its form.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; and what GitHub wants of it:
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from riptide.render.files import write_report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from riptide.render.annotation import Annotation
    from riptide.results import Level
    from riptide.settings import Settings

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def rule(name: str, about: str, level: Level, docs: str = "") -> dict[str, Any]:
    """Give what is said of a rule."""
    return {
        "id": name,
        "shortDescription": {"text": about},
        "defaultConfiguration": {"level": level.value},
        **({"helpUri": docs} if docs else {}),
    }


def write_sarif(
    rules: Sequence[dict[str, Any]],
    found: Sequence[Annotation],
    settings: Settings,
    path: Path,
) -> None:
    """Write a report.

    Args:
        rules: Each `rule` that was looked at.
        found: What was found, excepted or not.
        settings: The project's.
        path: The file.

    Raises:
        ConfigError: The file cannot be written.
    """
    import riptide

    places = {each["id"]: index for index, each in enumerate(rules)}
    driver = {"name": "RipTide", "version": riptide.__version__, "rules": list(rules)}
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(each, places[each.rule], settings) for each in found],
            }
        ],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_report(path, settings, lambda: path.write_text(text, encoding="utf-8"))


def _result(each: Annotation, index: int, settings: Settings) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": each.rule,
        "ruleIndex": index,
        "level": each.level.value,
        "message": {"text": each.text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(each.file, settings)},
                    "region": {"startLine": each.line},
                },
                "logicalLocations": [{"fullyQualifiedName": each.name, "kind": each.kind}],
            }
        ],
        # Lines move; what it is about does not: a scanner knows an old finding again by this.
        "partialFingerprints": {"riptideObject/v1": each.key},
    }
    if each.reason:
        result["suppressions"] = [{"kind": "external", "justification": each.reason}]
    return result


def _uri(path: Path, settings: Settings) -> str:
    from urllib.parse import quote

    return quote(settings.relative(path))
