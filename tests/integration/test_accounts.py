"""The accounts' client on the real schema, as a user, a server and others."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from _accounts import Asker
from _http import http_client
from postgrest.exceptions import APIError

from riptide import models
from riptide._jwt import signed
from riptide.accounts import (
    AccountError,
    Accounts,
    ApiToken,
    NewApiToken,
    Profile,
    UserSession,
    is_token,
)
from riptide.accounts.checksum import checksum
from riptide.accounts.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    import psycopg
    from supabase import Client

    from riptide.results import StackStatus

    SignUp = Callable[..., tuple[Client, str]]

pytestmark = pytest.mark.integration

PASSWORD = "correct horse battery"  # which conftest's `sign_up` gives everybody


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, stack: StackStatus) -> Iterator[Asker]:
    """Give the one client and then the other."""
    asker = Asker(request.param, stack)
    yield asker
    asker.close()


@pytest.fixture
def server(stack: StackStatus) -> Iterator[Client]:
    """Give a client with the secret key."""
    with http_client() as http:
        yield made(stack, http, stack.secret_key)


def made(stack: StackStatus, http: httpx.Client, key: str, bearer: str = "") -> Client:
    """Give a client with a key, and a token of the caller's."""
    from supabase import create_client
    from supabase.lib.client_options import SyncClientOptions

    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    options = SyncClientOptions(
        auto_refresh_token=False, persist_session=False, httpx_client=http, headers=headers
    )
    return create_client(stack.api_url, key, options)


def refused(call: Callable[[], object], field: str | None, code: str) -> AccountError:
    """Give the refusal of a call, whose field and code have to be these."""
    with pytest.raises(AccountError) as caught:
        call()
    assert (caught.value.field, caught.value.code) == (field, code)
    return caught.value


# --- the profile ---------------------------------------------------------------------------------


def test_profile_of_a_user(ask: Asker, sign_up: SignUp) -> None:
    """A user reads and changes their own profile, one column at a time or several."""
    client, user_id = sign_up(display_name="Ann")
    sign_up(display_name="Bob")
    profile = ask(client).profile
    found = profile.get()
    assert (found.id, found.display_name) == (UUID(user_id), "Ann")
    changed = profile.update(timezone="Europe/Lisbon", preferences={"theme": {"dark": True}})
    assert (changed.timezone, changed.preferences) == ("Europe/Lisbon", {"theme": {"dark": True}})
    assert profile.update(display_name=None).display_name is None
    assert profile.get().timezone == "Europe/Lisbon"
    assert changed.updated_at >= changed.created_at


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("display_name", "x" * 81),
        ("display_name", " "),
        ("avatar_url", "javascript:alert(1)"),
        ("website", "javascript:alert(1)"),
        ("timezone", "Mars/Olympus_Mons"),
        ("preferences", {"a": "x" * 1_000_000}),
        ("preferences", [1]),
    ],
)
def test_profile_that_is_refused(ask: Asker, sign_up: SignUp, column: str, value: object) -> None:
    """What the database does not take is told with its column, and nothing is changed."""
    client, _ = sign_up()
    profile = ask(client).profile
    before = profile.get()
    error = refused(lambda: profile.update(**{column: value}), column, "23514")
    assert error.message
    assert profile.get() == before


def test_profile_of_nobody(ask: Asker, stack: StackStatus) -> None:
    """Who is not signed in has no profile, and is told as whom to ask."""
    with http_client() as http:
        profile = ask(made(stack, http, stack.publishable_key)).profile
        assert "as the signed-in user" in str(refused(profile.get, None, "42501"))


def test_server_names_its_user(ask: Asker, sign_up: SignUp, server: Client) -> None:
    """A server reads and changes the one profile that it names."""
    _, ann = sign_up(display_name="Ann")
    _, bob = sign_up(display_name="Bob")
    assert (
        ask(server, UUID(ann)).profile.update(website="https://ann.example").display_name == "Ann"
    )
    assert ask(server, UUID(bob)).profile.get().website is None
    with pytest.raises(AccountError, match="more than one profile"):
        ask(server).profile.update(website=None)
    refused(ask(server, uuid4()).profile.get, None, "PT404")


