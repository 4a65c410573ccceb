"""The rules about functions and roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.results.check import Level
from riptide.rls.audit import rules
from riptide.rls.audit.project import FROM_CLIENTS, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from riptide.results import AuditFinding
    from riptide.rls.audit.project import Project


def check_functions(project: Project) -> Iterator[AuditFinding]:
    """Look at the project's functions: all for their search_path, the exposed ones for callers."""
    for function in project.functions:
        if not function.fixed:
            yield rules.SEARCH_PATH.finding(
                function.signature,
                "it looks names up in its caller's search_path"
                + (
                    ", and runs as its owner: who sets that path chooses what the owner runs"
                    if function.definer
                    else ""
                ),
                sql=f"alter {function.kind} {function.signature} set search_path = '';\n"
                "-- names in its body then need their schema: public.teams",
                level=Level.ERROR if function.definer else Level.WARNING,
            )
        # The API calls no trigger's function, and PostgreSQL lets nobody else.
        if not function.definer or function.trigger or function.schema not in project.schemas:
            continue
        allowed = project.may_execute(function)
        undeclared = [each for each in function.callers if each not in allowed]
        if undeclared:
            rule = (
                rules.ANON_DEFINER_FUNCTION if "anon" in undeclared else rules.USER_DEFINER_FUNCTION
            )
            what = f"on {function.kind} {function.signature}"
            grant = f"\ngrant execute {what} to {', '.join(allowed)};" if allowed else ""
            yield rule.finding(
                function.signature,
                f"{listed(undeclared)} can call it and it runs as its owner, past all policies",
                sql=f"revoke execute {what} {FROM_CLIENTS};{grant}",
            )


def check_roles(project: Project) -> Iterator[AuditFinding]:
    """Look at anon and authenticated themselves.

    https://www.postgresql.org/docs/17/ddl-rowsecurity.html: superusers, and roles with the
    attribute BYPASSRLS, always pass by.
    """
    for role in project.roles:
        if role.superuser or role.bypasses:
            word = "nosuperuser" if role.superuser else "nobypassrls"
            yield rules.CLIENT_BYPASSES.finding(
                role.name,
                f"{role.name} {'is a superuser' if role.superuser else 'has BYPASSRLS'}: no policy "
                "holds for it",
                sql=f"alter role {role.name} {word};",
            )
        if role.may_become:
            others = ", ".join(role.may_become)
            yield rules.CLIENT_BYPASSES.finding(
                role.name,
                f"{role.name} is a member of {listed(role.may_become)}, for which no policy holds",
                sql=f"revoke {others} from {role.name};",
            )
