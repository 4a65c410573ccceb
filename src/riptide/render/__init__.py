"""What a person sees: the only module that knows about a terminal.

On a terminal there is colour and a spinner; piped, there are plain lines and no control codes.
Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

    from riptide.errors import RiptideError
    from riptide.results import (
        Result,
        StackStatus,
        UpResult,
    )

# C0 but for tabs and the ends of lines, DEL and C1, and what turns the direction of writing: a
# database's messages and the names of files may hold any.
_CONTROL = dict.fromkeys(
    {*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {9, 10}
)
# Columns of what is piped, where nobody says how wide the reader is.
_PIPED_WIDTH = 160
# Columns below which a table is not squeezed: its cells would be a letter or two wide.
_NARROWEST = 60


def console(*, stderr: bool = False) -> Console:
    """Give a console for stdout or stderr."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, emoji=False, markup=False)


def show(*parts: RenderableType) -> None:
    """Print on stdout; piped, without the spaces that a table fills its columns with.

    What needs no colour and no columns is given on in one piece: rich takes 1 ms for each.
    """
    if _plain(sys.stdout) and all(isinstance(part, str) for part in parts):
        lines([str(part) for part in parts])
        return
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not out.is_terminal:
        for is_bare, group in groupby(parts, lambda part: isinstance(part, (str, Text))):
            if is_bare:
                lines([str(part) for part in group])
                continue
            with out.capture() as captured:
                for part in group:
                    out.print(part)
            lines([line.rstrip() for line in captured.get().splitlines()])
        return
    out.width = max(out.width, _NARROWEST)  # of a narrower one the terminal wraps the lines
    # Where colours are asked for and it is a pipe, rich itself would end the program with it.
    with nullcontext() if out.file.isatty() else out.capture() as piped:
        for is_bare, group in groupby(parts, lambda part: isinstance(part, str)):
            each = list(group)
            for part in ["\n".join(_clean(str(line)) for line in each)] if is_bare else each:
                out.print(part, soft_wrap=not isinstance(part, Table))
    if piped is not None:
        _write(piped.get(), out.file)


def _plain(stream: IO[str]) -> bool:
    """Whether a stream gets plain lines: what rich would say, without the 30 ms to import it."""
    if stream.isatty() or os.environ.get("FORCE_COLOR"):
        return False
    return os.environ.get("TTY_COMPATIBLE") != "1"


def styled(*parts: str | tuple[str, str]) -> Text | str:
    """Join words, some of them with their style, for stdout."""
    if _plain(sys.stdout):
        return "".join(part if isinstance(part, str) else part[0] for part in parts)
    from rich.text import Text

    return Text.assemble(*parts)


def as_json(result: Result, **more: object) -> None:
    """Print a result, and ``more`` beside its fields, as one JSON object."""
    body = {**result.to_dict(), **more}
    _write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")


def lines(texts: list[str]) -> None:
    """Print lines as they are, but for control characters."""
    _write("".join(f"{_clean(text)}\n" for text in texts))


def _clean(text: str) -> str:
    """Leave out what a terminal, or the log of a CI, would take for a command."""
    return text.translate(_CONTROL)


def _write(text: str, stream: IO[str] | None = None) -> None:
    """Write on a stream, by default stdout; where its reader has seen enough, nowhere.

    Raises:
        RiptideError: It cannot be written; what was done stays done.
    """
    try:
        (stream or sys.stdout).write(text)
    except BrokenPipeError:
        discard(stream or sys.stdout)
    except OSError as error:  # said here: the stream drops what it could not write, and is well
        from riptide._oserror import unprinted

        raise unprinted(error) from error


