"""What a person sees of `migrate.diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.render import plural, seconds, show

if TYPE_CHECKING:
    from riptide.results import DiffResult
    from riptide.settings import Settings


def diff(found: DiffResult, settings: Settings) -> None:
    """Print the files, what they do not cover, and how to go on."""
    from rich.text import Text

    if not found.changed:
        show(f"{found.target}: nothing was changed by hand; nothing written")
        return
    if found.path is not None and found.rollback_path is not None:
        show(f"wrote {settings.relative(found.path)}")
        show(f"  and {settings.relative(found.rollback_path)}")
    for title, lines in (
        ("the database has what the migration does not make:", found.not_covered),
        ("the rollback does not put back:", found.not_taken_back),
        ("the migration may not run twice:", (found.not_twice,) if found.not_twice else ()),
    ):
        if lines:
            show(Text.assemble(("warning: ", "yellow"), title))
            for line in lines:
                show(f"  {line}")
    for each in found.findings:
        if each.hazard:
            show(Text.assemble(("warning: ", "yellow"), f"line {each.line}: {each.message}"))
    if found.path is None:
        show("nothing was written: write it by hand (inv migrate.new <name>)")
        return
    show(
        f"{plural(found.statements, 'statement')}, tried on a scratch database, "
        f"in {seconds(found.seconds)}"
    )
    show(Text.assemble(("next:  ", "bold green"), "read it; this database has the change already:"))
    show(f"       {found.next_step}")
