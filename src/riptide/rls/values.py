"""Makes up values that a column takes: candidates by type, tried against its checks in SQL.

No check is parsed: PostgreSQL itself evaluates the column's check expressions on each candidate,
and what a check compares with (``status in ('draft', 'live')``) is a candidate too.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from psycopg import Connection

    from riptide.rls.catalog import Column, Relation

_TEXTS: tuple[Callable[[str], Any], ...] = (
    lambda t: f"riptide-{t[:12]}",
    lambda t: t + t,  # 64 hexadecimal digits: a SHA-256
    lambda t: t,
    lambda t: (t + t)[:40],
    lambda t: f"riptide{t[:8]}",
    lambda t: str(uuid.UUID(t)),
    lambda t: f"riptide-{t[:12]}@example.com",
    lambda t: f"https://example.com/{t[:12]}",
    lambda t: f"+1555{int(t[:6], 16) % 10**7:07d}",
    lambda t: f"{int(t[:8], 16):010d}",
    lambda t: t[:8],
    lambda t: t[:8].upper(),
    lambda t: t[:2],
    lambda t: t[:1],
    lambda _: "EUR",
    lambda _: "DE",
    lambda _: "en",
)
_NUMBERS: tuple[Callable[[str], Any], ...] = (
    lambda t: 1 + int(t[:8], 16) % 2_000_000_000,
    lambda t: 1 + int(t[:8], 16) % 32_000,
    lambda t: 1 + int(t[:8], 16) % 100,
    lambda t: 1 + int(t[:8], 16) % 5,
    lambda _: 1,
    lambda _: 0,
    lambda t: -1 - int(t[:8], 16) % 32_000,
    lambda t: int(t[:8], 16) % 100 / 100,
)


def _moment(days: int) -> Callable[[str], Any]:
    def make(token: str) -> str:
        shift = timedelta(days=days, seconds=int(token[:5], 16) % 80_000)
        return (datetime.now(UTC) + shift).replace(microsecond=0).isoformat()

    return make


def _date(days: int) -> Callable[[str], Any]:
    def make(token: str) -> str:
        return (datetime.now(UTC).date() + timedelta(days + int(token[:4], 16) % 300)).isoformat()

    return make


_MOMENTS = tuple(_moment(days) for days in (30, -30, 3, -3, 1000, -10000))
_DATES = tuple(_date(days) for days in (1, -301, -10000))
_BY_BASE: dict[str, tuple[Callable[[str], Any], ...]] = {
    "uuid": (lambda t: str(uuid.UUID(t)),),
    "bool": (lambda _: True, lambda _: False),
    "timestamptz": _MOMENTS,
    "timestamp": _MOMENTS,
    "date": _DATES,
    "time": (lambda t: f"{int(t[:4], 16) % 24:02d}:{int(t[4:8], 16) % 60:02d}:00",),
    "timetz": (lambda t: f"{int(t[:4], 16) % 24:02d}:{int(t[4:8], 16) % 60:02d}:00+00",),
    "interval": (lambda t: f"{1 + int(t[:4], 16) % 59} minutes",),
    "json": (lambda t: {"riptide": t[:8]}, lambda _: {}),
    "jsonb": (lambda t: {"riptide": t[:8]}, lambda _: {}),
    "bytea": (lambda t: f"\\x{t}",),
    # Addresses for documentation: RFC 5737, RFC 3849.
    "inet": (lambda t: f"192.0.2.{int(t[:4], 16) % 256}",),
    "cidr": (lambda t: f"192.0.2.{int(t[:4], 16) % 256}/32",),
    "macaddr": (lambda t: f"02:00:5e:{t[:2]}:{t[2:4]}:{t[4:6]}",),
    "point": (lambda t: f"({int(t[:2], 16)},{int(t[2:4], 16)})",),
    "tsvector": (lambda t: f"'riptide{t[:8]}'",),
    "xml": (lambda t: f"<riptide>{t[:8]}</riptide>",),
    "macaddr8": (lambda t: f"02:00:5e:{t[:2]}:{t[2:4]}:{t[4:6]}:{t[6:8]}:{t[8:10]}",),
    "varbit": (lambda t: f"{int(t[:2], 16):b}",),
    "char": (lambda t: t[:1],),
    "tsquery": (lambda t: f"riptide{t[:8]}",),
    "jsonpath": (lambda t: f"$.riptide{t[:8]}",),
    "pg_lsn": (lambda t: f"0/{t[:8].upper()}",),
    "line": (lambda t: f"{{1,2,{int(t[:2], 16)}}}",),
    "lseg": (lambda t: f"[(0,0),(1,{int(t[:2], 16)})]",),
    "box": (lambda t: f"(1,{1 + int(t[:2], 16)}),(0,0)",),
    "path": (lambda t: f"[(0,0),(1,{int(t[:2], 16)})]",),
    "polygon": (lambda t: f"((0,0),(1,{int(t[:2], 16)}),(2,0))",),
    "circle": (lambda t: f"<(0,0),{1 + int(t[:2], 16)}>",),
}
# Values of a column that a run has at hand; it needs about ten.
WANTED = 12
# Values tried where few of them fit: one of many partitions by hash.
_MANY = 16 * WANTED
_LITERAL = re.compile(r"'((?:[^']|'')*)'|(?<![\w.])(-?\d+(?:\.\d+)?)(?![\w.])")


def fresh() -> str:
    """Give 32 random hexadecimal digits, which a maker turns into a value."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Fixed:
    """A value from ``[tables.x.row]``.

    ``{random}`` in a text becomes something new each time, ``{owner}`` the id of whose row it is.
    """

    value: Any

    def make(self, owner: str = "") -> Any:
        """Give the value for one row."""
        return _plain(self.value, {"{random}": fresh()[:12], "{owner}": owner})


