"""What ``supabase/rls.toml`` says: who may do what with each table."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from riptide._toml import read_toml
from riptide.errors import ConfigError
from riptide.rls.exceptions import (
    AuditException,
    FunctionIntent,
    read_exceptions,
    read_functions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Operation = Literal["select", "insert", "update", "delete"]
Word = Literal["own", "all", "none"]
Role = Literal["authenticated", "anon", "service_role"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
ROLES: tuple[Role, ...] = get_args(Role)
_DEFAULTS: dict[Role, Word] = {"authenticated": "own", "anon": "none", "service_role": "all"}
_COLUMN_KEYS = ("insert_columns", "update_columns")
_RULE_KEYS = (*OPERATIONS, *_COLUMN_KEYS)
_SECTIONS = ("tables", "functions", "audit")
_TABLE_KEYS = ("owner", "through", "set_once", *_RULE_KEYS, *ROLES, "row", "other_row", "reveals")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What one role may do with one table.

    Attributes:
        words: For each operation whose rows: their own, all, none.
        insert_columns: The columns that the role may give a new row, or ``None`` for every one.
        update_columns: The columns that the role may change, likewise.
    """

    words: Mapping[Operation, Word]
    insert_columns: tuple[str, ...] | None = None
    update_columns: tuple[str, ...] | None = None

    def columns(self, operation: Operation) -> tuple[str, ...] | None:
        """Give the columns that an operation is for, or ``None`` for every one."""
        return {"insert": self.insert_columns, "update": self.update_columns}.get(operation)


@dataclass(frozen=True, kw_only=True)
class TableIntent:
    """One ``[tables.…]`` section.

    Attributes:
        schema: The table's schema.
        name: Its name.
        section: The section's name in the file, for messages: ``tables.profiles``.
        owner: The column that says whose row it is, or ``None`` for a table without owners.
        through: The table whose rows say whose row it is, as ``schema.table``: a team's members.
        rules: For each role.
        set_once: Columns that a user cannot change any more once they are not null.
        row: Values for columns that cannot be made up.
        other_row: Values for the row that the other user has of their own.
        reveals: Columns by whose values a user may learn of rows that they cannot see, each with
            the reason why that does no harm.
    """

    schema: str
    name: str
    section: str
    owner: str | None = None
    through: str | None = None
    rules: Mapping[Role, Rules]
    set_once: tuple[str, ...] = ()
    row: Mapping[str, Any] = field(default_factory=dict)
    other_row: Mapping[str, Any] = field(default_factory=dict)
    reveals: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """``schema.table``."""
        return f"{self.schema}.{self.name}"

    @property
    def has_owners(self) -> bool:
        """Whether a row is somebody's own."""
        return bool(self.owner or self.through)


@dataclass(frozen=True, kw_only=True)
class Intent:
    """The whole file.

    Attributes:
        path: The file, for messages.
        text: What is in it, for line numbers.
        tables: Each table that it declares, in its order.
        functions: Each function that clients may call though it runs as its owner.
        exceptions: What the audit is to pass over.
    """

    path: Path
    text: str = field(repr=False)
    tables: tuple[TableIntent, ...]
    functions: tuple[FunctionIntent, ...] = ()
    exceptions: tuple[AuditException, ...] = ()

    def line(self, section: str, key: str | None = None, *, exact: bool = False) -> int | None:
        """Find the line of a key; of its section where it is not there, unless ``exact``."""
        line = _line_of(self.text, section, key)
        return None if exact and line == _line_of(self.text, section, None) else line

    def error(self, section: str, key: str | None, problem: str) -> ConfigError:
        """Make the error for something in a section, with its line where it can be found."""
        line = self.line(section, key)
        where = f"supabase/{self.path.name}" + (f":{line}" if line else "")
        what = f"[{section}]" + (f" {key}" if key else "")
        return ConfigError(
            f"{where}: {what} {problem}",
            state="nothing was tried",
            next_step=f"mend {self.path}",
        )


