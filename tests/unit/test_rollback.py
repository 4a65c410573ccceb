"""Which migrations a rollback is about, and what a twin did, told from two inventories."""

from __future__ import annotations

from dataclasses import replace

import pytest

from riptide._quote import quoted
from riptide.errors import ConfigError
from riptide.migrations.footprint import between
from riptide.migrations.inventory import Column, Relation
from riptide.migrations.losses import losses, rows_gone
from riptide.migrations.rollback_plan import choose
from riptide.migrations.twin import _names
from riptide.results import Migration, MigrationState

MIGRATIONS = [
    Migration(version="1", name="a", state=MigrationState.APPLIED),
    Migration(version="2", name="b", state=MigrationState.OUT_OF_ORDER),
    Migration(version="3", name="c", state=MigrationState.MISSING),
    Migration(version="4", name="d", state=MigrationState.APPLIED),
    Migration(version="5", name="e", state=MigrationState.PENDING),
]
TABLE = Relation(1, "public.t", "public", "t", "r", 10, managed=False, inserted=0, updated=0,
                 deleted=0, columns=(Column(1, "id", "integer", generated=False),))  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "to", "versions"),
    [
        (1, None, ["4"]),
        (3, None, ["4", "3", "1"]),
        (1, "3", ["4"]),
        (1, "1_a.sql", ["4", "3"]),
        (1, "4", []),
        (1, "0", ["4", "3", "1"]),
    ],
)
def test_choice(steps: int, to: str | None, versions: list[str]) -> None:
    """Applied ones are chosen, newest first, missing ones too; the version of --to stays."""
    assert [each.version for each in choose(MIGRATIONS, steps, to)] == versions


@pytest.mark.parametrize("to", ["2", "5", "9"])
def test_version_that_is_not_applied_is_refused(to: str) -> None:
    """A version that is pending, out of order or unknown is nothing to go back to."""
    with pytest.raises(ConfigError, match="is not applied"):
        choose(MIGRATIONS, 1, to)


def test_names_are_those_of_the_code() -> None:
    """Names are folded as PostgreSQL does it, quoted ones kept; those of comments are left out."""
    text = """create table "My Table" (Name text); -- nobody
    /* none */ do $$ begin execute 'create table made' /* x */; end $$; select '-- kept';"""
    found = _names([text])
    assert {"My Table", "name", "made", "kept"} <= found
    assert not {"nobody", "none", "Name"} & found


@pytest.mark.parametrize(
    ("after", "field"),
    [
        ({}, "dropped"),
        ({1: replace(TABLE, columns=())}, "columns"),
        ({1: replace(TABLE, deleted=2)}, "deleted"),
        ({1: replace(TABLE, filenode=11)}, "rewritten"),
        ({1: replace(TABLE, updated=1)}, "updated"),
    ],
)
def test_footprint(after: dict[int, Relation], field: str) -> None:
    """Each way to lose something is seen as that and nothing else; a new name is no loss."""
    found = between({1: TABLE}, after)
    names = ("dropped", "columns", "deleted", "rewritten", "updated", "managed", "sequences")
    assert [name for name in names if getattr(found, name)] == [field]
    renamed = {1: replace(TABLE, name="u", full_name="other.u", schema="other")}
    assert not any(getattr(between({1: TABLE}, renamed), name) for name in names)
    assert found.with_(between({1: TABLE}, {1: TABLE})).covers(found)


@pytest.mark.parametrize("change", ["inserted", "updated", "deleted", "filenode"])
def test_managed_rows(change: str) -> None:
    """Whatever is written to a table of the platform's is seen."""
    managed = replace(TABLE, managed=True)
    after = {1: replace(managed, **{change: 99})}  # type: ignore[arg-type]
    assert between({1: managed}, after).managed == ("public.t",)
    assert between({1: managed}, {}).managed == ("public.t",)


@pytest.mark.parametrize(
    ("after", "left", "gone"),
    [
        (replace(TABLE, filenode=11), 5, {}),  # rewritten: all rows are there
        (replace(TABLE, filenode=11), 0, {1: 5}),  # truncated
        (replace(TABLE, filenode=11, inserted=2), 2, {1: 5}),  # truncated and filled anew
        (replace(TABLE, filenode=11, inserted=1, deleted=2), 4, {1: 2}),
        (replace(TABLE, deleted=3), 2, {1: 3}),
    ],
)
def test_rows_gone(after: Relation, left: int, gone: dict[int, int]) -> None:
    """Truncated, rewritten and deleted from are told apart by counting."""
    found = between({1: TABLE}, {1: after})
    assert rows_gone({1: TABLE}, {1: after}, found, {1: 5}, {1: left}) == gone
    assert [each.rows for each in losses({1: TABLE}, found, {}, {}, gone)] == list(gone.values())


def test_quoting() -> None:
    """A quote in a name is doubled."""
    assert quoted('a"b') == '"a""b"'


def test_losses_are_counted_in_words() -> None:
    """Each kind of loss is counted once, and the last one joined with a word."""
    from riptide.migrations.take_back import told
    from riptide.results import RowLoss

    row = RowLoss(table="t", kind="rows", rows=1)
    value = RowLoss(table="t", kind="values", rows=1_200)
    sequence = RowLoss(table="s", kind="sequence", rows=1)
    assert told([row]) == "1 row"
    assert told([row, value, row]) == "2 rows and 1,200 values"
    assert told([row, value, sequence]) == "1 row, 1,200 values and 1 sequence"
