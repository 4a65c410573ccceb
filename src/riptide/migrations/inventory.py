"""Every table, column and sequence, as a transaction sees them: by their numbers in the catalog.

How often rows were written comes from the transaction's own counters
(https://www.postgresql.org/docs/17/monitoring-stats.html, ``pg_stat_xact_all_tables``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import DatabaseError
from riptide.migrations.sequences import read_positions
from riptide.migrations.snapshot import MANAGED_SCHEMAS

if TYPE_CHECKING:
    import psycopg

    from riptide.migrations.sequences import Position

# Large objects are rows, too: of a catalog that is otherwise PostgreSQL's own affair.
_RELATIONS = """
select c.oid::bigint, format('%%I.%%I', n.nspname, c.relname), n.nspname, c.relname,
  c.relkind::text,
  c.relfilenode::bigint, n.nspname = any(%(managed)s) or n.nspname ~ '^pg_',
  pg_stat_get_xact_tuples_inserted(c.oid), pg_stat_get_xact_tuples_updated(c.oid),
  pg_stat_get_xact_tuples_deleted(c.oid),
  case when c.relispartition then pg_partition_root(c.oid)::oid::bigint end
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'S') and c.relpersistence <> 't'
  and (n.nspname !~ '^pg_' or c.relname in ('pg_largeobject', 'pg_largeobject_metadata'))
  and n.nspname <> 'information_schema'
order by 1
"""

_COLUMNS = """
select a.attrelid::bigint, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
  a.attgenerated <> ''
from pg_attribute as a
join pg_class as c on c.oid = a.attrelid and c.relkind in ('r', 'p') and c.relpersistence <> 't'
join pg_namespace as n on n.oid = c.relnamespace
where a.attnum > 0 and not a.attisdropped
  and n.nspname <> all (%(managed)s) and n.nspname !~ '^pg_'
order by 1, 2
"""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    number: int
    name: str
    type: str
    generated: bool


@dataclass(frozen=True)
class Relation:
    """A table or a sequence, as the transaction sees it now."""

    oid: int
    full_name: str
    schema: str
    name: str
    kind: str  # r, p (partitioned) or S
    filenode: int
    managed: bool
    inserted: int
    updated: int
    deleted: int
    root: int | None = None  # of a partition: the partitioned table that it belongs to
    columns: tuple[Column, ...] = ()
    position: Position | None = None  # of a sequence

    @property
    def rows(self) -> str:
        """Its rows in SQL: those of its own, and not those of tables that inherit from it."""
        return self.full_name if self.kind == "p" else f"only {self.full_name}"

    @property
    def stored(self) -> tuple[Column, ...]:
        """Its columns but for the generated ones, which hold nothing of their own."""
        return tuple(each for each in self.columns if not each.generated)


Inventory = dict[int, Relation]
"""Every table and sequence by its number."""


def take_inventory(connection: psycopg.Connection) -> Inventory:
    """Read every table and sequence; the search path has to be empty.

    Raises:
        DatabaseError: The server does not count rows (``track_counts``).
    """
    if connection.execute("select current_setting('track_counts')").fetchone() != ("on",):
        raise DatabaseError(
            "the server does not count rows: track_counts is off",
            detail="  Without it nobody can tell whether a rollback deletes rows.",
            state="nothing was changed",
            next_step="alter system set track_counts = on, as its superuser",
        )
    given = {"managed": list(MANAGED_SCHEMAS)}
    columns: dict[int, list[Column]] = {}
    for oid, *rest in connection.execute(_COLUMNS, given).fetchall():
        columns.setdefault(oid, []).append(Column(*rest))
    positions = read_positions(connection)
    return {
        row[0]: Relation(*(*row, tuple(columns.get(row[0], ())), positions.get(row[0])))
        for row in connection.execute(_RELATIONS, given).fetchall()
    }