def _plain(value: Any, words: Mapping[str, str]) -> Any:
    """Give a value of TOML as JSON can say it and PostgreSQL reads it: dates, nan, inf as texts."""
    match value:
        case str():
            for word, text in words.items():
                value = value.replace(word, text)
            return value
        case dict():
            return {key: _plain(each, words) for key, each in value.items()}
        case list():
            return [_plain(each, words) for each in value]
        case date() | time():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return str(value)
    return value


class ColumnValues:
    """Values that one column takes, each of them tried against its type and checks.

    Attributes:
        values: All different; empty where none is known.
        random: Whether nobody else's row has one of them, but by a chance of 1 in 2^32 or less.
    """

    def __init__(self, values: Sequence[Any], *, random: bool = False) -> None:
        self.values = tuple(values)
        self.random = random
        self._next = itertools.cycle(self.values)

    def make(self, *, other_than: object = None) -> Any:
        """Give the next value; where there is more than one, one that is not ``other_than``."""
        value = next(self._next)
        if self.varies and other_than is not None and str(value) == str(other_than):
            return next(self._next)
        return value

    @property
    def few(self) -> bool:
        """Whether these are all the values that there are, as far as is known."""
        return len(self.values) < WANTED and not self.random

    @property
    def varies(self) -> bool:
        """Whether there is more than one value."""
        return len(self.values) > 1


def find_values(connection: Connection[Any], relation: Relation, column: Column) -> ColumnValues:
    """Find values that the column's type and its own checks accept.

    Checks over several columns are left to the insert itself.
    """
    checks = [each.expression for each in relation.checks if each.columns == (column.name,)]
    # What bounds over several columns compare with is worth a try too.
    literals = [each.expression for each in relation.checks if column.name in each.columns]
    found: list[Any] = []
    bounded = relation.partition is not None and column.name in relation.partition.columns
    # Eight random digits and a word before them at least, or 32 digits: see _TEXTS and uuid.
    random = column.category == "S" or column.base == "uuid"
    together = bounded and not any(each.columns == (column.name,) for each in relation.checks)
    makers = [
        _candidates(column, small=_is_computed_with(relation, column)),
        _literals(literals, column),
    ]
    for maker in itertools.chain(*(reversed(makers) if together else makers)):
        tries: list[Any] = []
        for _ in range(_MANY if bounded else WANTED):
            value = maker(fresh())
            if value not in tries and value not in found:
                tries.append(value)
        accepted = _accepted(connection, column, checks, tries)
        found += accepted
        if accepted and (len(tries) < WANTED or min(map(len, map(str, accepted))) < 15):
            random = False
        if len(found) >= WANTED:
            break
    return ColumnValues(found[:WANTED], random=random and bool(found))


