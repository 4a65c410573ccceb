"""Reading a project's TOML file, with the line of what is wrong and no value shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from riptide.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def read_toml(path: Path, name: str = "") -> tuple[str, dict[str, Any]]:
    """Give a file of ``supabase/``: its text and what it says.

    Args:
        path: The file.
        name: What a person calls it, where it is not in ``supabase/``.

    Raises:
        ConfigError: It is not there or cannot be read, is not UTF-8, or is not TOML.
    """
    import tomllib

    where = name or f"supabase/{path.name}"
    try:
        # Editors on Windows write a byte order mark, which is none of TOML's characters.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{where} is not UTF-8 (byte {error.start})",
            state="nothing was tried",
            next_step=f"mend {path}",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{where} cannot be read: {error.strerror}", state="nothing was tried"
        ) from error
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _malformed(where, path, text, str(error)) from error


def _malformed(where: str, path: Path, text: str, reason: str) -> ConfigError:
    found = re.search(r"\(at line (\d+), column (\d+)\)", reason)
    lines = text.splitlines()
    # "at end of document" is the other form: the last line is the one to look at.
    line = int(found[1]) if found else max(len(lines), 1)
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    # Keys may stand in such a file: the name before the equals sign is all that is shown.
    shown = re.sub(r"=.*", "= …", shown)
    words = re.sub(r"\s*\(at .*\)$", "", reason)
    return ConfigError(
        f"{where}:{line}: not valid TOML: {words}",
        detail=f"  {line:>4} │ {shown}" if shown else None,
        state="nothing was tried",
        next_step=f"mend {path}",
    )
