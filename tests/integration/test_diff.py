"""migrate.diff: what was changed by hand becomes a migration that can be trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from _database import record
from _inv import inv

from riptide import (
    ConfigError,
    DriftError,
    MigrationError,
    check_migrations,
    diagnose_history,
    diff_migration,
    open_stack,
    repair_history,
)
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.settings import Settings

BASE = "20250101000000_base.sql"
BY_HAND = """
create schema app;
create table public.hand (
  id bigint generated always as identity primary key,
  note text not null default 'it''s; so',
  base_id bigint references public.base (id)
);
alter table public.hand enable row level security;
create policy hand_select on public.hand for select to authenticated using (true);
create type app.mood as enum ('it''s', 'b');
create type app.pair as (a int);
create domain app.short as text check (length(value) < 10);
alter table public.base add column extra text;
alter table public.base drop column name;
alter table public.base add constraint base_extra_check check (extra <> '');
create index hand_note_idx on public.hand (note);
create function public.f() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger hand_f before update on public.hand for each row execute function public.f();
create view public.v as select id from public.hand;
create materialized view public.mv as select id from public.hand;
create sequence public.s;
create collation public.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create publication made for table public.hand;
alter publication published add table public.hand;
alter publication published drop table public.base;
comment on table public.hand is 'x';
revoke all on public.hand from anon;
grant select (id) on public.hand to anon;
grant execute on function public.f() to anon;
"""
CHANGED = """
alter type app.pair add attribute b text;
alter type app.mood rename value 'b' to 'c';
alter domain app.short add constraint filled check (value <> '');
alter table public.hand add column e text[] default '{a,"b;c"}';
alter table public.hand alter column note type varchar(20);
alter table public.hand rename column base_id to other_id;
alter table public.hand force row level security;
alter policy hand_select on public.hand to anon;
create or replace view public.v with (security_invoker = true) as select id, note from public.hand;
drop materialized view public.mv;
create materialized view public.mv as select id, 1 as one from public.hand;
alter sequence public.s increment 7;
create or replace function public.f() returns trigger language plpgsql security definer
  as $$ begin return null; end $$;
create table public.base_2 (like public.base including all);
comment on table public.base_2 is E'line ''one''\n; $guard$ --';
"""


@pytest.fixture(scope="module")
def stack(make_project: Callable[..., Settings]) -> Settings:
    """Give a project of this module's own, its stack started."""
    settings = make_project()
    open_stack(settings).start()
    return settings


@pytest.fixture
def local(stack: Settings) -> Iterator[Settings]:
    """Give it with one migration applied, and put it back afterwards."""
    path = stack.migrations_dir / BASE
    path.write_text(
        "create table if not exists public.base (id bigint primary key, name text);\n"
        "do $$ begin create publication published for table public.base;\n"
        "exception when duplicate_object then null; end $$;\n"
    )
    (stack.rollbacks_dir / BASE).write_text(
        "drop publication published;\ndrop table public.base;\n"
    )
    record(stack, path)
    yield stack
    for folder in (stack.migrations_dir, stack.rollbacks_dir):
        for path in folder.iterdir():
            path.unlink()
    with psycopg.connect(stack.local_db_url, autocommit=True) as connection:
        connection.execute(
            "drop publication if exists published, made; drop collation if exists public.ci;"
            "drop schema if exists app cascade; drop schema supabase_migrations cascade;"
            "drop materialized view if exists public.mv; drop view if exists public.v;"
            "drop table if exists public.hand, public.base, public.base_2 cascade;"
            "drop function if exists public.f; drop sequence if exists public.s"
        )


def by_hand(settings: Settings, statements: str) -> None:
    """Change the local database."""
    with psycopg.connect(settings.local_db_url, autocommit=True) as connection:
        connection.execute(statements.encode())