# --- tokens --------------------------------------------------------------------------------------


def test_token_from_its_making_to_its_end(ask: Asker, sign_up: SignUp, server: Client) -> None:
    """A token is shown once, verified by a server, rotated, revoked, and dead afterwards."""
    client, user_id = sign_up()
    tokens, verify = ask(client).tokens, ask(server).tokens.verify
    new = tokens.create("ci", scopes=["read", "write"], expires_in=timedelta(days=7))
    assert is_token(new.token)
    assert new.token.startswith(new.token_prefix)
    assert timedelta(days=6, hours=23) < new.expires_at - datetime.now(UTC) < timedelta(days=7)
    (listed,) = tokens.list()
    assert listed.to_dict() == {key: new.to_dict()[key] for key in listed.to_dict()}
    assert listed.live

    found = verify(new.token, ip="192.0.2.7")
    assert (found.user_id, found.token_id) == (UUID(user_id), new.id)
    assert (found.scopes, found.expires_at) == (("read", "write"), new.expires_at)
    used = tokens.list()[0]
    assert used.last_used_ip == "192.0.2.7"
    assert datetime.now(UTC) - used.last_used_at < timedelta(minutes=1)

    assert tokens.rename(new.id, "build").name == "build"
    rotated = tokens.rotate(new.id)
    assert (rotated.name, rotated.scopes) == ("build", ("read", "write"))
    assert rotated.token != new.token
    assert verify(new.token) is None
    assert verify(rotated.token).token_id == rotated.id

    ended = tokens.revoke(str(rotated.id))
    assert ended.revoked_at is not None
    assert tokens.revoke(rotated.id) == ended
    assert verify(rotated.token) is None
    assert tokens.list() == ()
    assert {each.id for each in tokens.list(ended=True)} == {new.id, rotated.id}
    refused(lambda: tokens.rotate(rotated.id), "id", "22023")


def test_default_token_reads_for_a_year(ask: Asker, sign_up: SignUp) -> None:
    """Where nothing is said a token may read, for a year."""
    client, _ = sign_up()
    new = ask(client).tokens.create("default")
    assert new.scopes == ("read",)
    assert timedelta(days=364) < new.expires_at - datetime.now(UTC) <= timedelta(days=366)


def test_tokens_that_are_refused(ask: Asker, sign_up: SignUp) -> None:
    """Each argument that the database does not take is told by its name; no token is made."""
    client, _ = sign_up()
    tokens = ask(client).tokens
    refused(lambda: tokens.create("x" * 101), "name", "23514")
    refused(lambda: tokens.create(""), "name", "23514")
    refused(lambda: tokens.create(None), "name", "22023")
    refused(lambda: tokens.create("a\0b"), "name", "22021")
    refused(lambda: tokens.create("x", scopes=["root"]), "scopes", "22P02")
    refused(lambda: tokens.create("x", scopes=[]), "scopes", "22023")
    refused(lambda: tokens.create("x", scopes=["read", "read"]), "scopes", "22023")
    refused(lambda: tokens.create("x", expires_in=timedelta(0)), "expires_in", "22023")
    refused(lambda: tokens.create("x", expires_in=timedelta(days=-1)), "expires_in", "22023")
    refused(lambda: tokens.create("x", expires_in=timedelta(days=400)), "expires_in", "22023")
    refused(lambda: tokens.create("x", expires_in=timedelta.max), "expires_in", "22023")
    assert tokens.list(ended=True) == ()
    one = tokens.create("taken")
    refused(lambda: tokens.create("taken"), "name", "23505")
    two = tokens.create("other")
    refused(lambda: tokens.rename(two.id, "taken"), "name", "23505")
    tokens.revoke(one.id)
    assert tokens.rename(two.id, "taken").name == "taken"
    assert tokens.rename(one.id, "again").name == "again"  # revoked: its name is nobody's


