"""Odd schemas get a true verdict or a clear error: never a false ok, nothing "unexpected"."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from _rls import LEFT_BEHIND, cells, declare, verify
from _rls_shapes import (
    DECLARED,
    OWNER,
    READ_ONLY,
    SHAPES,
    USUAL,
    VIEWS,
    guarded,
    table,
    tied,
    trigger,
)

from riptide.errors import ConfigError, RlsError
from riptide.results import Verdict
from riptide.rls import verify_rls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from riptide.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def odd(database: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """Give the database; whatever is called odd is dropped afterwards."""
    yield database
    database.execute(
        """
        do $$
        declare
          what text;
        begin
          for what in
            select format('drop %s if exists %I.%I cascade', case relkind when 'v' then 'view'
              when 'm' then 'materialized view' else 'table' end, nspname, relname)
            from pg_class join pg_namespace as n on n.oid = relnamespace
            where relname ilike '%odd%' and relkind in ('r', 'p', 'v', 'm') and nspname = 'public'
              and not relispartition
          loop
            execute what;
          end loop;
        end
        $$;
        drop function if exists public.odd() cascade;
        drop type if exists public.odd_pair
        """
    )


# --- tables whose names and columns are odd -------------------------------------------------------

NAMES = {
    "mixed case and a percent sign": (
        table(
            f'"Id%s" uuid primary key default gen_random_uuid(), {OWNER}, "a%d b" text not null',
            name='public."OddOne"',
        ),
        '[tables.OddOne]\nowner = "user_id"\n',
        "OddOne",
    ),
    "a space": (
        table(f"id serial primary key, {OWNER}, body text", name='public."odd one"'),
        '[tables."odd one"]\nowner = "user_id"\n',
        "odd one",
    ),
    "columns with spaces and dots": (
        table(
            '"my id.x" uuid primary key default gen_random_uuid(), "order" text not null,'
            ' "the user" uuid not null references auth.users (id) on delete cascade',
            owner='"the user"',
        ),
        '[tables.odd]\nowner = "the user"\n',
        "odd",
    ),
    **{
        f"a key called {name}": (
            table(f'"{name}" uuid primary key default gen_random_uuid(), {OWNER}, body text'),
            DECLARED,
            "odd",
        )
        for name in ("order", "select", "limit", "offset", "columns", "on_conflict", "and", "or")
    },
}


@pytest.mark.parametrize("what", NAMES)
def test_names_are_quoted(what: str, odd: psycopg.Connection[Any], elsewhere: Settings) -> None:
    """A name with spaces, dots or a word of PostgREST's picks its row, and no other one."""
    sql, intent, name = NAMES[what]
    odd.execute(sql.encode())
    person = "insert into auth.users (id, email) values (gen_random_uuid(), 'odd@example.com')"
    [user] = odd.execute(f"{person} returning id").fetchone() or [None]
    owner = "the user" if "the user" in intent else "user_id"
    try:
        columns = f'"{owner}"' + (', "order"' if owner == "the user" else "")
        values = f"'{user}'" + (", 'kept'" if owner == "the user" else "")
        if name == "OddOne":
            columns, values = columns + ', "a%d b"', values + ", 'kept'"
        odd.execute(f'insert into public."{name}" ({columns}) values ({values})'.encode())
        declare(elsewhere, intent)
        assert cells(verify(elsewhere), f"public.{name}") == set()
        assert odd.execute(f'select count(*) from public."{name}"'.encode()).fetchone() == (1,)
    finally:
        odd.execute("delete from auth.users where id = %s", (user,))


TYPES = (
    "int4range",
    "int4multirange",
    "money",
    "bit(3)",
    "varbit",
    "line",
    "box",
    "circle",
    "macaddr8",
    '"char"',
    "name",
    "tsquery",
    "tsvector",
    "jsonpath",
    "pg_lsn",
    "int[]",
    "uuid[]",
    "jsonb[]",
    "inet",
    "bytea",
    "xml",
)


def test_values_of_every_type_are_made_up(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A column of any built-in type that must be given is given a value."""
    columns = ", ".join(f"c{number} {name} not null" for number, name in enumerate(TYPES))
    odd.execute(
        table(f"id uuid primary key default gen_random_uuid(), {OWNER}, {columns}").encode()
    )
    declare(elsewhere, DECLARED)
    assert cells(verify(elsewhere), "public.odd") == set()


@pytest.mark.parametrize("what", SHAPES)
def test_an_odd_table_that_is_right_passes(
    what: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A table of an odd shape whose policies are right is verified, and nothing is left in it."""
    sql, intent = SHAPES[what]
    odd.execute(sql.encode())
    declare(elsewhere, intent)
    report = verify(elsewhere)
    assert "public.odd" in report.tables
    assert cells(report, "public.odd") | cells(report, "public.odd_other") == set()
    assert odd.execute("select count(*) from public.odd").fetchone() == (0,)
    assert odd.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]


