"""The accounts' client: what it asks, how it reads the answer, and how it tells a refusal."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
import string
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgrest import AsyncPostgrestClient, SyncPostgrestClient

from riptide.accounts import AccountError, Accounts, AsyncAccounts, is_token
from riptide.accounts.checksum import checksum
from riptide.accounts.refusals import field_of

if TYPE_CHECKING:
    from collections.abc import Callable

USER = UUID("00000000-0000-4000-8000-000000000001")
ID = UUID("00000000-0000-4000-8000-000000000002")
NOW = "2026-02-01T10:00:00.123456+00:00"
BARE = "rt_" + "A" * 43
TOKEN = BARE + checksum(BARE)

PROFILE = {
    "id": str(USER),
    "display_name": "Ann",
    "avatar_url": None,
    "website": None,
    "timezone": "Europe/Lisbon",
    "preferences": {"theme": "dark"},
    "created_at": NOW,
    "updated_at": NOW,
    "last_seen_at": None,
}
API_TOKEN = {
    "id": str(ID),
    "user_id": str(USER),
    "name": "laptop",
    "token_prefix": TOKEN[:11],
    "scopes": ["read", "write"],
    "expires_at": NOW,
    "last_used_at": None,
    "last_used_ip": "10.0.0.1",
    "revoked_at": None,
    "created_at": NOW,
}
SESSION = {
    "id": str(ID),
    "user_id": str(USER),
    "auth_session_id": str(ID),
    "device_name": "Laptop",
    "user_agent": None,
    "ip_address": "2001:db8::1",
    "location": {"city": "Porto"},
    "created_at": NOW,
    "last_active_at": NOW,
    "expires_at": None,
    "revoked_at": None,
    "is_current": True,
}
VERIFIED = {"token_id": str(ID), "user_id": str(USER), "scopes": ["read"], "expires_at": NOW}


class Api:
    """Answers each request with the next of its answers, and keeps the requests."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Give the next answer: a pair of status and body, or a body."""
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return httpx.Response(status, json=body)

    @property
    def asked(self) -> list[tuple[str, str, Any]]:
        """What was asked: method, path with query, body."""
        return [
            (
                each.method,
                each.url.raw_path.decode(),
                json.loads(each.content) if each.content else None,
            )
            for each in self.requests
        ]


def sync(api: Api, ask: Callable[[Any], Any], user_id: UUID | None = None) -> Any:
    """Ask through the synchronous client."""
    transport = httpx.MockTransport(api)
    with httpx.Client(transport=transport, base_url="http://api") as http:
        # The part of a `supabase.Client` that is asked.
        client: Any = SyncPostgrestClient("http://api", http_client=http, retry_enabled=False)
        return ask(Accounts(client, user_id=user_id))


def asynchronous(api: Api, ask: Callable[[Any], Any], user_id: UUID | None = None) -> Any:
    """Ask through the asynchronous one."""

    async def main() -> Any:
        transport = httpx.MockTransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            client: Any = AsyncPostgrestClient("http://api", http_client=http, retry_enabled=False)
            return await ask(AsyncAccounts(client, user_id=user_id))

    return asyncio.run(main())


both = pytest.mark.parametrize("via", [sync, asynchronous])


