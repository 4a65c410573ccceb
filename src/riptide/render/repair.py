"""What a person sees of `migrate.repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.render import plural, show

if TYPE_CHECKING:
    from riptide.results import HistoryDiagnosis, RepairResult


def diagnosis(found: HistoryDiagnosis) -> None:
    """Print each problem with its cause and the commands that mend it."""
    from rich.text import Text

    for each in found.problems:
        show(Text.assemble((f"{each.cause.value}: ", "bold yellow"), each.message))
        for number, command in enumerate(each.commands):
            label = "next:  " if not number else "       "
            show(Text.assemble((label, "bold green"), command))
        show("")
    show(f"{found.target}: {found.summary}")


def repaired(result: RepairResult) -> None:
    """Print what the history says now."""
    for version in result.versions:
        show(
            f"  {version} is recorded as {'applied' if result.status == 'applied' else 'reverted'}"
        )
    number = plural(len(result.versions), "version")
    show(f"{result.target}: {number} repaired; the schema is as it was")
