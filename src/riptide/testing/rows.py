"""The migrated state, given back: the rows where only they changed, else the whole stack anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

    from riptide.settings import Settings

# Stored tables that the role postgres may empty: the project's own, and Auth's. Not the history of
# migrations, which is the CLI's, nor an extension's.
_TABLES = """
select n.nspname::text, c.relname::text, pg_has_role(c.relowner, 'usage') and n.nspname <> 'auth',
  array(
    select a.attname::text from pg_attribute as a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    order by a.attnum
  ),
  exists (
    select from pg_trigger as t
    where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled <> 'D'
  ),
  array(
    select distinct format('%I.%I', fn.nspname, f.relname)
    from pg_constraint as k
    join pg_class as f on f.oid = k.confrelid
    join pg_namespace as fn on fn.oid = f.relnamespace
    where k.conrelid = c.oid and k.contype = 'f' and k.confrelid <> c.oid
  ),
  format('%I.%I', n.nspname, c.relname)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'supabase_migrations')
  and (n.nspname, c.relname) <> ('auth', 'schema_migrations')
  and has_table_privilege(c.oid, 'truncate') and has_table_privilege(c.oid, 'insert')
  and not exists (
    select from pg_depend as d
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )
order by 1, 2
"""

_SEQUENCES = """
select format('%I.%I', schemaname, sequencename), last_value, start_value
from pg_sequences
where schemaname !~ '^pg_' and schemaname <> 'auth'
order by 1
"""

# Those made later may be of those made before.
_MATERIALIZED = """
select n.nspname::text, c.relname::text
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'm' and c.relispopulated and pg_has_role(c.relowner, 'usage')
order by c.oid
"""


class ResetDatabase(Protocol):
    """The fixture ``reset_database``."""

    def __call__(self) -> None:
        """Give the database back as the migrations and the seed left it.

        Users and rows made since are gone, those that were changed or deleted are back. Where the
        schema was changed too, the stack is emptied and all migrations are pushed again, which
        takes seconds and not a fraction of one. Keep no session open on the database meanwhile.

        Raises:
            RiptideError: The stack could not be reset.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A table and its rows, as PostgreSQL's ``copy`` writes them."""

    name: str
    schema: str
    owned: bool
    columns: tuple[str, ...]
    triggers: bool
    refers_to: frozenset[str]
    identifier: tuple[str, str]
    rows: bytes


@dataclass(kw_only=True)
class Baseline:
    """What the migrations and the seed left, and the way back to it.

    Attributes:
        settings: Those of the stack's project; addresses and keys stay the same.
    """

    settings: Settings
    _tables: list[_Table] = field(default_factory=list)
    _sequences: Mapping[str, tuple[int | None, int]] = field(default_factory=dict)
    _schema: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Baseline:
        """Read it; the database must be as the push left it."""
        from riptide.database import connect

        baseline = cls(settings=settings)
        with connect(settings.target) as connection:
            baseline._read(connection)
        return baseline

    def restore(self) -> None:
        """See `ResetDatabase`."""
        import psycopg

        from riptide.database import connect
        from riptide.migrations.snapshot import take

        with connect(self.settings.target) as connection:
            try:
                if take(connection) == self._schema:
                    with connection.transaction():
                        self._put_back(connection)
                    return
            except psycopg.Error:
                # A cycle of foreign keys, a session that holds a lock: undone, and the long way.
                pass
        self._start_over()

    def _start_over(self) -> None:
        from riptide.migrations.reset import reset_database

        reset_database(settings=self.settings)

    # --- reading and putting back ----------------------------------------------------------------

    def _read(self, connection: Connection[Any]) -> None:
        from psycopg import sql

        from riptide.migrations.snapshot import take

        self._schema = take(connection)
        self._sequences = {
            name: (last, start)
            for name, last, start in connection.execute(_SEQUENCES.encode()).fetchall()
        }
        found = connection.execute(_TABLES.encode()).fetchall()
        for schema, name, owned, columns, triggers, refers_to, full_name in found:
            query = sql.SQL("copy {} ({}) to stdout").format(
                sql.Identifier(schema, name), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            rows = b""
            if columns:
                with connection.cursor().copy(query) as copy:
                    rows = b"".join(bytes(each) for each in copy)
            table = _Table(
                name=full_name,
                schema=schema,
                owned=owned,
                columns=tuple(columns),
                triggers=triggers,
                refers_to=frozenset(refers_to),
                identifier=(schema, name),
                rows=rows,
            )
            self._tables.append(table)
        self._tables = in_order(self._tables)

    def _put_back(self, connection: Connection[Any]) -> None:
        """Empty all tables and fill them, within a transaction."""
        from psycopg import sql

        connection.execute("set local lock_timeout = '5s'")
        _empty(connection, self._tables)
        for auth in (True, False):
            tables = [each for each in self._tables if (each.schema == "auth") is auth]
            full = [each for each in tables if each.rows]
            if not auth and any(each.rows and each.triggers for each in self._tables):
                # Auth's tables cannot have their triggers put to rest: what these have made goes.
                _empty(connection, tables)
            for each in full:
                _trigger(connection, each, "disable")
            for each in full:
                query = sql.SQL("copy {} ({}) from stdin").format(
                    sql.Identifier(*each.identifier),
                    sql.SQL(", ").join(map(sql.Identifier, each.columns)),
                )
                with connection.cursor().copy(query) as copy:
                    copy.write(each.rows)
            for each in full:
                _trigger(connection, each, "enable")
        for name, (last, start) in self._sequences.items():
            value = start if last is None else last
            connection.execute("select setval(%s, %s, %s)", [name, value, last is not None])
        for view in connection.execute(_MATERIALIZED.encode()).fetchall():
            query = sql.SQL("refresh materialized view {}").format(sql.Identifier(*view))
            connection.execute(query)


def in_order(tables: list[_Table]) -> list[_Table]:
    """Sort tables so that each comes after those it refers to; those of a cycle come last."""
    done: set[str] = set()
    names = {each.name for each in tables}
    ordered: list[_Table] = []
    left = list(tables)
    while left:
        ready = [each for each in left if each.refers_to & names <= done]
        if not ready:
            return ordered + left
        ordered += ready
        done |= {each.name for each in ready}
        left = [each for each in left if each.name not in done]
    return ordered


def _empty(connection: Connection[Any], tables: list[_Table]) -> None:
    from psycopg import sql

    if tables:
        names = sql.SQL(", ").join(sql.Identifier(*each.identifier) for each in tables)
        connection.execute(sql.SQL("truncate {}").format(names))


def _trigger(connection: Connection[Any], table: _Table, what: str) -> None:
    from psycopg import sql

    if table.owned and table.triggers:
        connection.execute(
            sql.SQL("alter table {} {} trigger user").format(
                sql.Identifier(*table.identifier), sql.SQL(what)
            )
        )
