"""A database's schema as one dictionary, to be compared with another's.

It holds what a migration can make and a rollback can forget: not only tables, but grants, owners,
comments, policies, default privileges. What the Supabase platform manages itself (the schemas of
Auth, Storage and so on) is left out, except triggers and policies that a project has put there.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

# https://supabase.com/docs/guides/database/tables#schemas and what its extensions bring.
MANAGED_SCHEMAS = (
    "_analytics",
    "_realtime",
    "_supavisor",
    "auth",
    "cron",
    "extensions",
    "graphql",
    "graphql_public",
    "information_schema",
    "net",
    "pgbouncer",
    "pgmq",
    "pgsodium",
    "pgsodium_masks",
    "realtime",
    "storage",
    "supabase_functions",
    "supabase_migrations",
    "vault",
)

Snapshot = dict[tuple[str, str], str]
"""Definitions by kind (``table``, ``column``, ``policy``, …) and name."""


@dataclass(frozen=True)
class Difference:
    """One object that is not the same in two snapshots.

    Attributes:
        kind: ``table``, ``column``, ``policy``, …
        name: Schema-qualified: ``public.api_tokens.name``.
        before: Its definition in the first one, or ``None`` where it is not there.
        after: Its definition in the second one, or ``None``.
    """

    kind: str
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Give it as a line for a person."""
        if self.before is None:
            return f"{self.kind} {self.name}: only after"
        if self.after is None:
            return f"{self.kind} {self.name}: only before"
        return f"{self.kind} {self.name}: {self.before}  →  {self.after}"


def compare(before: Mapping[tuple[str, str], str], after: Snapshot) -> list[Difference]:
    """Give what differs, sorted by kind and name; nothing where the schemas are equal.

    A table that is only in one of them stands for its columns, constraints and so on.
    """
    found = [
        Difference(*key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    whole = {
        each.name for each in found if each.kind in _RELATIONS and None in (each.before, each.after)
    }
    return [
        each
        for each in found
        if each.kind not in _PARTS or each.name.rpartition(".")[0] not in whole
    ]


_RELATIONS = frozenset({"table", "view", "materialized view", "foreign table", "sequence"})
_PARTS = frozenset({"column", "constraint", "trigger", "policy", "rule", "index"})


def take(connection: psycopg.Connection) -> Snapshot:
    """Read the schema of the database that ``connection`` is in.

    The session's ``search_path`` is left as it was.
    """
    path = connection.execute("select current_setting('search_path')").fetchone()
    # With an empty path PostgreSQL writes every name with its schema.
    connection.execute("select set_config('search_path', '', false)")
    try:
        rows = connection.execute(_objects(), {"managed": list(MANAGED_SCHEMAS)}).fetchall()
    finally:
        # In a transaction that failed nothing can be set, and the setting is undone with it.
        failed = connection.info.transaction_status.name in ("INERROR", "UNKNOWN")
        if path is not None and not failed:
            connection.execute("select set_config('search_path', %s, false)", path)
    return {(kind, name): definition for kind, name, definition in rows}


def _objects() -> bytes:
    return resources.files("riptide.migrations").joinpath("snapshot.sql").read_bytes()
