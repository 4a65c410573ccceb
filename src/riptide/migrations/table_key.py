"""What tells a table's rows apart: its primary key, and when two keys are the same.

Two values may be equal and not be written alike (``1.0`` and ``1.00``, ``Ann`` and ``ann`` under a
collation that ignores case). What counts is what the key's own index goes by: the equality of the
type's default operator class (https://www.postgresql.org/docs/17/indexes-opclass.html), wherever
its extension was installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

_KEY = """
select array_agg(a.attname::text order by k.position)
from pg_index as x
cross join unnest(x.indkey) with ordinality as k(attnum, position)
join pg_attribute as a on a.attrelid = x.indrelid and a.attnum = k.attnum
where x.indrelid = %s and x.indisprimary and k.position <= x.indnkeyatts
"""

_PARTITION_KEY = """
select a.attname from pg_partitioned_table as p
join pg_attribute as a on a.attrelid = p.partrelid and a.attnum = any(p.partattrs)
where p.partrelid = %s
"""

# Of arrays, enums, rows and ranges it is pg_catalog's, as of all that has no class of its own.
_EQUALITY = """
with recursive base(number, type) as (
  select attnum, atttypid from pg_attribute
  where attrelid = %(table)s and attname = any(%(names)s) and not attisdropped
  union all
  select b.number, t.typbasetype from base as b join pg_type as t on t.oid = b.type
  where t.typtype = 'd'
)
select a.attname, coalesce(found.operator, 'operator(pg_catalog.=)'),
  case when a.attcollation > 0 then format('collate %%I.%%I', m.nspname, l.collname) else '' end
from pg_attribute as a
left join pg_collation as l on l.oid = a.attcollation
left join pg_namespace as m on m.oid = l.collnamespace
left join lateral (
  select format('operator(%%I.%%s)', n.nspname, o.oprname) as operator
  from base as b
  join pg_opclass as k on k.opcintype = b.type and k.opcdefault
  join pg_am as h on h.oid = k.opcmethod and h.amname in ('btree', 'hash')
  join pg_amop as p on p.amopfamily = k.opcfamily and p.amoplefttype = b.type
    and p.amoprighttype = b.type and p.amopstrategy = case h.amname when 'btree' then 3 else 1 end
  join pg_operator as o on o.oid = p.amopopr
  join pg_namespace as n on n.oid = o.oprnamespace
  where b.number = a.attnum
  order by h.amname
  limit 1
) as found on true
where a.attrelid = %(table)s and a.attname = any(%(names)s) and not a.attisdropped
"""


@dataclass(frozen=True)
class Equality:
    """How two values of a column are compared.

    Attributes:
        operator: In SQL, with its schema.
        collate: The column's collation as a clause, or ``""``.
    """

    operator: str = "operator(pg_catalog.=)"
    collate: str = ""


def primary_key(connection: psycopg.Connection, oid: int) -> list[str]:
    """Give the names of a table's primary key; none where it has none."""
    row = connection.execute(_KEY, [oid]).fetchone()
    return list(row[0]) if row and row[0] else []


def partition_key(connection: psycopg.Connection, oid: int) -> frozenset[str]:
    """Give the names of the columns that say in which partition a row is."""
    return frozenset(name for (name,) in connection.execute(_PARTITION_KEY, [oid]).fetchall())


def equalities(
    connection: psycopg.Connection, oid: int, names: Iterable[str]
) -> dict[str, Equality]:
    """Give how values of a table's columns are compared, by the column's name."""
    given = {"table": oid, "names": list(names)}
    rows = connection.execute(_EQUALITY, given).fetchall()
    return {name: Equality(operator, collate) for name, operator, collate in rows}
