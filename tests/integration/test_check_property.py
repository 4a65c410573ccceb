"""Histories made at random: right migrations pass, and down and up again is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from riptide import apply_migrations, open_stack, rollback_migrations
from riptide.migrations.check_files import Read, read_files
from riptide.migrations.snapshot import compare
from riptide.migrations.tries import snapshot
from riptide.migrations.walk import walk
from riptide.runner import SubprocessRunner
from riptide.stack.embedded.scratch import Scratch, scratch_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.migrations.snapshot import Snapshot
    from riptide.settings import Settings

# What a migration may do to table {n}, and what takes it back.
STEPS = {
    "column": (
        "alter table public.t{n} add column if not exists c{m} text not null default 'x';",
        "alter table public.t{n} drop column c{m};",
    ),
    "index": (
        "create index if not exists i{m} on public.t{n} (id);",
        "drop index public.i{m};",
    ),
    "policy": (
        """alter table public.t{n} enable row level security;
        drop policy if exists p{m} on public.t{n};
        create policy p{m} on public.t{n} for select to authenticated using (true);""",
        "drop policy p{m} on public.t{n};\nalter table public.t{n} disable row level security;",
    ),
    "function": (
        """create or replace function public.f{m}(a int) returns int language sql
        set search_path = '' as $$ select a; $$;
        grant execute on function public.f{m} to anon;""",
        "drop function public.f{m};",
    ),
    "enum": (
        """do $$ begin if to_regtype('public.e{m}') is null then
        create type public.e{m} as enum ('a;b', 'c'); end if; end $$;""",
        "drop type public.e{m};",
    ),
    "grant": (
        "grant select (id) on public.t{n} to anon;",
        "revoke select (id) on public.t{n} from anon;",
    ),
    "default": (
        "alter table public.t{n} alter column id set default {m};",
        "alter table public.t{n} alter column id drop default;",
    ),
    "concurrent index": (
        "create index concurrently if not exists ci{m} on public.t{n} (id);",
        "drop index public.ci{m};",
    ),
    "table": ("create table if not exists public.x{m} (id bigint);", "drop table public.x{m};"),
}
# Put back in the twin, or it is the history's own mistake: RLS is on only as long as one policy is.
ONCE = {"policy", "grant", "default"}

HISTORIES = strategies.lists(
    strategies.tuples(strategies.sampled_from(sorted(STEPS)), strategies.integers(0, 2)),
    min_size=1,
    max_size=7,
    unique_by=lambda step: step if step[0] in ONCE else object(),
)


@pytest.fixture(scope="module")
def server(make_project: Callable[..., Settings]) -> Iterator[tuple[Settings, Scratch]]:
    """Give a project and a scratch server."""
    project = make_project()
    with scratch_server(project, runner=SubprocessRunner(), progress=lambda _: None) as scratch:
        yield project, scratch


def write(project: Settings, history: list[tuple[str, int]]) -> Read:
    """Write a history: three tables first, then its steps, some of them in one file."""
    for folder in (project.migrations_dir, project.rollbacks_dir):
        for path in folder.iterdir():
            path.unlink()
    base = "".join(f"create table if not exists public.t{n} (id bigint);\n" for n in range(3))
    files = [(base, "drop table public.t0, public.t1, public.t2;")]
    for number, (step, table) in enumerate(history):
        up, down = (each.format(n=table, m=number) for each in STEPS[step])
        files.append((up, down))
    for number, (up, down) in enumerate(files):
        name = f"202501{number + 1:02d}000000_step.sql"
        (project.migrations_dir / name).write_text(up)
        (project.rollbacks_dir / name).write_text(down)
    return read_files(project)


@settings(
    max_examples=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES)
def test_random_histories(server: tuple[Settings, Scratch], history: list[tuple[str, int]]) -> None:
    """Of any history whose files and rollbacks are right, no check finds a fault."""
    project, scratch = server
    read = write(project, history)
    assert read.findings == ()
    with psycopg.connect(scratch.cluster.url(), autocommit=True) as admin:
        for (name,) in admin.execute(
            "select datname from pg_database where datname ~ '^(steps|again)'"
        ).fetchall():
            admin.execute(f'drop database "{name}"')
    done = walk(
        scratch,
        scratch.database("steps"),
        read,
        frozenset({"twice", "rollback", "cycle"}),
        lambda _: None,
    )
    assert done.findings == []
    assert done.cycle_skipped == ""
    assert len(done.snapshots) == len(read.files) + 1


@pytest.fixture(scope="module")
def live(make_project: Callable[..., Settings]) -> Settings:
    """Give a project whose own stack runs."""
    project = make_project()
    open_stack(project).start()
    return project


def catalog(project: Settings) -> Snapshot:
    """Read what there is in a project's database, its history left out."""
    with psycopg.connect(project.local_db_url, autocommit=True) as connection:
        return snapshot(connection)


@settings(
    max_examples=3,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES)
def test_random_histories_by_the_cli(live: Settings, history: list[tuple[str, int]]) -> None:
    """Pushed by the Supabase CLI, taken back and pushed again, the catalog is what it was."""
    write(live, history)
    try:
        apply_migrations(settings=live)  # the CLI's own schema is there from here on
        up = catalog(live)
        taken = rollback_migrations(to="0", settings=live)
        assert len(taken.rolled_back) == len(history) + 1
        down = catalog(live)
        assert [any("public.t" in name for _, name in each) for each in (up, down)] == [True, False]
        apply_migrations(settings=live)
        assert compare(up, catalog(live)) == []
        rollback_migrations(to="0", settings=live)
        assert compare(down, catalog(live)) == []
    except BaseException:  # the next, smaller history begins with nothing too
        open_stack(live).reset()
        raise
