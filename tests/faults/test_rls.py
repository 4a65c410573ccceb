"""A verification that is killed, and what takes away what it left behind."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from _inv import inv

from riptide import clean_rls, open_stack, verify_rls
from riptide.errors import ConfigError
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from riptide.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

# The second table has no owner: nothing but a note tells whose its rows are. A policy that waits
# is where the verification can be killed: its rows are there.
SCHEMA = """
create table public.notes (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  body text
);
create index on public.notes (user_id);
create table public.topics (id uuid primary key default gen_random_uuid(), name text not null);
alter table public.notes enable row level security;
alter table public.topics enable row level security;
revoke all on public.notes, public.topics from anon;
revoke insert, update, delete on public.topics from authenticated;
create policy own on public.notes for all to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
create policy waits on public.topics for select to authenticated
  using (pg_sleep(30) is not null);
insert into auth.users (id, email, raw_app_meta_data) values
  ('00000000-0000-0000-0000-000000000001', 'riptide-rls-0123456789ab-a@example.com', '{}'),
  ('00000000-0000-0000-0000-000000000002', 'a@example.com', '{"riptide_rls": true}');
insert into public.notes (user_id, body) select id, 'kept' from auth.users;
insert into public.topics (name) values ('kept'), ('riptide-0123456789ab');
"""
INTENT = """[tables.notes]
owner = "user_id"
[tables.topics]
select = "all"
insert = "none"
update = "none"
delete = "none"
"""
ALL = """
select
  (select json_agg(u order by id) from auth.users as u),
  (select json_agg(n order by id) from public.notes as n),
  (select json_agg(t order by id) from public.topics as t)
"""


@pytest.fixture
def started(make_project: Callable[..., Settings]) -> tuple[Settings, str]:
    """Give a project with two tables, and users and rows that look like a verification's."""
    settings = make_project()
    status = open_stack(settings).start()
    (settings.supabase_dir / "rls.toml").write_text(INTENT, encoding="utf-8")
    with psycopg.connect(status.db_url, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
    return settings, status.db_url


def everything(url: str) -> Any:
    """Give all users and rows."""
    with psycopg.connect(url) as connection:
        return connection.execute(ALL.encode()).fetchone()


def wait_for_the_policy(connection: psycopg.Connection[Any]) -> None:
    """Wait until the policy that sleeps keeps somebody waiting."""
    waits = "select from pg_stat_activity where wait_event = 'PgSleep'"
    deadline = time.monotonic() + 60
    while not connection.execute(waits.encode()).rowcount:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_in_the_middle(settings: Settings, url: str) -> str:
    """Start a verification and kill it while a policy keeps it waiting; give what it said."""
    process = inv(settings, "rls.verify")
    with psycopg.connect(url, autocommit=True) as connection:
        wait_for_the_policy(connection)
        process.kill()
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'"
        )
    return process.communicate(timeout=30)[0]


def test_what_a_killed_verification_left_is_removed_and_nothing_else(
    started: tuple[Settings, str],
) -> None:
    """After kill -9 `--clean` leaves users and tables as they were, and says what it removed."""
    settings, url = started
    before = everything(url)
    kill_in_the_middle(settings, url)
    left = everything(url)
    users, notes, topics = (len(now) - len(then) for now, then in zip(left, before, strict=True))
    assert users >= 2
    assert (notes, topics) == (1, 1)

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter policy waits on public.topics using (true)")
    report = verify_rls(settings=settings)
    assert report.ok
    assert report.note.endswith(f"has left {users} users behind: inv rls.verify --clean")
    assert everything(url) == left  # only told

    process = inv(settings, "rls.verify", "--clean", "--json")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    found = json.loads(output[output.index("{") :])
    assert len(found["users"]) == users
    assert found["rows"] == {"public.notes": 1, "public.topics": 1}
    assert everything(url) == before
    assert not clean_rls(settings=settings).users
    assert verify_rls(settings=settings).note == ""


def test_a_verification_under_way_is_left_alone(started: tuple[Settings, str]) -> None:
    """What a verification that still runs has made is neither told nor removed."""
    settings, url = started
    process = inv(settings, "rls.verify")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            wait_for_the_policy(connection)
            during = everything(url)
            found = clean_rls(settings=settings)
            assert (found.users, dict(found.rows)) == ((), {})
            assert everything(url) == during
    finally:
        process.terminate()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'"
            )
        process.communicate(timeout=60)


def test_a_remote_target_has_to_be_allowed(started: tuple[Settings, str], tmp_path: Path) -> None:
    """Nothing is removed elsewhere unless that is said; then it is."""
    settings, url = started
    kill_in_the_middle(settings, url)
    status = open_stack(settings).status()
    remote = replace(
        settings,
        target=Target(kind="remote", url=url),
        api_url=status.api_url,
        publishable_key=status.publishable_key,
        secret_key=status.secret_key,
    )
    with pytest.raises(ConfigError, match="is not this project's local stack") as caught:
        clean_rls(settings=remote)
    assert "inv rls.verify --clean --allow-remote" in str(caught.value)
    found = clean_rls(settings=remote, allow_remote=True)
    assert len(found.users) >= 2
    assert clean_rls(settings=remote, allow_remote=True).users == ()