# --- what used to be a false ok -------------------------------------------------------------------

HOLES = {
    "one column may be selected": (
        (
            "revoke all on public.odd from anon; grant select (body) on public.odd to anon;"
            "create policy hole on public.odd for select to anon using (true)"
        ),
        {"select anon deny leak"},
    ),
    "a column that is not the first to be tried may be updated": (
        (
            "grant update (state) on public.odd to anon;"
            "create policy hole on public.odd for update to anon using (true)"
        ),
        {"update anon deny masked"},
    ),
    "rows of nobody may be inserted": (
        (
            "alter table public.odd alter user_id drop not null;"
            "grant insert on public.odd to anon;"
            "create policy hole on public.odd for insert to anon with check (user_id is null)"
        ),
        {"insert anon deny leak"},
    ),
    "rows may be inserted that a trigger makes nobody's": (
        "alter table public.odd alter user_id drop not null, alter body set not null;"
        "grant insert on public.odd to anon;"
        "create policy hole on public.odd for insert to anon with check (true);"
        + trigger(
            "insert", "if current_user = 'anon' then new.user_id = null; end if; return new;"
        ),
        {"insert anon deny leak"},
    ),
    "a policy breaks down on the row that was made": (
        (
            "create policy hole on public.odd for select to authenticated"
            " using (case when (select auth.uid()) = user_id then true else state::int > 5 end)"
        ),
        # What is upserted asks the select policies too.
        {"select other deny error", "update other deny error"},
    ),
}


@pytest.mark.parametrize("what", HOLES)
def test_a_hole_is_seen(what: str, odd: psycopg.Connection[Any], elsewhere: Settings) -> None:
    """A way in that the usual requests do not take is found all the same."""
    odd.execute(
        table(
            f"id uuid primary key default gen_random_uuid(), {OWNER}, body text default 'b',"
            " state text not null default 'some'"
        ).encode()
    )
    declare(elsewhere, DECLARED)
    assert cells(verify(elsewhere), "public.odd") == set()
    sql, expected = HOLES[what]
    odd.execute(sql.encode())
    assert cells(verify(elsewhere), "public.odd") == expected
    assert odd.execute("select count(*) from public.odd").fetchone() == (0,)


