"""What PostgreSQL's catalog says about the relations in the schemas that the API exposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

# Table privileges of "," mean any of them; column grants count as well, hence the second half.
_REACHABLE = """
  exists (
    select from pg_roles as r
    where r.rolname in ('anon', 'authenticated')
      and has_schema_privilege(r.oid, c.relnamespace, 'usage')
      and (
        has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
        or has_any_column_privilege(r.oid, c.oid, 'select, insert, update')
      )
  )
"""

_RELATIONS = f"""
select
  n.nspname as schema, c.relname as name, c.relkind::text as kind, {_REACHABLE} as reachable,
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
  ) as columns
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
        target: The other table as ``schema.table``.
        cascades: Whether a deleted row there takes the row here along.
    """

    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    cascades: bool


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check constraint; `expression` names its columns bare."""

    name: str
    columns: tuple[str, ...]
    expression: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table or a view.

    Attributes:
        kind: ``pg_class.relkind``: r, p, v, m or f.
        reachable: Whether anon or authenticated has any privilege on it.
        unique: The columns of each unique constraint, the primary key's too.
    """

    schema: str
    name: str
    kind: str
    reachable: bool
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[frozenset[str], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()

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
    for schema, name, kind, reachable, columns in relations:
        of_it = constraints.get(f"{schema}.{name}", [])
        relation = Relation(
            schema=schema,
            name=name,
            kind=kind,
            reachable=reachable,
            columns=tuple(Column(**{**each, "labels": tuple(each["labels"])}) for each in columns),
            primary_key=next((tuple(row[2]) for row in of_it if row[0] == "p"), ()),
            unique=tuple(frozenset(row[2]) for row in of_it if row[0] in "pu"),
            foreign_keys=tuple(
                ForeignKey(
                    columns=tuple(row[2]),
                    target=f"{row[3]}.{row[4]}",
                    target_columns=tuple(row[5]),
                    cascades=row[6],
                )
                for row in of_it
                if row[0] == "f"
            ),
            checks=tuple(
                Check(name=row[1], columns=tuple(row[2]), expression=row[7])
                for row in of_it
                if row[0] == "c"
            ),
        )
        found[relation.full_name] = relation
    return found