@both
@pytest.mark.parametrize(
    ("ask", "answer", "asked"),
    [
        (lambda a: a.profile.get(), [PROFILE], ("GET", "/profiles?select=%2A&limit=2", None)),
        (
            lambda a: a.tokens.create("ci"),
            [{**API_TOKEN, "token": TOKEN}],
            ("POST", "/rpc/create_api_token", {"name": "ci"}),
        ),
        (
            lambda a: a.tokens.create(
                "ci", scopes=("read", "admin"), expires_in=timedelta(days=1.5)
            ),
            {**API_TOKEN, "token": TOKEN},
            (
                "POST",
                "/rpc/create_api_token",
                {
                    "name": "ci",
                    "scopes": ["read", "admin"],
                    "expires_in": "1 days 43200.000000 seconds",
                },
            ),
        ),
        (
            lambda a: a.tokens.create("ci", scopes=()),
            {**API_TOKEN, "token": TOKEN},
            ("POST", "/rpc/create_api_token", {"name": "ci", "scopes": []}),
        ),
        (
            lambda a: a.tokens.list(ended=True),
            [API_TOKEN],
            ("GET", "/api_tokens?select=%2A&order=created_at.desc", None),
        ),
        (
            lambda a: a.tokens.rename(ID, "new"),
            [API_TOKEN],
            ("PATCH", f"/api_tokens?id=eq.{ID}", {"name": "new"}),
        ),
        (
            lambda a: a.tokens.revoke(str(ID)),
            API_TOKEN,
            ("POST", "/rpc/revoke_api_token", {"id": str(ID)}),
        ),
        (
            lambda a: a.tokens.rotate(ID),
            [{**API_TOKEN, "token": TOKEN}],
            ("POST", "/rpc/rotate_api_token", {"id": str(ID)}),
        ),
        (
            lambda a: a.tokens.verify(TOKEN, ip="10.0.0.1"),
            [VERIFIED],
            ("POST", "/rpc/verify_api_token", {"token": TOKEN, "ip": "10.0.0.1"}),
        ),
        (
            lambda a: a.sessions.touch("Laptop", location={"city": "Porto"}),
            SESSION,
            (
                "POST",
                "/rpc/touch_session",
                {"device_name": "Laptop", "location": {"city": "Porto"}},
            ),
        ),
        (lambda a: a.sessions.list(), [SESSION], ("POST", "/rpc/list_sessions", {})),
        (
            lambda a: a.sessions.revoke(ID),
            [SESSION],
            ("POST", "/rpc/revoke_session", {"id": str(ID)}),
        ),
        (lambda a: a.sessions.revoke_others(), 3, ("POST", "/rpc/revoke_other_sessions", {})),
    ],
)
def test_one_request_for_each_method(
    via: Any, ask: Callable[[Any], Any], answer: Any, asked: tuple[str, str, Any]
) -> None:
    """Each method sends one request, the same by both clients, and reads an object or a list."""
    api = Api(answer)
    got = via(api, ask)
    assert api.asked == [asked]
    assert got == 3 or json.dumps(got.to_dict() if hasattr(got, "to_dict") else got[0].to_dict())


@both
def test_answers_are_typed_and_frozen(via: Any) -> None:
    """Ids, times and lists of an answer have Python's types, and nothing can be changed in it."""
    (token,) = via(Api([API_TOKEN]), lambda a: a.tokens.list())
    assert (token.id, token.scopes) == (ID, ("read", "write"))
    assert token.expires_at == datetime(2026, 2, 1, 10, 0, 0, 123456, tzinfo=UTC)
    with pytest.raises(AttributeError):
        token.name = "x"
    session = via(Api([{**SESSION, "later_column": 1}]), lambda a: a.sessions.list())[0]
    assert (session.is_current, session.location) == (True, {"city": "Porto"})


@both
def test_a_new_token_is_shown_by_nothing_but_itself(via: Any) -> None:
    """The plain token is in ``token``, and neither in ``repr`` nor in ``to_dict``."""
    made = via(Api({**API_TOKEN, "token": TOKEN}), lambda a: a.tokens.create("ci"))
    assert made.token == TOKEN
    assert TOKEN not in repr(made)
    assert TOKEN not in json.dumps(made.to_dict())


def test_live_is_neither_revoked_nor_expired() -> None:
    """A token is live until it expires or is revoked; one that never expires until then."""
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    def live(**columns: Any) -> bool:
        found = sync(Api([{**API_TOKEN, **columns}]), lambda a: a.tokens.list(ended=True))
        return bool(found[0].live)

    assert live(expires_at=later)
    assert live(expires_at=None)
    assert not live(expires_at=NOW)
    assert not live(expires_at=later, revoked_at=NOW)


@both
def test_update_filters_by_the_caller_s_id(via: Any) -> None:
    """A change is one of the caller's own row, whose id is looked up; a server says whose."""
    api = Api([PROFILE], [{**PROFILE, "website": None}])
    via(api, lambda a: a.profile.update(website=None, preferences={}))
    change: tuple[str, str, Any] = (
        "PATCH",
        f"/profiles?id=eq.{USER}",
        {"website": None, "preferences": {}},
    )
    assert api.asked == [("GET", "/profiles?select=%2A&limit=2", None), change]
    api = Api([PROFILE])
    via(api, lambda a: a.profile.update(website=None, preferences={}), USER)
    assert api.asked == [change]
    api = Api([PROFILE])
    assert via(api, lambda a: a.profile.update()).display_name == "Ann"
    assert [method for method, *_ in api.asked] == ["GET"]


