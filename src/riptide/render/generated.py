"""What a person sees of `db.types` and `db.docs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.render import seconds, show

if TYPE_CHECKING:
    from riptide.results import GeneratedFile
    from riptide.settings import Settings

_LINES = 40  # of a difference; the file itself has them all


def generated(made: GeneratedFile, settings: Settings, *, command: str) -> None:
    """Print what became of the file; of one that is not current, what is different.

    Args:
        made: What was made.
        settings: The project's.
        command: What writes it.
    """
    from rich.text import Text

    name = settings.relative(made.path.resolve())
    if made.current:
        show(f"{name} is current: {made.target}")
    elif made.written:
        show(f"wrote {name}, from {made.target}, in {seconds(made.seconds)}")
    if made.ok:
        # Of a file that was there already they have been told, when it was written.
        for note in made.notes if made.written else ():
            show(Text.assemble(("note: ", "yellow"), note))
        return
    lines = made.diff.splitlines()
    for line in lines[:_LINES]:
        show(Text(line, style=_style(line)))
    if len(lines) > _LINES:
        show(f"… {len(lines) - _LINES} more lines")
    show(Text.assemble((f"{name} is not current", "bold red"), f": {made.target}"))
    show(Text.assemble(("next:  ", "bold green"), command))


def _style(line: str) -> str:
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
