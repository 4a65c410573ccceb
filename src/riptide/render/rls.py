"""What a person, and a CI server, sees of `rls.verify`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from riptide.render import console, seconds, show, table
from riptide.results import Level, Verdict
from riptide.rls.intent import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from riptide.render.annotation import Annotation
    from riptide.results import RlsCheck, RlsRemains, RlsReport
    from riptide.rls.intent import Intent
    from riptide.settings import Settings

_WIDTH = 100  # columns that the matrix has at most
_NAME = 14  # the least that a table's name is folded to
_GAP = 3  # columns between two of the matrix
MARKS = {
    Verdict.OK: ("ok", "green"),
    Verdict.LEAK: ("LEAK", "bold red"),
    Verdict.MASKED: ("MASKED", "bold red"),
    Verdict.LOCKOUT: ("LOCKOUT", "bold yellow"),
    Verdict.SLOW: ("SLOW", "bold yellow"),
    Verdict.ERROR: ("ERROR", "bold magenta"),
    Verdict.UNDECLARED: ("undeclared", "bold yellow"),
}
# What counts most where a cell has several checks.
_GRAVITY = (
    Verdict.LEAK,
    Verdict.MASKED,
    Verdict.LOCKOUT,
    Verdict.ERROR,
    Verdict.SLOW,
    Verdict.UNDECLARED,
    Verdict.OK,
)
_WORDS = {"allow": "allowed", "deny": "denied"}
_ABOUT = {
    Verdict.LEAK: (Level.ERROR, "Somebody can do what supabase/rls.toml denies."),
    Verdict.MASKED: (Level.ERROR, "Its own policies let it pass; only another one is in the way."),
    Verdict.LOCKOUT: (Level.ERROR, "Somebody cannot do what supabase/rls.toml allows."),
    Verdict.SLOW: (Level.WARNING, "It holds, at a cost that grows with the table."),
    Verdict.ERROR: (Level.ERROR, "It could not be tried, or proves nothing."),
    Verdict.UNDECLARED: (
        Level.ERROR,
        "The API exposes it, and supabase/rls.toml does not say who may do what.",
    ),
}


def worst(checks: Sequence[RlsCheck]) -> RlsCheck:
    """Give the check that a cell of the matrix shows."""
    return min(checks, key=lambda each: _GRAVITY.index(each.verdict))


def word(check: RlsCheck) -> str:
    """Give a cell's word: what was proved, not only that it was."""
    shown = MARKS[check.verdict][0]
    if check.operation == "plan" and check.verdict is Verdict.OK:
        return "fast"
    return _WORDS.get(check.expected, shown) if check.verdict is Verdict.OK else shown


Cells = dict[tuple[str, str], dict[str, list[tuple[int, "RlsCheck"]]]]
"""For each table and actor, for each operation: the checks, with their places in the report."""


def matrices(report: RlsReport) -> Iterator[tuple[tuple[str, ...], Cells]]:
    """Give the matrix of the tables, and one of whatever is tried in other ways.

    Each is its operations and its cells.
    """
    tried = [
        (place, each)
        for place, each in enumerate(report.checks)
        if each.verdict is not Verdict.UNDECLARED
    ]
    for of_tables in (True, False):
        cells: Cells = {}
        tables: dict[str, None] = {}
        operations: list[str] = []
        for place, each in tried:
            if (each.operation in OPERATIONS) is of_tables:
                operations.append(each.operation)
                tables[each.table] = None
                cell = cells.setdefault((each.table, each.actor), {})
                cell.setdefault(each.operation, []).append((place, each))
        places = {name: place for place, name in enumerate(tables)}
        cells = dict(sorted(cells.items(), key=lambda each: places[each[0][0]]))
        if cells:
            in_order = dict.fromkeys([*(OPERATIONS if of_tables else ()), *operations])
            yield tuple(each for each in in_order if each in operations), cells


def report(found: RlsReport) -> None:
    """Print the matrix, what does not hold with what mends it, and the sum."""
    for operations, cells in matrices(found):
        show(_matrix(operations, cells), "")
    for several in alike(found.failures):
        for line in _failure(*several):
            show(line)
        show("")
    for words in found.not_tried:
        show(f"not tried: {words}")
    show(f"{found.target}: {found.summary} in {seconds(found.seconds)}")
    if found.note:
        show(f"note: {found.note}")


def remains(found: RlsRemains) -> None:
    """Print what was removed."""
    show(f"{found.target}: {found.summary}")
    for each in found.users:
        show(f"  {each}")


def _matrix(operations: tuple[str, ...], cells: Cells) -> Any:
    from rich.text import Text

    matrix = table("table", "actor", *operations)
    previous = ""
    for (name, actor), tried in cells.items():
        shown = []
        for operation in operations:
            if operation not in tried:
                shown.append(Text("–", style="dim"))
                continue
            check = worst([each for _, each in tried[operation]])
            shown.append(Text(word(check), style=MARKS[check.verdict][1]))
        matrix.add_row(name if name != previous else "", actor, *shown)
        previous = name
    # Only names are folded: a verdict in two lines is none.
    for column in matrix.columns[1:]:
        column.no_wrap = True
    taken = sum(_width(each) + _GAP for each in matrix.columns[1:])
    matrix.columns[0].max_width = max(_NAME, min(console().width, _WIDTH) - taken)
    return matrix


def _width(column: Any) -> int:
    from rich.cells import cell_len

    return max(cell_len(str(each)) for each in (column.header, *column.cells))


