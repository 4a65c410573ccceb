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

from riptide.migrations.sequences import lost_positions

if TYPE_CHECKING:
    from riptide.migrations.inventory import Column, Inventory, Relation


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
        settled: Numbers of columns that were generated and are plain now, by the table's number.
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
    settled: dict[int, frozenset[int]] = field(default_factory=dict)
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
            and all(each <= self.settled.get(key, set()) for key, each in other.settled.items())
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
            settled={
                key: self.settled.get(key, frozenset()) | other.settled.get(key, frozenset())
                for key in self.settled.keys() | other.settled.keys()
            },
        )


def settle(before: Inventory, footprint: Footprint) -> Inventory:
    """Give an inventory in which a column that will not be generated any more has its own values.

    They can be written over then, and nothing would generate them again.
    """
    return before | {
        key: replace(
            before[key],
            columns=tuple(
                replace(each, generated=each.generated and each.number not in numbers)
                for each in before[key].columns
            ),
        )
        for key, numbers in footprint.settled.items()
        if key in before
    }


def between(before: Inventory, after: Inventory) -> Footprint:
    """Give what happened between two inventories of one transaction."""
    gone = {key: each for key, each in before.items() if key not in after and not each.managed}
    columns: dict[int, tuple[Column, ...]] = {}
    deleted, rewritten, altered, managed = set(), set(), set(), []
    updated: dict[int, int] = {}
    settled: dict[int, frozenset[int]] = {}
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
        plain = {each.number for each in new.stored}
        if own := [each.number for each in old.columns if each.generated and each.number in plain]:
            settled[key] = frozenset(own)
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
        settled=settled,
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
