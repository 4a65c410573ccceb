"""Drafts ``supabase/rls.toml`` from the catalog: what is so now, for a person to correct."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from riptide.results import RlsDraft
from riptide.rls.intent import OPERATIONS
from riptide.rls.probes_exists import guessable
from riptide.rls.sources import USERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from riptide.rls.audit.project import Table
    from riptide.rls.intent import Operation, Role
    from riptide.settings import Settings

_BARE = re.compile(r"[A-Za-z0-9_-]+")  # a key that TOML takes without quotes
_UNIQUE = "it is unique over all users, who learn that a value is taken: is that meant?"
_DEFINER = "# security definer: it runs past all policies\n"
_COLUMNS: tuple[Operation, ...] = ("insert", "update")


def draft_rls(*, settings: Settings | None = None, write: bool = True) -> RlsDraft:
    """Add a section to ``supabase/rls.toml`` for each table, view and function that it lacks.

    What is there stays as it is; sections come after it. They say what the database lets happen
    now (privileges, and whether a policy is there), not what is right: read them. The owner is the
    column that refers to ``auth.users``, first the one that goes with its user.

    Args:
        settings: The project's; by default those of the current folder.
        write: Whether to write the file, instead of only giving the text back.

    Raises:
        ConfigError: The file cannot be read or written, or names what is not there.
        DatabaseError: The database cannot be reached.
    """
    from riptide._oserror import told
    from riptide.database import connect
    from riptide.rls.audit.audit import read_project
    from riptide.rls.intent import read_intent
    from riptide.settings import Settings

    settings = settings or Settings.load()
    path = settings.supabase_dir / "rls.toml"
    intent = read_intent(path)
    with connect(settings.target) as connection:
        project = read_project(connection, settings, intent)
    new = [each for each in project.tables if _is_to_be_declared(each)]
    declared = {each.full_name for each in intent.functions}
    functions = {
        each.full_name: each.callers
        for each in project.functions
        if not each.trigger
        and each.kind == "function"
        and each.callers
        and each.schema in project.schemas
        and each.full_name not in declared
    }
    sections = ["\n".join(_section(each)) for each in new]
    definers = {each.full_name for each in project.functions if each.definer}
    sections += [
        f"[functions.{_key(name)}]\n{_DEFINER if name in definers else ''}"
        f"execute = {_array(callers)}"
        for name, callers in functions.items()
    ]
    text = "\n\n".join(sections)
    if write and sections:
        before = intent.text.rstrip()
        with told(path, state="nothing was written"):
            path.write_text(f"{before}\n\n{text}\n" if before else f"{text}\n", encoding="utf-8")
    return RlsDraft(
        path=path,
        tables=tuple(each.name for each in new),
        functions=tuple(functions),
        text=text,
        written=write and bool(sections),
    )


def _is_to_be_declared(table: Table) -> bool:
    """Whether clients reach it and nothing says who may; partitions stand under their table."""
    relation = table.relation
    return (
        table.intent is None
        and relation.reachable
        and relation.partition is None
        and bool(relation.columns)
    )


def _section(table: Table) -> Iterator[str]:
    owner = _owner(table)
    section = f"tables.{_key(table.name.removeprefix('public.'))}"
    yield f"[{section}]"
    if owner:
        yield f"owner = {json.dumps(owner)}"
    for operation in OPERATIONS:
        lets = _lets(table, "authenticated", operation)
        usual = "own" if owner else ""
        word = usual or "all" if lets else "none"
        if word != usual:
            yield f'{operation} = "{word}"{_remark(table, "authenticated", operation, word)}'
    for operation in _COLUMNS:
        columns = _some_columns(table, operation)
        if columns and _lets(table, "authenticated", operation):
            yield f"{operation}_columns = {_array(columns)}"
    if revealed := _revealed(table, owner):
        yield f"[{section}.reveals]"
        yield from (f"{_key(each)} = {json.dumps(_UNIQUE)}" for each in revealed)
    anon = [each for each in OPERATIONS if _lets(table, "anon", each)]
    if anon:
        yield f"[{section}.anon]"
        for operation in anon:
            yield f'{operation} = "all"{_remark(table, "anon", operation, "all")}'
    denied = [
        each for each in OPERATIONS if f"service_role {each}" not in table.relation.privileges
    ]
    if denied and table.relation.is_table:
        yield f"[{section}.service_role]"
        for operation in denied:
            yield f'{operation} = "none"'


def _revealed(table: Table, owner: str) -> list[str]:
    """Give the columns of unique keys by which users learn that another's row has a value."""
    relation = table.relation
    written = {
        column
        for operation in _COLUMNS
        if _lets(table, "authenticated", operation)
        for column in _some_columns(table, operation) or [each.name for each in relation.columns]
    }
    if not owner or not relation.is_table or not _lets(table, "authenticated", "select"):
        return []
    found: set[str] = set()
    for key in relation.unique:
        columns = [each for each in relation.columns if each.name in key]
        if owner not in key and key <= written and all(map(guessable, columns)):
            found |= key
    return [each.name for each in relation.columns if each.name in found]


def _owner(table: Table) -> str:
    """Give the column that says whose row it is; empty where none refers to a user."""
    relation = table.relation
    keys = [
        each for each in relation.foreign_keys if each.target == USERS and len(each.columns) == 1
    ]
    first = sorted(keys, key=lambda each: not each.cascades)
    return first[0].columns[0] if first else ""


def _lets(table: Table, role: Role, operation: Operation) -> bool:
    """Whether the database lets a client do it to some row."""
    if not table.may(role, operation):
        return False
    if not table.relation.is_table or not table.facts.protected:
        return True
    return any(each.permissive and each.is_for(role, operation) for each in table.policies)


def _remark(table: Table, role: Role, operation: Operation, word: str) -> str:
    if word == "none":
        return ""
    if table.relation.is_table and not table.facts.protected:
        return "  # Row Level Security is off: is that meant?"
    if role == "anon":
        return "  # whoever is not signed in: is that meant?"
    return "" if operation == "select" else "  # every row: is that meant?"


def _some_columns(table: Table, operation: Operation) -> list[str]:
    """Give the columns that users may write; nothing where that is every one."""
    granted = [each.split(" ", 2) for each in table.facts.writable]
    columns = [
        column for role, what, column in granted if (role, what) == ("authenticated", operation)
    ]
    every = [each.name for each in table.relation.columns if not each.automatic]
    return [] if set(every) <= set(columns) else columns


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _array(words: Iterable[str]) -> str:
    return f"[{', '.join(json.dumps(each) for each in words)}]"
