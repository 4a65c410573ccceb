"""What a person, and a CI server, sees of `rls.audit`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from riptide.render import console, seconds, show, table
from riptide.results import Level

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from riptide.render.annotation import Annotation
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


# --- for CI servers and code scanners -----------------------------------------------------------


def junit(found: AuditReport, settings: Settings, path: Path) -> None:
    """Write a report as JUnit XML: a suite for each rule, a case for each object with a finding.

    Errors and warnings are failures, what is excepted is skipped; notes stand in a case's output.

    Raises:
        ConfigError: The file cannot be written.
    """
    from riptide.render.junit import Case, write_junit

    def case(each: AuditFinding) -> Case:
        if each.reason:
            return Case(name=each.name, skipped=each.reason)
        text = _plain(each, settings)
        if each.level is Level.NOTE:
            return Case(name=each.name, output=text)
        return Case(name=each.name, failure=each.message, kind=each.level.value, details=text)

    every = (*found.findings, *found.excepted)
    suites = {
        rule: [case(each) for each in every if each.rule == rule] or [Case(name=rule)]
        for rule in found.rules
    }
    write_junit("rls.audit", suites, settings, path)


def sarif(found: AuditReport, settings: Settings, path: Path) -> None:
    """Write a report as SARIF 2.1.0, which code scanners read.

    Raises:
        ConfigError: The file cannot be written.
    """
    from riptide.render.sarif import rule, write_sarif
    from riptide.rls.audit.rules import RULES

    every = (*found.findings, *found.excepted)
    rules: list[dict[str, Any]] = []
    for name in found.rules:
        known = RULES.get(name)
        about = known.about if known else f"found by supabase db advisors: {name}"
        docs = known.docs if known else next((each.docs for each in every if each.rule == name), "")
        rules.append(rule(name, about, known.level if known else Level.WARNING, docs))
    write_sarif(rules, annotated(found, settings), settings, path)


def annotated(found: AuditReport, settings: Settings) -> list[Annotation]:
    """Give what was found, and what is excepted, for beside the lines that it is about."""
    from riptide.render.annotation import Annotation, fallback

    def kind(each: AuditFinding) -> str:
        return "function" if "(" in each.object else "type" if "." in each.object else "namespace"

    return [
        Annotation(
            rule=each.rule,
            level=each.level,
            name=each.name,
            kind=kind(each),
            message=each.message,
            sql=each.sql,
            reason=each.reason,
            key=f"{each.rule}:{each.name}",
            file=each.file if each.file and each.file.is_file() else fallback(settings),
            line=each.line or 1,
        )
        for each in (*found.findings, *found.excepted)
    ]


def to_github(found: AuditReport, settings: Settings) -> None:
    """Tell GitHub Actions, where it is there."""
    from riptide.render import github

    github.annotate(annotated(found, settings))
    rows = [[each.level.value, each.rule, each.name, each.message] for each in found.findings]
    github.summarize(
        "rls.audit", f"{found.target}: {found.summary}", ["level", "rule", "object", "what"], rows
    )