def _is_computed_with(relation: Relation, column: Column) -> bool:
    """Whether a generated column has it in its expression: a product of two may be out of range."""
    if any(column.name in each for each in relation.unique):
        return False
    name = re.compile(rf"\b{re.escape(column.name)}\b")
    return any(each.automatic and name.search(each.default or "") for each in relation.columns)


def _candidates(column: Column, *, small: bool) -> Iterator[Callable[[str], Any]]:
    if column.labels:
        yield from (_constant(each) for each in column.labels)
    elif column.category == "A":
        if column.base in ("_text", "_varchar"):
            yield lambda t: [f"riptide-{t[:8]}"]
        elif column.base[1:] in _BY_BASE and column.base[1:] not in ("json", "jsonb", "xml", "box"):
            yield from (_listed(each) for each in _BY_BASE[column.base[1:]])
        elif column.base in ("_int2", "_int4", "_int8", "_numeric", "_float4", "_float8"):
            yield lambda t: [1 + int(t[:8], 16) % 32_000]
        yield _constant([])
    elif column.base in _BY_BASE:
        yield from _BY_BASE[column.base]
    elif column.category == "R":
        yield _constant("{}" if column.base.endswith("multirange") else "empty")
    elif column.base == "bit":
        length = re.search(r"\((\d+)\)", column.type)
        bits = int(length[1]) if length else 1
        yield lambda t: f"{int(t, 16):b}".rjust(bits, "1")[-bits:]
    elif column.category == "S" or column.base == "citext":
        length = re.search(r"\((\d+)\)", column.type)
        yield from (_TEXTS if not length else (_cut(each, int(length[1])) for each in _TEXTS))
    elif column.category == "N":
        yield from (*_NUMBERS[2:], *_NUMBERS[:2]) if small else _NUMBERS


def _literals(checks: list[str], column: Column) -> Iterator[Callable[[str], Any]]:
    if column.category not in ("S", "N", "D", "U"):
        return
    for expression in checks:
        for text, number in _LITERAL.findall(expression):
            if column.category != "N" and text:
                yield _constant(text.replace("''", "'"))
            elif column.category == "N":
                number = number or (text if re.fullmatch(r"-?\d+(\.\d+)?", text) else "")
                if number:
                    yield _constant(float(number) if "." in number else int(number))


def _accepted(
    connection: Connection[Any], column: Column, checks: list[str], values: list[Any]
) -> list[Any]:
    """Give those of the values that the column takes."""
    import psycopg
    from psycopg import sql

    if not values:
        return []
    conditions: list[sql.Composable] = [sql.SQL("true")]
    conditions += [sql.Composed([sql.SQL(f"coalesce({each}, true)")]) for each in checks]
    # The column itself comes back too: else the cast to a domain would be left out.
    query = sql.SQL(
        "select {conditions}, {name} is null from (values {values}) as t ({name})"
    ).format(
        conditions=sql.SQL(" and ").join(conditions),
        values=sql.SQL(", ").join(
            sql.SQL("({}::{})").format(sql.Literal(_as_text(each)), sql.SQL(column.type))
            for each in values
        ),
        name=sql.Identifier(column.name),
    )
    try:
        answers = connection.execute(query).fetchall()
    except psycopg.Error:
        # One that is not of the type spoils the whole query: ask for a few by themselves.
        if len(values) == 1:
            return []
        return [each for one in values[:4] for each in _accepted(connection, column, checks, [one])]
    return [value for value, answer in zip(values, answers, strict=True) if answer[0]]


def _as_text(value: Any) -> str:
    """Write a value as PostgreSQL's input for its type."""
    if isinstance(value, list):
        return "{" + ",".join(json.dumps(each) for each in value) + "}"
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _listed(maker: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda token: [maker(token)]


def _constant(value: Any) -> Callable[[str], Any]:
    return lambda _: value


def _cut(maker: Callable[[str], Any], length: int) -> Callable[[str], Any]:
    return lambda token: maker(token)[:length]
