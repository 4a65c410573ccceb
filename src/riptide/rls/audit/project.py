"""All that the checks look at, joined: the catalog and what ``supabase/rls.toml`` says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riptide.rls.audit.facts import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from riptide.rls.audit.facts import ClientRole, Facts, Function, Policy
    from riptide.rls.catalog import Relation
    from riptide.rls.exceptions import FunctionIntent
    from riptide.rls.intent import Operation, Role, TableIntent, Word

CLIENT_ROLES: tuple[Role, Role] = ("anon", "authenticated")
FROM_CLIENTS = f"from public, {', '.join(CLIENTS)}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A relation of an exposed schema.

    Attributes:
        relation: What it is, and who has which privilege on it.
        facts: What else the catalog says.
        intent: Who may do what with it, or ``None`` where nothing says.
        policies: Its policies.
    """

    relation: Relation
    facts: Facts
    intent: TableIntent | None = None
    policies: tuple[Policy, ...] = ()

    @property
    def name(self) -> str:
        """``schema.table``."""
        return self.relation.full_name

    @property
    def quoted(self) -> str:
        """Its name as SQL writes it."""
        return self.facts.quoted

    def may(self, role: str, operation: str) -> bool:
        """Whether a client has the privilege, and can make use of it on such a relation."""
        if f"{role} {operation}" not in self.relation.privileges:
            return False
        if self.relation.kind == "v" and operation != "select":
            return operation in self.relation.writable
        return self.relation.kind != "m" or operation == "select"

    def who_may(self, operation: str) -> list[str]:
        """Give the clients that have a privilege."""
        return [role for role in CLIENTS if self.may(role, operation)]

    def word(self, role: Role, operation: Operation) -> Word | None:
        """Give what the intent says: own, all, none; ``None`` where it says nothing."""
        return self.intent.rules[role].words[operation] if self.intent else None

    def column(self, name: str) -> str:
        """Give a column's name as SQL writes it."""
        return self.facts.columns.get(name, name)

    @property
    def is_open_by_intent(self) -> bool:
        """Whether rls.toml lets every client that can reach it see all rows, and tells none apart.

        Then it is no fault that no policy stands before the rows.
        """
        words = [
            self.word(role, operation)
            for role in CLIENT_ROLES
            for operation in ("select", "insert", "update", "delete")
            if self.may(role, operation)
        ]
        reads = [self.word(role, "select") for role in CLIENT_ROLES if self.may(role, "select")]
        return all(each == "all" for each in reads) and all(
            each in ("all", "none") for each in words
        )


@dataclass(frozen=True, kw_only=True)
class Project:
    """The whole."""

    tables: tuple[Table, ...]
    functions: tuple[Function, ...]
    roles: tuple[ClientRole, ...]
    declared: tuple[FunctionIntent, ...] = ()
    schemas: frozenset[str] = field(default_factory=frozenset)

    def may_execute(self, function: Function) -> tuple[str, ...]:
        """Give the clients that rls.toml lets call a function."""
        return next(
            (each.execute for each in self.declared if each.full_name == function.full_name), ()
        )


def join(
    catalog: Mapping[str, Relation],
    facts: Mapping[str, Facts],
    policies: Iterable[Policy],
    intents: Mapping[str, TableIntent],
) -> tuple[Table, ...]:
    """Join what is known of each relation; what an extension made is left out."""
    of_table: dict[str, list[Policy]] = {}
    for policy in policies:
        of_table.setdefault(policy.table, []).append(policy)
    return tuple(
        Table(
            relation=relation,
            facts=facts[name],
            intent=intents.get(name),
            policies=tuple(of_table.get(name, ())),
        )
        for name, relation in catalog.items()
        if name in facts and not facts[name].from_extension
    )


def listed(words: Iterable[str]) -> str:
    """Give ``a``, ``a and b``, ``a, b and c``."""
    some = list(words)
    return " and ".join(filter(None, (", ".join(some[:-1]), *some[-1:])))
