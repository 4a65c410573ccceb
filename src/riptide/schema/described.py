"""What the catalog says of the project's own tables, functions and types, comments included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riptide.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg import Connection

# Neither what Supabase, PostgreSQL nor an extension keeps.
_SCHEMAS = """
select n.nspname from pg_namespace as n
where n.nspname <> all(%(system)s) and n.nspname not like 'pg\\_%%' and not exists (
  select from pg_depend as e
  where e.classid = 'pg_namespace'::regclass and e.objid = n.oid and e.deptype = 'e'
)
order by n.nspname <> 'public', n.nspname
"""

_OWN = """
  not exists (
    select from pg_depend as e
    where e.classid = '{catalog}'::regclass and e.objid = {oid} and e.deptype = 'e'
  )
"""

_ORDER = "array_position(%(schemas)s, n.nspname::text)"

# A partition is described with its table: it has the same columns, and may come and go by itself.
_RELATIONS = f"""
select
  n.nspname as schema, c.relname as name, c.relkind::text as kind,
  obj_description(c.oid, 'pg_class') as comment, c.relrowsecurity as protected,
  (
    select coalesce(json_agg(json_build_object(
      'name', a.attname,
      'type', format_type(a.atttypid, a.atttypmod),
      'not_null', a.attnotnull,
      'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
      'automatic', case
        when a.attidentity <> '' then 'identity' when a.attgenerated <> '' then 'generated'
        else '' end,
      'comment', col_description(c.oid, a.attnum)
    ) order by a.attnum), '[]'::json)
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ) as columns,
  (
    select coalesce(json_agg(json_build_object(
      'kind', k.contype,
      'columns', (
        select json_agg(a.attname order by u.place)
        from unnest(k.conkey) with ordinality as u (number, place)
        join pg_attribute as a on a.attrelid = c.oid and a.attnum = u.number
      ),
      'schema', fn.nspname, 'table', fc.relname,
      'on_delete', case k.confdeltype
        when 'c' then 'cascade' when 'n' then 'set null' when 'd' then 'set default' else '' end
    ) order by k.contype, k.conname), '[]'::json)
    from pg_constraint as k
    left join pg_class as fc on fc.oid = k.confrelid
    left join pg_namespace as fn on fn.oid = fc.relnamespace
    where k.conrelid = c.oid and k.contype in ('p', 'u', 'f') and k.conparentid = 0
  ) as keys,
  (
    select coalesce(json_agg(json_build_object(
      'name', l.polname,
      'command', case l.polcmd when 'r' then 'select' when 'a' then 'insert'
        when 'w' then 'update' when 'd' then 'delete' else 'all' end,
      'roles', (
        select json_agg(coalesce(r.rolname, 'public') order by r.rolname)
        from unnest(l.polroles) as o (role) left join pg_roles as r on r.oid = o.role
      ),
      'permissive', l.polpermissive,
      'comment', obj_description(l.oid, 'pg_policy')
    ) order by l.polname), '[]'::json)
    from pg_policy as l where l.polrelid = c.oid
  ) as policies
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = any(%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not c.relispartition and {_OWN.format(catalog="pg_class", oid="c.oid")}
order by {_ORDER}, c.relname
"""  # noqa: S608 - made of constants

# Without aggregates. Whom a trigger's function serves is said with it: of a trigger on another's
# table (auth.users) there is nothing else that could be said.
_FUNCTIONS = f"""
select
  n.nspname as schema, p.proname as name, pg_get_function_arguments(p.oid) as arguments,
  pg_get_function_result(p.oid) as result, p.prosecdef as definer,
  obj_description(p.oid, 'pg_proc') as comment,
  (
    select coalesce(json_agg(r.rolname order by r.rolname), '[]'::json) from pg_roles as r
    where r.rolname in ('anon', 'authenticated', 'service_role')
      and has_schema_privilege(r.oid, p.pronamespace, 'usage')
      and has_function_privilege(r.oid, p.oid, 'execute')
  ) as callers,
  (
    select coalesce(json_agg(distinct tn.nspname || '.' || tc.relname), '[]'::json)
    from pg_trigger as t
    join pg_class as tc on tc.oid = t.tgrelid and not tc.relispartition
    join pg_namespace as tn on tn.oid = tc.relnamespace
    where t.tgfoid = p.oid and not t.tgisinternal
  ) as triggered_by
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
where n.nspname = any(%(schemas)s) and p.prokind in ('f', 'p', 'w')
  and {_OWN.format(catalog="pg_proc", oid="p.oid")}
order by {_ORDER}, p.proname, pg_get_function_identity_arguments(p.oid)
"""  # noqa: S608 - made of constants

_TYPES = f"""
select
  n.nspname as schema, t.typname as name, t.typtype::text as kind,
  obj_description(t.oid, 'pg_type') as comment,
  case t.typtype
    when 'e' then (
      select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum as e
      where e.enumtypid = t.oid
    )
    when 'd' then json_build_array(format_type(t.typbasetype, t.typtypmod))
    else (
      select json_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) order by a.attnum)
      from pg_attribute as a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    )
  end as parts
