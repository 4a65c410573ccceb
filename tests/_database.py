"""A project with a running stack and a database that each test finds empty."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from riptide.settings import Settings

_HISTORY = "supabase_migrations.schema_migrations"
_CLEAN = """
do $$
declare
  each record;
begin
  for each in
    select format('drop table if exists %s cascade', oid::regclass) as run from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
    union all
    select format('drop view if exists %s cascade', oid::regclass) from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'v'
    union all
    select format('drop sequence if exists %s cascade', oid::regclass) from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'S'
    union all
    select format('drop function if exists %s cascade', oid::regprocedure) from pg_proc
    where pronamespace = 'public'::regnamespace
    union all
    select format('drop type if exists %s cascade', oid::regtype) from pg_type
    where typnamespace = 'public'::regnamespace and (typtype in ('e', 'd') or exists (
      select from pg_class where pg_class.oid = typrelid and relkind = 'c'))
  loop
    execute each.run;
  end loop;
end;
$$;
drop schema if exists other cascade;
drop schema if exists supabase_migrations cascade;
delete from auth.users;
"""


def record(settings: Settings, *paths: Path) -> None:
    """Apply files and write them into the history, quicker than the CLI does."""
    from riptide.migrations.sql import split

    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    _apply(
        settings,
        {path.stem: (text, [each.text for each in split(text)]) for path, text in texts.items()},
    )


def _apply(settings: Settings, files: Mapping[str, tuple[str, list[str]]]) -> None:
    """Run the text of each file and keep its statements; they are known by version and name."""
    with psycopg.connect(settings.local_db_url) as connection:
        connection.execute("create schema if not exists supabase_migrations")
        connection.execute(
            f"create table if not exists {_HISTORY} (version text primary key, "
            "statements text[], name text)".encode()
        )
        insert = f"insert into {_HISTORY} (version, statements, name) values (%s, %s, %s)"
        for file, (text, statements) in files.items():
            if text.strip():
                connection.execute(text.encode())
            version, _, name = file.partition("_")
            connection.execute(insert.encode(), [version, statements, name])


@dataclass(frozen=True)
class Database:
    """What a test writes, runs and reads."""

    settings: Settings

    def migration(self, number: int, up: str, down: str | None = "", *, name: str = "m") -> str:
        """Write a migration and, unless ``down`` is None, its twin; give its version."""
        version = f"202501{number:02}000000"
        file = f"{version}_{name}.sql"
        (self.settings.migrations_dir / file).write_text(up, encoding="utf-8")
        if down is not None:
            self.twin(number, name=name).write_text(down, encoding="utf-8")
        return version

    def twin(self, number: int, *, name: str = "m") -> Path:
        """Give where a twin is."""
        return self.settings.rollbacks_dir / f"202501{number:02}000000_{name}.sql"

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Run SQL as postgres; give the last statement's rows."""
        with psycopg.connect(self.settings.local_db_url, autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def tables(self) -> set[str]:
        """Give the names of the tables in schema public."""
        rows = self.sql("select tablename from pg_tables where schemaname = 'public'")
        return {name for (name,) in rows}

    def applied(self) -> list[str]:
        """Give the versions in the history, oldest first."""
        rows = self.sql("select version from supabase_migrations.schema_migrations order by 1")
        return [version for (version,) in rows]

    def apply(self, *statements: tuple[int, str]) -> None:
        """Run migrations and write them into the history, quicker than the CLI does."""
        files = {f"202501{number:02}000000_m": (text, [text]) for number, text in statements}
        _apply(self.settings, files)

    def given(self, number: int, up: str, down: str | None = "") -> str:
        """Write a migration with its twin and apply it."""
        version = self.migration(number, up, down)
        self.apply((number, up))
        return version

    def clean(self) -> None:
        """Leave no file, no table, no history and no saved rows."""
        shutil.rmtree(self.settings.supabase_dir / ".temp" / "rollback", ignore_errors=True)
        for folder in (self.settings.migrations_dir, self.settings.rollbacks_dir):
            for path in folder.iterdir():
                path.unlink()
        with psycopg.connect(self.settings.local_db_url, autocommit=True) as connection:
            connection.execute(_CLEAN.encode())
