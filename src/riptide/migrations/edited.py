"""Files that are edited while the Supabase CLI is at work.

Between RipTide's look under the lock and the CLI's own, which reads each file when its turn comes,
an editor or a `git pull` may write. The CLI cannot be given a copy instead: it refuses what
config.toml names (an e-mail's template) where links lead to it. So what was applied is held to what
was planned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.errors import DriftError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from riptide.results import MigrationList
    from riptide.settings import Settings

Marks = dict["Path", tuple[int, ...]]


def marks_of(found: MigrationList) -> Marks:
    """Give what tells an edit of each pending file; to be taken before they are read."""
    return {each.path: _mark(each.path) for each in found.pending if each.path}


def confirm_texts(settings: Settings, marks: Marks, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Look whether a push has applied the files as they were planned.

    Args:
        settings: The project's.
        marks: The files' before they were read.
        texts: The content of each file, by its name, as it was planned.

    Returns:
        Names of the files that were edited too late: they are applied as they were planned.

    Raises:
        DriftError: One was edited early enough.
        DatabaseError: The history cannot be read.
    """
    edited = [path for path, mark in marks.items() if _mark(path) != mark]
    # One that is gone the history tells: it lacks the version, or the file is missing here now.
    edited = [path for path in edited if _content(path) not in (None, texts[path.name].encode())]
    if not edited:
        return ()
    otherwise = _applied_otherwise(settings, edited, texts)
    if otherwise:
        raise DriftError(
            "files were edited before the CLI came to them",
            detail="\n".join(
                f"  {path.name}: {otherwise.get(path, 'edited too late, applied as planned')}"
                for path in edited
            ),
            state=f"all pending files are applied to {settings.target.name}",
            next_step="read them as they are now: that is what was applied; "
            f"inv migrate.rollback{settings.target.flag} takes it back",
        )
    return tuple(path.name for path in edited)


def _applied_otherwise(
    settings: Settings, edited: Sequence[Path], texts: Mapping[str, str]
) -> dict[Path, str]:
    """Give those whose statements in the history are not the planned ones, and what is known."""
    from riptide.database import connect, read_history
    from riptide.migrations.drift import Edit, edit_of

    if not settings.target.url:  # of a linked project the CLI does not give the statements
        return dict.fromkeys(edited, "it is not known which of both was applied")
    with connect(settings.target) as connection:
        rows = {each.version: each.statements for each in read_history(connection)}
    found = {}
    for path in edited:
        statements = rows.get(path.name.partition("_")[0])
        if statements is None:
            found[path] = "it is not known which of both was applied"
        elif edit_of(statements, texts[path.name]) is Edit.REAL:
            found[path] = "what was applied is not what was planned"
    return found


def _mark(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:  # deleted
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(path: Path) -> bytes | None:
    """Give a file's content, without the byte order mark that is left out of the planned one."""
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError:
        return None
