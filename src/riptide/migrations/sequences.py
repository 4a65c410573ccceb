"""Where sequences are, and how they get back there.

``setval()`` and ``nextval()`` are no part of a transaction: what a twin does with them stays when
it is undone (https://www.postgresql.org/docs/17/functions-sequence.html). So positions are read
before a twin runs, and put back afterwards.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import psycopg

_BATCH = 200  # sequences to one query

_ALL = """
select c.oid::bigint, format('%I.%I', n.nspname, c.relname), c.relname, q.seqincrement, q.seqstart,
  d.refobjid::bigint, d.refobjsubid, o.relname,
  case when o.oid > 0 then format('%I.%I', m.nspname, o.relname) end,
  format('alter table %I.%I owner to %I', n.nspname, c.relname, pg_get_userbyid(c.relowner))
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_sequence as q on q.seqrelid = c.oid
left join pg_depend as d on d.classid = 'pg_class'::regclass and d.objid = c.oid
  and d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
left join pg_class as o on o.oid = d.refobjid
left join pg_namespace as m on m.oid = o.relnamespace
where c.relpersistence <> 't' and has_schema_privilege(n.oid, 'usage')
  and case c.relkind when 'S' then has_sequence_privilege(c.oid, 'select') end
order by 1
"""


@dataclass(frozen=True)
class Position:
    """Where a sequence is.

    Attributes:
        last: Its last number, or the first one that it will give.
        called: Whether it has given that.
        step: From one number to the next.
        start: Its first number.
        owner: The number of the table, and in it of the column, that it belongs to.
    """

    last: int
    called: bool
    step: int = 1
    start: int = 1
    owner: tuple[int, int] | None = None

    @property
    def used(self) -> bool:
        """Whether it has given any number, or was set as if it had."""
        return self.called or self.last != self.start

    def is_behind(self, other: Position) -> bool:
        """Whether it would give a number again that ``other``, an earlier look at it, had given."""
        now = self.last + (other.step if self.called else 0)
        then = other.last + (other.step if other.called else 0)
        return (then - now) * other.step > 0


@dataclass(frozen=True)
class _Sequence:
    oid: int
    full_name: str
    name: str
    step: int
    start: int
    owner_oid: int | None
    owner_column: int | None
    owner: str | None
    owner_full_name: str | None
    hold: str  # a statement that changes nothing, and keeps everybody else out


def _all(connection: psycopg.Connection) -> list[_Sequence]:
    return [_Sequence(*row) for row in connection.execute(_ALL).fetchall()]


def read_positions(connection: psycopg.Connection) -> dict[int, Position]:
    """Give where each sequence is that can be read, by its number; in a transaction."""
    found: dict[int, Position] = {}
    # A lock that a look takes goes with the savepoint: nobody is to wait for it.
    with connection.transaction(force_rollback=True):
        every = _all(connection)
        for first in range(0, len(every), _BATCH):
            batch = every[first : first + _BATCH]
            query = " union all ".join(
                f"select {each.oid}::bigint, last_value, is_called from {each.full_name}"
                for each in batch
            )
            rows = connection.execute(query.encode()).fetchall()
            looks = {oid: (last, called) for oid, last, called in rows}
            for each in batch:
                owner = (each.owner_oid or 0, each.owner_column or 0) if each.owner_oid else None
                found[each.oid] = Position(*looks[each.oid], each.step, each.start, owner)
    return found


def lost_positions(
    before: Mapping[int, Position],
    after: Mapping[int, Position],
    gone: Collection[int],
    columns: Collection[tuple[int, int]],
) -> frozenset[int]:
    """Give the numbers of the sequences that had given numbers and would give them again.

    One that goes with its column is not among them: it is counted there.

    Args:
        before: Before the twin ran.
        after: Afterwards.
        gone: Which are not there any more.
        columns: The columns that are there afterwards, as ``Position.owner`` has them.
    """
    owned: dict[tuple[int, int], list[Position]] = {}
    for each in after.values():
        if each.owner:
            owned.setdefault(each.owner, []).append(each)
    lost = set()
    for oid, then in before.items():
        if not then.used:
            continue
        if oid in gone:
            if then.owner is None:
                lost.add(oid)
            elif then.owner in columns:  # and no other one goes on in its place
                others = owned.get(then.owner, [])
                if all(each.is_behind(then) for each in others):
                    lost.add(oid)
        elif oid in after and after[oid].is_behind(then):
            lost.add(oid)
    return frozenset(lost)


def named(connection: psycopg.Connection, texts: Iterable[str]) -> frozenset[int]:
    """Give the numbers of the sequences that SQL sets by ``setval()``, so far as its words tell."""
    words: set[str] = set()
    for text in texts:
        folded = text.lower()
        if "setval" in folded:
            words.update(re.findall(r"\w+", folded))
    return frozenset(
        each.oid
        for each in (_all(connection) if words else ())
        if {each.name.lower(), (each.owner or each.name).lower()} & words
    )


@contextmanager
def sequences_kept(
    connection: psycopg.Connection, hold: Collection[int], *, undo: bool
) -> Iterator[None]:
    """Run what is inside in a savepoint; where that is undone, put sequences back, too.

    One that nobody else could use meanwhile gets exactly the position it had. Of any other one it
    cannot be known who has moved it ahead: it is put back only where it is behind, since numbers
    left out do no harm (every nextval() of a transaction undone leaves one out), and numbers given
    twice do.

    Args:
        connection: In a transaction, the tables that are needed locked already.
        hold: Numbers of sequences that nobody else may use until the transaction ends. Only where
            it is all undone in any case, one that is in use is done without.
        undo: Undo it in any case, not only where it fails.

    Raises:
        psycopg.Error: A sequence is in use, or cannot be read.
    """
    import psycopg

    held = _hold(connection, hold, must=not undo)
    before = read_positions(connection)
    failed = True
    try:
        with connection.transaction(force_rollback=undo):
            yield
        failed = False
    finally:
        if (failed or undo) and not connection.closed:
            with suppress(psycopg.Error), connection.transaction():
                _put_back(connection, before, held)


def _hold(connection: psycopg.Connection, hold: Collection[int], *, must: bool) -> frozenset[int]:
    """Keep others from sequences; give which."""
    import psycopg

    forgiven: list[type[psycopg.Error]] = [psycopg.errors.InsufficientPrivilege]
    if not must:
        forgiven.append(psycopg.errors.LockNotAvailable)
    held = set()
    for each in _all(connection) if hold else ():
        if each.oid not in hold:
            continue
        # One that is not ours to lock is one that others may move.
        with suppress(*forgiven), connection.transaction():
            if each.owner_full_name:  # first, as an insert does: or each waits for the other
                lock = f"lock table only {each.owner_full_name} in share row exclusive mode"
                connection.execute(lock.encode())
            # LOCK TABLE takes no sequence; this changes nothing, and keeps nextval() out.
            connection.execute(each.hold.encode())
            held.add(each.oid)
    return frozenset(held)


def _put_back(
    connection: psycopg.Connection, before: Mapping[int, Position], held: Collection[int]
) -> None:
    for oid, now in read_positions(connection).items():
        then = before.get(oid)
        if then is None or (now.last, now.called) == (then.last, then.called):
            continue
        if oid in held or now.is_behind(then):
            connection.execute(
                "select pg_catalog.setval(%s::bigint::oid::regclass, %s, %s)",
                [oid, then.last, then.called],
            )
