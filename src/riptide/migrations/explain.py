"""The Supabase CLI's words about a push that failed, turned into an error with file and line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from riptide.errors import MigrationError
from riptide.migrations.sql import line_of, split

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.cli import Answer
    from riptide.settings import Settings

_SQLSTATE = re.compile(r"\(SQLSTATE ([0-9A-Z]{5})\)")

# What a deferred constraint or its trigger raises. The server checks them at the commit, and the
# CLI takes that for a failure of its last statement.
_AT_THE_END = ("23", "P0001")

# What the CLI itself runs after a file's statements.
_RECORD = re.compile(r"INSERT INTO supabase_migrations\.schema_migrations\b")

# The connection, a deadlock, resources, the server's end: no edit of the file would help
# (https://www.postgresql.org/docs/17/errcodes-appendix.html).
NOT_THE_FILE = ("08", "40", "53", "57P", "58")


def database_error(answer: Answer, what: str, *, state: str, next_step: str) -> MigrationError:
    """Give the error for something that failed and is no migration of this push."""
    first, _, rest = answer.error_message.partition("\n")
    code = _SQLSTATE.search(first)
    return MigrationError(
        f"{what} failed: {first.removeprefix('ERROR: ')}",
        sqlstate=code[1] if code else None,
        detail="\n".join(f"  {line}" for line in rest.splitlines()[:8]) or None,
        state=state,
        next_step=next_step,
    )


def explain(
    message: str, text: str, path: Path, settings: Settings, *, state: str, next_step: str
) -> MigrationError:
    """Turn the CLI's words about a file that failed into an error with its line.

    The CLI says ``ERROR: <words> (SQLSTATE <code>)``, details, ``At statement: <0-based>``, the
    statement's text and, where PostgreSQL gave a position, a caret below the line.

    Args:
        message: The CLI's words.
        text: The file's content.
        path: The file.
        settings: The project's.
        state: What state things are in.
        next_step: What to do.
    """
    head, marker, quoted = message.partition("\nAt statement: ")
    first, _, details = head.partition("\n")
    code = _SQLSTATE.search(first)
    words = _SQLSTATE.sub("", first).strip().removeprefix("ERROR: ")
    line: int | None = None
    statement: str | None = None
    excerpt = ""
    if marker:
        number, _, body = quoted.partition("\n")
        if _RECORD.match(body.lstrip()):
            if code and code[1].startswith(_AT_THE_END) and "schema_migrations" not in first:
                return _not_committed(words, code[1], details, path, state, next_step)
            return _not_recorded(words, code, path, settings, state=state)
        lines = body.splitlines()
        caret = len(lines[-1]) - 1 if lines and re.fullmatch(r"\s*\^", lines[-1]) else None
        statement = "\n".join(lines[:-1] if caret is not None else lines)
        start, code_line, indent = _place(text, statement, number)
        within = len(lines) - 2 if caret is not None else 0
        line = start + within if caret is not None else code_line
        source = text.splitlines()
        if 0 < line <= len(source):
            shown = source[line - 1].replace("\t", " ")  # one column each, or the caret is off
            excerpt = f"{line:>4} │ {shown}"
            if caret is not None:
                # The CLI counts from where the statement begins, which may be after another one.
                excerpt += f"\n     │ {' ' * (caret + (0 if within else indent))}^"
    where = settings.relative(path).removeprefix("supabase/migrations/")
    suffix = f" ({code[1]})" if code else ""
    detail = "\n".join(filter(None, (excerpt, *(f"     {each}" for each in details.splitlines()))))
    return MigrationError(
        f"{where}{f':{line}' if line else ''}: {words}{suffix}",
        file=path,
        line=line,
        sqlstate=code[1] if code else None,
        statement=statement,
        detail=detail or None,
        state=state,
        next_step=next_step,
    )


def _not_committed(
    words: str, code: str, details: str, path: Path, state: str, next_step: str
) -> MigrationError:
    """Give the error for a constraint that waited for the end; which statement broke it is lost."""
    return MigrationError(
        f"when {path.name} was committed: {words} ({code})",
        file=path,
        sqlstate=code,
        detail="\n".join(f"     {each}" for each in details.splitlines()) or None,
        state=state,
        next_step=next_step,
    )


def _not_recorded(
    words: str, code: re.Match[str] | None, path: Path, settings: Settings, *, state: str
) -> MigrationError:
    """Give the error for a file whose statements all ran, and whose history row was refused."""
    return MigrationError(
        f"{path.name} ran, and the CLI could not record it: {words}"
        + (f" ({code[1]})" if code else ""),
        file=path,
        sqlstate=code[1] if code else None,
        state=state,
        next_step=f"end {settings.relative(path)} as the role that it began as (`reset role`), and "
        "leave the schema supabase_migrations alone",
    )


def _place(text: str, statement: str, number: str) -> tuple[int, int, int]:
    """Give the lines on which a statement and its first word stand, and the column it begins in."""
    statements = split(text)
    index = int(number) if number.strip().isdigit() else -1
    found = statements[index] if 0 <= index < len(statements) else None
    if found is None or not found.text.startswith(statement[:40].strip()):
        same = [each for each in statements if each.text.startswith(statement.strip()[:200])]
        found = same[0] if same else found
    if found is None:
        return 1, 1, 0
    column = found.offset - (text.rfind("\n", 0, found.offset) + 1)
    return line_of(text, found.offset), line_of(text, found.code_offset), column
