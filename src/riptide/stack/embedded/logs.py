"""The log files of an embedded stack, read as one."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def read(sources: Mapping[str, Path], *, follow: bool) -> Iterator[str]:
    """Give the lines of log files, each marked with its service.

    Args:
        sources: The file of each service; one that is not there has no lines.
        follow: Go on until interrupted.

    Raises:
        OSError: One cannot be read.
    """
    offsets = dict.fromkeys(sources, 0)
    while True:
        for service, path in sources.items():
            for line in _new_lines(path, offsets, service):
                yield f"{service:>8} │ {line}"
        if not follow:
            return
        time.sleep(0.2)


def _new_lines(path: Path, offsets: dict[str, int], key: str) -> list[str]:
    """Give the whole lines that were added since the last call; a truncated file starts again."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < offsets[key]:
                offsets[key] = 0
            file.seek(offsets[key])
            data = file.read()
    except FileNotFoundError:
        return []
    whole = data[: data.rfind(b"\n") + 1]
    offsets[key] += len(whole)
    return whole.decode("utf-8", "replace").splitlines()
