"""A mutation of Row Level Security, as a person sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from riptide.render import lines, show, table
from riptide.results.mutation import Fate

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.results.mutation import MutationReport
    from riptide.settings import Settings

_STYLES = {Fate.KILLED: "green", Fate.EQUIVALENT: "", Fate.SURVIVED: "bold red"}


def report(found: MutationReport, *, every: bool = False) -> None:
    """Print how many mutants of each kind were noticed, the survivors, and the score.

    Args:
        found: All mutants.
        every: Also each mutant with what noticed it.
    """
    counts = table("mutant", "killed", "equivalent", "survived")
    for column in counts.columns[1:]:
        column.justify = "right"
    for kind in sorted({each.kind for each in found.mutants}):
        of_it = [each for each in found.mutants if each.kind == kind]
        cells = []
        for fate in Fate:
            number = sum(each.fate is fate for each in of_it)
            cells.append(Text(str(number or "·"), style=_STYLES[fate] if number else "dim"))
        counts.add_row(kind, *cells)
    show(counts)
    chosen = found.mutants if every else found.survivors
    if chosen:
        listed = table("table", "mutant", "fate", "what noticed it, or why nobody can")
        for each in chosen:
            word = Text(each.fate.value, style=_STYLES[each.fate])
            listed.add_row(each.table, each.sentence, word, each.why or "nothing")
        show(Text(""), listed)
    for each in found.survivors:
        lines(["", f"survived: {each.table}: {each.sentence}", f"  {each.sql};"])
    lines(["", f"{found.summary} ({found.seconds:.0f} s)"])


def junit(found: MutationReport, settings: Settings, path: Path) -> None:
    """Write a report as JUnit XML: a suite for each table, a case for each mutant.

    Survivors are failures; that a mutant is equivalent, and why, stands in its output.

    Raises:
        ConfigError: The file cannot be written.
    """
    from riptide.render.junit import Case, write_junit

    suites: dict[str, list[Case]] = {}
    for each in found.mutants:
        survived = each.fate is Fate.SURVIVED
        suites.setdefault(each.table, []).append(
            Case(
                name=f"{each.kind}: {each.sentence}",
                failure="nobody noticed it" if survived else "",
                kind=each.kind,
                details=f"{each.sql};" if survived else "",
                output="" if survived else f"{each.fate.value}: {each.why}",
                seconds=each.seconds,
            )
        )
    write_junit("rls.mutate", suites, settings, path)