def test_all_kinds_of_change_become_a_migration(local: Settings) -> None:
    """The migration makes all of it, may run twice, is taken back whole, and passes every check.

    So does one that changes what is there.
    """
    by_hand(local, BY_HAND)
    made = diff_migration("by_hand", settings=local)
    assert made.changed
    assert made.path is not None
    assert made.rollback_path is not None
    assert (made.not_covered, made.not_taken_back, made.not_twice) == ((), (), "")
    assert "ban-drop-column" in {each.rule for each in made.findings if each.hazard == "data"}
    text = made.path.read_text()
    assert text.startswith("-- by_hand\n")
    assert f"Taken back by supabase/rollbacks/{made.path.name}" in text
    assert made.rollback_path.read_text().startswith(f"-- Takes {made.path.name} back.\n")
    # The database has the change: a push would make it again, a repair records it.
    repaired = repair_history([made.version], status="applied", settings=local)
    assert repaired.versions == (made.version,)
    assert diagnose_history(settings=local).ok
    report = check_migrations(settings=local, skip={"lint"})
    assert report.findings == ()
    assert [each.skipped for each in report.steps if each.name != "lint"] == [""] * 6

    by_hand(local, CHANGED)
    changed = diff_migration("changed", settings=local)
    assert (changed.not_covered, changed.not_taken_back, changed.not_twice) == ((), (), "")


def test_new_enum_value_that_is_used_at_once(local: Settings) -> None:
    """A value that PostgreSQL lets nobody use in its own transaction: what to do is said."""
    by_hand(local, "create schema app; create type app.mood as enum ('a');")
    made = diff_migration("by_hand", settings=local)
    repair_history([made.version], status="applied", settings=local)
    by_hand(local, "alter type app.mood add value 'b';")
    by_hand(local, "alter table public.base add column m app.mood default 'b';")
    with pytest.raises(MigrationError, match="unsafe use of new value") as caught:
        diff_migration("changed", settings=local)
    assert 'ALTER TYPE "app"."mood" ADD VALUE IF NOT EXISTS \'b\'' in (caught.value.detail or "")
    assert "inv migrate.new" in (caught.value.next_step or "")
    assert "inv migrate.repair" in (caught.value.next_step or "")


def test_nothing_changed_writes_nothing(local: Settings) -> None:
    """Without a change by hand no file is written, and the task exits with 0."""
    running = inv(local, "migrate.diff", "nothing")
    assert "nothing was changed by hand" in running.communicate()[0]
    assert running.returncode == 0
    assert [each.name for each in local.migrations_dir.iterdir()] == [BASE]


def test_files_and_history_have_to_agree(local: Settings) -> None:
    """A pending, an edited or a missing migration is refused, and nothing is written."""
    path = local.migrations_dir / BASE
    kept = path.read_text()
    pending = local.migrations_dir / "20250102000000_pending.sql"
    pending.write_text("select 1;")
    with pytest.raises(DriftError, match="is not applied to the local database") as caught:
        diff_migration("by_hand", settings=local)
    assert (caught.value.next_step or "").startswith("inv migrate.push; or, if the database has ")
    pending.unlink()
    path.write_text(kept.replace("name text", "name text not null"))
    with pytest.raises(DriftError, match="was edited after it was applied"):
        diff_migration("by_hand", settings=local)
    path.unlink()
    with pytest.raises(DriftError, match="no file for it"):
        diff_migration("by_hand", settings=local)
    assert list(local.migrations_dir.iterdir()) == []


def test_names_and_targets_that_cannot_be_meant(local: Settings) -> None:
    """A name that `migrate.new` would refuse is refused; so is another database."""
    for name, words in (("a b", "cannot be a migration's name"), ("BASE", "is taken by")):
        with pytest.raises(ConfigError, match=words):
            diff_migration(name, settings=local)
    remote = replace(local, target=Target(kind="remote", url=local.local_db_url))
    with pytest.raises(ConfigError, match="local database only"):
        diff_migration("by_hand", settings=remote)
