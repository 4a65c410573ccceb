"""Each of the verification's finer probes finds what is planted for it, and says what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from _rls import LEFT_BEHIND, cells, declare, verify
from _rls_shapes import DECLARED, OWNER, READ_ONLY, table

from riptide._jwt import signed
from riptide.results import Verdict
from riptide.rls.endpoint import Endpoint
from riptide.rls.intent import read_intent
from riptide.rls.verify import verification

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from riptide.results import RlsCheck, StackStatus
    from riptide.settings import Settings

pytestmark = pytest.mark.integration

TABLE = table(
    f"id uuid primary key default gen_random_uuid(), {OWNER}, body text default 'b'"
).replace("user_id uuid not null", "user_id uuid not null default auth.uid()")


@pytest.fixture
def odd(database: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """Give the database with a table that is right; it is dropped afterwards."""
    database.execute(TABLE.encode())
    yield database
    database.execute(
        "drop table if exists public.odd_child, public.odd, public.odd_team cascade;"
        "drop function if exists public.odd_count(), public.odd_count(int), public.odd_write()"
    )


def locally(settings: Settings, stack: StackStatus) -> list[RlsCheck]:
    """Verify where the secret that signs tokens is known."""
    endpoint = Endpoint(
        name="local",
        api_url=stack.api_url,
        db_url=stack.db_url,
        publishable_key=stack.publishable_key,
        secret_key=stack.secret_key,
        jwt_secret=stack.jwt_secret,
        remedy="",
    )
    intent = read_intent(settings.supabase_dir / "rls.toml")
    with verification(settings, intent, endpoint, lambda _: None) as run:
        checks = run()
        assert run.not_tried == ()
    return checks


def wrong(checks: list[RlsCheck]) -> set[str]:
    """Give what is not ok on the table as ``operation actor verdict``."""
    return {
        f"{each.operation} {each.actor} {each.verdict.value}"
        for each in checks
        if each.table == "public.odd" and each.verdict is not Verdict.OK
    }


# --- who tries ------------------------------------------------------------------------------------

PRETENDERS = {
    "a role in the metadata that users write": (
        (
            "create policy hole on public.odd for select to authenticated"
            " using ((auth.jwt() -> 'user_metadata' ->> 'plan') = 'gold')"
        ),
        {"select claimant leak", "plan owner slow"},
    ),
    "the same, read from auth.users": (
        (
            "create function public.odd_write() returns boolean language sql stable"
            " security definer set search_path = '' as $$ select exists (select from"
            " auth.users where id = auth.uid() and raw_user_meta_data ->> 'is_admin' = 'true') $$;"
            "create policy hole on public.odd for delete to authenticated"
            " using ((select public.odd_write()))"
        ),
        {"delete claimant masked", "delete empty masked"},
    ),
    "a team in the metadata": (
        (
            "create policy hole on public.odd for select to authenticated"
            " using (body = (select auth.jwt() -> 'user_metadata' ->> 'body'))"
        ),
        {"select claimant leak"},
    ),
    "a token without sub": (
        (
            "create policy hole on public.odd for select to authenticated"
            " using ((select auth.uid()) is null)"
        ),
        {"select no_sub leak"},
    ),
    "a caller without claims": (
        (
            "create policy hole on public.odd for select to anon"
            " using ((select current_setting('request.jwt.claims', true)) = '');"
            "grant select on public.odd to anon"
        ),
        {"select anon leak"},
    ),
    "a user without rows": (
        (
            "create table public.odd_team (user_id uuid primary key);"
            "alter table public.odd_team enable row level security;"
            "create function public.odd_write() returns boolean language sql stable"
            " security definer set search_path = '' as $$ select not exists"
            " (select from public.profiles where id = auth.uid()) $$;"
            "create policy hole on public.odd for select to authenticated"
            " using ((select public.odd_write()))"
        ),
        {"select empty leak", "select claimant leak", "select no_sub leak"},
    ),
}


@pytest.mark.parametrize("what", PRETENDERS)
def test_who_pretends_is_found_out(
    what: str, odd: psycopg.Connection[Any], elsewhere: Settings, stack: StackStatus
) -> None:
    """A policy that believes a claim, or the lack of one, leaks to who makes it, and no other."""
    # The last is tried first: the other user's profile is still there then.
    declare(elsewhere, '[tables.profiles]\nowner = "id"\ninsert = "none"\n' + DECLARED)
    assert wrong(locally(elsewhere, stack)) == set()
    sql, expected = PRETENDERS[what]
    odd.execute(sql.encode())
    checks = locally(elsewhere, stack)
    assert wrong(checks) == expected
    assert all(each.policies for each in checks if each.verdict is Verdict.LEAK)
    assert odd.execute(LEFT_BEHIND).fetchone()[:1] == (0,)  # type: ignore[index]


def test_bad_tokens_are_refused_and_told(
    odd: psycopg.Connection[Any], elsewhere: Settings, stack: StackStatus
) -> None:
    """The API refuses the expired, the forged and the unsigned token; each is in the report."""
    declare(elsewhere, DECLARED)
    [check] = [each for each in locally(elsewhere, stack) if each.actor == "bad_token"]
    assert check.verdict is Verdict.OK
    tried = [each.request for each in check.attempts]
    assert [each.partition(" with ")[2] for each in tried] == [
        "an expired token",
        "a token that somebody else signed",
        "a token that nobody signed",
    ]


def test_an_api_that_believes_any_token_is_a_leak(
    odd: psycopg.Connection[Any],
    elsewhere: Settings,
    stack: StackStatus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A forged token that the API takes is a leak, even where no row came back."""
    from riptide.rls import actors

    monkeypatch.setattr(actors, "forged", lambda claims: signed(claims, stack.jwt_secret))
    declare(elsewhere, DECLARED)
    assert wrong(locally(elsewhere, stack)) == {"select bad_token leak"}


