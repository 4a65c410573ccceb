"""JUnit XML, which CI servers read: the one place that knows its form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.render.files import write_report, xml_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from riptide.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that was looked at.

    Attributes:
        name: What.
        failure: Why it does not hold, in one sentence; ``""`` where it does.
        kind: What sort of failure.
        broken: Whether it could not be looked at: an error, in JUnit's words, and no failure.
        details: The whole failure.
        skipped: Why it was not looked at.
        output: What is to be said beside that.
        seconds: Wall time.
    """

    name: str
    failure: str = ""
    kind: str = ""
    broken: bool = False
    details: str = ""
    skipped: str = ""
    output: str = ""
    seconds: float = 0.0


def write_junit(
    task: str, suites: Mapping[str, Iterable[Case]], settings: Settings, path: Path
) -> None:
    """Write a report.

    Args:
        task: Whose: ``rls.audit``.
        suites: The cases of each suite, in order.
        settings: The project's.
        path: The file.

    Raises:
        ConfigError: The file cannot be written.
    """
    from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

    document = JUnitXml(task)
    for suite_name, cases in suites.items():
        suite = TestSuite(xml_text(suite_name))
        for each in cases:
            case = TestCase(xml_text(each.name), classname=xml_text(f"{task}.{suite_name}"))
            case.time = each.seconds
            if each.failure:
                kind = Error if each.broken else Failure
                failure = kind(xml_text(each.failure), each.kind)
                failure.text = xml_text(each.details)
                case.result = [failure]
            elif each.skipped:
                case.result = [Skipped(xml_text(each.skipped))]
            if each.output:
                case.system_out = xml_text(each.output)
            suite.add_testcase(case)
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    write_report(path, settings, lambda: document.write(str(path), pretty=True))