def test_a_foreign_key_that_may_not_change_is_tried(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """With update_columns a foreign key that the owner may change is a leak."""
    odd.execute(
        (
            table(f"id uuid primary key default gen_random_uuid(), {OWNER}", name="public.odd_list")
            + table(
                f"id int generated always as identity primary key, {OWNER}, body text,"
                " list_id uuid not null references public.odd_list (id) on delete cascade"
            )
        ).encode()
    )
    declare(
        elsewhere,
        '[tables.odd_list]\nowner = "user_id"\n'
        + DECLARED
        + 'update_columns = ["body"]\nreveals.list_id = "nothing reads it"\n',
    )
    assert cells(verify(elsewhere), "public.odd") == {"update owner deny leak"}
    odd.execute(
        "revoke update on public.odd from authenticated;"
        "grant update (body) on public.odd to authenticated"
    )
    assert cells(verify(elsewhere), "public.odd") == set()


@pytest.mark.parametrize("what", VIEWS)
def test_a_view_is_verified(what: str, odd: psycopg.Connection[Any], elsewhere: Settings) -> None:
    """A view passes no policies by: not in reading, and not in writing through it."""
    sql, intent, expected = VIEWS[what]
    odd.execute((USUAL + sql).encode())
    declare(elsewhere, f"{DECLARED}[tables.odd_view]\n{intent}")
    report = verify(elsewhere)
    assert cells(report, "public.odd_view") == expected
    assert cells(report, "public.odd") == set()
    assert odd.execute("select count(*) from public.odd").fetchone() == (0,)


# --- partitions -----------------------------------------------------------------------------------

BY_TIME = table(
    f"id uuid default gen_random_uuid(), {OWNER}, at timestamptz default now(), body text,"
    " primary key (id, at)",
    rest="partition by range (at)",
) + (
    "create table public.odd_old partition of public.odd"
    " for values from ('2020-01-01') to ('2021-01-01');"
    "create table public.odd_rest partition of public.odd default;"
)
ALL_DENIED = {
    f"{operation} {actor} deny leak"
    for operation in ("select", "insert", "update", "delete")
    for actor in ("other", "anon")
}
CLOSED = "revoke all on public.odd_old, public.odd_rest from anon, authenticated;"


@pytest.mark.parametrize(
    ("sql", "old", "rest"),
    [
        ("", ALL_DENIED, ALL_DENIED),
        (CLOSED, set(), set()),
        (
            guarded("public.odd_old") + "alter table public.odd_rest enable row level security;",
            set(),
            set(),
        ),
        (
            CLOSED + guarded("public.odd_old") + "grant select on public.odd_old to authenticated;"
            "create policy hole on public.odd_old for select to authenticated using (true)",
            {"select other deny leak"},
            set(),
        ),
    ],
    ids=["open", "revoked", "guarded or shut", "a weak policy"],
)
def test_a_partition_stands_under_the_whole(
    sql: str, old: set[str], rest: set[str], odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A partition within clients' reach may give nobody more; one beyond it needs nothing."""
    odd.execute((BY_TIME + sql).encode())
    declare(elsewhere, DECLARED + "[tables.odd.row]\nat = 2026-01-01T00:00:00Z\n")
    report = verify(elsewhere)
    assert cells(report, "public.odd") == set()
    assert cells(report, "public.odd_old") == old
    assert cells(report, "public.odd_rest") == rest
    assert ("public.odd_old" in report.tables) is (sql != CLOSED)
    assert odd.execute("select count(*) from public.odd").fetchone() == (0,)


def test_partitions_of_an_undeclared_table_are_told_once(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Where the whole is undeclared the report names it, and not each of its partitions."""
    odd.execute(BY_TIME.encode())
    declare(elsewhere, "")
    told = {each.table for each in verify(elsewhere).failures if "odd" in each.table}
    assert told == {"public.odd"}


def test_a_partition_can_have_a_section_of_its_own_bounds(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """By hash, by list, of two levels: a row is made that fits, also where a table refers to it."""
    odd.execute(
        (
            table(
                f"id uuid default gen_random_uuid(), {OWNER}, kind text default 'rest',"
                " n int default 7, primary key (id, kind, n)",
                rest="partition by list (kind)",
            )
            + "create table public.odd_rest partition of public.odd default"
            " partition by hash (id);"
            "create table public.odd_rest_0 partition of public.odd_rest"
            " for values with (modulus 2, remainder 0);"
            "create table public.odd_rest_1 partition of public.odd_rest"
            " for values with (modulus 2, remainder 1);"
            "create table public.odd_one partition of public.odd for values in ('x', 'y')"
            " partition by range (n);"
            "create table public.odd_one_low partition of public.odd_one"
            " for values from (100) to (200);"
            "revoke all on public.odd_one, public.odd_rest from anon, authenticated;"
            + guarded("public.odd_rest_0")
            + guarded("public.odd_rest_1")
            + guarded("public.odd_one_low")
            + table(
                f"id uuid primary key default gen_random_uuid(), {OWNER}, odd_id uuid not null,"
                " kind text not null, n int not null, foreign key (odd_id, kind, n)"
                " references public.odd (id, kind, n) on delete cascade",
                name="public.odd_child",
            )
            + tied("public.odd_child", "odd_id", "public.odd")
        ).encode()
    )
    declare(elsewhere, DECLARED + '[tables.odd_child]\nowner = "user_id"\n')
    report = verify(elsewhere)
    parts = {"public.odd_rest_0", "public.odd_rest_1", "public.odd_one_low"}
    assert parts < set(report.tables)
    for name in {*parts, "public.odd", "public.odd_child"}:
        assert cells(report, name) == set()
        tried = {each.tried for each in report.checks if each.table == name}
        assert not any("no row fits" in each for each in tried)


@pytest.mark.parametrize(
    ("sql", "verdict", "words"),
    [
        ("", Verdict.LEAK, "RLS is off here"),
        (
            (
                "revoke all on public.odd_none from anon; alter table public.odd_none"
                " enable row level security"
            ),
            Verdict.OK,
            "no policy lets it pass",
        ),
        (guarded("public.odd_none"), Verdict.ERROR, "revoke all on public.odd_none"),
    ],
)
def test_a_partition_into_which_no_row_fits_is_looked_at(
    sql: str, verdict: Verdict, words: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Where no row can be made the privileges and RLS itself decide, and what to do is said."""
    odd.execute(
        (
            table(f"{OWNER}, id uuid default gen_random_uuid()", rest="partition by list (user_id)")
            + "create table public.odd_rest partition of public.odd default;"
            "create table public.odd_none partition of public.odd"
            " for values in ('00000000-0000-0000-0000-000000000000');"
            "revoke all on public.odd_rest from anon, authenticated;" + sql
        ).encode()
    )
    declare(elsewhere, DECLARED)
    found = [each for each in verify(elsewhere).checks if each.table == "public.odd_none"]
    assert {each.verdict for each in found if each.actor == "other"} == {verdict}
    assert any(words in each.seen for each in found)


# --- what cannot be verified is named -------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "intent", "words"),
    [
        ("create table public.odd ()", f'[tables.odd]\nselect = "none"\n{READ_ONLY}', "no columns"),
        (
            "create view public.odd as select",
            f'[tables.odd]\nselect = "none"\n{READ_ONLY}',
            "no columns",
        ),
        (USUAL, DECLARED + "[tables.odd.row]\nid = 7\n", "rls.toml:4: [tables.odd.row] id is of"),
        (USUAL, DECLARED + '[tables.odd.row]\nuser_id = "x"\n', "user_id is the owner"),
        (
            "create table public.odd (id uuid primary key, n int)",
            '[tables.odd]\nowner = "n"\n',
            "owner is of type integer",
        ),
        (
            (
                f"create table public.odd (id int, {OWNER},"
                " copy uuid generated always as (user_id) stored)"
            ),
            '[tables.odd]\nowner = "copy"\n',
            "fills by itself: copy",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(
    sql: str, intent: str, words: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """What rls.toml says of a table that cannot be so is refused before anything is tried."""
    odd.execute(sql.encode())
    declare(elsewhere, intent)
    with pytest.raises(ConfigError) as caught:
        verify(elsewhere)
    assert words in str(caught.value)
    assert "supabase/rls.toml:" in str(caught.value)


@pytest.mark.parametrize("sql", ["create table public.odd ()", "create view public.odd as select"])
def test_an_undeclared_relation_without_columns_is_named(
    sql: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Without columns there is no owner to declare: the report says what else to do."""
    odd.execute(sql.encode())
    declare(elsewhere, "")
    [found] = [each for each in verify(elsewhere).failures if each.table == "public.odd"]
    assert "it has no columns: drop it, or revoke all" in found.seen


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (trigger("insert", "raise exception 'never';"), "public.odd cannot be made: never"),
        (trigger("insert", "return null;"), "let the insert do nothing"),
        (
            "alter table public.odd drop constraint odd_user_id_fkey;"
            + trigger("insert", "new.user_id = gen_random_uuid(); return new;"),
            "a trigger changed user_id",
        ),
        (
            "alter table public.odd add up uuid not null references public.odd (id)",
            "column up: it refers to public.odd itself",
        ),
        (
            "alter table public.odd add pair public.odd_pair not null",
            "column pair: no value of type public.odd_pair",
        ),
    ],
)
def test_a_row_that_cannot_be_made_is_told_with_its_section(
    sql: str, words: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """The error says what stands in the way and where to give a value; nothing is left behind."""
    odd.execute(("create type public.odd_pair as (a int, b int);" + USUAL + sql).encode())
    declare(elsewhere, DECLARED)
    with pytest.raises(RlsError) as caught:
        verify(elsewhere)
    assert words in str(caught.value)
    assert "[tables.odd.row]" in str(caught.value)
    assert odd.execute("select count(*) from public.odd").fetchone() == (0,)
    assert odd.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]


def test_rows_that_need_each_other_are_named(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Two tables of which each needs a row of the other first are an error that names both."""
    odd.execute(
        (
            table(f"id uuid primary key default gen_random_uuid(), {OWNER}, other uuid not null")
            + table(
                f"id uuid primary key default gen_random_uuid(), {OWNER},"
                " odd uuid not null references public.odd (id)",
                name="public.odd_other",
            )
            + "alter table public.odd add foreign key (other) references public.odd_other (id)"
            " deferrable initially deferred"
        ).encode()
    )
    declare(elsewhere, DECLARED + '[tables.odd_other]\nowner = "user_id"\n')
    with pytest.raises(RlsError, match=r"odd_other, whose rows|public\.odd, whose rows"):
        verify(elsewhere)


def test_a_schema_that_does_not_exist_is_named(
    database: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Where [api] schemas names one that is not there nothing would be verified, and all be ok."""
    (elsewhere.supabase_dir / "config.toml").write_text('[api]\nschemas = ["publik"]\n')
    settings = type(elsewhere).load(elsewhere.root, environ={})
    wrong = replace(elsewhere, config=settings.config)
    with pytest.raises(ConfigError, match=r"does not exist: publik; did you mean public\?"):
        verify(wrong)


def test_a_schema_that_the_api_does_not_serve_is_named(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A schema that config.toml exposes and the running API does not know is one clear error."""
    odd.execute(
        (
            "create schema odd_api; grant usage on schema odd_api to authenticated, service_role;"
            + table(
                f"id uuid primary key default gen_random_uuid(), {OWNER}", name="odd_api.things"
            )
            + "grant all on odd_api.things to authenticated, service_role"
        ).encode()
    )
    try:
        declare(elsewhere, '[tables."odd_api.things"]\nowner = "user_id"\n')
        config = replace(elsewhere.config, schemas=("public", "odd_api"))
        with pytest.raises(RlsError, match=r"does not serve odd_api\.things") as caught:
            verify(replace(elsewhere, config=config))
        assert "inv stack.stop" in str(caught.value)
    finally:
        odd.execute("drop schema odd_api cascade")


def test_a_policy_that_never_ends_is_an_error(
    odd: psycopg.Connection[Any], elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy that runs into the time limit is an error, in SQL as well as through the API."""
    monkeypatch.setattr("riptide.rls.blind._TIMEOUT", "1s")  # the API's own is 8 s
    odd.execute(
        (
            USUAL + "create policy slow on public.odd as restrictive for delete to authenticated"
            " using (pg_sleep(600) is not null)"
        ).encode()
    )
    declare(elsewhere, DECLARED)
    assert cells(verify(elsewhere), "public.odd") == {
        "delete owner allow error",
        "delete other deny error",
    }


# --- interruptions --------------------------------------------------------------------------------

UNOWNED = (
    "create table public.odd (id uuid primary key default gen_random_uuid(), body text not null);"
    "alter table public.odd enable row level security;"
    "grant all on public.odd to service_role"
)
NOBODYS = f'[tables.odd]\nselect = "none"\n{READ_ONLY}'


def interrupted(settings: Settings, query: str) -> None:
    """Verify, with a Ctrl-C as soon as the database has an answer to the query."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")
    done = threading.Event()

    def interrupt() -> None:
        with psycopg.connect(settings.target.url, autocommit=True) as watching:
            while not done.wait(0.02):
                if watching.execute(query.encode()).fetchone() is not None:
                    os.kill(os.getpid(), signal.SIGINT)
                    return

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            verify(settings)
    finally:
        done.set()
        thread.join()


SLEEPING = "select from pg_stat_activity where wait_event = 'PgSleep'"


@pytest.mark.parametrize(
    ("session", "role"), [("authenticator", "service_role"), ("postgres", "postgres")]
)
def test_an_insert_that_is_interrupted_leaves_no_row(
    session: str, role: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Ctrl-C while a row without a user is being inserted leaves neither it nor a user behind."""
    # The insert takes a while, and the signal comes in the middle of it.
    odd.execute(
        (
            UNOWNED
            + ";"
            + trigger(
                "insert",
                f"if session_user = '{session}' and current_user = '{role}' then"
                " perform pg_sleep(1.5); end if; return new;",
            )
        ).encode()
    )
    declare(elsewhere, NOBODYS)
    interrupted(elsewhere, SLEEPING)
    time.sleep(2)  # longer than an insert that went on by itself would take
    assert odd.execute("select count(*) from public.odd").fetchone() == (0,)
    assert odd.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(),
    reason="signals reach the main thread",
)
def test_a_query_that_is_interrupted_leaves_no_row(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Ctrl-C in the middle of a query gives the connection up, and not the rows without users."""
    odd.execute(
        (
            UNOWNED + ";grant delete on public.odd to authenticated;"
            "create policy slow on public.odd for delete to authenticated"
            " using (pg_sleep(5) is null)"
        ).encode()
    )
    declare(elsewhere, NOBODYS)
    interrupted(elsewhere, f"{SLEEPING} and application_name like 'riptide-rls-%'")
    assert odd.execute("select count(*) from public.odd").fetchone() == (0,)
    assert odd.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]


def test_a_lost_connection_leaves_no_row(odd: psycopg.Connection[Any], elsewhere: Settings) -> None:
    """Where the connection is lost in the middle, another one removes the rows without users."""
    odd.execute(UNOWNED.encode())
    declare(elsewhere, NOBODYS)
    seen: list[Any] = []

    def cut(phrase: str) -> None:
        if phrase.startswith("verifying"):
            seen.append(odd.execute("select count(*) from public.odd").fetchone())
            odd.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name like 'riptide-rls-%'"
            )
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_rls(settings=elsewhere, allow_remote=True, progress=cut)
    assert seen == [(1,)]
    assert odd.execute("select count(*) from public.odd").fetchone() == (0,)
    assert odd.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]
