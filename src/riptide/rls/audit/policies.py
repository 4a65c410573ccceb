"""The rules about policies: what lets clients pass, and what is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.results.check import Level
from riptide.rls.audit import rules
from riptide.rls.audit.expressions import (
    asks_for_service_role,
    compared_with_user,
    is_always_true,
    per_row_calls,
    reads_user_metadata,
    wrapped,
)
from riptide.rls.audit.facts import CLIENTS
from riptide.rls.audit.project import CLIENT_ROLES, listed
from riptide.rls.intent import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.results import AuditFinding
    from riptide.rls.audit.facts import Policy
    from riptide.rls.audit.project import Project, Table
    from riptide.rls.intent import Operation, Role


def check_policies(project: Project) -> Iterator[AuditFinding]:
    """Look at each policy of the exposed schemas' tables."""
    for table in project.tables:
        for policy in table.policies:
            yield from _roles(table, policy)
            yield from _metadata(table, policy)
            # Where RLS is off, which is an error of its own, policies cost and allow nothing.
            if table.facts.protected:
                yield from _always_true(table, policy)
                yield from _calls(table, policy)
        if table.facts.protected:
            yield from _indexes(table)
            yield from _several(table)


def _always_true(table: Table, policy: Policy) -> Iterator[AuditFinding]:
    found: list[tuple[Role, Operation]] = [
        (role, operation)
        for role in CLIENT_ROLES
        for operation in OPERATIONS
        # That all may read is common, and a fault only where rls.toml says otherwise.
        if (operation != "select" or table.intent is not None)
        and policy.permissive
        and policy.is_for(role, operation)
        and table.may(role, operation)
        and table.word(role, operation) != "all"
        and _lets_all(policy, role, operation)
        and not _restricted(table, role, operation)
    ]
    if not found:
        return
    roles = listed(dict.fromkeys(role for role, _ in found))
    words = listed(dict.fromkeys(operation for _, operation in found))
    owner = table.intent.owner if table.intent else None
    remedy = f"drop policy {policy.quoted} on {table.quoted};"
    if owner and any(table.word(*each) == "own" for each in found):
        own = f"((select auth.uid()) = {table.column(owner)})"
        clauses = {
            "insert": f"with check {own}",
            "delete": f"using {own}",
            "select": f"using {own}",
        }.get(policy.command, f"using {own} with check {own}")
        remedy = f"alter policy {policy.quoted} on {table.quoted} to authenticated {clauses};"
    yield rules.ALWAYS_TRUE.finding(
        table.name,
        f"it lets {roles} {words} whatever the row is",
        policy=policy.name,
        sql=remedy,
        level=Level.ERROR if table.intent else Level.WARNING,
    )


def _lets_all(policy: Policy, role: Role, operation: Operation) -> bool:
    """Whether it holds for every row; without ``with check`` what is written is held to ``using``.

    https://www.postgresql.org/docs/17/sql-createpolicy.html
    """
    checked = policy.checked if policy.checked is not None else policy.using
    if operation == "insert":
        return is_always_true(checked, role)
    if operation in ("select", "delete"):
        return is_always_true(policy.using, role)
    # With one of the two open, others' rows can be taken, or one's own given away.
    return is_always_true(policy.using, role) or is_always_true(checked, role)


def _restricted(table: Table, role: Role, operation: Operation) -> bool:
    """Whether a restrictive policy stands beside it: that one needs another that lets all pass."""
    return any(
        not each.permissive
        and each.is_for(role, operation)
        and not _lets_all(each, role, operation)
        for each in table.policies
    )


