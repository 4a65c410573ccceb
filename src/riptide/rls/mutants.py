"""What can be broken in a database's Row Level Security, one thing at a time, and made whole again.

Each mutant is a mistake that people make in a migration, made from what the catalog holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from riptide._quote import literal, quoted
from riptide.rls.equivalence import (
    OPERATIONS,
    WRAPPED,
    implied,
    opened,
    still_indexed,
    twins,
    unopened,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from riptide.rls.breakable import Policy, Table


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mistake.

    Attributes:
        kind: What sort of mistake: ``policy-dropped``, ``using-true``, …
        table: ``schema.table`` that it is about.
        sentence: It, for a person.
        apply: The SQL that makes it.
        undo: The SQL that takes it back.
        reach: What it opens, as role and operation (``anon select``), where that is all that it
            does: without the privilege for any of it no request can tell it from what was before.
        same_as: Policies that say the same for all that it opens; empty where there is none.
        implied: Why it opens nothing: what it no longer asks for holds already; empty where not.
    """

    kind: str
    table: str
    sentence: str
    apply: str
    undo: str
    reach: frozenset[str] = field(default_factory=frozenset)
    same_as: tuple[str, ...] = ()
    implied: str = ""


def mutants(table: Table, owner: str | None) -> Iterator[Mutant]:
    """Give every mutant of a table.

    Args:
        table: What it is.
        owner: The column that says whose row it is, where there is one.
    """
    for policy in table.policies:
        yield from _of_policy(table, policy)
    yield from _of_table(table, owner)


def _of_policy(table: Table, policy: Policy) -> Iterator[Mutant]:
    def changed(kind: str, sentence: str, **changes: Any) -> Mutant:
        new = replace(policy, **changes)
        return Mutant(
            kind=kind,
            table=table.table,
            sentence=f"policy {policy.name}: {sentence}",
            apply=f"{policy.drop}; {new.create}",
            undo=f"{policy.drop}; {policy.create}",
            reach=opened(policy, new),
            same_as=twins(table, policy, new),
            implied=implied(table, policy, new),
        )

    yield Mutant(
        kind="policy-dropped",
        table=table.table,
        sentence=f"policy {policy.name}: dropped",
        apply=policy.drop,
        undo=policy.create,
    )
    if policy.using is not None:
        yield changed("using-true", "using (true)", using="true")
        yield changed("using-false", "using (false)", using="false")
        yield changed(
            "using-recursive",
            "reads its own table",
            using=f"exists (select from {policy.relation})",
        )
    if policy.check is not None or policy.command == "update":
        yield changed("check-true", "with check (true)", check="true")
    if policy.check is not None:
        yield changed("check-false", "with check (false)", check="false")
    if policy.roles != ("public",):
        yield changed("role-public", "to public", roles=("public",))
    swapped = "authenticated" if policy.roles == ("anon",) else "anon"
    yield changed("role-swapped", f"to {swapped}", roles=(swapped,))
    if policy.command == "select":
        yield changed("command-all", "for all", command="all", check=None)
    if policy.permissive:
        yield changed("restrictive", "as restrictive", permissive=False)
    bare = {
        name: WRAPPED.sub(r"\1", text)
        for name, text in (("using", policy.using), ("check", policy.check))
        if text is not None
    }
    if any(bare[name] != getattr(policy, name) for name in bare):
        yield changed("call-unwrapped", "its calls run once a row", **bare)


def _of_table(table: Table, owner: str | None) -> Iterator[Mutant]:
    def mutant(kind: str, sentence: str, apply: str, undo: str, *reach: str) -> Mutant:
        return Mutant(
            kind=kind,
            table=table.table,
            sentence=sentence,
            apply=apply,
            undo=undo,
            reach=frozenset(reach),
        )

    on = table.relation
    if table.protected:
        yield mutant(
            "rls-disabled",
            "Row Level Security off",
            f"alter table {on} disable row level security",
            f"alter table {on} enable row level security",
        )
    for role in ("authenticated", "anon"):
        for command in OPERATIONS:
            clause = "with check (true)" if command == "insert" else "using (true)"
            yield mutant(
                "policy-added",
                f"a policy for {command} to {role} {clause}",
                f"create policy riptide_mutant on {on} for {command} to {role} {clause}",
                f"drop policy riptide_mutant on {on}",
                f"{role} {command}",
            )
        for command in OPERATIONS:
            if f"{role} {command}" not in table.privileges:
                granted = mutant(
                    "granted",
                    f"{command} granted to {role}",
                    f"grant {command} on {on} to {role}",
                    f"revoke {command} on {on} from {role}",
                )
                yield replace(granted, implied=unopened(table, role, command))
    for each in table.column_grants:
        role, operation, columns = each["role"], each["operation"], ", ".join(each["columns"])
        yield mutant(
            "granted-whole",
            f"{operation} granted to {role} on every column, not on {columns} alone",
            f"grant {operation} on {on} to {role}",
            # Without the table's privilege those of its columns are gone too.
            f"revoke {operation} on {on} from {role}; "
            f"grant {operation} ({columns}) on {on} to {role}",
        )
    for index in table.indexes:
        if index["first"] == owner:
            comment = index["comment"]
            undo = index["definition"]
            if comment is not None:
                undo += f"; comment on index {index['name']} is {literal(comment)}"
            dropped = mutant(
                "index-dropped",
                f"index {index['name']} dropped",
                f"drop index {index['name']}",
                undo,
            )
            yield replace(dropped, implied=still_indexed(table, index["first"]))
    if owner in table.not_null and owner is not None:
        column = quoted(owner)
        yield mutant(
            "owner-nullable",
            f"{owner} may be null",
            f"alter table {on} alter column {column} drop not null",
            f"alter table {on} alter column {column} set not null",
        )
    view, function = f"{table.schema}.riptide_mutant", f"{table.schema}.riptide_mutant()"
    every = f"select * from {on}"  # noqa: S608 - written by PostgreSQL itself
    yield mutant(
        "definer-view",
        "a view that shows every row",
        f"create view {view} as {every}; grant select on {view} to authenticated",
        f"drop view {view}",
    )
    yield mutant(
        "definer-function",
        "a security definer function that gives every row",
        f"create function {function} returns setof {on} language sql security definer "
        f"set search_path = '' as {literal(every)}; "
        f"grant execute on function {function} to authenticated",
        f"drop function {function}",
    )