def alike(failures: Sequence[RlsCheck]) -> list[list[RlsCheck]]:
    """Give the failures with those together that one change would mend."""
    found: dict[tuple[object, ...], list[RlsCheck]] = {}
    for each in failures:
        key = (each.table, each.operation, each.expected, each.verdict, each.policies, each.mend)
        found.setdefault(key, []).append(each)
    return list(found.values())


def _failure(each: RlsCheck, *others: RlsCheck) -> Iterator[Any]:
    """Give the lines for a failure, and the names of those to whom the same happened."""
    from rich.text import Text

    shown, style = MARKS[each.verdict]
    who = ", ".join(dict.fromkeys(one.actor for one in (each, *others)))
    what = f"{who}: {each.operation}, expected {each.expected}"
    if each.verdict is Verdict.UNDECLARED:
        what = "not verified"
    yield Text.assemble((shown, style), f" {each.table}: {what}")
    yield from _wrapped("  tried: ", each.tried)
    yield from _wrapped("  seen:  ", each.seen)
    yield from _wrapped("  blame: ", ", ".join(each.policies))
    for number, line in enumerate(each.mend.splitlines()):
        yield Text.assemble(("  mend:  " if not number else "         ", "bold green"), line)


def _wrapped(label: str, text: str) -> list[str]:
    width = min(console().width, _WIDTH)
    return textwrap.wrap(text, width, initial_indent=label, subsequent_indent=" " * len(label))


# --- for CI servers and code scanners -----------------------------------------------------------


def junit(found: RlsReport, settings: Settings, path: Path) -> None:
    """Write a report as JUnit XML: a suite for each table, a case for each check.

    Raises:
        ConfigError: The file cannot be written.
    """
    from riptide.render.junit import Case, write_junit

    suites: dict[str, list[Case]] = {}
    for each, name in zip(found.checks, _names(found), strict=True):
        text = "\n".join(str(line) for line in _failure(each))
        failed = each.verdict is not Verdict.OK
        suites.setdefault(each.table, []).append(
            Case(
                name=name,
                failure=f"{each.verdict.value}: {each.seen}" if failed else "",
                kind=each.verdict.value,
                broken=each.verdict is Verdict.ERROR,
                details=text if failed else "",
            )
        )
    write_junit("rls.verify", suites, settings, path)


def _names(found: RlsReport) -> list[str]:
    """Give each check a name of its own within its table: a column may have one to itself."""
    given: dict[tuple[str, str], int] = {}
    names = []
    for each in found.checks:
        name = f"{each.operation} as {each.actor}: {_WORDS.get(each.expected, each.expected)}"
        number = given[each.table, name] = given.get((each.table, name), 0) + 1
        names.append(name if number == 1 else f"{name} ({number})")
    return names


def sarif(found: RlsReport, settings: Settings, path: Path) -> None:
    """Write a report as SARIF 2.1.0, which code scanners read: a rule for each verdict.

    Raises:
        ConfigError: The file cannot be written.
    """
    from riptide.render.sarif import rule, write_sarif

    rules = [rule(_rule(each), about, level) for each, (level, about) in _ABOUT.items()]
    write_sarif(rules, annotated(found, settings), settings, path)


def _rule(verdict: Verdict) -> str:
    return f"rls-{verdict.value}"


def annotated(found: RlsReport, settings: Settings) -> list[Annotation]:
    """Give what does not hold, for beside the lines of rls.toml that say what should."""
    from riptide.render.annotation import Annotation, fallback
    from riptide.rls.intent import read_intent

    intent = read_intent(settings.supabase_dir / "rls.toml")
    told = []
    for each, name in zip(found.checks, _names(found), strict=True):
        if each.verdict is Verdict.OK:
            continue
        what = f"{name.replace(': ', ' should be ')}; "
        if each.verdict is Verdict.UNDECLARED:
            what = ""
        by = f"; by {', '.join(each.policies)}" if each.policies else ""
        told.append(
            Annotation(
                rule=_rule(each.verdict),
                level=_ABOUT[each.verdict][0],
                name=each.table,
                kind="function" if "(" in each.table else "type",
                message=f"{what}{each.verdict.value}: {each.seen}{by}",
                sql=each.mend,
                key=f"{_rule(each.verdict)}:{each.table}:{name}",
                file=fallback(settings),
                line=_line(intent, each),
            )
        )
    return told


def _line(intent: Intent, check: RlsCheck) -> int:
    """Find the line that says what a check was held to: the key's, or else its section's."""
    for each in intent.tables:
        if each.full_name == check.table:
            names = [each.section]
            if check.actor in each.rules:
                names.insert(0, f"{each.section}.{check.actor}")
            exact = [intent.line(name, check.operation, exact=True) for name in names[:1]]
            return next(filter(None, [*exact, *map(intent.line, names)]), 1)
    return 1


def to_github(found: RlsReport, settings: Settings) -> None:
    """Tell GitHub Actions, where it is there."""
    from riptide.render import github

    if not github.in_actions():
        return
    github.annotate(annotated(found, settings))
    rows: list[list[str]] = []
    columns: list[str] = []
    for operations, cells in matrices(found):
        columns = columns or ["table", "actor", *operations]
        for (name, actor), tried in cells.items():
            shown = [
                word(worst([each for _, each in tried[operation]])) if operation in tried else "–"
                for operation in operations
            ]
            rows.append([name, actor, *shown])
    rows += [
        [each.table, "undeclared"] for each in found.failures if each.verdict is Verdict.UNDECLARED
    ]
    github.summarize("rls.verify", f"{found.target}: {found.summary}", columns, rows)
