"""What a rollback twin does to tables and rows, seen from inside its own transaction.

Tables and columns are told apart by their numbers in the catalog, not by name: a table that is
renamed keeps its rows, and one that is dropped and made again under its name does not. Rows come
from the transaction's own counters
(https://www.postgresql.org/docs/17/monitoring-stats.html, ``pg_stat_xact_all_tables``); a table
that has another file afterwards was truncated or rewritten, and only counting tells which.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from riptide.errors import DatabaseError
from riptide.migrations.sequences import lost_positions, read_positions
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


@dataclass(frozen=True)
class Footprint:
    """What happened between two inventories; relations are as they were before.

    Attributes:
        dropped: Tables that are gone.
        columns: Columns that are gone from tables that stay, by the table's number.
        deleted: Numbers of tables that stay in which rows were deleted.
        rewritten: Numbers of tables that stay and have another file: truncated or rewritten.
        updated: Rows changed, by the table's number.
        altered: Numbers of tables that stay and whose rows may have other values.
        managed: The platform's own tables whose rows were touched.
        sequences: Sequences that are gone.
        positions: Sequences that would give numbers again which they had given.
        moved: Partitions whose rows may be in another one of the same table, with that table's
            number. They are in none of the sets above: the table is, as ``altered``.
    """

    dropped: dict[int, Relation] = field(default_factory=dict)
    columns: dict[int, tuple[Column, ...]] = field(default_factory=dict)
    deleted: frozenset[int] = frozenset()
    rewritten: frozenset[int] = frozenset()
    updated: dict[int, int] = field(default_factory=dict)
    altered: frozenset[int] = frozenset()
    managed: tuple[str, ...] = ()
    sequences: dict[int, Relation] = field(default_factory=dict)
    positions: dict[int, Relation] = field(default_factory=dict)
    moved: dict[int, int] = field(default_factory=dict)

    @property
    def emptied(self) -> dict[int, Relation]:
        """Tables that go with their rows."""
        return {key: each for key, each in self.dropped.items() if key not in self.moved}

    @property
    def shrunk(self) -> frozenset[int]:
        """Numbers of tables that stay and may have lost rows."""
        return self.deleted | self.rewritten

    @property
    def touched(self) -> frozenset[int]:
        """Numbers of all tables that may lose something."""
        return self.shrunk | self.altered | self.dropped.keys() | self.columns.keys()

    def covers(self, other: Footprint) -> bool:
        """Whether nothing of ``other`` was unforeseen."""
        return (
            other.dropped.keys() <= self.dropped.keys()
            and all(
                set(each) <= set(self.columns.get(key, ())) for key, each in other.columns.items()
            )
            and other.shrunk <= self.shrunk
            and other.altered <= self.altered
            and other.moved.keys() <= self.moved.keys()
            and other.sequences.keys() <= self.sequences.keys()
            and other.positions.keys() <= self.positions.keys()
        )

    def with_(self, other: Footprint) -> Footprint:
        """Give one that foresees both."""
        columns = dict(self.columns)
        for key, each in other.columns.items():
            columns[key] = tuple(dict.fromkeys((*columns.get(key, ()), *each)))
        return replace(
            self,
            dropped={**self.dropped, **other.dropped},
            columns=columns,
            deleted=self.deleted | other.deleted,
            rewritten=self.rewritten | other.rewritten,
            altered=self.altered | other.altered,
            sequences={**self.sequences, **other.sequences},
            positions={**self.positions, **other.positions},
            moved={**self.moved, **other.moved},
        )


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


def between(before: Inventory, after: Inventory) -> Footprint:
    """Give what happened between two inventories of one transaction."""
    gone = {key: each for key, each in before.items() if key not in after and not each.managed}
    columns: dict[int, tuple[Column, ...]] = {}
    deleted, rewritten, altered, managed = set(), set(), set(), []
    updated: dict[int, int] = {}
    for key, old in before.items():
        new = after.get(key)
        if old.kind == "S":
            continue
        if old.managed:
            if new is None or _moved(old, new) or old.filenode != new.filenode:
                managed.append(old.full_name)
            continue
        if new is None:
            continue
        still = {each.number for each in new.columns}
        lost = tuple(each for each in old.stored if each.number not in still)
        if lost and old.kind == "r":  # a partitioned table has no rows of its own
            columns[key] = lost
        if new.deleted > old.deleted:
            deleted.add(key)
        if new.filenode != old.filenode:
            rewritten.add(key)
        if new.updated > old.updated:
            updated[key] = new.updated - old.updated
        if _altered(old, new):
            altered.add(key)
    moved = _moved_rows(before, after, deleted | rewritten | gone.keys())
    return Footprint(
        dropped={key: each for key, each in gone.items() if each.kind == "r"},
        columns=columns,
        deleted=frozenset(deleted - moved.keys()),
        rewritten=frozenset(rewritten - moved.keys()),
        updated=updated,
        altered=frozenset(altered - moved.keys() | set(moved.values())),
        moved=moved,
        managed=tuple(managed),
        sequences={key: each for key, each in gone.items() if each.kind == "S"},
        positions=_positions(before, after),
    )


def _positions(before: Inventory, after: Inventory) -> dict[int, Relation]:
    lost = lost_positions(
        {key: each.position for key, each in before.items() if each.position and not each.managed},
        {key: each.position for key, each in after.items() if each.position},
        before.keys() - after.keys(),
        {(key, column.number) for key, each in after.items() for column in each.columns},
    )
    return {key: before[key] for key in sorted(lost)}


def _moved_rows(before: Inventory, after: Inventory, losing: set[int]) -> dict[int, int]:
    """Give the partitions of each table in which some have lost rows and some have got new ones.

    An update of what says where a row belongs is a deletion here and an insertion there
    (https://www.postgresql.org/docs/17/ddl-partitioning.html). What became of the rows can only be
    told for the table as a whole; not where one of them was detached, and is a table of its own.
    """
    gaining = set()
    for key, each in after.items():
        was = before.get(key)
        if each.root is not None and each.inserted > (was.inserted if was else 0):
            gaining.add(each.root)
    leaves = {key: each.root for key, each in before.items() if each.kind == "r" and each.root}
    roots = {root for key, root in leaves.items() if key in losing} & gaining & after.keys()
    roots -= {root for key, root in leaves.items() if key in after and after[key].root != root}
    return {key: root for key, root in leaves.items() if root in roots}


def _moved(old: Relation, new: Relation) -> bool:
    """Whether a row was written between two looks."""
    return (old.inserted, old.updated, old.deleted) != (new.inserted, new.updated, new.deleted)


def _altered(old: Relation, new: Relation) -> bool:
    """Whether rows that stay may have other values: updated, written anew, or cast.

    A cast gives another file, and cannot be seen by its type: it may have been cast back.
    """
    anew = new.deleted > old.deleted and new.inserted > old.inserted
    return new.updated > old.updated or anew or new.filenode != old.filenode
