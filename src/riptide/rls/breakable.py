"""What the catalog says of a table's Row Level Security that a mistake could break.

https://www.postgresql.org/docs/17/catalog-pg-policy.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from riptide._quote import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection, Cursor

    from riptide.settings import Settings

_POLICIES: LiteralString = """
select
  p.polrelid::regclass::text as relation, n.nspname || '.' || c.relname as table,
  quote_ident(p.polname) as name,
  case p.polcmd
    when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
    else 'all'
  end as command,
  p.polpermissive as permissive,
  case when p.polroles = '{0}' then array['public']
    else array(select quote_ident(rolname) from pg_roles where oid = any(p.polroles) order by 1)
  end as roles,
  pg_get_expr(p.polqual, p.polrelid) as using,
  pg_get_expr(p.polwithcheck, p.polrelid) as check,
  obj_description(p.oid, 'pg_policy') as comment
from pg_policy as p
join pg_class as c on c.oid = p.polrelid
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname || '.' || c.relname = any(%s)
order by 2, 3
"""

_TABLES: LiteralString = """
select
  c.oid::regclass::text as relation, n.nspname || '.' || c.relname as table,
  quote_ident(n.nspname) as schema, c.relrowsecurity as protected,
  array(
    select a.attname::text from pg_attribute as a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum
  ) as columns,
  array(
    select a.attname::text from pg_attribute as a
    where a.attrelid = c.oid and a.attnum > 0 and a.attnotnull and not exists (
      select from pg_constraint as k where k.conrelid = c.oid and k.contype = 'p'
        and a.attnum = any(k.conkey)
    )
  ) as not_null,
  array(
    select a.attname::text from pg_attribute as a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and exists (
      select from pg_roles as r where r.rolname in ('anon', 'authenticated')
        and has_column_privilege(r.oid, c.oid, a.attnum, 'update')
    )
  ) as updatable,
  coalesce((
    select json_agg(json_build_object(
      'name', i.indexrelid::regclass::text, 'definition', pg_get_indexdef(i.indexrelid),
      'first', (select a.attname from pg_attribute as a where a.attrelid = c.oid
        and a.attnum = i.indkey[0]),
      'comment', obj_description(i.indexrelid, 'pg_class')
    ) order by 1)
    from pg_index as i
    where i.indrelid = c.oid
      and not exists (select from pg_constraint as k where k.conindid = i.indexrelid)
  ), '[]'::json) as indexes,
  array(
    select a.attname::text from pg_index as i
    join pg_attribute as a on a.attrelid = c.oid and a.attnum = i.indkey[0]
    where i.indrelid = c.oid and i.indisvalid and i.indpred is null
  ) as first_columns,
  coalesce((
    select json_object_agg(r.rolname || ' ' || o.operation, true)
    from pg_roles as r
    cross join unnest(array['select', 'insert', 'update', 'delete']) as o (operation)
    where r.rolname in ('anon', 'authenticated')
      and (has_table_privilege(r.oid, c.oid, o.operation)
        or (o.operation <> 'delete' and has_any_column_privilege(r.oid, c.oid, o.operation)))
  ), '{}'::json) as privileges,
  coalesce((
    select json_agg(json_build_object(
      'role', r.rolname, 'operation', lower(g.privilege_type), 'columns', g.columns
    ) order by 1)
    from (
      select x.grantee, x.privilege_type, array_agg(quote_ident(a.attname) order by a.attnum)
      from pg_attribute as a, aclexplode(a.attacl) as x
      where a.attrelid = c.oid and not a.attisdropped
      group by x.grantee, x.privilege_type
    ) as g (grantee, privilege_type, columns)
    join pg_roles as r on r.oid = g.grantee and r.rolname in ('anon', 'authenticated')
    where not has_table_privilege(r.oid, c.oid, g.privilege_type)
  ), '[]'::json) as column_grants
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname || '.' || c.relname = any(%s) and c.relkind in ('r', 'p')
order by 2
"""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy as the catalog has it; names and expressions are ready for SQL."""

    relation: str
    table: str
    name: str
    command: str
    permissive: bool
    roles: tuple[str, ...]
    using: str | None
    check: str | None
    comment: str | None

    @property
    def create(self) -> str:
        """The statements that make it, with its comment."""
        kind = "permissive" if self.permissive else "restrictive"
        words = f"create policy {self.name} on {self.relation} as {kind} for {self.command} "
        words += f"to {', '.join(self.roles)}"
        words += f" using ({self.using})" if self.using is not None else ""
        words += f" with check ({self.check})" if self.check is not None else ""
        if self.comment is not None:
            words += f"; comment on policy {self.name} on {self.relation}"
            words += f" is {literal(self.comment)}"
        return words

    @property
    def drop(self) -> str:
        """The statement that removes it."""
        return f"drop policy {self.name} on {self.relation}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """What can be broken of a table beside its policies."""

    relation: str
    table: str
    schema: str
    protected: bool
    columns: tuple[str, ...]
    not_null: tuple[str, ...]
    updatable: frozenset[str]
    indexes: tuple[dict[str, Any], ...]
    first_columns: tuple[str, ...]
    privileges: frozenset[str]
    column_grants: tuple[dict[str, Any], ...]
    policies: tuple[Policy, ...] = ()


def read_policies(connection: Connection[Any], names: Sequence[str]) -> tuple[Policy, ...]:
    """Read the policies of tables that are named as ``schema.table``."""
    from psycopg.rows import dict_row

    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("set local search_path = ''")
        return tuple(_policies(cursor, names))


def policies_of(
    settings: Settings, tables: Sequence[str], *, allow_remote: bool
) -> tuple[Policy, ...]:
    """Read the policies of a verification's tables.

    Raises:
        ConfigError: The target is remote, and that is not allowed or not all of it is known.
        DatabaseError: The database cannot be reached.
        RlsError: The local stack is not running.
    """
    from riptide.database import connect
    from riptide.rls.endpoint import endpoint_of
    from riptide.target import Target

    endpoint = endpoint_of(settings, allow_remote=allow_remote)
    with connect(Target(kind=settings.target.kind, url=endpoint.db_url)) as connection:
        return read_policies(connection, tables)


def _policies(cursor: Cursor[dict[str, Any]], names: Sequence[str]) -> list[Policy]:
    rows = cursor.execute(_POLICIES, (list(names),))
    return [Policy(**{**row, "roles": tuple(row["roles"])}) for row in rows]


def read_tables(connection: Connection[Any], names: Sequence[str]) -> tuple[Table, ...]:
    """Read what can be broken.

    Args:
        connection: As the owner of the tables.
        names: The tables, as ``schema.table``; what is no table is left out.
    """
    from psycopg.rows import dict_row

    # Bare names in expressions would depend on the search_path: make PostgreSQL write them out.
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("set local search_path = ''")
        policies = _policies(cursor, names)
        tables = cursor.execute(_TABLES, (list(names),)).fetchall()
    return tuple(
        Table(
            relation=row["relation"],
            table=row["table"],
            schema=row["schema"],
            protected=row["protected"],
            columns=tuple(row["columns"]),
            not_null=tuple(row["not_null"]),
            updatable=frozenset(row["updatable"]),
            indexes=tuple(row["indexes"]),
            first_columns=tuple(row["first_columns"]),
            privileges=frozenset(row["privileges"]),
            column_grants=tuple(row["column_grants"]),
            policies=tuple(each for each in policies if each.table == row["table"]),
        )
        for row in tables
    )
