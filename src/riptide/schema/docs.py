"""The database described in Markdown: a diagram, and each table, column, policy and function."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from riptide.errors import ConfigError
from riptide.schema.outputs import some

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from riptide.results import GeneratedFile
    from riptide.runner import Runner
    from riptide.settings import Settings

USUAL = "docs/schema.md"
_BEGIN = (
    "<!-- begin of what `inv db.docs` writes, from the catalog and its comments: do not edit -->"
)
_END = "<!-- end of what `inv db.docs` writes -->"


def generate_docs(
    *,
    settings: Settings | None = None,
    output: Path | str | None = None,
    schemas: Sequence[str] = (),
    check: bool = False,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> GeneratedFile:
    """Write a Mermaid diagram, and a sentence on each table, column, policy and function.

    The sentences are those of ``comment on``
    (https://www.postgresql.org/docs/17/sql-comment.html). They stand between two lines of the
    file; what is before and after those is left as it is.

    Args:
        settings: The project's; by default those of the current folder.
        output: The file; else ``output`` in ``[tool.riptide.docs]`` of ``pyproject.toml``; else
            ``docs/schema.md``.
        schemas: Which schemas; else ``schemas`` there; else every one that is the project's own.
        check: Only say whether the file is current.
        runner: Asks the local stack whether it runs; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: A setting cannot be used, there is no such schema, the file is there without
            the two lines, it cannot be written, or the target is the linked project, whose
            password only the CLI has.
        StackError: The target is local, and this project's own stack does not run.
        DatabaseError: The database cannot be reached.
    """
    from riptide.database import connect
    from riptide.migrations.push import require_local_stack
    from riptide.schema.described import describe, require_schemas
    from riptide.schema.markdown import document, uncommented
    from riptide.schema.outputs import choose_output, hold_to, read_present
    from riptide.settings import Settings
    from riptide.target import require_url

    began = time.monotonic()
    settings = settings or Settings.load()
    require_url(settings.target)
    chosen = choose_output("docs", settings, output=output, schemas=schemas, usual=USUAL)
    present = read_present(chosen.path)
    before, after = _around(present, chosen.path)
    require_local_stack(settings, runner)
    if progress is not None:
        progress("reading the catalog")
    with connect(settings.target) as connection:
        require_schemas(connection, chosen.schemas)
        found = describe(connection, chosen.schemas)
    text = f"{before}{_BEGIN}\n\n{document(found)}\n\n{_END}{after}"
    return hold_to(
        text,
        present,
        chosen.path,
        settings,
        check=check,
        notes=_notes(uncommented(found)),
        seconds=time.monotonic() - began,
    )


def _around(present: str | None, path: Path) -> tuple[str, str]:
    """Give what stands before and after the generated part.

    Raises:
        ConfigError: The file is there, and does not say where that part is.
    """
    if present is None or not present.strip():
        return "# The schema\n\n", "\n"
    before, begin, rest = present.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if begin and end and _BEGIN not in rest and _END not in after:
        return before, after
    raise ConfigError(
        f"{path} is there, and does not say where the generated part goes",
        detail=f"  {_BEGIN}\n  {_END}",
        next_step="put these two lines into it, once each, or name another file: --output",
    )


def _notes(names: list[str]) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"without a comment: {some(names)}",)
