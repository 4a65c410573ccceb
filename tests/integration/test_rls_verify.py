"""Row Level Security verification finds what is planted, and nothing in what is right."""

from __future__ import annotations

import os
import signal
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from _rls import LEFT_BEHIND, cells, declare, verify

from riptide.errors import ConfigError, DatabaseError, RlsError, RlsViolationError
from riptide.results import Verdict
from riptide.rls import verify_rls
from riptide.settings import Settings
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from riptide.results import StackStatus

pytestmark = pytest.mark.integration

PLANTED = """
create table if not exists public.planted (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  body text not null check (char_length(body) between 1 and 100)
);
create index if not exists planted_user_id_idx on public.planted (user_id);
"""
# Everything right: what each mistake starts from.
RIGHT = """
do $$
declare
  policy record;
begin
  for policy in select policyname from pg_policies where tablename = 'planted' loop
    execute format('drop policy %I on public.planted', policy.policyname);
  end loop;
end;
$$;
alter table public.planted enable row level security;
revoke all on public.planted from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.planted to authenticated;
grant all on public.planted to service_role;
create policy select_own on public.planted for select to authenticated
  using ((select auth.uid()) = user_id);
create policy insert_own on public.planted for insert to authenticated
  with check ((select auth.uid()) = user_id);
create policy update_own on public.planted for update to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
create policy delete_own on public.planted for delete to authenticated
  using ((select auth.uid()) = user_id);
"""


ACTORS = {
    *("owner", "other", "anon", "service_role", "empty", "claimant", "no_sub", "bad_token"),
}


@pytest.fixture
def planted(
    database: psycopg.Connection[Any], elsewhere: Settings
) -> Iterator[psycopg.Connection[Any]]:
    """Make the table ``planted`` with all as it should be; drop it afterwards."""
    database.execute(PLANTED)
    database.execute(RIGHT)
    declare(elsewhere, '[tables.planted]\nowner = "user_id"\n')
    yield database
    database.execute("drop table if exists public.planted cascade")


def test_the_schema_is_right_and_nothing_is_left_behind(
    project: Settings, stack: StackStatus, database: psycopg.Connection[Any]
) -> None:
    """On the project's own tables every cell is ok; users and rows are as before."""
    before = database.execute(LEFT_BEHIND).fetchone()
    report = verify_rls(settings=project)
    assert [each for each in report.failures if each.table != "public.planted"] == []
    assert report.ok
    tables = [each for each in report.tables if "(" not in each]
    assert tables == ["public.profiles", "public.api_tokens", "public.user_sessions"]
    for table in tables:
        tried = {(each.operation, each.actor) for each in report.checks if each.table == table}
        assert {actor for _, actor in tried} == ACTORS
        assert len(tried) == 30
    assert before is not None
    assert before[0] == 0
    assert database.execute(LEFT_BEHIND).fetchone() == before


