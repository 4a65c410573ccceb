"""API tokens: making, rotating, revoking and verifying them, by each role, over HTTP."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from _calls import call, refused
from _tokens import made_up, with_checksum
from postgrest.exceptions import APIError

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from supabase import Client

pytestmark = pytest.mark.integration

FIXED = with_checksum("rt_" + "a" * 43)
CLAIMS = "select set_config('request.jwt.claims', json_build_object('sub', %s::text)::text, true)"
SHOWN = {
    "id", "user_id", "name", "token_prefix", "scopes", "expires_at", "last_used_at",
    "last_used_ip", "revoked_at", "created_at",
}  # fmt: skip


def create(client: Client, name: str = "one", **more: Any) -> dict[str, Any]:
    """Make a token through the API."""
    return dict(call(client, "create_api_token", name=name, **more))


@pytest.fixture
def owner(sign_up: Callable[..., tuple[Client, str]]) -> Client:
    """Give a signed-in user."""
    return sign_up()[0]


@pytest.fixture
def other(sign_up: Callable[..., tuple[Client, str]]) -> Client:
    """Give another."""
    return sign_up()[0]


def test_a_token_is_shown_once(
    owner: Client, service: Client, database: psycopg.Connection[Any]
) -> None:
    """It has the documented form; what is kept of it is its SHA-256 and how it begins."""
    made = create(owner)
    assert set(made) == {*SHOWN, "token"}
    token = made.pop("token")
    assert re.fullmatch(r"rt_[0-9A-Za-z]{49}", token)
    assert with_checksum(token[:46]) == token
    assert made["token_prefix"] == token[:11]
    assert made["scopes"] == ["read"]
    assert owner.table("api_tokens").select("*").execute().data == [made]
    kept = database.execute(
        "select token_hash, expires_at = created_at + interval '1 year' from public.api_tokens"
        " join private.api_token_secrets on token_id = id where id = %s",
        (made["id"],),
    )
    assert kept.fetchall() == [(hashlib.sha256(token.encode()).digest(), True)]
    [verified] = call(service, "verify_api_token", token=token)
    assert verified == {
        "token_id": made["id"],
        "user_id": made["user_id"],
        "scopes": ["read"],
        "expires_at": made["expires_at"],
    }


def test_the_checksum_is_crc32(database: psycopg.Connection[Any]) -> None:
    """The SQL's checksum is zlib's CRC-32 in base 62, of short, long and other texts."""
    for body in ("", "a", "rt_", "rt_" + "0" * 43, "rt_" + "z" * 43, "\u20ac" * 50, made_up()):
        found = database.execute("select private.api_token_checksum(%s)", (body,)).fetchone()
        assert found == (with_checksum(body)[len(body) :],)
    biggest = database.execute("select private.base62(2::numeric ^ 256 - 1, 43)").fetchone()
    assert biggest is not None
    assert with_checksum("rt_" + biggest[0])[3:46] == biggest[0]


def test_select_star_works_and_has_no_hash(owner: Client, service: Client) -> None:
    """What supabase-py's `select("*")` gives is what may be read; the hash is for nobody."""
    create(owner)
    for client in (owner, service):
        [*rows] = client.table("api_tokens").select("*").execute().data
        assert all(set(row) == SHOWN for row in rows)  # type: ignore[arg-type]
        with pytest.raises(APIError) as caught:
            client.schema("private").table("api_token_secrets").select("*").execute()
        assert caught.value.code == "PGRST106"


