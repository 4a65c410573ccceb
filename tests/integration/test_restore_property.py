"""Random tables with random rows: pushed, taken back, pushed again, put back, equal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Json, Jsonb

from riptide import restore_rows, rollback_migrations

if TYPE_CHECKING:
    from _database import Database

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
) | st.sampled_from(
    ["", " ", "NULL", "\\N", "\\.", '"', '""', "a,b", "\n", "\r\n", "'", "\\", "%s"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "integer": st.integers(-(2**31), 2**31 - 1),
    # Python's NaNs may have a sign, which PostgreSQL does not know.
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, places=7)
    | st.just(Decimal("NaN")),
    "double precision": st.floats(),
    "boolean": st.booleans(),
    "timestamptz": st.datetimes(),
    "jsonb": JSON.map(Jsonb),
    "json": JSON.map(Json),
    "bytea": st.binary(max_size=9),
    "text[]": st.lists(st.none() | TEXT, max_size=3),
    "integer[]": st.lists(st.none() | st.integers(-9, 9), max_size=3),
    "uuid": st.uuids(),
    "interval": st.timedeltas(),
}


@dataclass(frozen=True)
class Table:
    """A table, and whether the second migration makes it or only some of its columns."""

    types: tuple[str, ...]
    keyed: bool
    added: int  # columns that the second migration adds; 0: it makes the table
    overwritten: bool  # whether the twin overwrites the first column of a table that stays
    rows: tuple[tuple[Any, ...], ...]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Make up a table."""
    types = tuple(draw(st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=4)))
    columns = [st.none() | TYPES[each] for each in types]
    rows = tuple(draw(st.lists(st.tuples(*columns), max_size=4)))
    added = draw(st.integers(0, len(types)))
    keyed = draw(st.booleans())
    overwritten = draw(st.booleans()) and keyed and 0 < added < len(types)
    return Table(types, keyed, added, overwritten, rows)


def columns(table: Table) -> list[str]:
    """Give its columns' definitions."""
    return [f'"c {number}" {each}' for number, each in enumerate(table.types)]


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(made=st.lists(tables(), min_size=1, max_size=3))
def test_rows_come_back_equal(db: Database, made: list[Table]) -> None:
    """Whatever rows a rollback takes away, push and restore bring them back as they were."""
    db.clean()
    first, second, back = ["select 1;"], ["select 1;"], []
    for number, table in enumerate(made):
        name, all_columns = f'public."t {number}"', columns(table)
        key = ["id int primary key" if table.keyed else "id int"]
        split = len(all_columns) - table.added
        if table.overwritten:
            back.append(f'update {name} set "c 0" = null where id % 2 = 0;')
        if table.added:
            first.append(f"create table {name} ({', '.join([*key, *all_columns[:split]])});")
            for each in all_columns[split:]:
                second.append(f"alter table {name} add column {each};")
                dropped = each.rpartition('" ')[0]
                back.append(f'alter table {name} drop column {dropped}";')
        else:
            second.append(f"create table {name} ({', '.join([*key, *all_columns])});")
            back.append(f"drop table {name};")
    first_text, second_text = "\n".join(first), "\n".join(second)
    db.migration(1, first_text, "")
    db.migration(2, second_text, "\n".join(back))
    db.apply((1, first_text), (2, second_text))
    with psycopg.connect(db.settings.local_db_url) as connection:
        for number, table in enumerate(made):
            for row, values in enumerate(table.rows):
                marks = ", ".join(f"%s::{each}" for each in ("int", *table.types))
                query = f'insert into public."t {number}" values ({marks})'
                connection.execute(query.encode(), [row, *values])
    before = contents(db, len(made))
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    db.apply((2, second_text))
    if folder is not None:
        restore_rows(folder, settings=db.settings)
        assert restore_rows(folder, settings=db.settings).restored == 0
    assert contents(db, len(made)) == before


def contents(db: Database, count: int) -> list[list[tuple[Any, ...]]]:
    """Give every table's rows as text, sorted."""
    query = 'select t::text from public."t {}" as t order by 1'
    return [db.sql(query.format(number)) for number in range(count)]
