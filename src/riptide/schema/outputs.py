"""Where a generated file goes, what is in it now, and how it is written."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riptide._write import write_whole
from riptide.errors import ConfigError
from riptide.results.generated import GeneratedFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from riptide.settings import Settings

# https://packaging.python.org/en/latest/specifications/pyproject-toml/#tool-table
TABLE = "tool.riptide"
_SECTIONS = ("types", "docs")
_KEYS = ("output", "schemas")

_NAMED = 8  # in a note


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a call and ``pyproject.toml`` say about a file that is to be made.

    Attributes:
        path: The file.
        schemas: Which schemas it is about; empty where nobody has said.
    """

    path: Path
    schemas: tuple[str, ...] = ()


def choose_output(
    section: str,
    settings: Settings,
    *,
    output: Path | str | None,
    schemas: Sequence[str],
    usual: str,
) -> Output:
    """Give the file that is meant: the caller's word, then ``pyproject.toml``'s, then the usual.

    Args:
        section: ``types`` or ``docs``: what stands in ``[tool.riptide.<section>]``.
        settings: The project's.
        output: The caller's file, or ``None``.
        schemas: The caller's schemas; empty for none said.
        usual: The file where nobody has said one, from the project's folder.

    Raises:
        ConfigError: ``pyproject.toml`` cannot be read, or says something that is not known.
    """
    said = _said(section, settings)
    return Output(
        path=Path(output) if output is not None else settings.root / said.get("output", usual),
        schemas=tuple(dict.fromkeys(schemas or said.get("schemas", ()))),
    )


def _said(section: str, settings: Settings) -> dict[str, Any]:
    from riptide._toml import read_toml

    path = settings.root / "pyproject.toml"
    if not path.is_file():
        return {}
    _, data = read_toml(path, path.name)
    tool = data.get("tool", {})
    tables = tool.get("riptide", {}) if isinstance(tool, dict) else {}
    _refuse_unknown(tables, _SECTIONS, TABLE)
    table = tables.get(section, {})
    _refuse_unknown(table, _KEYS, f"{TABLE}.{section}")
    output, schemas = table.get("output", ""), table.get("schemas", [])
    if not isinstance(output, str) or ("output" in table and not output.strip()):
        raise _wrong(section, "output", "a file's name")
    if not isinstance(schemas, list) or not all(isinstance(each, str) for each in schemas):
        raise _wrong(section, "schemas", "a list of names")
    return dict(table)


def _refuse_unknown(table: object, known: Sequence[str], name: str) -> None:
    if not isinstance(table, dict):
        raise ConfigError(f"pyproject.toml: {name} is not a table")
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(
            f"pyproject.toml: [{name}] has {unknown[0]!r}, which means nothing",
            detail=f"  It takes {' and '.join(known)}.",
        )


def _wrong(section: str, key: str, wanted: str) -> ConfigError:
    return ConfigError(f"pyproject.toml: [{TABLE}.{section}] {key} must be {wanted}")


def some(names: Sequence[str]) -> str:
    """Give names for a note: the first of them, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def read_present(path: Path) -> str | None:
    """Give what is in the file, or ``None`` where there is none.

    Raises:
        ConfigError: It cannot be read as UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(
            f"{path} cannot be read: {reason}", next_step="another file: --output"
        ) from error


def hold_to(
    wanted: str,
    present: str | None,
    path: Path,
    settings: Settings,
    *,
    check: bool,
    notes: tuple[str, ...],
    seconds: float,
) -> GeneratedFile:
    """Compare a file with what it is to be, and write it unless it is only checked.

    Args:
        wanted: What is to be in it.
        present: What is, or ``None``.
        path: The file.
        settings: The project's: folders are made in it only, elsewhere a slip would litter.
        check: Whether it stays as it is.
        notes: What a person should know.
        seconds: What it took until now.

    Raises:
        ConfigError: It cannot be written.
    """
    current = present == wanted
    if not current and not check:
        try:
            if settings.root in path.resolve().parents:
                path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path.resolve(), wanted)  # the file that a link leads to, not the link
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}",
                state="nothing was written",
                next_step=f"mkdir -p {path.parent}, or another file: --output",
            ) from error
    name = Path(settings.relative(path.resolve())).as_posix()
    diff = difflib.unified_diff(
        (present or "").splitlines(), wanted.splitlines(), name, f"{name} (the database)", "", "", 1
    )
    return GeneratedFile(
        target=settings.target.name,
        path=path,
        current=current,
        written=not current and not check,
        diff="" if current else "\n".join(line.rstrip("\n") for line in diff),
        notes=notes,
        seconds=seconds,
    )