@pytest.mark.parametrize("table", ["api_token_secrets", "api_tokens_replaced", "settings"])
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_what_is_private_is_closed_in_sql(
    table: str, role: str, database: psycopg.Connection[Any]
) -> None:
    """No role of the API reads a table in schema private, nor calls a function in it."""
    import psycopg

    for statement in (
        f"select * from private.{table}",
        "select private.new_api_token_text()",
    ):
        with database.transaction(force_rollback=True):
            database.execute(f"set local role {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.execute(statement)


def test_clients_write_nothing_but_the_name(owner: Client) -> None:
    """An owner renames; inserts, deletes and other columns are refused."""
    made = create(owner)
    table = owner.table("api_tokens")
    [row] = table.update({"name": "two"}).eq("id", made["id"]).execute().data
    assert row["name"] == "two"  # type: ignore[call-overload, index]
    for column in sorted(SHOWN - {"name"}):
        with pytest.raises(APIError, match="permission denied"):
            table.update({column: None}).eq("id", made["id"]).execute()
    with pytest.raises(APIError, match="permission denied"):
        table.insert({"name": "three", "user_id": made["user_id"]}).execute()
    with pytest.raises(APIError, match="permission denied"):
        table.delete().eq("id", made["id"]).execute()


@pytest.mark.parametrize(
    ("arguments", "code", "detail"),
    [
        ({"name": None}, "22023", "field: name"),
        ({"name": ""}, "23514", None),
        ({"name": "x" * 101}, "23514", None),
        ({"scopes": []}, "22023", "field: scopes"),
        ({"scopes": [None]}, "22023", "field: scopes"),
        ({"scopes": ["read", "read"]}, "22023", "field: scopes"),
        ({"scopes": None}, "22023", "field: scopes"),
        ({"scopes": ["root"]}, "22P02", None),
        ({"expires_in": "-1 second"}, "22023", "field: expires_in"),
        ({"expires_in": "0"}, "22023", "field: expires_in"),
        ({"expires_in": "1 year 1 second"}, "22023", "field: expires_in"),
        ({"expires_in": "400 days"}, "22023", "field: expires_in"),
        ({"expires_in": "100000000 years"}, "22023", "field: expires_in"),
        ({"expires_in": "soon"}, "22007", None),
    ],
)
def test_what_cannot_be_made_is_told_by_field(
    arguments: dict[str, Any], code: str, detail: str | None, owner: Client
) -> None:
    """Each bad argument is refused with its SQLSTATE and its name, and nothing is made."""
    found = refused(owner, "create_api_token", **{"name": "one", **arguments})
    assert found[0] == code
    if detail is not None:
        assert found[1] == detail
    assert owner.table("api_tokens").select("id").execute().data == []


def test_each_scope_and_length(owner: Client, database: psycopg.Connection[Any]) -> None:
    """What is asked for is what is made, up to the longest that the settings allow."""
    made = create(owner, scopes=["admin", "write", "read"], expires_in="1 year")
    assert made["scopes"] == ["admin", "write", "read"]
    with database.transaction(force_rollback=True):
        database.execute("insert into private.settings (api_token_lifetime) values ('10 years')")
        database.execute(
            CLAIMS,
            (made["user_id"],),
        )
        long = database.execute(
            "select expires_at > now() + interval '8 years'"
            " from public.create_api_token('long', expires_in => '9 years')"
        )
        assert long.fetchall() == [(True,)]


def test_a_name_is_for_one_live_token(owner: Client, database: psycopg.Connection[Any]) -> None:
    """A name is taken while its token lives: not by another user's, a revoked or expired one."""
    first = create(owner)
    assert refused(owner, "create_api_token", name="one")[0] == "23505"
    with pytest.raises(APIError, match="api_tokens_user_id_name_key"):
        create(owner)
    call(owner, "revoke_api_token", id=first["id"])
    second = create(owner)
    third = create(owner, "three")
    expired = (
        "update public.api_tokens set created_at = now() - interval '2 days',"
        " expires_at = now() - interval '1 day' where id = %s"
    )
    database.execute(expired, (second["id"],))
    renamed = owner.table("api_tokens").update({"name": "one"}).eq("id", third["id"]).execute()
    assert len(renamed.data) == 1
    database.execute(expired, (third["id"],))
    assert create(owner)["name"] == "one"
    [live] = owner.table("api_tokens").select("name").is_("revoked_at", None).execute().data
    assert live == {"name": "one"}


def test_a_prefix_is_for_one_token_of_a_user(owner: Client, other: Client, service: Client) -> None:
    """Two tokens that begin alike cannot be one user's; of two users they can."""
    made = create(owner)
    user_id = create(other)["user_id"]
    row = {"name": "two", "token_prefix": made["token_prefix"]}
    with pytest.raises(APIError, match="api_tokens_user_id_token_prefix_key"):
        service.table("api_tokens").insert({**row, "user_id": made["user_id"]}).execute()
    assert service.table("api_tokens").insert({**row, "user_id": user_id}).execute().data


def test_revoking(owner: Client, other: Client, service: Client) -> None:
    """The owner revokes once, again changes nothing, and no one, not a server, undoes it."""
    made = create(owner)
    for who, token_id in ((other, made["id"]), (owner, str(uuid.uuid4()))):
        assert refused(who, "revoke_api_token", id=token_id) == ("PT404", "field: id")
    once = call(owner, "revoke_api_token", id=made["id"])
    assert set(once) == SHOWN
    assert once["revoked_at"] is not None
    assert call(owner, "revoke_api_token", id=made["id"]) == once
    assert call(service, "verify_api_token", token=made["token"]) == []
    for value in (None, "2001-01-01"):
        with pytest.raises(APIError) as caught:
            service.table("api_tokens").update({"revoked_at": value}).eq("id", made["id"]).execute()
        assert (caught.value.code, caught.value.details) == ("23514", "field: revoked_at")
    [renamed] = owner.table("api_tokens").update({"name": "x"}).eq("id", made["id"]).execute().data
    assert renamed == {**once, "name": "x"}


def test_rotating(owner: Client, other: Client, service: Client) -> None:
    """The new token has the old one's name, scopes and length; the old one is revoked."""
    made = create(owner, scopes=["write"], expires_in="10 days")
    for who, token_id in ((other, made["id"]), (owner, str(uuid.uuid4()))):
        assert refused(who, "rotate_api_token", id=token_id) == ("PT404", "field: id")
    new = call(owner, "rotate_api_token", id=made["id"])
    assert {*new} == {*made}
    assert (new["name"], new["scopes"]) == (made["name"], made["scopes"])
    assert new["expires_at"] > made["expires_at"]
    assert new["expires_at"][:10] == made["expires_at"][:10]
    assert call(service, "verify_api_token", token=made["token"]) == []
    assert call(service, "verify_api_token", token=new["token"])[0]["token_id"] == new["id"]
    assert refused(owner, "rotate_api_token", id=made["id"]) == ("22023", "field: id")


@pytest.mark.parametrize("function", ["create_api_token", "rotate_api_token", "revoke_api_token"])
def test_only_users_make_tokens(function: str, nobody: Client, service: Client) -> None:
    """Who is not signed in may not call what is for users, nor may a server."""
    arguments: dict[str, Any] = {"name": "x"} if "create" in function else {"id": str(uuid.uuid4())}
    for client in (nobody, service):
        assert refused(client, function, **arguments)[0] == "42501"


def test_only_servers_verify(nobody: Client, owner: Client) -> None:
    """No client may try tokens."""
    for client in (nobody, owner):
        assert refused(client, "verify_api_token", token=made_up())[0] == "42501"


@pytest.mark.parametrize(
    "token",
    [None, "", "rt_", "x" * 10_000, "rt_" + "0" * 49, FIXED[:-1] + "!", FIXED + "0"],
)
def test_a_bad_token_is_nobodys(token: str | None, service: Client) -> None:
    """What is no token, or has a bad checksum, gives no row and no error."""
    assert call(service, "verify_api_token", token=token) == []
    assert call(service, "verify_api_token", token=made_up()) == []


def test_a_bad_checksum_asks_no_table(owner: Client, database: psycopg.Connection[Any]) -> None:
    """Without the right checksum no table is read: not even where none can be."""
    import psycopg

    token = create(owner)["token"]
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    with database.transaction(force_rollback=True):
        database.execute("alter table private.api_token_secrets rename to gone")
        assert (
            database.execute("select * from public.verify_api_token(%s)", (wrong,)).fetchall() == []
        )
        with pytest.raises(psycopg.errors.UndefinedTable):
            database.execute("select * from public.verify_api_token(%s)", (token,))


def test_its_use_is_noted_once_a_minute(
    owner: Client, service: Client, database: psycopg.Connection[Any]
) -> None:
    """The first verification writes when and where from; others within the minute do not."""
    made = create(owner)
    noted = "select last_used_at, host(last_used_ip), xmin from public.api_tokens where id = %s"

    def verify(ip: str | None) -> Any:
        assert call(service, "verify_api_token", token=made["token"], ip=ip)
        return database.execute(noted, (made["id"],)).fetchone()

    first = verify("192.0.2.7")
    assert (first[0] is not None, first[1]) == (True, "192.0.2.7")
    assert verify("192.0.2.8") == first
    database.execute(
        "update public.api_tokens set last_used_at = now() - interval '61 seconds' where id = %s",
        (made["id"],),
    )
    later = verify("2001:db8::8")
    assert (later[0] > first[0], later[1]) == (True, "2001:db8::8")


def test_an_expired_token_is_not_good(
    owner: Client, service: Client, database: psycopg.Connection[Any]
) -> None:
    """After its end a token is not accepted, and cannot be rotated."""
    made = create(owner)
    database.execute(
        "update public.api_tokens set created_at = now() - interval '2 days',"
        " expires_at = now() - interval '1 second' where id = %s",
        (made["id"],),
    )
    assert call(service, "verify_api_token", token=made["token"]) == []
    assert refused(owner, "rotate_api_token", id=made["id"]) == ("22023", "field: id")
