"""Devices: touched, listed, revoked with the Auth server's session, and purged, over HTTP."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from _calls import PASSWORD, Person, call, is_signed_in, refused, session_of
from postgrest.exceptions import APIError

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from supabase import Client

    from riptide.results import StackStatus

pytestmark = pytest.mark.integration

COLUMNS = {
    "id", "user_id", "auth_session_id", "device_name", "user_agent", "ip_address", "location",
    "last_active_at", "expires_at", "revoked_at", "created_at",
}  # fmt: skip


def test_a_touch_makes_and_refreshes_one_row(
    person: Person, database: psycopg.Connection[Any]
) -> None:
    """The row is the session's, with the request's address and program; a touch keeps the rest."""
    first = call(person.laptop, "touch_session", device_name="Laptop", location={"city": "Porto"})
    assert set(first) == {*COLUMNS, "is_current"}
    claims = person.laptop.auth.get_claims(session_of(person.laptop).access_token)
    assert claims is not None
    assert first["auth_session_id"] == claims["claims"]["session_id"]
    assert (first["user_id"], first["is_current"]) == (person.id, True)
    assert first["ip_address"] == "127.0.0.1"
    assert "httpx" in first["user_agent"].lower()
    second = call(person.laptop, "touch_session")
    assert second["last_active_at"] > first["last_active_at"]
    kept = ("id", "device_name", "location", "expires_at", "created_at")
    assert [second[key] for key in kept] == [first[key] for key in kept]
    renamed = call(person.laptop, "touch_session", device_name="Old laptop", location={})
    assert (renamed["id"], renamed["device_name"], renamed["location"]) == (
        first["id"], "Old laptop", {},
    )  # fmt: skip
    seen = database.execute(
        "select last_seen_at is not null from public.profiles where id = %s", (person.id,)
    )
    assert seen.fetchall() == [(True,)]


def test_a_life_is_shortened_but_not_extended(person: Person) -> None:
    """Thirty days at most from the first touch; less where asked; a later touch adds nothing."""
    full = call(person.laptop, "touch_session")
    assert (
        call(person.laptop, "touch_session", expires_in="30 days")["expires_at"]
        == full["expires_at"]
    )
    short = call(person.laptop, "touch_session", expires_in="1 hour")
    assert short["expires_at"] < full["expires_at"]
    later = call(person.laptop, "touch_session", expires_in="20 days")
    assert later["expires_at"] == short["expires_at"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ({"device_name": ""}, "23514", "user_sessions_device_name_check"),
        ({"device_name": "x" * 101}, "23514", "user_sessions_device_name_check"),
        ({"location": []}, "23514", "user_sessions_location_check"),
        ({"location": {"x": "x" * 5000}}, "23514", "user_sessions_location_check"),
        ({"expires_in": "-1 day"}, "22023", "a session is good for"),
        ({"expires_in": "31 days"}, "22023", "a session is good for"),
        ({"expires_in": "100000000 years"}, "22023", "a session is good for"),
    ],
)
def test_what_does_not_fit_is_refused(
    arguments: dict[str, Any], code: str, word: str, person: Person
) -> None:
    """A refusal names the constraint or the argument, and no row is made."""
    with pytest.raises(APIError, match=word) as caught:
        call(person.laptop, "touch_session", **arguments)
    assert caught.value.code == code
    assert call(person.laptop, "list_sessions") == []


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({}, None),
        ({"x-forwarded-for": "192.0.2.1, 10.0.0.1"}, "192.0.2.1"),
        ({"x-forwarded-for": " 2001:db8::1"}, "2001:db8::1"),
        ({"x-forwarded-for": "192.0.2.1", "cf-connecting-ip": "198.51.100.7"}, "198.51.100.7"),
        ({"x-forwarded-for": "unknown"}, None),
        ({"x-forwarded-for": ""}, None),
    ],
)
def test_an_address_is_read_or_left_out(
    headers: dict[str, str], address: str | None, database: psycopg.Connection[Any]
) -> None:
    """What the headers say is taken where it is an address, and stops nothing where it is none."""
    from psycopg.types.json import Jsonb

    found = database.execute("select host(private.request_ip(%s))", (Jsonb(headers),))
    assert found.fetchall() == [(address,)]


def test_the_list_knows_who_asks(person: Person, sign_up: Callable[..., Any]) -> None:
    """Each device sees both, itself as the current one, the latest first; others see neither."""
    call(person.laptop, "touch_session", device_name="Laptop")
    call(person.phone, "touch_session", device_name="Phone")
    for client, mine in ((person.laptop, "Laptop"), (person.phone, "Phone")):
        listed = call(client, "list_sessions")
        assert [row["device_name"] for row in listed] == ["Phone", "Laptop"]
        assert all(set(row) == {*COLUMNS, "is_current"} for row in listed)
        assert [row["device_name"] for row in listed if row["is_current"]] == [mine]
    assert call(sign_up()[0], "list_sessions") == []


def test_revoking_a_device_signs_it_out(
    person: Person, service: Client, sign_up: Callable[..., Any], database: psycopg.Connection[Any]
) -> None:
    """Its refresh token dies, it cannot touch itself back, and nobody un-revokes the row."""
    call(person.laptop, "touch_session", device_name="Laptop")
    phone = call(person.phone, "touch_session", device_name="Phone")
    for who, row_id in ((sign_up()[0], phone["id"]), (person.laptop, str(uuid.uuid4()))):
        assert refused(who, "revoke_session", id=row_id) == ("PT404", "field: id")
    revoked = call(person.laptop, "revoke_session", id=phone["id"])
    assert set(revoked) == COLUMNS
    assert revoked["revoked_at"] is not None
    assert call(person.laptop, "revoke_session", id=phone["id"]) == revoked
    assert [row["device_name"] for row in call(person.laptop, "list_sessions")] == ["Laptop"]
    assert refused(person.phone, "touch_session") == ("28000", "field: session_id")
    assert refused(person.phone, "revoke_other_sessions") == ("28000", "field: session_id")
    left = database.execute(
        "select count(*) from auth.refresh_tokens where session_id = %s",
        (phone["auth_session_id"],),
    )
    assert left.fetchone() == (0,)
    assert (is_signed_in(person.phone), is_signed_in(person.laptop)) == (False, True)
    with pytest.raises(APIError) as caught:
        service.table("user_sessions").update({"revoked_at": None}).eq("id", phone["id"]).execute()
    assert (caught.value.code, caught.value.details) == ("23514", "field: revoked_at")


def test_revoking_the_others(
    person: Person, new_client: Callable[[str], Client], stack: StackStatus
) -> None:
    """Every session but the one that asks ends, those without a row too; the number is told."""
    third = new_client(stack.publishable_key)
    third.auth.sign_in_with_password(
        {"email": session_of(person.laptop).user.email, "password": PASSWORD}
    )
    for client in (person.laptop, person.phone):
        call(client, "touch_session")
    assert call(person.laptop, "revoke_other_sessions") == 2
    assert call(person.laptop, "revoke_other_sessions") == 0
    assert [is_signed_in(each) for each in (person.laptop, person.phone, third)] == [
        True, False, False,
    ]  # fmt: skip
    assert [row["is_current"] for row in call(person.laptop, "list_sessions")] == [True]


def test_a_sign_out_ends_the_row(person: Person, database: psycopg.Connection[Any]) -> None:
    """Who signs out by the Auth server is no longer listed."""
    call(person.laptop, "touch_session")
    phone = call(person.phone, "touch_session")
    person.phone.auth.sign_out({"scope": "local"})
    found = database.execute(
        "select revoked_at is not null from public.user_sessions where id = %s", (phone["id"],)
    )
    assert found.fetchall() == [(True,)]
    assert len(call(person.laptop, "list_sessions")) == 1


def test_clients_write_no_row_themselves(person: Person) -> None:
    """No insert, update or delete but by the functions: not even of one's own name."""
    row = call(person.laptop, "touch_session")
    table = person.laptop.table("user_sessions")
    with pytest.raises(APIError, match="permission denied"):
        table.insert({"device_name": "x"}).execute()
    for column in sorted(COLUMNS):
        with pytest.raises(APIError, match="permission denied"):
            table.update({column: None}).eq("id", row["id"]).execute()
    with pytest.raises(APIError, match="permission denied"):
        table.delete().eq("id", row["id"]).execute()
    [mine] = table.select("*").execute().data
    assert set(mine) == COLUMNS  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("touch_session", {}),
        ("list_sessions", {}),
        ("revoke_session", {"id": str(uuid.UUID(int=1))}),
        ("revoke_other_sessions", {}),
    ],
)
def test_only_users_have_sessions(
    function: str, arguments: dict[str, Any], nobody: Client, service: Client
) -> None:
    """Who is not signed in may not call what is for users, nor may a server."""
    for client in (nobody, service):
        assert refused(client, function, **arguments)[0] == "42501"