def test_what_takes_the_secret_is_told_as_not_tried(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Where the signing secret is not known the report says what was not tried."""
    declare(elsewhere, DECLARED)
    report = verify(elsewhere)
    assert any("expired token" in each for each in report.not_tried)
    [check] = [each for each in report.checks if each.actor == "bad_token"]
    assert len(check.attempts) == 2
    assert report.to_dict()["not_tried"] == list(report.not_tried)


# --- what is read and written ---------------------------------------------------------------------


def test_an_embedded_row_does_not_come_along(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """What a foreign key ties to a public row is tried by embedding, and its owner's does come."""
    odd.execute(
        (
            "create policy everybody on public.odd for select to authenticated using (true);"
            + table(
                f"id uuid primary key default gen_random_uuid(), {OWNER}, odd_id uuid not null"
                " references public.odd (id) on delete cascade",
                name="public.odd_child",
            )
        ).encode()
    )
    declare(elsewhere, DECLARED + 'select = "all"\n[tables.odd_child]\nowner = "user_id"\n')
    report = verify(elsewhere)
    assert cells(report, "public.odd") | cells(report, "public.odd_child") == set()
    embedded = [each for each in report.checks if "embedded" in each.tried]
    assert {(each.table, each.actor, each.expected) for each in embedded} == {
        ("public.odd", "owner", "allow"),
        ("public.odd_child", "owner", "allow"),
        ("public.odd_child", "other", "deny"),
    }
    odd.execute("alter policy own on public.odd_child using (true)")
    leaks = [each for each in verify(elsewhere).failures if "embedded" in each.tried]
    assert [each.actor for each in leaks] == ["other"]


def test_a_default_owner_and_what_comes_back_are_tried(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A default that is nobody's locks the owner out of an insert that does not name them."""
    declare(elsewhere, DECLARED)
    odd.execute("alter table public.odd alter body drop default, alter body set not null")
    [check] = [
        each
        for each in verify(elsewhere).checks
        if (each.table, each.operation, each.actor) == ("public.odd", "insert", "owner")
    ]
    assert "insert a row without user_id, and get it back" in check.tried
    odd.execute("alter table public.odd alter user_id set default (auth.jwt() ->> 'nobody')::uuid")
    assert cells(verify(elsewhere), "public.odd") == {"insert owner allow lockout"}


REQUESTS = {
    "a count alone": (
        (
            "create policy hole on public.odd for select to authenticated"
            " using (current_setting('request.method', true) = 'HEAD')"
        ),
        DECLARED,
        "select",
        "count all, and get no row",
    ),
    "an upsert that passes over what is there": (
        # With a key to compare, PostgreSQL asks the select policies too.
        (
            "create policy everybody on public.odd for select to authenticated using (true);"
            "create policy hole on public.odd for insert to authenticated with check"
            " (current_setting('request.headers', true) like '%ignore-duplicates%')"
        ),
        DECLARED + 'select = "all"\n',
        "insert",
        "insert a row of the owner's, duplicates ignored",
    ),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_a_hole_in_one_kind_of_request_is_a_leak(
    what: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A count without rows and an upsert that ignores duplicates are sent, and looked at."""
    sql, intent, operation, tried = REQUESTS[what]
    odd.execute(sql.encode())
    declare(elsewhere, intent)
    checks = [each for each in verify(elsewhere).failures if each.table == "public.odd"]
    [found] = [each for each in checks if (each.operation, each.actor) == (operation, "other")]
    assert found.verdict is Verdict.LEAK
    assert [each.request for each in found.attempts if each.effect] == [tried]


def test_the_owner_is_the_control_of_both(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """The owner gets their count, and a row by an upsert that ignores duplicates."""
    declare(elsewhere, DECLARED)
    report = verify(elsewhere)
    assert cells(report, "public.odd") == set()
    sent = {
        (each.operation, one.request): bool(one.effect)
        for each in report.checks
        if (each.table, each.actor) == ("public.odd", "owner")
        for one in each.attempts
    }
    assert sent["select", "count all, and get no row"]
    assert sent["insert", "insert a row of their own, duplicates ignored"]


def test_an_upsert_over_anothers_row_is_a_leak(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Whoever sees and may update another's row by a wide policy overwrites it by an upsert."""
    odd.execute(
        "create policy hole on public.odd for update to authenticated using (true);"
        "create policy everybody on public.odd for select to authenticated using (true)"
    )
    declare(elsewhere, DECLARED + 'select = "all"\n')
    failures = [each for each in verify(elsewhere).failures if each.table == "public.odd"]
    assert any(
        attempt.effect
        for each in failures
        for attempt in each.attempts
        if attempt.request == "upsert over the owner's row"
    )


# --- what a key gives away ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("alter table public.odd add constraint odd_key unique (body)", "body"),
        ("create unique index odd_key on public.odd (lower(body))", "body"),
        (
            "alter table public.odd add handle text; create unique index on public.odd (handle)",
            "handle",
        ),
    ],
    ids=["a constraint", "an expression", "a column that may be null"],
)
def test_a_unique_key_tells_of_rows(
    sql: str, columns: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A unique key without the owner tells that a value is taken, but where rls.toml says why."""
    declare(elsewhere, DECLARED)
    odd.execute("alter table public.odd alter body drop default, alter body set not null")
    odd.execute(sql.encode())
    report = verify(elsewhere)
    assert cells(report, "public.odd") == {"exists other deny leak"}
    [leak] = [each for each in report.failures if each.operation == "exists"]
    assert {each.effect for each in leak.attempts} == {
        f"it learns that a row has this {columns} which it may not see"
    }
    assert "[tables.odd.reveals]" in leak.mend
    declare(elsewhere, DECLARED + f'reveals.{columns} = "names are public"\n')
    assert cells(verify(elsewhere), "public.odd") == set()


def test_a_key_with_the_owner_tells_nothing(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """With the owner in it, or of values that nobody can guess, a key is no finding."""
    odd.execute(
        "alter table public.odd add unique (user_id, body), add number bigserial unique,"
        " add token uuid unique default gen_random_uuid()"
    )
    declare(elsewhere, DECLARED)
    assert cells(verify(elsewhere), "public.odd") == set()


def test_a_row_may_not_hang_on_anothers(odd: psycopg.Connection[Any], elsewhere: Settings) -> None:
    """A child of another's parent that one cannot see is a leak; the SQL that is given mends it."""
    odd.execute(
        table(
            f"id uuid primary key default gen_random_uuid(), {OWNER}, odd_id uuid"
            " references public.odd (id) on delete cascade",
            name="public.odd_child",
        ).encode()
    )
    declare(elsewhere, DECLARED + '[tables.odd_child]\nowner = "user_id"\n')
    report = verify(elsewhere)
    assert cells(report, "public.odd_child") == {"exists other deny leak"}
    [leak] = [each for each in report.failures if each.operation == "exists"]
    odd.execute(leak.mend.replace("and exists", "and odd_id is null or exists").encode())
    assert cells(verify(elsewhere), "public.odd_child") == set()


# --- how rows are found ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "drop index public.odd_user_id_idx",
        "alter policy own on public.odd using (auth.uid() = user_id)",
        "alter policy own on public.odd using ((auth.jwt() ->> 'sub')::uuid = user_id)",
    ],
)
def test_a_scan_and_a_call_for_each_row_are_slow(
    sql: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """A list that looks at every row, or asks who it is for at each, is slow; its SQL mends it."""
    declare(elsewhere, DECLARED)
    odd.execute(sql.encode())
    report = verify(elsewhere)
    assert cells(report, "public.odd") == {"plan owner allow slow"}
    [slow] = [each for each in report.failures if each.verdict is Verdict.SLOW]
    odd.execute(slow.mend.encode())
    assert cells(verify(elsewhere), "public.odd") == set()


def test_ways_through_a_team_are_no_scan(odd: psycopg.Connection[Any], elsewhere: Settings) -> None:
    """A policy that lets a team in as well can use no index alone, and is no finding."""
    odd.execute(
        "create table public.odd_team (odd_id uuid references public.odd (id) on delete cascade,"
        " user_id uuid, primary key (odd_id, user_id));"
        "alter table public.odd_team enable row level security;"
        "create policy own on public.odd_team for select to authenticated"
        " using ((select auth.uid()) = user_id);"
        "alter policy own on public.odd using ((select auth.uid()) = user_id or exists"
        " (select from public.odd_team as t where t.odd_id = id"
        " and t.user_id = (select auth.uid())))"
    )
    declare(elsewhere, DECLARED)
    assert cells(verify(elsewhere), "public.odd") == set()


# --- functions ------------------------------------------------------------------------------------

COUNT = (
    "create function public.odd_count() returns bigint language sql stable security definer"
    " set search_path = '' as 'select count(*) from public.odd';"
)
CLOSED = "revoke execute on function public.odd_count() from public, anon, authenticated;"


def called(settings: Settings) -> dict[str, str]:
    """Give what calling the function came to, by who tried."""
    report = verify(settings)
    return {
        each.actor: f"{each.expected} {each.verdict.value}"
        for each in report.checks
        if each.operation == "execute" and each.table.startswith("public.odd_count")
    }


def test_functions_are_called_as_declared(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Who is to call a function can, and nobody else; one that is not declared is told."""
    odd.execute((COUNT + CLOSED).encode())
    declare(elsewhere, DECLARED)
    assert called(elsewhere) == {}
    odd.execute("grant execute on function public.odd_count() to authenticated")
    assert called(elsewhere) == {"*": "declared undeclared"}
    declare(elsewhere, DECLARED + '[functions.odd_count]\nexecute = ["authenticated"]\n')
    assert called(elsewhere) == {"owner": "allow ok", "anon": "deny ok"}
    odd.execute("grant execute on function public.odd_count() to anon")
    assert called(elsewhere) == {"owner": "allow ok", "anon": "deny leak"}
    odd.execute(CLOSED.encode())
    assert called(elsewhere) == {"owner": "allow lockout", "anon": "deny ok"}


def test_a_function_that_writes_is_not_called(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """One that can write is looked up, which the report says; nothing of it has happened."""
    odd.execute(
        "create function public.odd_write() returns void language sql as"
        " $$ update public.odd set body = 'called' $$"
    )
    declare(elsewhere, DECLARED + '[functions.odd_write]\nexecute = ["anon", "authenticated"]\n')
    checks = [each for each in verify(elsewhere).checks if each.table == "public.odd_write()"]
    assert {each.tried for each in checks} == {"look up the privilege to call it: it may write"}
    assert all(each.verdict is Verdict.OK for each in checks)


# --- whom to blame, and what mends it -------------------------------------------------------------

MENDED = {
    "select": "create policy hole on public.odd for select to authenticated using (true)",
    "insert": "create policy hole on public.odd for insert to authenticated with check (true)",
    "delete": "create policy hole on public.odd for delete to authenticated using (true)",
    "everything": "create policy hole on public.odd for all to authenticated using (true)",
    "RLS": "alter table public.odd disable row level security",
    "the only policy": "alter policy own on public.odd using (true) with check (true)",
    "a lockout": "alter policy own on public.odd using ((select auth.uid()) = id)",
    "a missing privilege": "revoke delete on public.odd from authenticated",
    "a missing policy": "drop policy own on public.odd",
    "a restrictive policy": (
        "create policy hole on public.odd as restrictive for delete to authenticated using (false)"
    ),
}


@pytest.mark.parametrize("what", MENDED)
def test_the_sql_that_is_given_mends_it(
    what: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Each failure names the policies to blame, and its SQL makes the table right again."""
    declare(elsewhere, DECLARED)
    odd.execute(MENDED[what].encode())
    failures = [each for each in verify(elsewhere).failures if each.table == "public.odd"]
    assert failures
    if "hole" in MENDED[what]:
        assert {each.policies for each in failures} == {("public.odd: hole",)}
    for mend in dict.fromkeys(each.mend for each in failures):
        assert mend
        odd.execute(mend.encode())
    assert cells(verify(elsewhere), "public.odd") == set()


@pytest.mark.parametrize(
    "sql",
    [
        (
            "create policy hole on public.odd for update to authenticated"
            " using ((select auth.uid()) = user_id)"
        ),
        "alter policy change on public.odd using ((select auth.uid()) = user_id)",
    ],
    ids=["a second policy", "the only policy"],
)
def test_what_is_settled_is_mended(
    sql: str, odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """Who may take back what is settled is stopped by the SQL that is given."""
    mine = "(select auth.uid()) = user_id"
    odd.execute(
        (
            "alter table public.odd add done_at timestamptz; drop policy own on public.odd;"
            f"create policy look on public.odd for select to authenticated using ({mine});"
            f"create policy make on public.odd for insert to authenticated with check ({mine});"
            "create policy change on public.odd for update to authenticated"
            f" using ({mine} and done_at is null) with check ({mine});"
            f"create policy remove on public.odd for delete to authenticated using ({mine})"
        ).encode()
    )
    declare(elsewhere, DECLARED + 'set_once = ["done_at"]\n')
    assert cells(verify(elsewhere), "public.odd") == set()
    odd.execute(sql.encode())
    report = verify(elsewhere)
    assert cells(report, "public.odd") == {"update owner deny leak"}
    [leak] = [each for each in report.failures if each.table == "public.odd"]
    assert leak.policies == (f"public.odd: {'hole' if 'hole' in sql else 'change'}",)
    odd.execute(leak.mend.encode())
    assert cells(verify(elsewhere), "public.odd") == set()


def test_intent_none_is_mended_by_taking_the_privilege(
    odd: psycopg.Connection[Any], elsewhere: Settings
) -> None:
    """What nobody is to do is mended by a revoke."""
    declare(elsewhere, f'[tables.odd]\nowner = "user_id"\n{READ_ONLY}')
    report = verify(elsewhere)
    assert cells(report, "public.odd") == {
        f"{operation} owner deny leak" for operation in ("insert", "update", "delete")
    }
    for each in report.failures:
        if each.table == "public.odd":
            odd.execute(each.mend.encode())
    assert cells(verify(elsewhere), "public.odd") == set()
