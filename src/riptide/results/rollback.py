"""What taking migrations back, and putting saved rows back, come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.results._base import Result

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class RowLoss(Result):
    """Rows, or values of columns, that one table loses; or a sequence's.

    Attributes:
        table: Its name with its schema, quoted where SQL needs it.
        kind: ``table`` (it goes, with all its rows), ``columns`` (the table stays), ``values``
            (overwritten in rows that stay) or ``rows`` (deleted or truncated in a table that
            stays, or not to be found any more under their key); or ``sequence``: a sequence
            that would give numbers again, by itself and not with its column.
        rows: How many; of ``columns`` and ``values``, rows with a value in one of them.
        columns: The columns, for ``columns`` and ``values``.
        last_value: The last number, for ``sequence``.
    """

    table: str
    kind: str
    rows: int
    columns: tuple[str, ...] = ()
    last_value: int | None = None


@dataclass(frozen=True, kw_only=True)
class TakenBack(Result):
    """What the rehearsal saw one rollback twin do.

    Attributes:
        label: ``<version>_<name>``.
        tables: Tables that go.
        columns: Columns that go from tables that stay.
        others: What else goes: ``policy public.teams.teams_select_own``.
        made: What it brings back: ``function public.f()``.
        changed: What stays and is not the same afterwards.
        lost: Rows and values that go, those with none left out.
        updated: Rows changed, by table; values that are lost with it are in ``lost``, too.
        foreign: What it drops although the migration does not even name it.
        managed: Tables of the platform's own schemas (``auth``, …) whose rows it touches.
        notes: For a person: the file has been edited since, and the like.
    """

    label: str
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    lost: tuple[RowLoss, ...] = ()
    updated: tuple[RowLoss, ...] = ()
    foreign: tuple[str, ...] = ()
    managed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RollbackResult(Result):
    """What a rollback took back (with ``dry_run``: would take back), newest first.

    Attributes:
        target: The database's name for a person, no password in it.
        rolled_back: The migrations' labels.
        migrations: What goes with each of them.
        refused: Why it was, or without ``dry_run`` would be, refused; else empty.
        saved_to: The folder with the rows that went, for `restore_rows`; ``None`` where none went.
        dry_run: Whether nothing was changed on purpose.
        seconds: Wall time of it all.
    """

    target: str
    rolled_back: tuple[str, ...] = ()
    migrations: tuple[TakenBack, ...] = ()
    refused: str = ""
    saved_to: Path | None = None
    dry_run: bool = False
    seconds: float = 0.0

    @property
    def lost(self) -> int:
        """How many rows, values and sequences go in all."""
        return sum(loss.rows for each in self.migrations for loss in each.lost)


@dataclass(frozen=True, kw_only=True)
class RestoredTable(Result):
    """What became of the saved rows of one table.

    Attributes:
        table: Its name with its schema.
        kind: As in `RowLoss`; ``columns`` for values that were overwritten, too.
        saved: Rows in the file.
        restored: Rows put back, or given their columns' values back, by this call.
        present: Rows that were there already and are the same.
        kept: Rows that are there with other values, and were left so (``existing="keep"``).
        absent: For ``columns``: rows that are no longer there to be given a value.
    """

    table: str
    kind: str
    saved: int
    restored: int = 0
    present: int = 0
    kept: int = 0
    absent: int = 0


@dataclass(frozen=True, kw_only=True)
class RestoreResult(Result):
    """What `restore_rows` put back.

    Attributes:
        target: The database's name for a person, no password in it.
        folder: Where the rows had been saved.
        tables: What became of each table's rows.
        sequences: Sequences that were behind, and go on from where they were.
        seconds: Wall time of it all.
    """

    target: str
    folder: Path
    tables: tuple[RestoredTable, ...] = ()
    sequences: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def restored(self) -> int:
        """How many rows were put back or given values back."""
        return sum(each.restored for each in self.tables)