def tell(text: str) -> None:
    """Write on stderr. Nobody need read it: what cannot be written there ends no work."""
    try:
        sys.stderr.write(f"{_clean(text)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        discard(sys.stderr)


def discard(stream: IO[str]) -> None:
    """Send what is left for a stream nowhere: Python would fail once more at its end."""
    with suppress(OSError, ValueError, AttributeError):  # it may be no file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def note(text: str) -> None:
    """Print on stderr what a person should know before the result."""
    tell(f"note: {text}")


def error(problem: RiptideError) -> None:
    """Print an error in its form on stderr."""
    if _plain(sys.stderr):
        tell(str(problem))
        return
    from rich.text import Text

    text = Text(_clean(str(problem)))
    text.highlight_regex(r"\Aerror:", "bold red")
    text.highlight_regex(r"(?m)^state:", "bold")
    text.highlight_regex(r"(?m)^next: ", "bold green")
    console(stderr=True).print(text, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Give a function that says what is being done now.

    On a terminal a spinner with the phrase and the seconds, gone when it is over; else a line.
    """
    if _plain(sys.stderr) or not console(stderr=True).is_terminal:
        began = time.monotonic()

        def plain(phrase: str) -> None:
            tell(f"[{time.monotonic() - began:5.1f} s] {phrase}")

        yield plain
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console(stderr=True),
        transient=True,
    ) as bar:
        spinner = bar.add_task("", total=None, visible=False)
        yield lambda phrase: bar.update(spinner, description=_clean(phrase), visible=True)


def table(*columns: str) -> Table:
    """Give an empty table with these columns."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _facts(rows: list[tuple[str, str]]) -> Text | str:
    """Give names and values, a line each. The terminal wraps them: a path copied is a path."""
    shown = [(name, value) for name, value in rows if value]
    width = max(len(name) for name, _ in shown) + 2
    if _plain(sys.stdout):
        indent = "\n" + " " * width
        return "\n".join(name.ljust(width) + value.replace("\n", indent) for name, value in shown)
    from rich.text import Text

    text = Text()
    for name, value in shown:
        text.append(name.ljust(width), style="bold")
        text.append(value.replace("\n", "\n" + " " * width) + "\n")
    text.rstrip()
    return text


def plural(number: int, noun: str) -> str:
    """Give ``1 table``, ``2 tables``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def seconds(number: float) -> str:
    """Give seconds for a person: ``1.2 s``, ``3.4 min``."""
    return f"{number:.1f} s" if number < 100 else f"{number / 60:.1f} min"


# --- stack ---------------------------------------------------------------------------------------


def stack(status: StackStatus, *, verb: str = "") -> None:
    """Print the stack: where it answers and what runs."""
    state = "running" if status.running else "stopped"
    if not status.running and (status.pids or any(status.services.values())):
        up = ", ".join(name for name, is_up in status.services.items() if is_up)
        what = f"only {up} is up" if up else "nothing answers"
        state = f"broken: {what} (inv stack.start mends it)"
    rows = [("stack", state), ("backend", _backend(status))]
    if status.running:
        versions = ", ".join(f"{name} {version}" for name, version in status.versions.items())
        rows += [
            ("API", status.api_url),
            ("database", status.db_url),
            ("versions", versions),
            ("keys", "inv stack.status --env"),
        ]
    rows.append(("note", status.note))
    if verb:
        rows.append((verb, f"in {seconds(status.seconds)}"))
    show(_facts(rows))


def _backend(status: StackStatus) -> str:
    return f"{status.backend} ({status.reason})" if status.reason else status.backend


def environment(variables: dict[str, str]) -> None:
    """Print variables as ``NAME="value"`` lines, as ``supabase status -o env`` does."""
    lines([f'{name}="{value}"' for name, value in variables.items()])


def log(entries: Iterator[str]) -> None:
    """Print log lines as they come, until their reader has seen enough."""
    try:
        for entry in entries:
            sys.stdout.write(f"{entry}\n")
            sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)


# --- all of it -----------------------------------------------------------------------------------


def up(result: UpResult) -> None:
    """Print the short table that ``inv up`` ends with."""
    names = [name.removesuffix(".sql") for name in result.push.applied]
    applied = "nothing: up to date" if not names else "\n".join(names)
    if not result.rls.checks:
        verdict = result.rls.summary
    else:
        verdict = f"{'proved' if result.rls.ok else 'NOT PROVED'}: {result.rls.summary}"
    rows = [
        ("stack", result.stack.api_url),
        ("database", result.stack.db_url),
        ("backend", _backend(result.stack)),
        ("applied", applied),
        ("RLS", verdict),
        ("note", result.stack.note),
        ("time", seconds(result.seconds)),
    ]
    show(_facts(rows))
    if result.push.edited:
        from riptide.render.migrations import edited_too_late

        show(*map(edited_too_late, result.push.edited))
    if not result.changed and result.rls.ok:
        show("everything was up already; nothing was changed")