from pg_type as t
join pg_namespace as n on n.oid = t.typnamespace
left join pg_class as c on c.oid = t.typrelid
where n.nspname = any(%(schemas)s)
  and (t.typtype in ('e', 'd') or (t.typtype = 'c' and c.relkind = 'c'))
  and {_OWN.format(catalog="pg_type", oid="t.oid")}
order by {_ORDER}, t.typname
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column; ``automatic`` is ``identity``, ``generated`` or empty."""

    name: str
    type: str
    not_null: bool
    default: str | None
    automatic: str
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class Key:
    """A primary (``p``), unique (``u``) or foreign (``f``) key; the latter's table and action."""

    kind: str
    columns: tuple[str, ...]
    schema: str | None
    table: str | None
    on_delete: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy, without its expressions: those are the migrations' to say."""

    name: str
    command: str
    roles: tuple[str, ...]
    permissive: bool
    comment: str | None


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table, view or what else has columns; ``kind`` is pg_class's ``relkind``."""

    schema: str
    name: str
    kind: str
    comment: str | None
    protected: bool
    columns: tuple[Column, ...]
    keys: tuple[Key, ...]
    policies: tuple[Policy, ...]

    @property
    def full_name(self) -> str:
        """``schema.name``."""
        return f"{self.schema}.{self.name}"

    @property
    def is_table(self) -> bool:
        """Whether rows are kept in it, which policies can stand before."""
        return self.kind in ("r", "p")


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function or, without a ``result``, a procedure; ``callers`` are roles of the API."""

    schema: str
    name: str
    arguments: str
    result: str | None
    definer: bool
    comment: str | None
    callers: tuple[str, ...]
    triggered_by: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """``schema.name``."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Type:
    """An enum (``e``, of labels), a domain (``d``, of a type) or a composite (``c``, of fields)."""

    schema: str
    name: str
    kind: str
    comment: str | None
    parts: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """``schema.name``."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Described:
    """All of it, by schema and name."""

    schemas: tuple[str, ...]
    relations: tuple[Relation, ...]
    functions: tuple[Function, ...]
    types: tuple[Type, ...]


def require_schemas(connection: Connection[Any], schemas: Sequence[str]) -> None:
    """Refuse a schema that is not there: most likely a slip of the pen.

    Raises:
        ConfigError: There is one.
    """
    query = "select s from unnest(%s::text[]) as s where to_regnamespace(quote_ident(s)) is null"
    absent = connection.execute(query, [list(schemas)]).fetchall()
    if absent:
        raise ConfigError(
            f"there is no schema {absent[0][0]!r} in the database",
            state="nothing was written",
            next_step="--schema, [tool.riptide] of pyproject.toml, or [api] schemas of config.toml",
        )


def describe(connection: Connection[Any], schemas: Sequence[str]) -> Described:
    """Read the catalog in one read-only transaction.

    Args:
        connection: A session in autocommit mode.
        schemas: Which schemas; empty for every one that is the project's own.
    """
    from riptide.rls.audit.facts import SYSTEM

    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        # Types and defaults are written out with their schema, whatever the role's path is.
        connection.execute("set local search_path = ''")
        own = connection.execute(_SCHEMAS.encode(), {"system": list(SYSTEM)}).fetchall()
        chosen = list(schemas) or [name for (name,) in own]
        return Described(
            schemas=tuple(chosen),
            relations=tuple(
                Relation(
                    **{
                        **row,
                        "columns": _made(Column, row["columns"]),
                        "keys": _made(Key, row["keys"]),
                        "policies": _made(Policy, row["policies"]),
                    }
                )
                for row in _rows(connection, _RELATIONS, chosen)
            ),
            functions=_made(Function, _rows(connection, _FUNCTIONS, chosen)),
            types=_made(Type, _rows(connection, _TYPES, chosen)),
        )


def _made(kind: Any, rows: Iterable[dict[str, Any]]) -> tuple[Any, ...]:
    """Make an object of each row, its lists as tuples."""
    return tuple(
        kind(**{key: tuple(each) if isinstance(each, list) else each for key, each in row.items()})
        for row in rows
    )


def _rows(connection: Connection[Any], query: str, schemas: list[str]) -> list[dict[str, Any]]:
    from psycopg.rows import dict_row

    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), {"schemas": schemas}).fetchall()
