"""What the audit reads in the catalog beside `riptide.rls.catalog`: policies, functions, roles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import Connection

CLIENTS = ("anon", "authenticated")

# Schemas that Supabase, an extension or PostgreSQL itself keeps: nothing in them is the project's.
# They are what `supabase db advisors` leaves out, and some of Supabase's own services.
SYSTEM = (
    *("auth", "cron", "extensions", "graphql", "graphql_public", "information_schema", "net"),
    *("pg_catalog", "pg_toast", "pgbouncer", "pgmq", "pgroonga", "pgsodium", "pgsodium_masks"),
    *("pgtle", "realtime", "repack", "storage", "supabase_functions", "supabase_migrations"),
    *("tiger", "tiger_data", "topology", "vault", "_analytics", "_realtime", "_supavisor"),
)

_CLIENT = "r.rolname in ('anon', 'authenticated')"
_USAGE = "has_schema_privilege(r.oid, c.relnamespace, 'usage')"

# A view asks as its owner, or, with security_invoker, as the caller; and through a view of an owner
# all below it is asked by owners (https://www.postgresql.org/docs/17/sql-createview.html).
_READS = """
with recursive views as (
  select c.oid, c.relkind, exists (
    select from pg_options_to_table(c.reloptions) as o
    where o.option_name = 'security_invoker' and o.option_value::bool
  ) as invoker
  from pg_class as c where c.relkind in ('v', 'm')
),
needs as (
  select distinct w.ev_class as view, d.refobjid as relation
  from pg_rewrite as w
  join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    and d.refclassid = 'pg_class'::regclass and d.refobjid <> w.ev_class
),
reads as (
  select v.oid as view, n.relation, not v.invoker as as_owner
  from views as v
  join pg_class as c on c.oid = v.oid
  join pg_namespace as s on s.oid = c.relnamespace and s.nspname = any(%(schemas)s)
  join needs as n on n.view = v.oid
  union
  select reads.view, n.relation, reads.as_owner or not v.invoker
  from reads
  join views as v on v.oid = reads.relation
  join pg_class as c on c.oid = v.oid
  join needs as n on n.view = v.oid
  where reads.as_owner or exists (
    select from pg_roles as r
    where r.rolname in ('anon', 'authenticated')
      and has_schema_privilege(r.oid, c.relnamespace, 'usage')
      and has_any_column_privilege(r.oid, c.oid, 'select')
  )
)
"""

_RELATIONS = f"""
{_READS}
select
  n.nspname || '.' || c.relname as name,
  format('%%I.%%I', n.nspname, c.relname) as quoted,
  quote_ident(c.relname) as bare,
  c.relrowsecurity as protected,
  exists (
    select from pg_depend as e
    where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e'
  ) as from_extension,
  (
    select coalesce(json_agg(r.rolname order by r.rolname), '[]'::json) from pg_roles as r
    where {_CLIENT} and not r.rolsuper and not c.relforcerowsecurity
      and pg_has_role(r.oid, c.relowner, 'usage')
  ) as owned_by,
  (
    select coalesce(json_agg(r.rolname || ' ' || o.privilege), '[]'::json)
    from pg_roles as r
    cross join unnest(array['truncate', 'references', 'trigger']) as o (privilege)
    where {_CLIENT} and {_USAGE} and has_table_privilege(r.oid, c.oid, o.privilege)
  ) as beyond,
  (
    select coalesce(json_object_agg(a.attname, quote_ident(a.attname)), '{{}}'::json)
    from pg_attribute as a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ) as columns,
  (
    select coalesce(
      json_agg(r.rolname || ' ' || o.operation || ' ' || a.attname order by a.attnum), '[]'::json
    )
    from pg_roles as r
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    cross join unnest(array['insert', 'update']) as o (operation)
    where {_CLIENT} and {_USAGE} and has_column_privilege(r.oid, c.oid, a.attnum, o.operation)
  ) as writable,
  (
    select coalesce(json_agg(distinct a.attname), '[]'::json)
    from pg_index as i
    join pg_attribute as a on a.attrelid = c.oid and a.attnum = i.indkey[0]
    where i.indrelid = c.oid and i.indislive
  ) as indexed,
  (
    select coalesce(json_agg(distinct rn.nspname || '.' || rc.relname), '[]'::json)
    from reads
    join pg_class as rc on rc.oid = reads.relation
    join pg_namespace as rn on rn.oid = rc.relnamespace
    where reads.view = c.oid and reads.as_owner and rc.relkind not in ('v', 'S')
  ) as read_as_owner,
  exists (
    select from reads
    join pg_class as rc on rc.oid = reads.relation and not rc.relrowsecurity
    join pg_roles as r on {_CLIENT} and has_any_column_privilege(r.oid, rc.oid, 'select')
    where reads.view = c.oid and not reads.as_owner and rc.oid = to_regclass('auth.users')
  ) as users_as_caller
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""  # noqa: S608 - made of constants

_POLICIES = """
select
  n.nspname || '.' || c.relname as table, l.polname as name, quote_ident(l.polname) as quoted,
  l.polpermissive as permissive,
  case l.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
    when 'd' then 'delete' else 'all' end as command,
  (
    select json_agg(coalesce(r.rolname, 'public') order by r.rolname)
    from unnest(l.polroles) as o (role) left join pg_roles as r on r.oid = o.role
  ) as roles,
  (
    select coalesce(json_agg(r.rolname order by r.rolname), '[]'::json) from pg_roles as r
    where r.rolname in ('anon', 'authenticated') and exists (
      select from unnest(l.polroles) as o (role)
      where case when o.role = 0 then true else pg_has_role(r.oid, o.role, 'usage') end
    )
  ) as clients,
  pg_get_expr(l.polqual, l.polrelid) as using,
  pg_get_expr(l.polwithcheck, l.polrelid) as checked
from pg_policy as l
join pg_class as c on c.oid = l.polrelid
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s)
order by 1, 2
"""

