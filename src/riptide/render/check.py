"""What a person, and a CI server, sees of `migrate.check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from riptide.render import plural, seconds, show, table
from riptide.results import Level

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from riptide.results import CheckFinding, CheckReport, CheckStep
    from riptide.settings import Settings

_STYLE = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.NOTE: "dim"}


def report(found: CheckReport, settings: Settings) -> None:
    """Print a row for each check, then each finding with what to do."""
    from rich.text import Text

    rows = table("check", "result", "time", "what it holds them to")
    for step in found.steps:
        word, style = _verdict(step, found)
        time = f"{step.seconds:.1f} s" if step.seconds >= 0.05 else ""
        rows.add_row(step.name, Text(word, style=style), time, step.skipped or step.about)
    show(rows)
    for each in found.findings:
        show("")
        for line in _finding(each, settings):
            show(line)
    if found.findings:
        show("")
    show(f"{found.summary} in {seconds(found.seconds)}")


def _verdict(step: CheckStep, found: CheckReport) -> tuple[str, str]:
    mine = [each for each in found.findings if each.check == step.name]
    for level in (Level.ERROR, Level.WARNING):
        if some := [each for each in mine if each.level is level]:
            return plural(len(some), level.value), _STYLE[level]
    return ("skipped", "yellow") if step.skipped else ("ok", "green")


def _finding(each: CheckFinding, settings: Settings) -> Iterator[Any]:
    from rich.text import Text

    where = place(each, settings)
    yield Text.assemble(
        (f"{each.level.value}:", _STYLE[each.level]),
        f" {where}: {each.message}" if where else f" {each.message}",
    )
    for line in each.details:
        yield f"       {line}"
    if each.next_step:
        yield Text.assemble(("next: ", "bold green"), f" {each.next_step}")


def place(each: CheckFinding, settings: Settings) -> str:
    """Give a finding's file and line as editors understand them; ``""`` where it has none."""
    if each.file is None:
        return ""
    return settings.relative(each.file) + (f":{each.line}" if each.line else "")


def junit(found: CheckReport, settings: Settings, path: Path) -> None:
    """Write a report as JUnit XML: a suite for each check, a case for each file.

    Errors are failures; warnings and notes stand in a case's output.

    Raises:
        ConfigError: The file cannot be written.
    """
    from riptide.render.junit import Case, write_junit

    suites: dict[str, list[Case]] = {}
    for step in found.steps:
        mine = [each for each in found.findings if each.check == step.name]
        names = list(dict.fromkeys([*step.files, *(_case(each, step) for each in mine)]))
        for name in names or [step.name]:
            about = [each for each in mine if _case(each, step) == name]
            errors = [each for each in about if each.level is Level.ERROR]
            others = [each for each in about if each.level is not Level.ERROR]
            suites.setdefault(step.name, []).append(
                Case(
                    name=name,
                    failure=errors[0].message if errors else "",
                    kind=step.name,
                    details="\n\n".join(_plain(each, settings) for each in errors),
                    skipped=step.skipped,
                    output="\n\n".join(_plain(each, settings) for each in others),
                    seconds=step.seconds / max(1, len(names)),
                )
            )
    write_junit("migrate.check", suites, settings, path)


def _case(each: CheckFinding, step: CheckStep) -> str:
    return each.file.name if each.file else (step.files[0] if len(step.files) == 1 else step.name)


def _plain(each: CheckFinding, settings: Settings) -> str:
    where = place(each, settings)
    lines = [f"{each.level.value}: {where}{': ' if where else ''}{each.message}", *each.details]
    if each.next_step:
        lines.append(f"next: {each.next_step}")
    return "\n".join(lines)