@both
def test_a_server_says_whose(via: Any) -> None:
    """With ``user_id`` everything that is read is that user's; without it, it must be one row."""
    api = Api([PROFILE], [API_TOKEN], [SESSION])
    for ask in (
        lambda a: a.profile.get(),
        lambda a: a.tokens.list(),
        lambda a: a.sessions.list(),
    ):
        via(api, ask, USER)
    assert [f"eq.{USER}" in path for _, path, _ in api.asked] == [True] * 3
    with pytest.raises(AccountError, match="more than one profile") as caught:
        via(Api([PROFILE, PROFILE]), lambda a: a.profile.update(website=None))
    assert "user_id=" in str(caught.value)


@both
def test_a_wrong_keyword_is_a_mistake_of_the_caller_s(via: Any) -> None:
    """A column that is not the owner's to change is refused as Python refuses a keyword."""
    api = Api()
    with pytest.raises(TypeError, match="unexpected keyword argument 'created_at'"):
        via(api, lambda a: a.profile.update(created_at=NOW))
    assert api.requests == []


@both
@pytest.mark.parametrize(
    "token", ["", "x", BARE, TOKEN[:-1], TOKEN + "0", TOKEN[:-1] + "!", f" {TOKEN}", TOKEN + "\n"]
)
def test_a_bad_token_is_not_looked_up(via: Any, token: str) -> None:
    """What is no token by its form or checksum is refused without a request."""
    api = Api()
    assert via(api, lambda a: a.tokens.verify(token)) is None
    assert api.requests == []


@both
def test_a_token_that_is_not_in_force(via: Any) -> None:
    """A token that the database does not take gives nothing, and is no error."""
    assert via(Api([]), lambda a: a.tokens.verify(TOKEN)) is None


@given(st.text(string.ascii_letters + string.digits, min_size=43, max_size=43), st.data())
def test_any_one_wrong_character_breaks_the_checksum(body: str, data: st.DataObject) -> None:
    """A token with one character mistyped is none."""
    token = f"rt_{body}" + checksum(f"rt_{body}")
    assert is_token(token)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_"))
    assert is_token(token[:place] + other + token[place + 1 :]) == (other == token[place])


def test_checksum_is_crc32_in_base_62() -> None:
    """Six digits, the highest first, filled with zeros."""
    assert checksum("") == "000000"
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    value = 0
    for each in checksum(BARE):
        value = value * 62 + digits.index(each)
    assert value == zlib.crc32(BARE.encode())


CHECK = 'new row for relation "profiles" violates check constraint "profiles_{}_check"'
UNIQUE = 'duplicate key value violates unique constraint "{}"'


@pytest.mark.parametrize(
    ("message", "details", "field"),
    [
        ("it must be in the future", "field: expires_in", "expires_in"),
        (CHECK.format("display_name"), "Failing row contains (…).", "display_name"),
        (CHECK.format("avatar_url"), None, "avatar_url"),
        (UNIQUE.format("api_tokens_user_id_name_key"), "Key (user_id, name)=… exists.", "name"),
        (UNIQUE.format("api_tokens_user_id_token_prefix_key"), None, "token_prefix"),
        ("what is revoked stays revoked", "field: revoked_at", "revoked_at"),
        (UNIQUE.format("api_tokens_token_hash_key"), None, "token_hash"),
        ('null value in column "name" of relation "x" violates …', None, "name"),
        ('invalid input value for enum api_token_scope: "root"', None, "scopes"),
        ('invalid input value for enum public.api_token_scope: "root"', None, "scopes"),
        ('invalid input syntax for type inet: "home"', None, "ip"),
        ('invalid input syntax for type interval: "soon"', None, "expires_in"),
        ("permission denied for table profiles", None, None),
        ("", {"field": "x"}, None),
    ],
)
def test_field_of_a_refusal(message: str, details: object, field: str | None) -> None:
    """The field is the function's word, or the column that a constraint is named after."""
    assert field_of(message, details) == field