def read_intent(path: Path) -> Intent:
    """Read and check the file; what it names is held against the database later.

    A project without the file declares nothing: each table of its API is then undeclared.

    Raises:
        ConfigError: It cannot be read, is not TOML (with the line), or has a wrong word.
    """
    if not path.exists():
        return Intent(path=path, text="", tables=())
    text, data = read_toml(path)
    blank = Intent(path=path, text=text, tables=())
    for key in data:
        if key not in _SECTIONS:
            raise blank.error(key, None, f"is not known{nearest(key, _SECTIONS)}")
    tables = data.get("tables", {})
    if not isinstance(tables, dict):
        raise blank.error("tables", None, "is not a table of tables")
    read = [_table(blank, name, value) for name, value in tables.items()]
    for index, each in enumerate(read):
        if any(each.full_name == other.full_name for other in read[:index]):
            raise blank.error(each.section, None, f"declares {each.full_name} a second time")
    return Intent(
        path=path,
        text=text,
        tables=tuple(read),
        functions=read_functions(blank, data.get("functions", {})),
        exceptions=read_exceptions(path, text, data.get("audit", {})),
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Give ``; did you mean …?`` for the most similar known name, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _table(intent: Intent, name: str, value: object) -> TableIntent:
    section = f"tables.{name}" if re.fullmatch(r"[\w-]+", name) else f'tables."{name}"'
    if not isinstance(value, dict):
        raise intent.error(section, None, "is not a table of settings")
    schema, _, bare = name.rpartition(".")
    if not bare:
        raise intent.error(section, None, "names no table")
    _check_keys(intent, section, value, _TABLE_KEYS)
    owner = value.get("owner")
    if owner is not None and (not isinstance(owner, str) or not owner):
        raise intent.error(section, "owner", f"must be a column's name, not {owner!r}")
    through = value.get("through")
    if through is not None and (not isinstance(through, str) or not through.strip(".")):
        raise intent.error(section, "through", f"must be a table's name, not {through!r}")
    if through is not None and owner is not None:
        raise intent.error(section, "through", "stands beside owner: say one of them")
    whose = owner or through
    set_once = value.get("set_once", [])
    if not isinstance(set_once, list) or not all(isinstance(each, str) for each in set_once):
        raise intent.error(section, "set_once", "must be a list of columns")
    rows = {key: value.get(key, {}) for key in ("row", "other_row")}
    for key, row in rows.items():
        if not isinstance(row, dict):
            raise intent.error(section, key, "must be a section of column = value")
    reveals = value.get("reveals", {})
    if not isinstance(reveals, dict) or not all(
        isinstance(each, str) and each.strip() for each in reveals.values()
    ):
        raise intent.error(
            section, "reveals", 'must be a section of column = "why it does no harm"'
        )
    own = {key: value[key] for key in _RULE_KEYS if key in value}
    rules: dict[Role, Rules] = {}
    for role in ROLES:
        inner = value.get(role, {})
        if not isinstance(inner, dict):
            raise intent.error(section, role, f"must be a section [{section}.{role}]")
        _check_keys(intent, f"{section}.{role}", inner, _RULE_KEYS)
        if role == "authenticated":
            twice = sorted(set(own) & set(inner))
            if twice:
                raise intent.error(f"{section}.{role}", twice[0], f"stands in [{section}] as well")
            rules[role] = _rules(intent, section, role, {**own, **inner}, whose)
        else:
            rules[role] = _rules(intent, f"{section}.{role}", role, inner, whose)
    return TableIntent(
        schema=schema or "public",
        name=bare,
        section=section,
        owner=owner,
        through=through if through is None or "." in through else f"public.{through}",
        rules=rules,
        set_once=tuple(set_once),
        row=rows["row"],
        other_row=rows["other_row"],
        reveals=reveals,
    )


def _rules(
    intent: Intent, section: str, role: Role, value: dict[str, Any], whose: str | None
) -> Rules:
    words: dict[Operation, Word] = {}
    for operation in OPERATIONS:
        word = value.get(operation, _DEFAULTS[role])
        if word not in get_args(Word):
            raise intent.error(
                section,
                operation,
                f"is {word!r}; it must be own, all or none"
                + (nearest(word, get_args(Word)) if isinstance(word, str) else ""),
            )
        if word == "own" and role != "authenticated":
            raise intent.error(section, operation, f'is "own", but {role} owns no row')
        if word == "own" and whose is None:
            raise intent.error(
                section,
                operation if operation in value else None,
                f'lets users {operation} their own rows: say owner = "<column>", '
                'through = "<table of members>", or '
                f'{operation} = "all" or "none"',
            )
        words[operation] = word
    columns: dict[str, tuple[str, ...] | None] = {}
    for key in _COLUMN_KEYS:
        given = value.get(key)
        if given is not None and (
            not isinstance(given, list)
            or not given
            or not all(isinstance(each, str) for each in given)
        ):
            word = key.partition("_")[0]
            raise intent.error(
                section, key, f'must be a list of columns; for none say {word} = "none"'
            )
        columns[key] = None if given is None else tuple(given)
    return Rules(words=words, **columns)


def _check_keys(
    intent: Intent, section: str, value: dict[str, Any], known: tuple[str, ...]
) -> None:
    for key in value:
        if key not in known:
            raise intent.error(section, key, f"is not known{nearest(key, known)}")


def _line_of(text: str, section: str, key: str | None) -> int | None:
    """Find the line of a key in a section (or of the section itself)."""
    current, header_line = "", None
    wanted = section.replace('"', "")
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?([^\[\]]+)\]", line):
            current = re.sub(r"""["'\s]""", "", header[1])
            if current == wanted or (header_line is None and current.startswith(f"{wanted}.")):
                header_line = number
            if key and current == f"{wanted}.{key}":
                return number
            continue
        # In its section, or a section's own name at the top of the file: `tables = …`.
        name = key if current == wanted else wanted if not current else None
        if name and re.match(rf"""\s*["']?{re.escape(name)}\b""", line):
            return number
    return header_line
