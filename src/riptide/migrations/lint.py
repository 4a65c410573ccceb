"""squawk: what a migration would do to a database that is in use.

A linter for PostgreSQL migrations (https://squawkhq.com), Apache-2.0 or MIT, one native program in
a Python wheel. A project's own ``.squawk.toml`` and its ``-- squawk-ignore`` comments are honoured.
"""

from __future__ import annotations

import codecs
import json
import re
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riptide.errors import ConfigError, MigrationError, ToolNotFoundError
from riptide.migrations.files import read_sql
from riptide.migrations.sql import Statement, line_of, split
from riptide.results.lint import Finding, Hazard
from riptide.runner import mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from riptide.runner import Completed, Runner
    from riptide.settings import Settings

CONFIG = ".squawk.toml"
# Files a run: Windows takes a command line of 32,767 characters, macOS one of 1 MB.
_AT_ONCE = 300 if sys.platform == "win32" else 2000
_BINARY = "squawk.exe" if sys.platform == "win32" else "squawk"

# What squawk is told, unless the project's own file says something about it.
_DEFAULTS = {
    "assume_in_transaction": "--assume-in-transaction",  # as the Supabase CLI runs a file
    "pg_version": "--pg-version=17.0",
}

# A push sets lock_timeout for the CLI's session, so no file has to. Left out here and not with
# --exclude, which would put the project's own excluded_rules out of force.
_POINTLESS = frozenset(
    {"require-lock-timeout", "require-statement-timeout", "require-timeout-settings"}
)

_DATA = frozenset(
    {
        "ban-drop-column",
        "ban-drop-database",
        "ban-drop-schema",
        "ban-drop-table",
        "ban-truncate-cascade",
    }
)
# These take columns with them where they cascade.
_DATA_IN_CASCADE = frozenset({"ban-drop-domain", "ban-drop-extension", "ban-drop-type"})
_LOCK = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-serial-primary-key-field",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "prefer-repack",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
        "require-concurrent-partition-detach",
        "require-concurrent-reindex",
    }
)

_NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.DOTALL)
_WHERE = re.compile(r"\bwhere\b", re.IGNORECASE)
_CASCADE = re.compile(r"\bcascade\b", re.IGNORECASE)
_GLOB = re.compile(r"([\[\]*?])")


