"""What PostgreSQL's catalog says about the relations in the schemas that the API exposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

# A grant on a column counts as well: who may change one column may change the row.
_PRIVILEGES = """
  (
    select coalesce(json_agg(r.rolname || ' ' || o.operation), '[]'::json)
    from pg_roles as r
    cross join unnest(array['select', 'insert', 'update', 'delete']) as o (operation)
    where r.rolname in ('anon', 'authenticated', 'service_role')
      and has_schema_privilege(r.oid, c.relnamespace, 'usage')
      and case
        when has_table_privilege(r.oid, c.oid, o.operation) then true
        when o.operation = 'delete' then false
        else has_any_column_privilege(r.oid, c.oid, o.operation)
      end
  )
"""

# Names are the same in a partition and in all that it is a part of.
_PARTITION_KEY = """
  (
    select coalesce(json_agg(distinct k.attname), '[]'::json)
    from pg_partition_ancestors(c.oid) as above (relid)
    join pg_partitioned_table as p on p.partrelid = above.relid
    join pg_attribute as k on k.attrelid = p.partrelid and k.attnum = any(p.partattrs::int2[])
    where above.relid <> c.oid
  )
"""

_RELATIONS = f"""
select
  n.nspname as schema, c.relname as name, c.relkind::text as kind, {_PRIVILEGES} as privileges,
  coalesce(
    json_agg(
      json_build_object(
        'name', a.attname,
        'type', format_type(a.atttypid, a.atttypmod),
        'base', coalesce(b.typname, t.typname),
        'category', t.typcategory,
        'not_null', a.attnotnull or t.typnotnull,
        'default', coalesce(pg_get_expr(d.adbin, d.adrelid), t.typdefault),
        'automatic', a.attidentity <> '' or a.attgenerated <> '',
        'labels', (
          select coalesce(json_agg(e.enumlabel order by e.enumsortorder), '[]'::json)
          from pg_enum as e where e.enumtypid = coalesce(b.oid, t.oid)
        )
      ) order by a.attnum
    ) filter (where a.attnum is not null),
    '[]'::json
  ) as columns,
  case when c.relkind = 'v' then pg_relation_is_updatable(c.oid, true) else 0 end as writable,
  -- `with (security_invoker)`, `= on`, `= 1`: kept as they were written.
  exists (
    select from pg_options_to_table(c.reloptions) as o
    where o.option_name = 'security_invoker' and o.option_value::bool
  ) as invoker,
  case when c.relispartition then (
    select json_build_object(
      'parent', pn.nspname || '.' || pc.relname,
      'columns', {_PARTITION_KEY},
      'expression', pg_get_partition_constraintdef(c.oid),
      'protected', c.relrowsecurity,
      'policies', (
        select coalesce(
          json_agg(
            r.rolname || ' ' || case l.polcmd
              when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
              when 'd' then 'delete' else '*' end
          ),
          '[]'::json
        )
        from pg_policy as l
        join pg_roles as r on r.rolname in ('anon', 'authenticated')
          and exists (
            select from unnest(l.polroles) as o (role)
            where case when o.role = 0 then true else pg_has_role(r.oid, o.role, 'usage') end
          )
        where l.polrelid = c.oid and l.polpermissive
      )
    )
    from pg_inherits as i
    join pg_class as pc on pc.oid = i.inhparent
    join pg_namespace as pn on pn.oid = pc.relnamespace
    where i.inhrelid = c.oid
  ) end as partition
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
left join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_type as t on t.oid = a.atttypid
left join pg_type as b on b.oid = nullif(t.typbasetype, 0)
left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
where n.nspname = any(%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
group by n.nspname, c.oid, c.relname, c.relkind
order by n.nspname, c.relname
"""  # noqa: S608 - made of constants

_CONSTRAINTS = """
select
  n.nspname as schema, c.relname as name, k.contype::text as kind, k.conname as constraint,
  (
    select coalesce(json_agg(a.attname order by u.place), '[]'::json)
    from unnest(k.conkey) with ordinality as u (number, place)
    join pg_attribute as a on a.attrelid = c.oid and a.attnum = u.number
  ) as columns,
  fn.nspname as to_schema, fc.relname as to_name,
  (
    select coalesce(json_agg(a.attname order by u.place), '[]'::json)
    from unnest(k.confkey) with ordinality as u (number, place)
    join pg_attribute as a on a.attrelid = k.confrelid and a.attnum = u.number
  ) as to_columns,
  k.confdeltype = 'c' as cascades,
  case when k.contype = 'c' then pg_get_expr(k.conbin, k.conrelid) end as expression
from pg_constraint as k
join pg_class as c on c.oid = k.conrelid
join pg_namespace as n on n.oid = c.relnamespace
left join pg_class as fc on fc.oid = nullif(k.confrelid, 0)
left join pg_namespace as fn on fn.oid = fc.relnamespace
where n.nspname = any(%s) and k.contype in ('p', 'u', 'f', 'c')
  -- A foreign key to a partitioned table has a twin for each partition there.
  and not exists (
    select from pg_constraint as above
    where above.oid = k.conparentid and above.conrelid = k.conrelid
  )
order by n.nspname, c.relname, k.conname
"""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        type: As SQL writes it, length included: ``character varying(20)``.
        base: The catalog's name of the type, of the type below it for a domain: ``int4``.
        category: PostgreSQL's category of the type (``pg_type.typcategory``): ``S`` for texts.
        default: The default's expression, or ``None``.
        automatic: Whether the database fills it by itself: an identity or a generated column.
        labels: An enum's, in order.
    """

    name: str
    type: str
    base: str
    category: str
    not_null: bool
    default: str | None
    automatic: bool
    labels: tuple[str, ...] = ()

    @property
    def must_be_given(self) -> bool:
        """Whether an insert without it fails for somebody.

        A default that asks who is signed in (``auth.uid()``) is null for a server.
        """
        if self.automatic or not self.not_null:
            return False
        return self.default is None or "auth." in self.default or "current_setting" in self.default


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """A foreign key.

    Attributes:
        name: The constraint's.
        target: The other table as ``schema.table``.
        cascades: Whether a deleted row there takes the row here along.
    """

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    cascades: bool
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check constraint; `expression` names its columns bare."""

    name: str
    columns: tuple[str, ...]
    expression: str


@dataclass(frozen=True, kw_only=True)
class Partition:
    """What makes a table a partition. Policies of the whole do not hold in a part that is asked.

    Attributes:
        parent: What it is directly a part of, as ``schema.table``.
        columns: The columns of the partition key, those of every level.
        expression: Its bounds as a check; empty where there is none.
        protected: Whether RLS is on in the partition itself.
        policies: The partition's own permissive policies, as ``role operation``.
    """

    parent: str
    columns: tuple[str, ...]
    expression: str
    protected: bool
    policies: frozenset[str] = frozenset()


# `pg_relation_is_updatable` answers with the bits of PostgreSQL's CmdType.
_WRITABLE = {"update": 1 << 2, "insert": 1 << 3, "delete": 1 << 4}


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table or a view.

    Attributes:
        kind: ``pg_class.relkind``: r, p, v, m or f.
        privileges: What anon, authenticated and service_role may, on it or on a column of it, as
            ``role operation``.
        unique: The columns of each unique constraint, the primary key's too.
        writable: What can be written through a view.
        invoker: Whether a view asks its tables as the caller, under the caller's policies.
        partition: Of what it is a part, and with which bounds; ``None`` for a table of its own.
    """

    schema: str
    name: str
    kind: str
    privileges: frozenset[str] = frozenset()
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[frozenset[str], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    writable: frozenset[str] = frozenset()
    invoker: bool = False
    partition: Partition | None = None

    @property
    def reachable(self) -> bool:
        """Whether anon or authenticated has any privilege on it."""
        return any(not each.startswith("service_role ") for each in self.privileges)

    @property
    def full_name(self) -> str:
        """``schema.table``."""
        return f"{self.schema}.{self.name}"

    @property
    def is_table(self) -> bool:
        """Whether rows are kept in it (or in its partitions)."""
        return self.kind in ("r", "p")

    def column(self, name: str) -> Column | None:
        """Give the column of that name."""
        return next((each for each in self.columns if each.name == name), None)

    def foreign_key_of(self, column: str) -> ForeignKey | None:
        """Give the first foreign key that the column is part of."""
        return next((each for each in self.foreign_keys if column in each.columns), None)


def missing_schemas(connection: Connection[Any], schemas: Sequence[str]) -> tuple[str, ...]:
    """Give those of the schemas that do not exist."""
    found = connection.execute(
        "select s from unnest(%s::text[]) as s where not exists "
        "(select from pg_namespace where nspname = s)",
        (list(schemas),),
    )
    return tuple(row[0] for row in found)


def read_catalog(connection: Connection[Any], schemas: Sequence[str]) -> dict[str, Relation]:
    """Read the relations of the exposed schemas that exist, by ``schema.table``."""
    constraints: dict[str, list[tuple[Any, ...]]] = {}
    # Bare names in expressions would depend on the search_path: make PostgreSQL write them out.
    with connection.transaction():
        connection.execute("set local search_path = ''")
        relations = connection.execute(_RELATIONS, (list(schemas),)).fetchall()
        for row in connection.execute(_CONSTRAINTS, (list(schemas),)):
            constraints.setdefault(f"{row[0]}.{row[1]}", []).append(row[2:])
    found = {}
    for schema, name, kind, privileges, columns, writable, invoker, partition in relations:
        of_it = constraints.get(f"{schema}.{name}", [])
        relation = Relation(
            schema=schema,
            name=name,
            kind=kind,
            privileges=frozenset(privileges),
            columns=tuple(Column(**{**each, "labels": tuple(each["labels"])}) for each in columns),
            primary_key=next((tuple(row[2]) for row in of_it if row[0] == "p"), ()),
            unique=tuple(frozenset(row[2]) for row in of_it if row[0] in "pu"),
            foreign_keys=tuple(
                ForeignKey(
                    columns=tuple(row[2]),
                    target=f"{row[3]}.{row[4]}",
                    target_columns=tuple(row[5]),
                    cascades=row[6],
                    name=row[1],
                )
                for row in of_it
                if row[0] == "f"
            ),
            checks=(
                *(
                    Check(name=row[1], columns=tuple(row[2]), expression=row[7])
                    for row in of_it
                    if row[0] == "c"
                ),
                *(_bounds(partition) if partition else ()),
            ),
            writable=frozenset(each for each, bit in _WRITABLE.items() if writable & bit),
            invoker=invoker,
            partition=partition and _partition(partition),
        )
        found[relation.full_name] = relation
    return found


def _bounds(found: dict[str, Any]) -> tuple[Check, ...]:
    if not found["expression"]:
        return ()
    columns = tuple(found["columns"])
    return (Check(name="the partition's bounds", columns=columns, expression=found["expression"]),)


def _partition(found: dict[str, Any]) -> Partition:
    return Partition(
        parent=found["parent"],
        columns=tuple(found["columns"]),
        expression=found["expression"] or "",
        protected=found["protected"],
        policies=frozenset(found["policies"]),
    )
