"""The rules about tables, views and the privileges on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.results.check import Level
from riptide.rls.audit import rules
from riptide.rls.audit.facts import CLIENTS
from riptide.rls.audit.project import CLIENT_ROLES, FROM_CLIENTS, listed
from riptide.rls.intent import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from riptide.results import AuditFinding
    from riptide.rls.audit.project import Project, Table
    from riptide.rls.intent import Operation, Role

WITH_COLUMNS: tuple[Operation, ...] = ("insert", "update")


def check_relations(project: Project) -> Iterator[AuditFinding]:
    """Look at each relation of the exposed schemas."""
    for table in project.tables:
        if table.relation.is_table:
            yield from _protection(table)
            yield from _keys(table)
        else:
            yield from _without_policies(table)
        yield from _users(table)
        yield from _wide_grants(table)


def _protection(table: Table) -> Iterator[AuditFinding]:
    on = f"alter table {table.quoted} enable row level security;"
    words = [each for each in OPERATIONS if table.who_may(each)]
    clients = [role for role in CLIENTS if any(table.may(role, each) for each in OPERATIONS)]
    if not table.facts.protected:
        if table.policies:
            names = listed(each.name for each in table.policies)
            yield rules.POLICY_WITHOUT_RLS.finding(
                table.name, f"RLS is off, so nothing comes of its policies: {names}", sql=on
            )
        if clients:
            part = table.relation.partition
            yield rules.RLS_DISABLED.finding(
                table.name,
                f"RLS is off, and {listed(clients)} may {listed(words)} every row of it"
                + (f"; the policies of {part.parent} do not hold here" if part else ""),
                sql=f"revoke all on {table.quoted} {FROM_CLIENTS};" if part else on,
            )
    elif clients and not table.policies and not table.relation.partition and _grants_rows(table):
        yield rules.RLS_WITHOUT_POLICY.finding(
            table.name,
            f"RLS is on without a policy: what {listed(clients)} may do reaches no row",
            sql=f"revoke all on {table.quoted} {FROM_CLIENTS};",
        )
    if table.facts.owned_by:
        yield rules.CLIENT_BYPASSES.finding(
            table.name,
            f"{listed(table.facts.owned_by)} passes for its owner, whom no policy binds",
            sql=f"alter table {table.quoted} owner to postgres;",
        )


def _grants_rows(table: Table) -> bool:
    """Whether rls.toml, where it says something, wants clients to reach rows."""
    return table.intent is None or any(
        table.word(role, each) != "none" for role in CLIENT_ROLES for each in OPERATIONS
    )


def _keys(table: Table) -> Iterator[AuditFinding]:
    relation = table.relation
    # A partition has the key of the whole, or the whole has none.
    if not relation.primary_key and relation.reachable and not relation.partition:
        has_id = relation.column("id") is not None
        part = "add primary key (id)" if has_id else _NEW_KEY
        yield rules.NO_KEY.finding(
            table.name,
            "no primary key: a row of it cannot be named",
            sql=f"alter table {table.quoted} {part};",
        )
    owner = relation.column(table.intent.owner or "") if table.intent else None
    if owner is not None and not owner.not_null and not relation.partition:
        yield rules.NULLABLE_OWNER.finding(
            table.name,
            f"{owner.name}, its owner column, may be null: such a row is nobody's",
            sql=f"alter table {table.quoted} alter column {table.column(owner.name)} set not null;",
        )


_NEW_KEY = "add column id uuid primary key default gen_random_uuid()"


def _without_policies(table: Table) -> Iterator[AuditFinding]:
    kind = table.relation.kind
    shut = f"revoke all on {table.quoted} {FROM_CLIENTS};"
    clients = [role for role in CLIENTS if any(table.may(role, each) for each in OPERATIONS)]
    if not clients or table.is_open_by_intent:
        return
    who = listed(clients)
    if kind == "m":
        yield rules.MATERIALIZED_VIEW.finding(
            table.name, f"a materialized view has no policies: {who} may select all of it", sql=shut
        )
    elif kind == "f":
        words = listed(each for each in OPERATIONS if table.who_may(each))
        yield rules.FOREIGN_TABLE.finding(
            table.name, f"a foreign table has no policies: {who} may {words} all of it", sql=shut
        )
    elif not table.relation.invoker:
        below = [each for each in table.facts.read_as_owner if _holds_rows(each)]
        if below:
            yield rules.DEFINER_VIEW.finding(
                table.name,
                f"through it {who} may reach {listed(below)} as its owner, past all policies",
                sql=f"alter view {table.quoted} set (security_invoker = true);",
            )


def _holds_rows(name: str) -> bool:
    """Whether rows are kept there: the project's or, as in auth.sessions, Supabase's."""
    return name.partition(".")[0] not in ("pg_catalog", "information_schema")


def _users(table: Table) -> Iterator[AuditFinding]:
    clients = table.who_may("select")
    if "auth.users" in table.facts.read_as_owner:
        how = "as its owner"
    elif table.facts.users_as_caller:
        how = "by their own privilege, and RLS is off there"
    else:
        return
    if clients:
        yield rules.USERS_EXPOSED.finding(
            table.name,
            f"through it {listed(clients)} may read auth.users, {how}",
            sql=f"revoke all on {table.quoted} {FROM_CLIENTS};",
        )


def _wide_grants(table: Table) -> Iterator[AuditFinding]:
    if table.relation.is_table and table.facts.beyond:
        words = dict.fromkeys(each.partition(" ")[2] for each in table.facts.beyond)
        clients = dict.fromkeys(each.partition(" ")[0] for each in table.facts.beyond)
        yield rules.GRANT_BEYOND_RLS.finding(
            table.name,
            f"{listed(clients)} hold{'' if len(clients) > 1 else 's'} {listed(words)} on it, for "
            "which no policy is asked",
            sql=f"revoke {', '.join(words)} on {table.quoted} {FROM_CLIENTS};",
        )
    if table.intent is None:
        return
    passing: list[str] = []
    held: list[str] = []
    remedies: list[str] = []
    for role in CLIENT_ROLES:
        denied = [each for each in OPERATIONS if table.word(role, each) == "none"]
        given = [each for each in denied if table.may(role, each)]
        for operation in given:
            (passing if _passes(table, role, operation) else held).append(f"{role} {operation}")
        if given:
            remedies.append(f"revoke {', '.join(given)} on {table.quoted} from public, {role};")
        for operation in WITH_COLUMNS:
            columns = _too_many(table, role, operation)
            if columns and operation not in denied:
                what = f"{role} {operation} of {listed(columns)}"
                (passing if _passes(table, role, operation) else held).append(what)
                remedies.append(_only_these(table, role, operation))
    if passing or held:
        told = "rls.toml denies what is granted: " + "; ".join(passing + held)
        yield rules.WIDE_GRANT.finding(
            table.name,
            told if passing else f"{told}. Only RLS stands in the way",
            sql="\n".join(remedies),
            level=Level.ERROR if passing else Level.NOTE,
        )


def _passes(table: Table, role: Role, operation: Operation) -> bool:
    """Whether more than the grant lets it through: no RLS, or a policy that might."""
    if table.relation.is_table and table.facts.protected:
        return any(each.permissive and each.is_for(role, operation) for each in table.policies)
    # Through a view of the caller's the tables below decide, which have findings of their own.
    return not table.relation.invoker


def _too_many(table: Table, role: Role, operation: Operation) -> list[str]:
    """Give the columns that a client may write, and should not."""
    allowed = table.intent.rules[role].columns(operation) if table.intent else None
    if allowed is None or not table.may(role, operation):
        return []
    granted = [each.split(" ", 2) for each in table.facts.writable]
    return [
        column
        for who, what, column in granted
        if (who, what) == (role, operation) and column not in allowed
    ]


def _only_these(table: Table, role: Role, operation: Operation) -> str:
    allowed = (table.intent.rules[role].columns(operation) if table.intent else None) or ()
    columns = ", ".join(table.column(each) for each in allowed)
    return (
        f"revoke {operation} on {table.quoted} from public, {role};\n"
        f"grant {operation} ({columns}) on {table.quoted} to {role};"
    )
