"""What somebody tries who means harm, and what two do at cross purposes."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from _calls import PASSWORD, Person, call, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from supabase import Client

    from riptide.results import StackStatus

    SignUp = Callable[..., tuple[Client, str]]

pytestmark = pytest.mark.integration

CLAIMS = (
    "select set_config('request.jwt.claims',"
    " json_build_object('sub', %s::text, 'session_id', %s::text)::text, false)"
)


@pytest.fixture
def sessions(person: Person, database: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Give the ids of the person's two sessions."""
    found = database.execute(
        "select id::text from auth.sessions where user_id = %s order by created_at", (person.id,)
    )
    return tuple(row[0] for row in found)


@pytest.fixture
def acting(
    person: Person, sessions: tuple[str, ...], stack: StackStatus
) -> Iterator[list[psycopg.Connection[Any]]]:
    """Give a connection for each of the person's sessions, as PostgREST's would be."""
    with psycopg.connect(stack.db_url) as one, psycopg.connect(stack.db_url) as two:
        for connection, session in zip((one, two), sessions, strict=True):
            connection.execute(CLAIMS, (person.id, session))
            connection.execute("set role authenticated")
            connection.commit()
        yield [one, two]


def test_temporary_types_shadow_nothing(acting: list[psycopg.Connection[Any]]) -> None:
    """A temporary type by a built-in's name runs none of its checks as the functions' owner."""
    mine = acting[0]
    mine.execute("create temp table seen (who name)")
    mine.execute("grant all on seen to public")
    mine.execute(
        "create function pg_temp.spy(value anyelement) returns boolean language plpgsql as $$"
        " begin insert into pg_temp.seen values (current_user); return true; end $$"
    )
    for name in ("uuid", "text", "inet", "jsonb", "bytea", "timestamptz"):
        mine.execute(
            f"create domain pg_temp.{name} as pg_catalog.{name} check (pg_temp.spy(value))".encode()
        )
    made = mine.execute("select (public.create_api_token('mine')).id").fetchone()
    mine.execute("select public.rotate_api_token(%s)", made)
    mine.execute("select (public.touch_session('mine')).id")
    mine.execute("select public.revoke_other_sessions()")
    mine.execute("update public.api_tokens set name = 'two' where revoked_at is null")
    mine.execute("update public.profiles set timezone = 'Europe/Lisbon'")
    seen = mine.execute("select distinct who::pg_catalog.text from seen").fetchall()
    assert ("postgres",) not in seen


@pytest.mark.parametrize("function", ["create_api_token", "touch_session"])
@pytest.mark.parametrize(
    "span",
    [
        "-4 mon 120 days 1 us",  # longer than nothing by thirty days a month, and yet in the past
        "280000 years -100799999 days",  # short, and yet no date
        "-280000 years 100800001 days",
        "infinity",
        "-infinity",
    ],
)
def test_spans_of_several_lengths(function: str, span: str, person: Person) -> None:
    """A span that ends before it begins, or at no date, is told by its name."""
    name = {"name": "one"} if function == "create_api_token" else {}
    found = refused(person.laptop, function, expires_in=span, **name)
    assert found == ("22023", "field: expires_in")


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"display_name": {"a": 1}}, None),
        ({"display_name": ["a"], "name": "Ann"}, "Ann"),
        ({"display_name": 42, "full_name": " ", "name": "\t Ann\n"}, "Ann"),
        ({"display_name": "\n\t"}, None),
        ({"display_name": "x" * 79 + " y" + "z" * 1_000_000}, "x" * 79),
        ({"avatar_url": {"a": 1}, "picture": "javascript:alert(1)"}, None),
    ],
    ids=range(6),
)
def test_metadata_that_is_no_name(
    metadata: dict[str, Any], name: str | None, sign_up: SignUp, service: Client
) -> None:
    """A sign-up takes a name where there is one, and never fails for what else is there."""
    _, user_id = sign_up(**metadata)
    found = service.table("profiles").select("display_name, avatar_url").eq("id", user_id)
    assert found.execute().data == [{"display_name": name, "avatar_url": None}]


