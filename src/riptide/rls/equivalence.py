"""Whether what a mistake opens can be told from what was before: pure functions, no database.

Nothing is assumed: where none of these says why, a mutant that nobody noticed has survived.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from riptide.rls.breakable import Policy, Table

# `( SELECT auth.uid() AS uid)`, as PostgreSQL writes a scalar subquery back.
WRAPPED = re.compile(r"\( SELECT ((?:\w+\.)?\w+\((?:'[^']*'(?:::text)?)?\)) AS \w+\)")
OPERATIONS = ("select", "insert", "update", "delete")


def opened(policy: Policy, new: Policy) -> frozenset[str]:
    """Give what a changed policy lets through beside what it did, where it changes nothing else."""
    widened = replace(new, roles=policy.roles, command=policy.command, comment=policy.comment)
    if widened != policy:
        return frozenset()
    roles = _clients(new) - _clients(policy)
    commands = set(_commands(new)) - set(_commands(policy))
    if _clients(policy) - _clients(new):  # it takes something away as well
        return frozenset()
    return frozenset(
        f"{role} {command}"
        for role in _clients(new)
        for command in _commands(new)
        if role in roles or command in commands
    )


def twins(table: Table, policy: Policy, new: Policy) -> tuple[str, ...]:
    """Give the policies that already let through whatever a changed one adds, for each addition."""
    found = []
    for addition in sorted(opened(policy, new)):
        role, command = addition.split()
        twin = next(
            (
                each.name
                for each in table.policies
                if each.name != policy.name
                and each.permissive
                and role in _clients(each)
                and command in _commands(each)
                and _says(each, command) == _says(new, command)
            ),
            None,
        )
        if twin is None:
            if addition in table.privileges:
                return ()
            continue
        found.append(twin)
    return tuple(dict.fromkeys(found))


def implied(table: Table, policy: Policy, new: Policy) -> str:
    """Say why an update policy that asks for less lets no more through; empty where it may.

    Of a row whose columns no client may change, what held before an update holds after it.
    """
    if policy.command != "update":
        return ""
    using, check = _says(policy, "update")
    looser = "using" if new.using != policy.using else "check"
    if replace(new, using=policy.using, check=policy.check) != policy or None in (using, check):
        return ""
    left, kept = (using, check) if looser == "using" else (check, using)
    if getattr(new, looser) != "true":
        return ""
    asked = conjuncts(left or "")
    columns = {each for each in table.columns if re.search(rf"\b{re.escape(each)}\b", left or "")}
    alone = all("select" not in WRAPPED.sub(r"\1", each).lower() for each in asked)
    if not alone or columns & table.updatable or not asked <= conjuncts(kept or ""):
        return ""
    other = "WITH CHECK" if looser == "using" else "USING"
    return f"{other} asks for the same, and no client may update {', '.join(sorted(columns))}"


def unopened(table: Table, role: str, command: str) -> str:
    """Say why a privilege opens no row; empty where a policy may.

    https://www.postgresql.org/docs/17/ddl-rowsecurity.html: no policy lets nothing through.
    """
    lets = any(
        each.permissive and role in _clients(each) and command in _commands(each)
        for each in table.policies
    )
    return f"no policy lets {role} {command} anything" if table.protected and not lets else ""


def still_indexed(table: Table, column: str) -> str:
    """Say why an index that is dropped is not missed; empty where a list would be a scan."""
    begun = table.first_columns.count(column)
    return f"another index begins with {column}" if begun > 1 else ""


def conjuncts(text: str) -> frozenset[str]:
    """Split an expression, as PostgreSQL writes it, at the ANDs that are not within parentheses."""
    # A text constant may have anything in it.
    if "'" in text or not (text.startswith("(") and _closes_at(text) == len(text) - 1):
        return frozenset({text})
    inner, found, begin, depth = text[1:-1], set(), 0, 0
    for place, character in enumerate(inner):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and inner.startswith(" AND ", place):
            found.add(inner[begin:place])
            begin = place + len(" AND ")
    if not found:
        return frozenset({text})
    return frozenset(part for each in (*found, inner[begin:]) for part in conjuncts(each))


def _closes_at(text: str) -> int:
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return place
    return -1


def _says(policy: Policy, command: str) -> tuple[str | None, str | None]:
    """Give which rows a policy shows and which it lets in, for one command.

    https://www.postgresql.org/docs/17/sql-createpolicy.html: without a check, USING is the check.
    """
    using, check = policy.using, policy.check if policy.check is not None else policy.using
    match command:
        case "insert":
            return None, check
        case "update":
            return using, check
        case _:
            return using, None


def _clients(policy: Policy) -> frozenset[str]:
    both = frozenset({"anon", "authenticated"})
    return both if "public" in policy.roles else both & frozenset(policy.roles)


def _commands(policy: Policy) -> tuple[str, ...]:
    return OPERATIONS if policy.command == "all" else (policy.command,)