def lint(
    files: Sequence[Path],
    settings: Settings,
    runner: Runner,
    *,
    read: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """Ask squawk about migrations, and look for what it has no rule for.

    A file that cannot be read as UTF-8 is passed over: who applies it says so with its line.

    Args:
        files: The migrations, in the order of the answer.
        settings: The project's.
        runner: Runs squawk; some milliseconds for hundreds of files.
        read: What is known of their content, by their names.

    Raises:
        ToolNotFoundError: squawk is not installed for this Python.
        ConfigError: The project's ``.squawk.toml`` cannot be used.
        CommandError: squawk failed in some other way.
    """
    texts: dict[Path, str] = {}
    for path in files:
        try:
            known = (read or {}).get(path.name)
            texts[path] = read_sql(path, settings) if known is None else known
        except MigrationError:
            continue
    if not texts:
        return ()
    found: list[Finding] = []
    folders = {folder: _shown(folder, settings) for folder in {path.parent for path in texts}}
    names = {f"{folders[path.parent]}/{path.name}": path for path in texts}
    for said in _squawk(list(names), settings, runner):
        about = names.get(Path(str(said["file"])).as_posix())
        if about is not None and said["rule_name"] not in _POINTLESS:
            found.append(_finding(said, about, texts[about]))
    for path, text in texts.items():
        found += _own(path, text)
    order = {path: number for number, path in enumerate(texts)}
    return tuple(sorted(found, key=lambda each: (order[each.file], each.line, each.column)))


def find_squawk() -> Path:
    """Find squawk beside this Python, else in the PATH; it is never imported.

    Raises:
        ToolNotFoundError: It is not there.
    """
    from importlib import metadata

    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if found := shutil.which(_BINARY, path=str(folder)):
            return Path(found)
    try:
        installed = metadata.files("squawk-cli") or []
    except metadata.PackageNotFoundError:
        installed = []
    for each in installed:  # `pip install --target` and the like
        if each.name == _BINARY and (path := Path(str(each.locate()))).is_file():
            return path
    if found := shutil.which(_BINARY):
        return Path(found)
    raise ToolNotFoundError(
        "squawk, which lints migrations, is not installed for this Python",
        detail=f"  {sys.executable}",
        state="nothing was linted",
        next_step="pip install squawk-cli",
    )


def squawk_argv(binary: Path, names: Sequence[str], settings: Settings) -> list[str]:
    """Give the command line for some files, named from the project's folder.

    Raises:
        ConfigError: The project's ``.squawk.toml`` is not TOML.
    """
    given = _own_settings(settings)
    return [
        str(binary),
        "--reporter=json",
        *(flag for key, flag in _DEFAULTS.items() if key not in given),
        # squawk takes patterns; a name is to mean itself.
        *(_GLOB.sub(r"[\1]", name) for name in names),
    ]


def _squawk(names: list[str], settings: Settings, runner: Runner) -> Iterator[dict[str, Any]]:
    binary = find_squawk()
    for start in range(0, len(names), _AT_ONCE):
        argv = squawk_argv(binary, names[start : start + _AT_ONCE], settings)
        # In the project's folder: that is where it looks for .squawk.toml.
        yield from _read(runner.run(argv, cwd=settings.root, timeout=60))


def _own_settings(settings: Settings) -> dict[str, Any]:
    path = settings.root / CONFIG
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{CONFIG} cannot be read: {error}", state="nothing was linted") from None


def _read(completed: Completed) -> list[dict[str, Any]]:
    """Read what squawk printed; it exits with 1 where it has found something."""
    try:
        said = json.loads(completed.stdout)
    except ValueError:
        said = None
    if isinstance(said, list):
        return said
    words = mask(completed.stderr).strip().partition("\n\nStack backtrace")[0]
    first = words.splitlines()[0] if words else f"it exited with {completed.exit_code}"
    if first.startswith("Configuration error: "):
        raise ConfigError(
            f"squawk cannot use {CONFIG}: {first.removeprefix('Configuration error: ')}",
            state="nothing was linted",
            next_step="https://squawkhq.com/docs/cli says what may stand in it",
        )
    raise completed.error(
        f"squawk failed: {first}",
        state="nothing was linted",
    )


def _finding(said: dict[str, Any], path: Path, text: str) -> Finding:
    """Turn squawk's words, whose lines count from 0 and columns in bytes, into a finding."""
    row, rule = int(said["line"]), str(said["rule_name"])
    source = text.split("\n")
    line = source[row] if row < len(source) else ""
    # A byte order mark is left out of `text`, and counted by squawk.
    marked = row == 0 and path.stat().st_size == len(text.encode()) + len(codecs.BOM_UTF8)
    before = line.encode()[: max(0, int(said["column"]) - (len(codecs.BOM_UTF8) if marked else 0))]
    column = len(before.decode(errors="ignore")) + 1
    hazard: Hazard = ""
    if rule in _DATA or (rule in _DATA_IN_CASCADE and _cascades(text, row + 1)):
        hazard = "data"
    elif rule in _LOCK:
        hazard = "lock"
    return Finding(
        file=path,
        line=row + 1,
        column=column,
        rule=rule,
        level=str(said["level"]).lower(),
        message=str(said["message"]),
        help=str(said.get("help") or ""),
        hazard=hazard,
    )


def _cascades(text: str, line: int) -> bool:
    here = [each for each in split(text) if line_of(text, each.code_offset) <= line]
    return bool(here) and bool(_CASCADE.search(_NOT_CODE.sub(" ", here[-1].text)))


def _own(path: Path, text: str) -> Iterator[Finding]:
    """Give what squawk has no rule for."""
    for each in split(text):
        told = _told(each)
        if told is not None:
            rule, message, hazard = told
            start = text.rfind("\n", 0, each.code_offset) + 1
            yield Finding(
                file=path,
                line=line_of(text, each.code_offset),
                column=each.code_offset - start + 1,
                rule=rule,
                message=message,
                hazard=hazard,
            )


def _told(statement: Statement) -> tuple[str, str, Hazard] | None:
    words = statement.words
    if words[:1] == ("truncate",):
        return "truncate", "Truncating a table deletes all of its rows.", "data"
    if words[:2] == ("delete", "from") and not _WHERE.search(_NOT_CODE.sub(" ", statement.text)):
        return "delete-without-where", "Deletes every row of the table.", "data"
    if words[:1] == ("vacuum",) and "full" in words:
        return "vacuum-full", "Rewrites the table; nobody can read it meanwhile.", "lock"
    if words[:1] == ("cluster",):
        return "cluster", "Rewrites the table; nobody can read it meanwhile.", "lock"
    if words[:1] in (("rollback",), ("abort",)) and statement.controls_transaction:
        return (
            "rollback",
            "Undoes only what follows a begin: the CLI runs such a file statement by statement.",
            "",
        )
    if words[:1] == ("lock",):
        return "lock-table", "Others wait until this file's transaction ends.", "lock"
    return None


def _shown(path: Path, settings: Settings) -> str:
    return Path(settings.relative(path)).as_posix()