MISTAKES = {
    "RLS disabled": (
        "alter table public.planted disable row level security",
        {
            "select other deny leak",
            "insert other deny leak",
            "update other deny leak",
            "update owner deny leak",
            "delete other deny leak",
        },
    ),
    "select for all who are signed in": (
        "alter policy select_own on public.planted using (true)",
        {"select other deny leak"},
    ),
    "insert for whomever": (
        "alter policy insert_own on public.planted with check (true)",
        {"insert other deny leak"},
    ),
    "rows can be given away": (
        "alter policy update_own on public.planted with check (true)",
        {"update owner deny masked"},
    ),
    "rows can be taken, which a good select policy hides from requests with a filter": (
        "alter policy update_own on public.planted using (true)",
        {"update other deny masked"},
    ),
    "everybody's rows can be changed, likewise hidden": (
        "alter policy update_own on public.planted using (true) with check (true)",
        {"update other deny masked", "update owner deny masked"},
    ),
    "everybody's rows can be deleted, likewise hidden": (
        "alter policy delete_own on public.planted using (true)",
        {"delete other deny masked"},
    ),
    "a second, permissive policy": (
        "create policy extra on public.planted for all to authenticated using (true)",
        {
            "select other deny leak",
            "insert other deny leak",
            "update other deny leak",
            "update owner deny leak",
            "delete other deny leak",
        },
    ),
    "open to the public": (
        (
            "create policy extra on public.planted for select to public using (true);"
            "grant select on public.planted to anon"
        ),
        {"select anon deny leak", "select other deny leak"},
    ),
    "anon may write": (
        (
            "create policy extra on public.planted for insert to anon with check (true);"
            "grant insert on public.planted to anon"
        ),
        {"insert anon deny leak"},
    ),
    "anon may change one column": (
        (
            "create policy extra on public.planted for update to anon using (true);"
            "grant update (body) on public.planted to anon"
        ),
        {"update anon deny masked"},
    ),
    "a policy on the wrong column": (
        "alter policy select_own on public.planted using ((select auth.uid()) = id)",
        # A filter on the key needs the select policy too, and so does what an insert gives back.
        {
            "select owner allow lockout",
            "insert owner allow lockout",
            "update owner allow lockout",
            "delete owner allow lockout",
        },
    ),
    "a grant is missing": (
        "revoke delete on public.planted from authenticated",
        {"delete owner allow lockout"},
    ),
    "no policy at all": (
        "drop policy insert_own on public.planted",
        {"insert owner allow lockout"},
    ),
    "the service role is shut out": (
        "revoke all on public.planted from service_role",
        {
            "select service_role allow lockout",
            "insert service_role allow lockout",
            "update service_role allow lockout",
            "delete service_role allow lockout",
        },
    ),
    "a policy that asks itself": (
        (
            "alter policy select_own on public.planted using "
            "(exists (select from public.planted as other where other.user_id = auth.uid()))"
        ),
        {
            "select owner allow error",
            "insert owner allow error",
            "insert other deny error",
            "select other deny error",
            "update owner allow error",
            "update other deny error",
            "update owner deny error",
            "delete owner allow error",
            "delete other deny error",
        },
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_turns_exactly_its_cells(
    mistake: str, planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Each mistake is seen in the cells that it opens or shuts, and in no other."""
    assert cells(verify(elsewhere), "public.planted") == set()
    sql, expected = MISTAKES[mistake]
    planted.execute(sql.encode())
    assert cells(verify(elsewhere), "public.planted") == expected
    left = planted.execute("select count(*) from public.planted").fetchone()
    assert left == (0,)
    assert planted.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]


def test_a_column_that_may_not_be_changed_is_tried(
    planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """With update_columns an owner who may change another column is a leak."""
    declare(elsewhere, '[tables.planted]\nowner = "user_id"\nupdate_columns = ["body"]\n')
    assert cells(verify(elsewhere), "public.planted") == {"update owner deny leak"}
    planted.execute(
        "revoke update on public.planted from authenticated;"
        "grant update (body) on public.planted to authenticated"
    )
    assert cells(verify(elsewhere), "public.planted") == set()


def test_a_change_that_only_a_key_stops_is_a_leak(
    planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A unique key in the way of a forged owner does not hide that the policies let it pass."""
    planted.execute(
        "alter table public.planted add constraint planted_user_id_key unique (user_id);"
        "alter policy update_own on public.planted with check (true);"
        "create function public.planted_row() returns trigger language plpgsql security definer"
        " set search_path = '' as $$ begin"
        "   insert into public.planted (user_id, body) values (new.id, 'by a trigger');"
        "   return new; end $$;"
        "create trigger planted_row after insert on auth.users"
        "  for each row execute function public.planted_row()"
    )
    try:
        report = verify(elsewhere)
    finally:
        planted.execute("drop function public.planted_row() cascade")
    assert cells(report, "public.planted") == {"update owner deny leak"}
    [leak] = [each for each in report.failures if each.verdict is Verdict.LEAK]
    assert "only a key stopped it" in leak.seen


def test_a_leak_does_not_shut_the_owner_out(
    stack: StackStatus, database: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """What anon could do to the row (revoke it) is not told as a lockout of its owner."""
    declare(
        elsewhere,
        '[tables.api_tokens]\nowner = "user_id"\ninsert = "none"\ndelete = "none"\n'
        'update_columns = ["name"]\n',
    )
    try:
        database.execute(
            "grant select, update on public.api_tokens to anon;"
            "create policy planted on public.api_tokens for all to anon using (true)"
        )
        assert cells(verify(elsewhere), "public.api_tokens") == {
            "select anon deny leak",
            "update anon deny leak",
        }
    finally:
        database.execute(
            "drop policy planted on public.api_tokens; revoke all on public.api_tokens from anon"
        )


def test_intent_none_holds_for_the_owner_too(
    planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Where the intent says none, an owner who may is a leak."""
    declare(
        elsewhere,
        '[tables.planted]\nowner = "user_id"\ninsert = "none"\nupdate = "none"\ndelete = "none"\n',
    )
    assert cells(verify(elsewhere), "public.planted") == {
        "insert owner deny leak",
        "update owner deny leak",
        "delete owner deny leak",
    }
    planted.execute("revoke insert, update, delete on public.planted from authenticated")
    assert cells(verify(elsewhere), "public.planted") == set()


def test_intent_all_means_everybody(planted: psycopg.Connection[Any], elsewhere: Settings) -> None:
    """Where the intent says all, whoever may not is locked out."""
    declare(
        elsewhere,
        '[tables.planted]\nowner = "user_id"\nselect = "all"\n[tables.planted.anon]\n'
        'select = "all"\n',
    )
    assert cells(verify(elsewhere), "public.planted") == {
        "select other allow lockout",
        "select anon allow lockout",
    }
    planted.execute(
        "create policy extra on public.planted for select to public using (true);"
        "grant select on public.planted to anon"
    )
    assert cells(verify(elsewhere), "public.planted") == set()


def test_what_is_exposed_and_not_declared_is_reported(
    planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A table or view that clients can reach and rls.toml does not name is undeclared."""
    planted.execute(
        "create table public.planted_reachable (id int);"
        "create table public.planted_closed (id int);"
        "revoke all on public.planted_closed from anon, authenticated;"
        "create view public.planted_view as select id from public.planted"
    )
    try:
        report = verify(elsewhere)
    finally:
        planted.execute(
            "drop view public.planted_view;"
            "drop table public.planted_reachable, public.planted_closed"
        )
    assert not report.ok
    undeclared = {
        each.table
        for each in report.failures
        if each.verdict is Verdict.UNDECLARED and each.operation != "execute"
    }
    assert undeclared == {
        "public.planted_reachable",
        "public.planted_view",
        "public.profiles",
        "public.api_tokens",
        "public.user_sessions",
    }


SHAPES = """
create type public.shape_state as enum ('draft', 'live');
create domain public.shape_code as text check (value ~ '^[A-Z]{2}$');
create table public.shape_lists (
  id bigint generated always as identity primary key,
  owner_id uuid not null references auth.users (id),
  title varchar(20) not null,
  state public.shape_state not null,
  code public.shape_code not null,
  size int not null check (size between 3 and 7),
  tags text[] not null check (cardinality(tags) < 3),
  settings jsonb not null,
  due date not null check (due < '2100-01-01'),
  share numeric(3, 2) not null check (share >= 0 and share < 1),
  kind text not null check (kind in ('one', 'two')),
  doubled int generated always as (size * 2) stored
);
create table public.shape_items (
  list_id bigint not null references public.shape_lists (id) on delete cascade,
  position smallint not null,
  owner_id uuid not null references auth.users (id),
  primary key (list_id, position)
);
create table public.shape_countries (code text primary key, name text not null);
insert into public.shape_countries values ('NL', 'Nederland');
create view public.shape_mine with (security_invoker = true)
  as select owner_id, title from public.shape_lists;
do $$
declare
  name text;
begin
  foreach name in array array['shape_lists', 'shape_items'] loop
    execute format('alter table public.%I enable row level security', name);
    execute format('revoke all on public.%I from anon', name);
    execute format(
      'create policy own on public.%I for all to authenticated'
        || ' using ((select auth.uid()) = owner_id)',
      name
    );
    execute format('create index on public.%I (owner_id)', name);
  end loop;
end;
$$;
alter table public.shape_countries enable row level security;
alter policy own on public.shape_items with check (
  (select auth.uid()) = owner_id and exists (
    select from public.shape_lists as l where l.id = list_id and l.owner_id = (select auth.uid())
  )
);
create policy read on public.shape_countries for select to anon, authenticated using (true);
revoke insert, update, delete, truncate on public.shape_countries from anon, authenticated;
revoke all on public.shape_mine from anon, authenticated;
grant select on public.shape_mine to authenticated;
"""
SHAPES_INTENT = """
[tables.shape_items]
owner = "owner_id"
[tables.shape_lists]
owner = "owner_id"
[tables.shape_countries]
select = "all"
insert = "none"
update = "none"
delete = "none"
anon.select = "all"
row.name = "Land {random}"
[tables."public.shape_mine"]
owner = "owner_id"
"""


def test_rows_are_made_for_tables_of_other_shapes(
    database: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Enums, domains, checks, parents, composite keys and views are filled by themselves."""
    database.execute(SHAPES)
    try:
        declare(elsewhere, SHAPES_INTENT)
        report = verify(elsewhere)
        wrong = [each for each in report.failures if each.verdict is not Verdict.UNDECLARED]
        assert wrong == []
        assert {"public.shape_mine", "public.shape_items"} < set(report.tables)
        for table, there in (("lists", 0), ("items", 0), ("countries", 1)):
            rows = database.execute(f"select count(*) from public.shape_{table}").fetchone()
            assert rows == (there,)
        database.execute("alter view public.shape_mine reset (security_invoker)")
        assert cells(verify(elsewhere), "public.shape_mine") == {"select other deny leak"}
        assert database.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]
    finally:
        database.execute(
            "drop view public.shape_mine;"
            "drop table public.shape_items, public.shape_lists, public.shape_countries;"
            "drop domain public.shape_code; drop type public.shape_state"
        )


def test_rows_of_others_are_never_in_danger(
    planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A table whose made-up rows could be taken for others' is refused before anything is made."""
    planted.execute(
        "create table public.planted_sizes (size int primary key, kind text not null"
        " check (kind in ('a kind with a long name', 'another kind with one')));"
        "insert into public.planted_sizes select n, 'a kind with a long name'"
        " from generate_series(1, 9) as n"
    )
    try:
        declare(
            elsewhere,
            '[tables.planted_sizes]\nselect = "all"\ninsert = "none"\nupdate = "none"\n'
            'delete = "none"\n',
        )
        with pytest.raises(RlsError, match="could not be told from others") as caught:
            verify(elsewhere)
        assert "[tables.planted_sizes.row]" in str(caught.value)
        rows = planted.execute("select count(*) from public.planted_sizes").fetchone()
        assert rows == (9,)
    finally:
        planted.execute("drop table public.planted_sizes")


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_an_interrupted_run_leaves_nothing_behind(
    how: str, project: Settings, stack: StackStatus, database: psycopg.Connection[Any]
) -> None:
    """After Ctrl-C or SIGTERM in the middle the users and their rows are gone all the same."""
    if how == "sigterm" and threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")
    before = database.execute(LEFT_BEHIND).fetchone()
    seen: list[Any] = []

    def interrupt(phrase: str) -> None:
        if phrase.startswith("verifying"):
            seen.append(database.execute(LEFT_BEHIND).fetchone())
            if how == "ctrl-c":
                raise KeyboardInterrupt
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt if how == "ctrl-c" else SystemExit):
        verify_rls(settings=project, progress=interrupt)
    assert seen[0][0] == 3
    assert database.execute(LEFT_BEHIND).fetchone() == before


def test_a_violation_can_be_raised(planted: psycopg.Connection[Any], elsewhere: Settings) -> None:
    """With raise_on_violation the report comes in an error that exits with 3."""
    planted.execute("alter table public.planted disable row level security")
    with pytest.raises(RlsViolationError, match="leak") as caught:
        verify_rls(settings=elsewhere, allow_remote=True, raise_on_violation=True)
    assert caught.value.exit_code == 3
    assert not caught.value.report.ok


def test_a_remote_target_has_to_be_allowed(elsewhere: Settings) -> None:
    """Without allow_remote nothing is tried on another target than the local stack."""
    declare(elsewhere, '[tables.profiles]\nowner = "id"\n')
    with pytest.raises(ConfigError, match="not this project's local stack") as caught:
        verify_rls(settings=elsewhere)
    assert "--allow-remote" in str(caught.value)
    assert "postgres:postgres" not in str(caught.value)


def test_a_remote_target_has_to_be_known(elsewhere: Settings) -> None:
    """A remote target without its API and keys is refused by the names of what is missing."""
    declare(elsewhere, '[tables.profiles]\nowner = "id"\n')
    unknown = replace(elsewhere, api_url="", secret_key="")
    with pytest.raises(ConfigError, match="SUPABASE_URL, SUPABASE_SECRET_KEY"):
        verify(unknown)


def test_a_stack_that_is_not_running_is_named(tmp_path: Path) -> None:
    """Without a running stack the error leads to stack.start."""
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").write_text('project_id = "none"\n')
    settings = Settings.load(tmp_path, backend="embedded", environ={})
    declare(settings, '[tables.profiles]\nowner = "id"\n')
    with pytest.raises(RlsError, match="not running") as caught:
        verify_rls(settings=settings)
    assert caught.value.next_step == "inv stack.start"


def test_an_api_that_does_not_answer_is_named(
    elsewhere: Settings, database: psycopg.Connection[Any]
) -> None:
    """An API that nothing listens for is an error, not a verdict."""
    declare(elsewhere, '[tables.profiles]\nowner = "id"\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        deaf = replace(elsewhere, api_url=f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(RlsError, match="does not answer"):
            verify(deaf)


def test_a_database_that_does_not_answer_is_named(elsewhere: Settings) -> None:
    """A database that nothing listens for is an error without its password."""
    declare(elsewhere, '[tables.profiles]\nowner = "id"\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"postgresql://postgres:hush@127.0.0.1:{free.getsockname()[1]}/postgres"
        with pytest.raises(DatabaseError) as caught:
            verify(replace(elsewhere, target=Target(kind="remote", url=url)))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"secret_key": "sb_secret_0000000000000000000000_00000000"}, "secret key"),
        ({"publishable_key": "sb_publishable_0000000000000000000000_00000000"}, "publishable key"),
    ],
)
def test_a_wrong_key_is_named_and_not_shown(
    changed: dict[str, str],
    named: str,
    elsewhere: Settings,
    database: psycopg.Connection[Any],
) -> None:
    """A key that the API refuses is named by its kind; no user stays behind."""
    declare(elsewhere, '[tables.profiles]\nowner = "id"\n')
    with pytest.raises(RlsError, match=f"does not accept the {named}") as caught:
        verify(replace(elsewhere, **changed))  # type: ignore[arg-type]
    assert next(iter(changed.values())) not in str(caught.value)
    assert database.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]


def test_a_publishable_key_in_place_of_the_secret_one_is_named(elsewhere: Settings) -> None:
    """The publishable key may not make users, which is said of the secret key."""
    declare(elsewhere, '[tables.profiles]\nowner = "id"\n')
    with pytest.raises(RlsError, match="does not accept the secret key"):
        verify(replace(elsewhere, secret_key=elsewhere.publishable_key))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[tables.planted_]\nowner = "user_id"\n', "did you mean public.planted?"),
        ('[tables.planted]\nowner = "userid"\n', "did you mean user_id?"),
        (
            '[tables.planted]\nowner = "user_id"\nupdate_columns = ["bodi"]\n',
            "did you mean body?",
        ),
        ('[tables.planted]\nowner = "user_id"\n[tables.planted.row]\nx = 1\n', "not there: x"),
    ],
)
def test_an_intent_about_what_is_not_there_is_refused(
    text: str, words: str, planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A table or column that does not exist is named with its line and the nearest that does."""
    declare(elsewhere, text)
    with pytest.raises(ConfigError) as caught:
        verify(elsewhere)
    assert words in str(caught.value)
    assert "supabase/rls.toml:" in str(caught.value)


def test_a_row_that_cannot_be_made_is_named(
    planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """The error names the column and the section for its value; with that value it works."""
    planted.execute(
        "alter table public.planted add shape text not null check (shape ~ '^x-[0-9]{3}-y$')"
    )
    with pytest.raises(RlsError) as caught:
        verify(elsewhere)
    assert "column shape" in str(caught.value)
    assert "[tables.planted.row]" in str(caught.value)
    declare(
        elsewhere, '[tables.planted]\nowner = "user_id"\n[tables.planted.row]\nshape = "x-123-y"\n'
    )
    assert cells(verify(elsewhere), "public.planted") == set()


def test_a_row_that_the_database_refuses_is_named(
    planted: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A check over two columns that made-up values break is named; nothing is left behind."""
    planted.execute(
        "alter table public.planted add low int not null, add high int not null,"
        " add constraint planted_order check (low < high and high < 10)"
    )
    with pytest.raises(RlsError, match="planted_order") as caught:
        verify(elsewhere)
    assert "[tables.planted.row]" in str(caught.value)
    assert planted.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]