def test_another_user_s_token(ask: Asker, sign_up: SignUp) -> None:
    """Another user's token and one that never was are refused alike, and stay as they are."""
    ann, _ = sign_up()
    bob, _ = sign_up()
    hers = ask(ann).tokens.create("hers")
    tokens = ask(bob).tokens
    for call in (tokens.revoke, tokens.rotate, partial(tokens.rename, name="mine")):
        theirs = refused(partial(call, hers.id), "id", "PT404")
        assert theirs.message == refused(partial(call, uuid4()), "id", "PT404").message
    assert tokens.list(ended=True) == ()
    assert [each.name for each in ask(ann).tokens.list()] == ["hers"]


def test_the_51st_token(ask: Asker, sign_up: SignUp, database: psycopg.Connection[Any]) -> None:
    """A user who has all the tokens that they may have is told so, and can go on after revoking."""
    client, user_id = sign_up()
    tokens = ask(client).tokens
    database.execute(
        "insert into public.api_tokens (user_id, name) select %s, 'token ' || n "
        "from generate_series(1, 50) as n",
        [user_id],
    )
    error = refused(lambda: tokens.create("one more"), "user_id", "23514")
    assert "50" in error.message
    tokens.revoke(tokens.list()[0].id)
    assert tokens.create("one more").live


def test_tokens_that_do_not_verify(
    ask: Asker, sign_up: SignUp, server: Client, database: psycopg.Connection[Any]
) -> None:
    """A token that was mistyped, made up or has expired gives nothing; only servers may ask."""
    client, _ = sign_up()
    new = ask(client).tokens.create("short", expires_in=timedelta(hours=1))
    verify = ask(server).tokens.verify
    assert verify(new.token[:-1] + ("0" if new.token[-1] != "0" else "1")) is None
    assert verify("rt_" + "0" * 43 + checksum("rt_" + "0" * 43)) is None
    assert verify(new.token) is not None
    database.execute(
        "update public.api_tokens set created_at = now() - interval '2 hours', "
        "expires_at = now() - interval '1 second' where id = %s",
        [new.id],
    )
    assert verify(new.token) is None
    assert ask(client).tokens.list() == ()
    refused(lambda: ask(client).tokens.verify(new.token), None, "42501")
    refused(lambda: verify(new.token, ip="home"), "ip", "22P02")


def test_what_only_a_server_could_try(sign_up: SignUp, server: Client) -> None:
    """Un-revoking and a prefix that another token has are told by their field, too."""
    client, user_id = sign_up()
    tokens = Accounts(client).tokens
    one = tokens.revoke(tokens.create("one").id)
    table = server.table("api_tokens")
    with pytest.raises(APIError) as caught:
        table.update({"revoked_at": None}).eq("id", str(one.id)).execute()
    assert (refusal(caught.value).field, refusal(caught.value).code) == ("revoked_at", "23514")
    same = {"user_id": user_id, "name": "two", "token_prefix": one.token_prefix}
    with pytest.raises(APIError) as caught:
        table.insert(same).execute()
    assert (refusal(caught.value).field, refusal(caught.value).code) == ("token_prefix", "23505")
    assert [each.revoked_at for each in tokens.list(ended=True)] == [one.revoked_at]


# --- sessions ------------------------------------------------------------------------------------


def second(stack: StackStatus, client: Client, http: httpx.Client) -> Client:
    """Sign the user of a client in again, on another device."""
    other = made(stack, http, stack.publishable_key)
    user = client.auth.get_user()
    assert user is not None
    assert user.user.email is not None
    other.auth.sign_in_with_password({"email": user.user.email, "password": PASSWORD})
    return other