def _roles(table: Table, policy: Policy) -> Iterator[AuditFinding]:
    # A restrictive policy takes away: for all it is at its safest, and without it there is more.
    if not policy.permissive:
        return
    drop = f"drop policy {policy.quoted} on {table.quoted};"
    if any(asks_for_service_role(each) for each in policy.expressions.values()):
        yield rules.SERVICE_ROLE.finding(
            table.name,
            "it asks for service_role, which passes by all policies; it only costs the others "
            "time, and keeps them from their index",
            policy=policy.name,
            # With another condition beside it the policy may be what lets others in.
            sql="" if any(" OR " in each for each in policy.expressions.values()) else drop,
        )
    elif policy.roles == ("service_role",):
        yield rules.SERVICE_ROLE.finding(
            table.name,
            "it is for service_role, which passes by all policies",
            policy=policy.name,
            sql=drop,
            level=Level.NOTE,
        )
    if "public" in policy.roles:
        operations = OPERATIONS if policy.command == "all" else (policy.command,)
        meant = [
            role
            for role in CLIENT_ROLES
            if role == "authenticated"
            or any(table.word(role, each) == "all" for each in OPERATIONS if each in operations)
        ]
        asked = [each for each in operations if table.may("anon", each)]
        yield rules.TO_PUBLIC.finding(
            table.name,
            "it names no role, so it is for all"
            + (f": anon may {listed(asked)}, too" if asked else ""),
            policy=policy.name,
            sql=f"alter policy {policy.quoted} on {table.quoted} to {', '.join(meant)};",
            level=Level.WARNING if asked else Level.NOTE,
        )


def _metadata(table: Table, policy: Policy) -> Iterator[AuditFinding]:
    if any(reads_user_metadata(each) for each in policy.expressions.values()):
        yield rules.USER_METADATA.finding(
            table.name,
            "it trusts user_metadata, which users write themselves; only a server writes "
            "app_metadata",
            policy=policy.name,
            sql=_altered(
                table,
                policy,
                lambda text: text.replace("user_metadata", "app_metadata").replace(
                    "raw_user_meta_data", "raw_app_meta_data"
                ),
            ),
        )


def _calls(table: Table, policy: Policy) -> Iterator[AuditFinding]:
    bare = table.facts.bare
    names = dict.fromkeys(
        text[start:end].partition("(")[0]
        for text in policy.expressions.values()
        for start, end in per_row_calls(text, bare)
    )
    if names:
        yield rules.INITPLAN.finding(
            table.name,
            f"it calls {listed(f'{each}()' for each in names)} for each row, and not once",
            policy=policy.name,
            sql=_altered(table, policy, lambda text: wrapped(text, bare)),
        )


def _altered(table: Table, policy: Policy, change: Callable[[str], str]) -> str:
    clauses = " ".join(f"{clause} ({change(text)})" for clause, text in policy.expressions.items())
    return f"alter policy {policy.quoted} on {table.quoted} {clauses};"


def _indexes(table: Table) -> Iterator[AuditFinding]:
    compared: dict[str, str] = {}
    for policy in table.policies:
        # What is written is not looked for: only `using` is.
        for column in compared_with_user(policy.using or ""):
            compared.setdefault(column, policy.name)
    for column, first in compared.items():
        if column in table.facts.indexed or column not in table.facts.columns:
            continue
        yield rules.NOT_INDEXED.finding(
            table.name,
            f"policies look rows up by {column} ({first}), and no index begins with it",
            sql=f"create index on {table.quoted} ({table.column(column)});",
        )


def _several(table: Table) -> Iterator[AuditFinding]:
    found: dict[tuple[str, ...], list[str]] = {}
    for role in CLIENTS:
        for operation in OPERATIONS:
            names = tuple(
                each.name
                for each in table.policies
                if each.permissive and each.is_for(role, operation) and table.may(role, operation)
            )
            if len(names) > 1:
                found.setdefault(names, []).append(f"{role} {operation}")
    if found:
        told = "; ".join(f"{listed(names)} for {listed(of)}" for names, of in found.items())
        yield rules.SEVERAL_POLICIES.finding(
            table.name, f"each of them is tried for each row: {told}"
        )
