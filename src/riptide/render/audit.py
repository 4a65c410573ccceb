"""What a person, and a CI server, sees of `rls.audit`."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

from riptide.render import console, seconds, show, table
from riptide.render.files import write_report, xml_text
from riptide.results import Level

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from riptide.results import AuditFinding, AuditReport
    from riptide.settings import Settings

_STYLE = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.NOTE: "dim"}
_WIDTH = 100  # columns of a sentence where the reader's are not known
_RULE, _OBJECT = 40, 44  # the widest that the table's columns get


def report(found: AuditReport, settings: Settings) -> None:
    """Print a row for each finding, then each with what mends it."""
    from rich.text import Text

    if found.findings:
        rows = table("level", "rule", "object")
        rows.columns[1].max_width, rows.columns[2].max_width = _RULE, _OBJECT
        for each in found.findings:
            rows.add_row(Text(each.level.value, style=_STYLE[each.level]), each.rule, each.name)
        show(rows, "")
    for each in found.findings:
        for line in _finding(each, settings):
            show(line)
        show("")
    for each in found.excepted:
        show(Text(f"excepted: {each.rule} on {each.name}: {each.reason}", style="dim"))
    show(f"{found.target}: {found.summary} in {seconds(found.seconds)}")


def _finding(each: AuditFinding, settings: Settings) -> Iterator[Any]:
    from rich.text import Text

    place = _place(each, settings)
    yield Text.assemble(
        (f"{each.level.value}:", _STYLE[each.level]),
        f" {each.name}: {each.rule}" + (f" ({place})" if place else ""),
    )
    width = min(console().width, _WIDTH)
    yield from textwrap.wrap(each.message, width, initial_indent="  ", subsequent_indent="  ")
    for number, line in enumerate(each.sql.splitlines()):
        yield Text.assemble(("  mend: " if not number else "        ", "bold green"), line)
    if each.docs:
        yield Text.assemble(("  docs: ", "bold"), each.docs)


def _place(each: AuditFinding, settings: Settings) -> str:
    if each.file is None:
        return ""
    return settings.relative(each.file) + (f":{each.line}" if each.line else "")


def _plain(each: AuditFinding, settings: Settings) -> str:
    return "\n".join(str(line) for line in _finding(each, settings))


# --- JUnit ---------------------------------------------------------------------------------------


def junit(found: AuditReport, settings: Settings, path: Path) -> None:
    """Write a report as JUnit XML: a suite for each rule, a case for each object with a finding.

    Errors and warnings are failures, what is excepted is skipped; notes stand in a case's output.

    Raises:
        ConfigError: The file cannot be written.
    """
    from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

    document = JUnitXml("rls.audit")
    for rule in found.rules:
        suite = TestSuite(rule)
        mine = [each for each in (*found.findings, *found.excepted) if each.rule == rule]
        for each in mine:
            case = TestCase(xml_text(each.name), classname=f"rls.audit.{rule}")
            if each.reason:
                case.result = [Skipped(xml_text(each.reason))]
            elif each.level is Level.NOTE:
                case.system_out = xml_text(_plain(each, settings))
            else:
                failure = Failure(xml_text(each.message), each.level.value)
                failure.text = xml_text(_plain(each, settings))
                case.result = [failure]
            suite.add_testcase(case)
        if not mine:
            suite.add_testcase(TestCase(rule, classname=f"rls.audit.{rule}"))
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    write_report(path, settings, lambda: document.write(str(path), pretty=True))


# --- SARIF ---------------------------------------------------------------------------------------

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(found: AuditReport, settings: Settings, path: Path) -> None:
    """Write a report as SARIF 2.1.0, which code scanners read.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; and what GitHub wants of it:
    https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning

    Raises:
        ConfigError: The file cannot be written.
    """
    text = json.dumps(_sarif(found, settings), indent=2, ensure_ascii=False) + "\n"
    write_report(path, settings, lambda: path.write_text(text, encoding="utf-8"))


def _sarif(found: AuditReport, settings: Settings) -> dict[str, Any]:
    import riptide
    from riptide.rls.audit.rules import RULES

    every = (*found.findings, *found.excepted)
    rules: list[dict[str, Any]] = []
    for name in found.rules:
        known = RULES.get(name)
        about = known.about if known else f"found by supabase db advisors: {name}"
        docs = known.docs if known else next((each.docs for each in every if each.rule == name), "")
        level = known.level if known else Level.WARNING
        rules.append(
            {
                "id": name,
                "shortDescription": {"text": about},
                "defaultConfiguration": {"level": level.value},
                **({"helpUri": docs} if docs else {}),
            }
        )
    driver = {"name": "RipTide", "version": riptide.__version__, "rules": rules}
    results = [_result(each, found.rules.index(each.rule), settings) for each in every]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _result(each: AuditFinding, index: int, settings: Settings) -> dict[str, Any]:
    # Scanners show nothing that has no file: what no migration is known for stands where it could
    # be excepted, or, where that file is not there, where the schema is exposed.
    file = each.file or settings.supabase_dir / "rls.toml"
    if not file.is_file():
        file = settings.supabase_dir / "config.toml"
    sql = f"\nMend: {each.sql}" if each.sql else ""
    kind = "function" if "(" in each.object else "type" if "." in each.object else "namespace"
    result: dict[str, Any] = {
        "ruleId": each.rule,
        "ruleIndex": index,
        "level": each.level.value,
        "message": {"text": f"{each.name}: {each.message}.{sql}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(file, settings)},
                    "region": {"startLine": each.line or 1},
                },
                "logicalLocations": [{"fullyQualifiedName": each.name, "kind": kind}],
            }
        ],
        # Lines move; what it is about does not: a scanner knows an old finding again by this.
        "partialFingerprints": {"riptideObject/v1": f"{each.rule}:{each.name}"},
    }
    if each.reason:
        result["suppressions"] = [{"kind": "external", "justification": each.reason}]
    return result


def _uri(path: Path, settings: Settings) -> str:
    from urllib.parse import quote

    return quote(settings.relative(path))
