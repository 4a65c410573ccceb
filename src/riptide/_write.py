"""Files that are whole or not there: written beside their place, and renamed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Args:
        path: Where it goes.
        text: What is to be in it.
        mode: Its permissions; by default those of the file that is there, else the usual ones.

    Raises:
        OSError: It cannot be written, with ``path`` as its file; the one before it is untouched.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.touch(mode=0o666 if mode is None else mode)
        beside.write_text(text, encoding="utf-8")
        if mode is None:
            with suppress(FileNotFoundError):
                shutil.copymode(path, beside)
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        raise