@pytest.mark.parametrize("claims", ['{"sub": "%s"}', '{"sub": "%s", "session_id": null}', "{}"])
def test_a_token_without_a_session(
    claims: str, person: Person, database: psycopg.Connection[Any]
) -> None:
    """Without the claim session_id there is none to touch, and the list has no current one."""
    import psycopg

    call(person.laptop, "touch_session")
    with database.transaction(force_rollback=True):
        database.execute("set local role authenticated")
        claim = claims.replace("%s", person.id)
        database.execute("select set_config('request.jwt.claims', %s, true)", (claim,))
        current = database.execute("select is_current from public.list_sessions()").fetchall()
        assert current == ([(False,)] if person.id in claim else [])
        for function in ("touch_session", "revoke_other_sessions"):
            with (
                pytest.raises(psycopg.errors.InvalidAuthorizationSpecification) as caught,
                database.transaction(),
            ):
                database.execute(f"select public.{function}()".encode())
            assert caught.value.diag.message_detail == "field: session_id"


def test_a_session_of_somebody_else(
    person: Person, sign_up: Callable[..., Any], database: psycopg.Connection[Any]
) -> None:
    """A token that names another user's session, which Auth never signs, touches nothing."""
    import psycopg

    mine = call(person.laptop, "touch_session")
    _, other = sign_up()
    with database.transaction(force_rollback=True):
        database.execute("set local role authenticated")
        database.execute(
            "select set_config('request.jwt.claims',"
            " json_build_object('sub', %s::text, 'session_id', %s::text)::text, true)",
            (other, mine["auth_session_id"]),
        )
        with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification):
            database.execute("select public.touch_session()")


def test_an_expired_row_is_not_touched_back(
    person: Person, database: psycopg.Connection[Any]
) -> None:
    """After its end a device is not listed, and a touch does not bring it back."""
    row = call(person.laptop, "touch_session")
    database.execute(
        "update public.user_sessions set created_at = now() - interval '2 days',"
        " expires_at = now() - interval '1 second' where id = %s",
        (row["id"],),
    )
    assert call(person.laptop, "list_sessions") == []
    assert refused(person.laptop, "touch_session") == ("28000", "field: session_id")