# Neither aggregates nor what an extension brings.
_FUNCTIONS = """
select
  n.nspname as schema, p.proname as name, p.oid::regprocedure::text as signature,
  case p.prokind when 'p' then 'procedure' else 'function' end as kind,
  p.prosecdef as definer,
  l.lanname in ('c', 'internal') or p.prosqlbody is not null or exists (
    select from unnest(p.proconfig) as o (setting) where o.setting like 'search_path=%%'
  ) as fixed,
  p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype) as trigger,
  (
    select coalesce(json_agg(r.rolname order by r.rolname), '[]'::json) from pg_roles as r
    where r.rolname in ('anon', 'authenticated')
      and has_schema_privilege(r.oid, p.pronamespace, 'usage')
      and has_function_privilege(r.oid, p.oid, 'execute')
  ) as callers
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
join pg_language as l on l.oid = p.prolang
where n.nspname <> all(%(system)s) and n.nspname not like 'pg\\_%%' and p.prokind in ('f', 'p')
  and not exists (
    select from pg_depend as e
    where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e'
  )
order by 1, 3
"""

_ROLES = """
select
  r.rolname as name, r.rolsuper as superuser, r.rolbypassrls as bypasses,
  case when r.rolsuper then '[]'::json else (
    select coalesce(json_agg(b.rolname order by b.rolname), '[]'::json) from pg_roles as b
    where b.oid <> r.oid and (b.rolbypassrls or b.rolsuper) and pg_has_role(r.oid, b.oid, 'member')
  ) end as may_become
from pg_roles as r
where r.rolname in ('anon', 'authenticated')
order by r.rolname
"""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the audit wants to know of a relation, beside `riptide.rls.catalog.Relation`.

    Attributes:
        quoted: Its name as SQL writes it, with the schema.
        bare: Likewise without: as expressions name it.
        protected: Whether RLS is on.
        from_extension: Whether an extension made it; it is not the project's to mend.
        owned_by: The clients that pass for its owner, whom policies do not bind.
        beyond: What clients may that RLS does not hold for, as ``role privilege``.
        columns: Each column's name as SQL writes it.
        writable: The columns that clients may write, as ``role operation column``.
        indexed: The columns that an index begins with.
        read_as_owner: The relations that a view reads under its owner's name, or some view's below.
        users_as_caller: Whether it reads auth.users as the caller, whom nothing keeps from it.
    """

    quoted: str
    bare: str
    protected: bool
    from_extension: bool = False
    owned_by: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    writable: tuple[str, ...] = ()
    indexed: tuple[str, ...] = ()
    read_as_owner: tuple[str, ...] = ()
    users_as_caller: bool = False


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One policy.

    Attributes:
        command: ``select``, ``insert``, ``update``, ``delete`` or ``all``.
        roles: As it names them; ``public`` where it names none.
        clients: The clients that it is for.
        using: Its expression, or ``None``.
        checked: That of ``with check``, or ``None``.
    """

    table: str
    name: str
    quoted: str
    permissive: bool
    command: str
    roles: tuple[str, ...]
    clients: tuple[str, ...]
    using: str | None
    checked: str | None

    def is_for(self, role: str, operation: str) -> bool:
        """Whether it holds for an operation of a client."""
        return role in self.clients and self.command in (operation, "all")

    @property
    def expressions(self) -> dict[str, str]:
        """Its expressions by SQL's words for them."""
        return {
            clause: text
            for clause, text in (("using", self.using), ("with check", self.checked))
            if text is not None
        }


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function or procedure of the project's.

    Attributes:
        signature: ``schema.name(types)``, as SQL writes it.
        kind: ``function`` or ``procedure``.
        definer: Whether it runs as its owner.
        fixed: Whether the caller's search_path does not matter to it: it sets one, or its names
            were looked up when it was made (https://www.postgresql.org/docs/17/sql-createfunction.html).
        trigger: Whether only triggers can call it.
        callers: The clients that may.
    """

    schema: str
    name: str
    signature: str
    kind: str
    definer: bool
    fixed: bool
    trigger: bool
    callers: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """``schema.name``."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class ClientRole:
    """anon or authenticated.

    Attributes:
        may_become: Roles that bypass RLS and that it is a member of.
    """

    name: str
    superuser: bool
    bypasses: bool
    may_become: tuple[str, ...]


def read_facts(connection: Connection[Any], schemas: Sequence[str]) -> dict[str, Facts]:
    """Read the relations of the exposed schemas, by ``schema.table``."""
    rows = _rows(connection, _RELATIONS, schemas)
    return {row.pop("name"): Facts(**row) for row in rows}


def read_policies(connection: Connection[Any], schemas: Sequence[str]) -> list[Policy]:
    """Read the policies of the exposed schemas' tables."""
    return [Policy(**row) for row in _rows(connection, _POLICIES, schemas)]


def read_functions(connection: Connection[Any]) -> list[Function]:
    """Read the functions of every schema that is the project's."""
    return [Function(**row) for row in _rows(connection, _FUNCTIONS, ())]


def read_roles(connection: Connection[Any]) -> list[ClientRole]:
    """Read what the clients' roles may."""
    return [ClientRole(**row) for row in _rows(connection, _ROLES, ())]


def _rows(connection: Connection[Any], query: str, schemas: Sequence[str]) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query.encode(), {"schemas": list(schemas), "system": list(SYSTEM)})
        return [
            {key: tuple(each) if isinstance(each, list) else each for key, each in row.items()}
            for row in cursor
        ]