@both
def test_a_refusal_is_a_typed_error(via: Any) -> None:
    """The database's refusal has its words, code and field; it can be pickled."""
    body = {
        "code": "22023",
        "message": "expires_in must be in the future",
        "details": "field: expires_in",
        "hint": "Leave it out for a year.",
    }
    with pytest.raises(AccountError) as caught:
        via(Api((400, body)), lambda a: a.tokens.create("x", expires_in=timedelta(days=-1)))
    error = caught.value
    assert (error.field, error.code, error.exit_code) == ("expires_in", "22023", 1)
    assert str(error).splitlines() == [
        "error: expires_in must be in the future",
        "  Leave it out for a year.",
        "state: nothing was changed",
    ]
    assert pickle.loads(pickle.dumps(error)).field == "expires_in"


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        ("23514", CHECK.format("website"), "website is not acceptable"),
        ("23505", UNIQUE.format("api_tokens_user_id_name_key"), "name is taken"),
    ],
)
def test_a_constraint_in_plain_words(code: str, said: str, words: str) -> None:
    """What a constraint refuses is said in plain words, PostgreSQL's own below them."""
    body = {"code": code, "message": said, "details": None, "hint": "Mend it."}
    with pytest.raises(AccountError) as caught:
        sync(Api((400, body)), lambda a: a.profile.get())
    assert caught.value.message == words
    assert caught.value.detail == f"  {said}\n  Mend it."


@both
@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (
            (404, {"code": "PGRST202", "message": "Could not find the function"}),
            "PGRST202",
            "inv migrate.status",
        ),
        (
            (401, {"code": "PGRST303", "message": "JWT expired"}),
            "PGRST303",
            "as the signed-in user",
        ),
        (httpx.ConnectError("refused"), None, "refused\nstate: nothing was changed"),
        (httpx.ReadTimeout(""), None, "ReadTimeout\nstate: whether it was done is not known"),
        ([{**SESSION, "created_at": "?"}], None, "not as RipTide's schema has it"),
        ([{}], None, "  id: Field required"),
        ([], "PT404", "there is no such session"),
    ],
)
def test_other_failures(via: Any, answer: Any, code: str | None, words: str) -> None:
    """Whatever goes wrong is the same error, and says how to go on."""
    with pytest.raises(AccountError) as caught:
        via(Api(answer), lambda a: a.sessions.revoke(ID))
    assert caught.value.code == code
    assert words in str(caught.value)


@both
def test_what_is_no_id_is_not_asked(via: Any) -> None:
    """An id that is none is told by its field, without a request."""
    api = Api()
    with pytest.raises(AccountError) as caught:
        via(api, lambda a: a.tokens.revoke("1; drop table"))
    assert (caught.value.field, api.requests) == ("id", [])


@both
@pytest.mark.parametrize("bad", ["a\0b", "\ud800"])
@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("name", lambda a, bad: a.tokens.create(bad)),
        ("scopes", lambda a, bad: a.tokens.create("x", scopes=[bad])),
        ("name", lambda a, bad: a.tokens.rename(ID, bad)),
        ("ip", lambda a, bad: a.tokens.verify(TOKEN, ip=bad)),
        ("display_name", lambda a, bad: a.profile.update(display_name=bad)),
        ("preferences", lambda a, bad: a.profile.update(preferences={"a": [{bad: 1}]})),
        ("device_name", lambda a, bad: a.sessions.touch(bad)),
        ("location", lambda a, bad: a.sessions.touch(location={"city": bad})),
    ],
)
def test_text_that_cannot_be_kept_is_not_asked(
    via: Any, bad: str, field: str, ask: Callable[[Any, str], Any]
) -> None:
    """A NUL, or what is no character, is told by its field, without a request."""
    api = Api()
    with pytest.raises(AccountError) as caught:
        via(api, lambda a: ask(a, bad))
    assert (caught.value.field, caught.value.code, api.requests) == (field, "22021", [])


@both
def test_a_token_without_a_name_is_for_the_database_to_refuse(via: Any) -> None:
    """No name is sent as none, so that the answer is about the name and not about the function."""
    api = Api({**API_TOKEN, "token": TOKEN})
    nothing: Any = None
    via(api, lambda a: a.tokens.create(nothing))
    assert api.asked == [("POST", "/rpc/create_api_token", {"name": None})]


@pytest.mark.parametrize("part", ["profile", "tokens", "sessions"])
def test_both_clients_have_the_same_methods(part: str) -> None:
    """What one client can, the other can, with the same arguments."""

    def methods(account: Any) -> dict[str, Any]:
        found = inspect.getmembers(getattr(account, part), inspect.ismethod)
        return {name: inspect.signature(each) for name, each in found if name[0] != "_"}

    nothing: Any = None
    assert methods(Accounts(nothing)) == methods(AsyncAccounts(nothing))
    assert methods(Accounts(nothing))
