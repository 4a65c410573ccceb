"""Rows taken away by a rollback, and put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from riptide import restore_rows, rollback_migrations

if TYPE_CHECKING:
    from pathlib import Path

    from _database import Database


def cycle(
    db: Database, up: str, down: str, rows: str, then: str | None = None, *, before: str = ""
) -> Path:
    """Apply a migration, write rows, take it back, apply it again; give the folder of rows.

    Args:
        db: The database.
        up: The migration.
        down: Its twin.
        rows: What writes the rows.
        then: What is applied in its place, where that is another.
        before: A migration that goes before it, which stays.
    """
    if before:
        db.given(1, before)
    db.given(2, up, down)
    db.sql(rows)
    folder = rollback_migrations(settings=db.settings, allow_data_loss=True).saved_to
    assert folder is not None
    db.apply((2, up if then is None else then))
    return folder


def restore(db: Database, folder: Path | str, **options: Any) -> Any:
    """Put rows back."""
    return restore_rows(folder, settings=db.settings, **options)


def there_and_back(db: Database, before: str, rows: str, down: str, up: str = "select 1") -> Any:
    """Take a migration back that loses something, apply it again, put it back: all is as it was.

    Args:
        db: The database.
        before: An older migration, which stays.
        rows: What is written then.
        down: The twin.
        up: The migration; it stands for nothing that the twin undoes.
    """
    db.given(1, before)
    db.given(2, up, down)
    db.sql(rows)
    was = contents(db)
    result = rollback_migrations(settings=db.settings, allow_data_loss=True)
    assert result.saved_to is not None
    assert contents(db) != was
    db.apply((2, up))
    done = restore(db, result.saved_to)
    assert contents(db) == was
    again = restore(db, result.saved_to)
    assert again.restored == 0
    assert contents(db) == was
    return done


def contents(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Give every table's rows as text, sorted; a partitioned table's as one."""
    tables = db.sql(
        "select relname from pg_class where relnamespace = 'public'::regnamespace "
        "and relkind in ('r', 'p') and not relispartition order by 1"
    )
    return {
        name: db.sql(f'select t::text from public."{name}" as t order by 1') for (name,) in tables
    }
