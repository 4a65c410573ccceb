"""Files of people's rows: nobody else may read them, and they are on the disk when that is said."""

from __future__ import annotations

import hashlib
import os
import re
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg


def copy_out(connection: psycopg.Connection, query: str, path: Path) -> tuple[int, str]:
    """Stream a query's rows into a file; give their number and the file's SHA-256.

    Raises:
        OSError: It cannot be written.
    """
    digest = hashlib.sha256()
    command = f"copy ({query}) to stdout (format csv, header, force_quote *)"
    cursor = connection.cursor()
    with private(path) as stream:
        with cursor.copy(command.encode()) as copy:
            for block in copy:
                digest.update(block)
                stream.write(block)
        to_disk(stream)
    return cursor.rowcount, digest.hexdigest()


def private(path: Path) -> IO[bytes]:
    """Open a file for its owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")


def to_disk(stream: IO[bytes]) -> None:
    """Wait until what was written is on the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def folder_to_disk(folder: Path) -> None:
    """Wait until a folder's new names are on the disk."""
    if os.name != "posix":  # Windows has no such call for folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def plain(name: str) -> str:
    """Give a name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80]
