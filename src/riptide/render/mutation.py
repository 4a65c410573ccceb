"""A mutation of Row Level Security, as a person sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from riptide.render import lines, show, table
from riptide.results.mutation import Fate

if TYPE_CHECKING:
    from riptide.results.mutation import MutationReport

_STYLES = {Fate.KILLED: "green", Fate.EQUIVALENT: "", Fate.SURVIVED: "bold red"}


def mutation(report: MutationReport, *, every: bool = False) -> None:
    """Print how many mutants of each kind were noticed, the survivors, and the score.

    Args:
        report: All mutants.
        every: Also each mutant with what noticed it.
    """
    counts = table("mutant", "killed", "equivalent", "survived")
    for column in counts.columns[1:]:
        column.justify = "right"
    for kind in sorted({each.kind for each in report.mutants}):
        of_it = [each for each in report.mutants if each.kind == kind]
        cells = []
        for fate in Fate:
            number = sum(each.fate is fate for each in of_it)
            cells.append(Text(str(number or "·"), style=_STYLES[fate] if number else "dim"))
        counts.add_row(kind, *cells)
    show(counts)
    chosen = report.mutants if every else report.survivors
    if chosen:
        listed = table("table", "mutant", "fate", "what noticed it, or why nobody can")
        for each in chosen:
            word = Text(each.fate.value, style=_STYLES[each.fate])
            listed.add_row(each.table, each.sentence, word, each.why or "nothing")
        show(Text(""), listed)
    for each in report.survivors:
        lines(["", f"survived: {each.table}: {each.sentence}", f"  {each.sql};"])
    lines(["", f"{report.summary} ({report.seconds:.0f} s)"])
