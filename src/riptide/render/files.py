"""Reports that are written to a file, for a CI server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from riptide.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from riptide.settings import Settings

# What XML 1.0 cannot hold: https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Give a text with a mark in place of each character that XML cannot hold."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def write_report(path: Path, settings: Settings, write: Callable[[], object]) -> None:
    """Write a report, in a folder that is made where it is not there.

    Args:
        path: The file.
        settings: The project's: folders are made in it only, elsewhere a slip would litter.
        write: What writes it.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        if settings.root in path.resolve().parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        write()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}",
            state="the checks were carried out",
            next_step=f"mkdir -p {path.parent}, or another file",
        ) from error
