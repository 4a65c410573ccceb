"""Rows taken away by a rollback, and put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from riptide import restore_rows, rollback_migrations

if TYPE_CHECKING:
    from pathlib import Path

    from _database import Database


def cycle(db: Database, up: str, down: str, rows: str, *, before: str = "") -> Path:
    """Apply a migration, write rows, take it back, apply it again; give the folder of rows."""
    if before:
        db.given(1, before)
    db.given(2, up, down)
    db.sql(rows)
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((2, up))
    return folder


def restore(db: Database, folder: Path | str, **options: Any) -> Any:
    """Put rows back."""
    return restore_rows(folder, settings=db.settings, **options)


def contents(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Give every table's rows as text, sorted."""
    return {
        name: db.sql(f'select t::text from public."{name}" as t order by 1')
        for name in sorted(db.tables())
    }