def test_sessions_of_two_devices(ask: Asker, sign_up: SignUp, stack: StackStatus) -> None:
    """Each device is listed and knows itself; one signs the other out, whose refresh token dies."""
    phone, user_id = sign_up()
    with http_client() as http:
        laptop = second(stack, phone, http)
        ask(phone).sessions.touch("Phone")
        mine = ask(laptop).sessions.touch("Laptop", location={"city": "Porto"})
        assert (mine.user_id, mine.is_current) == (UUID(user_id), True)
        assert mine.location == {"city": "Porto"}
        assert ask(laptop).sessions.touch().device_name == "Laptop"
        listed = ask(laptop).sessions.list()
        assert [(each.device_name, each.is_current) for each in listed] == [
            ("Laptop", True),
            ("Phone", False),
        ]
        ended = ask(laptop).sessions.revoke(listed[1].id)
        assert ended.revoked_at is not None
        assert [each.device_name for each in ask(laptop).sessions.list()] == ["Laptop"]
        with pytest.raises(Exception, match=r"(?i)refresh|session"):
            phone.auth.refresh_session()
        refused(ask(phone).sessions.touch, "session_id", "28000")


def test_all_other_sessions(ask: Asker, sign_up: SignUp, stack: StackStatus) -> None:
    """All devices but the one that asks are signed out, and counted."""
    first, _ = sign_up()
    with http_client() as http:
        others = [second(stack, first, http) for _ in range(2)]
        for each in (first, *others):
            ask(each).sessions.touch("A device")
        assert ask(others[1]).sessions.revoke_others() == 2
        assert [each.is_current for each in ask(others[1]).sessions.list()] == [True]
        assert ask(others[1]).sessions.revoke_others() == 0


def test_another_user_s_session(ask: Asker, sign_up: SignUp, server: Client) -> None:
    """Another user's session is refused like one that never was; a server lists whose it names."""
    ann, ann_id = sign_up()
    bob, bob_id = sign_up()
    hers = ask(ann).sessions.touch("Hers")
    for session_id in (hers.id, uuid4()):
        refused(partial(ask(bob).sessions.revoke, session_id), "id", "PT404")
    assert ask(bob).sessions.list() == ()
    (seen,) = ask(server, UUID(ann_id)).sessions.list()
    assert (seen.id, seen.is_current) == (hers.id, False)
    assert ask(server, UUID(bob_id)).sessions.list() == ()


def test_sessions_that_are_refused(ask: Asker, sign_up: SignUp, stack: StackStatus) -> None:
    """A device's name that is too long, and a token without a session, are told by their field."""
    client, user_id = sign_up()
    sessions = ask(client).sessions
    refused(lambda: sessions.touch("x" * 101), "device_name", "23514")
    refused(lambda: sessions.touch(expires_in=timedelta(days=-1)), "expires_in", "22023")
    assert sessions.list() == ()
    claims = {
        "iss": f"{stack.api_url}/auth/v1",
        "sub": user_id,
        "aud": "authenticated",
        "role": "authenticated",
        "exp": int(time.time()) + 60,
    }
    with http_client() as http:
        bearer = signed(claims, stack.jwt_secret)
        bare = made(stack, http, stack.publishable_key, bearer)
        refused(ask(bare).sessions.touch, "session_id", "28000")
        refused(ask(bare).sessions.revoke_others, "session_id", "28000")


# --- the schema ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "model", "more"),
    [
        (Profile, "PublicProfiles", set()),
        (ApiToken, "PublicApiTokens", set()),
        (NewApiToken, "PublicNewApiToken", set()),
        (UserSession, "PublicUserSessions", {"is_current"}),
        (UserSession, "PublicListedSession", set()),
    ],
)
def test_results_have_the_schema_s_columns(result: Any, model: str, more: set[str]) -> None:
    """A result has each column that the catalog has, and no other."""
    fields = {each.name for each in dataclasses.fields(result)}
    assert fields == set(getattr(models, model).model_fields) | more