@pytest.mark.parametrize("scopes", ["{{read},{write}}", "{{read}}", "[0:0]={read}"])
def test_scopes_of_another_shape(scopes: str, acting: list[psycopg.Connection[Any]]) -> None:
    """Scopes are a plain list."""
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        acting[0].execute("select public.create_api_token('x', %s)", (scopes,))
    assert caught.value.diag.message_detail == "field: scopes"


def test_a_device_that_was_signed_out_makes_no_token(person: Person) -> None:
    """What is left of its access token's hour is not turned into a token for a year."""
    old = call(person.phone, "create_api_token", name="before")
    call(person.laptop, "revoke_other_sessions")
    ended = ("28000", "field: session_id")
    assert refused(person.phone, "create_api_token", name="after") == ended
    assert refused(person.phone, "rotate_api_token", id=old["id"]) == ended
    assert call(person.laptop, "create_api_token", name="after")["name"] == "after"


@pytest.fixture
def doomed(new_client: Callable[[str], Client], stack: StackStatus) -> tuple[Client, str, str]:
    """Give a user whom the test deletes: their client, their id, and their session's."""
    client = new_client(stack.publishable_key)
    email = f"doomed-{secrets.token_hex(6)}@example.com"
    reply = client.auth.sign_up({"email": email, "password": PASSWORD})
    assert reply.user is not None
    listed = call(client, "touch_session")
    return client, reply.user.id, listed["auth_session_id"]


def test_a_user_who_is_gone(doomed: tuple[Client, str, str], service: Client) -> None:
    """The access token of a deleted user makes nothing, and is told so."""
    client, user_id, _ = doomed
    service.auth.admin.delete_user(user_id)
    assert refused(client, "create_api_token", name="late") == ("28000", "field: user_id")
    assert refused(client, "touch_session") == ("28000", "field: session_id")


def test_two_devices_end_each_other(
    person: Person, acting: list[psycopg.Connection[Any]], stack: StackStatus
) -> None:
    """Of two that sign all others out at once one does; the other is told, and none is killed."""

    def end(connection: psycopg.Connection[Any]) -> str:
        try:
            connection.execute("select public.revoke_other_sessions()")
            connection.commit()
        except psycopg.Error as error:
            connection.rollback()
            return str(error.sqlstate)
        return "done"

    # Both are stopped where they would delete the other's session, and go on together.
    with (
        psycopg.connect(stack.db_url) as holder,
        ThreadPoolExecutor(2) as pool,
    ):
        holder.execute("select from auth.sessions where user_id = %s for key share", (person.id,))
        running = [pool.submit(end, each) for each in acting]
        with pytest.raises(TimeoutError):
            running[0].result(timeout=0.5)
        holder.rollback()
        results = [each.result(timeout=10) for each in running]
    assert sorted(results) == ["28000", "done"]


@pytest.mark.parametrize("action", ["touch", "rotate"])
def test_a_user_is_deleted_meanwhile(
    action: str,
    doomed: tuple[Client, str, str],
    stack: StackStatus,
    database: psycopg.Connection[Any],
) -> None:
    """Who deletes a user is in no deadlock with what the user does meanwhile."""
    client, user_id, session = doomed
    if action == "touch":
        # What has no row yet makes one.
        database.execute("delete from public.user_sessions where user_id = %s", (user_id,))
        statement = "select public.touch_session()"
    else:
        made = call(client, "create_api_token", name="one")
        statement = f"select public.rotate_api_token('{made['id']}')"

    def act() -> str:
        with psycopg.connect(stack.db_url) as connection:
            connection.execute(CLAIMS, (user_id, session))
            connection.execute("set role authenticated")
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(statement.encode())
            return str(caught.value.sqlstate)

    with ThreadPoolExecutor(1) as pool:
        with database.transaction():
            # A delete locks the user, and then by its cascade the rest.
            database.execute("select from auth.users where id = %s for update", (user_id,))
            acted = pool.submit(act)
            with pytest.raises(TimeoutError):
                acted.result(timeout=0.5)
            database.execute("delete from auth.users where id = %s", (user_id,))
        assert acted.result(timeout=10) == "28000"
