"""The gateway of the embedded stack, through supabase-py, plain HTTP and SQL.

Every test makes what it needs and leaves nothing: users with an address of their own, a table with
a name of its own. They share the stack and nothing else.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from _http import http_client
from postgrest.types import CountMethod
from psycopg import sql
from supabase import AuthError, Client, PostgrestAPIError, create_client
from supabase.lib.client_options import SyncClientOptions

pytestmark = pytest.mark.integration

PASSWORD = "correct horse 1"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00")


class Stack(Protocol):
    """What the fixture of a running stack gives."""

    api_url: str
    db_url: str
    publishable_key: str
    secret_key: str
    anon_key: str
    service_role_key: str
    jwt_secret: str


@dataclass(frozen=True)
class Person:
    """A user and a client that is signed in as them."""

    id: str
    email: str
    client: Client

    @property
    def token(self) -> str:
        """The access token of the client's session."""
        session = self.client.auth.get_session()
        assert session is not None
        return session.access_token


Row = tuple[Any, ...]
Database = psycopg.Connection[Row]
Connect = Callable[..., Client]
MakePerson = Callable[..., Person]
MakeTable = Callable[..., str]


def decode(token: str) -> dict[str, Any]:
    """Give the claims of a JWT, unchecked."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def sign(claims: dict[str, Any], secret: str) -> str:
    """Make an HS256 JWT."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    header = {"alg": "HS256", "typ": "JWT"}
    head = ".".join(part(json.dumps(each).encode()) for each in (header, claims))
    return f"{head}.{part(hmac.digest(secret.encode(), head.encode(), 'sha256'))}"


def new_email() -> str:
    """Give an address nobody has."""
    return f"{uuid.uuid4().hex}@example.com"


def new_name(prefix: str = "t") -> str:
    """Give a name nothing in the database has."""
    return f"{prefix}_{uuid.uuid4().hex[:12]}"


@contextmanager
def refused(error: type[Exception], code: str) -> Iterator[None]:
    """Expect an error of the API with this code."""
    with pytest.raises(error) as caught:
        yield
    assert getattr(caught.value, "code", None) == code


@pytest.fixture
def db(stack: Stack) -> Iterator[Database]:
    """A connection as role postgres, which every statement commits by itself."""
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def connect(stack: Stack) -> Iterator[Connect]:
    """Make clients of the API, with the publishable key by default; they are closed afterwards."""
    with ExitStack() as made:

        def make(key: str | None = None) -> Client:
            session = made.enter_context(http_client(timeout=30))
            options = SyncClientOptions(auto_refresh_token=False, httpx_client=session)
            return create_client(stack.api_url, key or stack.publishable_key, options)

        yield make


@pytest.fixture
def admin(stack: Stack, connect: Connect) -> Client:
    """A client with the secret key."""
    return connect(stack.secret_key)


@pytest.fixture
def make_person(stack: Stack, admin: Client, connect: Connect) -> Iterator[MakePerson]:
    """Make users that are signed in; they are deleted afterwards."""
    made: list[str] = []

    def make(**attributes: Any) -> Person:
        email = attributes.pop("email", None) or new_email()
        wanted: Any = {"email": email, "password": PASSWORD, "email_confirm": True, **attributes}
        user = admin.auth.admin.create_user(wanted).user
        made.append(user.id)
        client = connect()
        client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
        return Person(user.id, email, client)

    yield make
    for each in made:
        httpx.delete(
            f"{stack.api_url}/auth/v1/admin/users/{each}", headers={"apikey": stack.secret_key}
        )


@pytest.fixture
def make_table(db: Database) -> Iterator[MakeTable]:
    """Make tables in schema public from their columns; they are dropped afterwards."""
    made: list[str] = []

    def make(columns: str, *, more: str = "") -> str:
        name = new_name()
        made.append(name)
        db.execute(f"create table public.{name} ({columns}); {more.format(t=f'public.{name}')}")
        return name

    yield make
    for each in reversed(made):
        db.execute(sql.SQL("drop table if exists public.{} cascade").format(sql.Identifier(each)))


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A plain HTTP client with the publishable key."""
    with http_client(base_url=stack.api_url, headers={"apikey": stack.publishable_key}) as client:
        yield client


# Values ------------------------------------------------------------------------------------------


def test_timestamps_are_rfc3339_with_microseconds(admin: Client, make_table: MakeTable) -> None:
    """A time keeps its microseconds and comes as RFC 3339, from a table and from arrays of it."""
    table = make_table("id int, at timestamptz, local timestamp, many timestamptz[]")
    row = {
        "id": 1,
        "at": "2026-11-23T08:07:12.077123+02:00",
        "local": "2026-11-23T08:07:12.5",
        "many": ["2026-11-23T08:07:12Z"],
    }
    assert admin.table(table).insert(row).execute().data == [
        {
            "id": 1,
            "at": "2026-11-23T06:07:12.077123+00:00",
            "local": "2026-11-23T08:07:12.5",
            "many": ["2026-11-23T08:07:12+00:00"],
        }
    ]


def test_timestamps_of_functions_are_rfc3339(admin: Client, db: Database) -> None:
    """A time that a function returns, alone or in a row, is RFC 3339 too."""
    name = new_name("f")
    db.execute(
        f"create function public.{name}() returns timestamptz language sql as 'select now()'"
    )
    db.execute(
        f"create function public.{name}_t() returns table (at timestamptz) language sql "
        "as 'select now()'"
    )
    try:
        alone: Any = admin.rpc(name, {}).execute().data
        rows: Any = admin.rpc(f"{name}_t", {}).execute().data
        assert RFC3339.fullmatch(alone)
        assert RFC3339.fullmatch(rows[0]["at"])
    finally:
        db.execute(f"drop function public.{name}(), public.{name}_t()")


def test_timestamps_of_auth_are_gotrues(http: httpx.Client, make_person: MakePerson) -> None:
    """Auth writes times in UTC with a Z, to the microsecond."""
    person = make_person()
    user = http.get("/auth/v1/user", headers={"authorization": f"Bearer {person.token}"}).json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z", user["created_at"])
    assert person.client.auth.get_user() is not None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"a": {"b": [1, None, True]}}, "object"),
        ({}, "object"),
        ([1, "a", None, {"b": []}], "array"),
        ([True, False], "array"),
        (["x", "y"], "array"),
        ([], "array"),
        ("plain", "string"),
        ('{"looks": "like an object"}', "string"),
        (5, "number"),
        (1.5, "number"),
        (True, "boolean"),
        (False, "boolean"),
        (None, None),
    ],
)
def test_jsonb_round_trips(
    admin: Client,
    db: Database,
    make_table: MakeTable,
    value: Any,
    kind: str | None,
) -> None:
    """Any JSON value is stored as what it is: by insert, by update, as an argument."""
    table = make_table("id int primary key, data jsonb")
    stored = sql.SQL("select jsonb_typeof(data) from public.{}").format(sql.Identifier(table))
    inserted = admin.table(table).insert({"id": 1, "data": value}).execute().data
    assert inserted == [{"id": 1, "data": value}]
    assert db.execute(stored).fetchone() == (kind,)
    admin.table(table).update({"data": {"other": 1}}).eq("id", 1).execute()
    updated = admin.table(table).update({"data": value}).eq("id", 1).execute().data
    assert updated == [{"id": 1, "data": value}]
    assert db.execute(stored).fetchone() == (kind,)
    name = new_name("f")
    db.execute(
        f"create function public.{name}(given jsonb) returns text language sql "
        "as 'select jsonb_typeof(given)'"
    )
    try:
        assert admin.rpc(name, {"given": value}).execute().data == kind
    finally:
        db.execute(f"drop function public.{name}")


def test_numbers_bytes_and_arrays_are_postgrests(
    http: httpx.Client,
    admin: Client,
    make_table: MakeTable,
    db: Database,
) -> None:
    """Big and decimal numbers keep each digit, bytea is hexadecimal text, NaN is a string."""
    table = make_table(
        "big bigint, exact numeric, bytes bytea, real float8, flag boolean, words text[]"
    )
    db.execute(
        f"insert into public.{table} values "
        "(9007199254740993, 1.10, '\\x01ff', 'NaN', true, '{a,\"b c\"}')"
    )
    text = http.get(f"/rest/v1/{table}").text
    assert json.loads(text, parse_float=str, parse_int=str) == [
        {
            "big": "9007199254740993",
            "exact": "1.10",
            "bytes": "\\x01ff",
            "real": "NaN",
            "flag": True,
            "words": ["a", "b c"],
        }
    ]
    row = {"bytes": "\\x00", "flag": "true", "words": ["x"], "exact": 2.5, "big": 3, "real": 0.5}
    assert admin.table(table).insert(row).execute().data == [{**row, "flag": True}]


def test_arrays_of_a_new_enum(admin: Client, make_table: MakeTable, db: Database) -> None:
    """A list of an enum that was made while the gateway runs comes as a list."""
    kind = new_name("e")
    db.execute(f"create type public.{kind} as enum ('one', 'two')")
    try:
        table = make_table(f"kinds public.{kind}[], kind public.{kind}")
        row = {"kinds": ["two", "one"], "kind": "two"}
        assert admin.table(table).insert(row).execute().data == [row]
        db.execute(f"drop table public.{table}")
    finally:
        db.execute(f"drop type public.{kind}")


# The schema cache --------------------------------------------------------------------------------


def test_a_new_table_is_served_at_once(admin: Client, db: Database) -> None:
    """A table, column, foreign key or function is known to the first request after commit."""
    for _ in range(5):
        name = new_name()
        db.execute(f"create table public.{name} (id int primary key)")
        try:
            assert admin.table(name).insert({"id": 1}).execute().data == [{"id": 1}]
            db.execute(f"alter table public.{name} add column note text default 'x'")
            assert admin.table(name).select("note").execute().data == [{"note": "x"}]
            db.execute(
                f"create table public.{name}_b (id int, a_id int references public.{name});"
                f"insert into public.{name}_b values (7, 1)"
            )
            embedded = admin.table(name).select(f"id,{name}_b(id)").execute().data
            assert embedded == [{"id": 1, f"{name}_b": [{"id": 7}]}]
            db.execute(f"create function public.{name}_f() returns int language sql as 'select 42'")
            assert admin.rpc(f"{name}_f", {}).execute().data == 42
        finally:
            db.execute(f"drop table public.{name} cascade")
            db.execute(f"drop table if exists public.{name}_b")
            db.execute(f"drop function if exists public.{name}_f")
        with refused(PostgrestAPIError, "PGRST205"):
            admin.table(name).select("*").execute()


def test_requests_during_a_reload_wait(stack: Stack, db: Database) -> None:
    """Clients at work while tables come and go see no error of theirs."""
    name = new_name()
    db.execute(f"create table public.{name} (id int)")
    failures: list[str] = []
    done = threading.Event()

    def work() -> None:
        headers = {"apikey": stack.secret_key}
        with http_client(base_url=stack.api_url, headers=headers) as client:
            while not done.is_set():
                response = client.get(f"/rest/v1/{name}")
                if response.status_code != 200:
                    failures.append(response.text)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for each in workers:
        each.start()
    try:
        for n in range(10):
            db.execute(f"create table public.{name}_{n} (id int)")
            db.execute(f"drop table public.{name}_{n}")
    finally:
        done.set()
        for each in workers:
            each.join()
        db.execute(f"drop table public.{name}")
    assert failures == []


# API keys and tokens -----------------------------------------------------------------------------


def test_a_key_is_required(stack: Stack) -> None:
    """No key and an unknown key are 401 in Supabase's words; Authorization alone is no key."""
    for path in ("/rest/v1/anything", "/auth/v1/settings", "/auth/v1/user"):
        bare = httpx.get(f"{stack.api_url}{path}")
        assert bare.status_code == 401
        assert bare.json()["message"] == "No API key found in request"
        assert "hint" in bare.json()
        wrong = httpx.get(f"{stack.api_url}{path}", headers={"apikey": "sb_secret_wrong"})
        assert wrong.status_code == 401
        assert wrong.json()["message"] == "Invalid API key"
        assert wrong.json()["hint"]
        only = {"authorization": f"Bearer {stack.service_role_key}"}
        assert httpx.get(f"{stack.api_url}{path}", headers=only).status_code == 401


def test_every_kind_of_key_gives_its_role(stack: Stack, make_table: MakeTable) -> None:
    """Opaque and legacy keys, as header, bearer and parameter, act as anon or service_role."""
    table = make_table("id int", more="alter table {t} enable row level security;")
    roles = {
        stack.publishable_key: 401,
        stack.anon_key: 401,
        stack.secret_key: 201,
        stack.service_role_key: 201,
    }
    url = f"{stack.api_url}/rest/v1/{table}"
    for key, status in roles.items():
        assert httpx.post(url, json={"id": 1}, headers={"apikey": key}).status_code == status
        assert httpx.post(url, json={"id": 1}, params={"apikey": key}).status_code == status
        both = {"apikey": key, "authorization": f"Bearer {key}"}
        assert httpx.post(url, json={"id": 1}, headers=both).status_code == status
        mixed = {"apikey": stack.publishable_key, "authorization": f"Bearer {key}"}
        # An opaque key is no bearer token: the one in `apikey` counts. A legacy key is a JWT.
        expected = 401 if key.startswith("sb_") else status
        assert httpx.post(url, json={"id": 1}, headers=mixed).status_code == expected


def test_a_secret_key_is_refused_to_browsers(stack: Stack) -> None:
    """The secret key from a browser is a leak, and is refused."""
    headers = {"apikey": stack.secret_key, "user-agent": "Mozilla/5.0 (X11)"}
    response = httpx.get(f"{stack.api_url}/rest/v1/x", headers=headers)
    assert response.status_code == 401
    assert response.json()["message"] == "Forbidden use of secret API key in browser"


def test_bad_tokens_are_refused_by_rest(stack: Stack, http: httpx.Client) -> None:
    """A forged or broken token is PGRST301, an expired one PGRST303, both 401."""
    now = int(time.time())
    cases = {
        sign({"role": "service_role", "exp": now + 60}, "another-secret" * 4): "PGRST301",
        "not.a.token": "PGRST301",
        "nothing": "PGRST301",
        sign({"role": "service_role", "exp": now - 60}, stack.jwt_secret): "PGRST303",
        sign({"role": "service_role", "nbf": now + 600}, stack.jwt_secret): "PGRST303",
    }
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(b'{"role":"service_role"}').rstrip(b"=").decode()
    cases[f"{unsigned}.{body}."] = "PGRST301"
    signed = sign({"role": "service_role"}, stack.jwt_secret).rpartition(".")
    cases[f"{signed[0]}.{'é' * len(signed[2])}"] = "PGRST301"  # as many characters, not bytes
    for token, code in cases.items():
        headers = {b"authorization": f"Bearer {token}".encode("latin-1")}
        response = http.get("/rest/v1/x", headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, code)
        assert "bearer" in response.headers["www-authenticate"].lower()


@pytest.mark.parametrize(
    ("path", "code"), [("rpc/%E0%A4%A", "PGRST202"), ("%E0%A4%A", "PGRST205"), ("%", "PGRST205")]
)
def test_paths_that_are_no_text(stack: Stack, path: str, code: str) -> None:
    """A path that cannot be decoded is something that is not there, as PostgREST has it."""
    url = urlsplit(stack.api_url)
    connection = HTTPConnection(url.hostname or "", url.port)  # httpx would mend the path
    try:
        connection.request("GET", f"/rest/v1/{path}", headers={"apikey": stack.publishable_key})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    assert (response.status, json.loads(body)["code"]) == (404, code)


def test_bad_tokens_are_refused_by_auth(
    stack: Stack, http: httpx.Client, make_person: MakePerson
) -> None:
    """A forged or an expired token, and none at all, are bad_jwt."""
    claims = decode(make_person().token)
    past = {**claims, "exp": int(time.time()) - 60}
    for token in (sign(claims, "wrong" * 9), sign(past, stack.jwt_secret), "x", stack.anon_key):
        response = http.get("/auth/v1/user", headers={"authorization": f"Bearer {token}"})
        assert (response.status_code, response.json()["error_code"]) == (403, "bad_jwt")
    response = http.get("/auth/v1/user")
    assert (response.status_code, response.json()["error_code"]) == (403, "bad_jwt")


def test_a_role_that_authenticator_may_not_take(
    stack: Stack, http: httpx.Client, db: Database, make_table: MakeTable
) -> None:
    """A token of ours for a role that was not granted is refused; a custom role that was works."""
    role = new_name("r")
    table = make_table("id int")
    db.execute(f"create role {role}; grant usage on schema public to {role}")
    db.execute(f"grant select on public.{table} to {role}")
    exp = int(time.time()) + 60
    try:
        for forbidden in (role, "postgres", "supabase_admin", "no_such_role"):
            token = sign({"role": forbidden, "exp": exp}, stack.jwt_secret)
            response = http.get(f"/rest/v1/{table}", headers={"authorization": f"Bearer {token}"})
            assert response.status_code in {400, 401, 403}
            assert response.json()["code"] in {"42501", "22023"}
        db.execute(f"grant {role} to authenticator")
        token = sign({"role": role, "exp": exp}, stack.jwt_secret)
        headers = {"authorization": f"Bearer {token}"}
        assert http.get(f"/rest/v1/{table}", headers=headers).json() == []
        assert http.post(f"/rest/v1/{table}", headers=headers, json={"id": 1}).status_code == 403
    finally:
        db.execute(f"grant {role} to postgres; drop owned by {role}; drop role {role}")


def test_open_and_absent_routes(stack: Stack) -> None:
    """GoTrue's public routes need no key, absent services say so, the root shows nothing."""
    assert httpx.get(f"{stack.api_url}/auth/v1/.well-known/jwks.json").json() == {"keys": []}
    assert httpx.get(f"{stack.api_url}/auth/v1/verify").status_code == 400
    for service in ("storage", "realtime", "functions", "graphql"):
        response = httpx.get(f"{stack.api_url}/{service}/v1/anything")
        assert response.status_code == 501
        assert "Docker" in response.json()["message"]
    for path in ("/", "/index.html", "/_system/info", "/static/main.js"):
        response = httpx.get(f"{stack.api_url}{path}")
        assert response.status_code == 404
        assert "message" in response.json()


def test_preflight_and_cors(stack: Stack) -> None:
    """A browser's preflight passes without a key, and answers may be read from any origin."""
    asked = {
        "origin": "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "apikey,x-anything",
    }
    for path in ("/rest/v1/x", "/auth/v1/token"):
        response = httpx.options(f"{stack.api_url}{path}", headers=asked)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["access-control-allow-headers"] == "apikey,x-anything"
        assert "PATCH" in response.headers["access-control-allow-methods"]
        refusal = httpx.get(f"{stack.api_url}{path}", headers={"origin": "http://x"})
        assert refusal.headers["access-control-allow-origin"] == "*"


def test_health_needs_no_key(stack: Stack) -> None:
    """The health check says which stack answers, and is ready."""
    body = httpx.get(f"{stack.api_url}/_riptide/health").json()
    assert body["status"] == "ok"
    assert set(body) == {"status", "instance", "pid"}


# REST --------------------------------------------------------------------------------------------


def test_rls_and_claims(
    connect: Connect, make_person: MakePerson, make_table: MakeTable, admin: Client
) -> None:
    """auth.uid() is the user's in a policy and a default; others' rows are not theirs."""
    table = make_table(
        "id int primary key, owner uuid not null default auth.uid()",
        more="alter table {t} enable row level security; revoke all on {t} from anon;"
        "create policy own on {t} to authenticated using ((select auth.uid()) = owner);",
    )
    one, two = make_person(), make_person()
    assert one.client.table(table).insert({"id": 1}).execute().data == [{"id": 1, "owner": one.id}]
    assert two.client.table(table).select("*").execute().data == []
    assert two.client.table(table).update({"id": 2}).eq("id", 1).execute().data == []
    with refused(PostgrestAPIError, "42501"):
        two.client.table(table).insert({"id": 3, "owner": one.id}).execute()
    with refused(PostgrestAPIError, "42501"):
        connect().table(table).select("*").execute()
    assert len(admin.table(table).select("*").execute().data) == 1


def test_the_request_is_in_the_settings(
    http: httpx.Client, make_person: MakePerson, db: Database
) -> None:
    """A function sees the role, all claims, the method, the path, the headers and the timeouts."""
    name = new_name("f")
    db.execute(
        f"""create function public.{name}() returns jsonb language sql stable as $$
          select jsonb_build_object('role', current_user, 'session', session_user,
            'claims', current_setting('request.jwt.claims')::jsonb, 'jwt', auth.jwt(),
            'email', auth.email(), 'auth_role', auth.role(), 'uid', auth.uid(),
            'method', current_setting('request.method'), 'path', current_setting('request.path'),
            'header', current_setting('request.headers')::jsonb ->> 'x-mine',
            'cookie', current_setting('request.cookies')::jsonb ->> 'c',
            'search_path', current_setting('search_path'),
            'timeout', current_setting('statement_timeout'))
        $$"""
    )
    person = make_person()
    headers = {
        "authorization": f"Bearer {person.token}",
        "x-mine": 'it\'s "quoted"',
        "cookie": "c=1",
    }
    try:
        seen = http.get(f"/rest/v1/rpc/{name}", headers=headers).json()
        anonymous = http.post(f"/rest/v1/rpc/{name}", json={}).json()
    finally:
        db.execute(f"drop function public.{name}")
    assert seen == {
        "role": "authenticated",
        "session": "authenticator",
        "claims": decode(person.token),
        "jwt": decode(person.token),
        "email": person.email,
        "auth_role": "authenticated",
        "uid": person.id,
        "method": "GET",
        "path": f"/rpc/{name}",
        "header": 'it\'s "quoted"',
        "cookie": "1",
        "search_path": '"public", "public", "extensions"',
        "timeout": "8s",
    }
    assert anonymous["role"] == anonymous["auth_role"] == "anon"
    assert anonymous["uid"] is None
    assert anonymous["timeout"] == "3s"
    assert anonymous["method"] == "POST"


def test_grants_count(
    connect: Connect, make_person: MakePerson, make_table: MakeTable, admin: Client
) -> None:
    """A missing grant and a column's grant hold: nobody grants behind a migration's back."""
    table = make_table(
        "id int, secret text",
        more="revoke all on {t} from anon, authenticated, service_role;"
        "grant select (id) on {t} to authenticated;",
    )
    client = make_person().client
    assert client.table(table).select("id").execute().data == []
    for one, columns in ((client, "id,secret"), (connect(), "id"), (admin, "id")):
        with refused(PostgrestAPIError, "42501"):
            one.table(table).select(columns).execute()


@pytest.mark.parametrize(
    ("row", "code", "status"),
    [
        ({"id": 1, "n": 1}, "23505", 409),
        ({"id": 2, "n": 1, "ref": 99}, "23503", 409),
        ({"id": 2, "n": -1}, "23514", 400),
        ({"id": 2}, "23502", 400),
        ({"id": "x", "n": 1}, "22P02", 400),
    ],
)
def test_errors_of_the_database(
    stack: Stack, make_table: MakeTable, row: dict[str, Any], code: str, status: int
) -> None:
    """A violated constraint is PostgREST's status with PostgreSQL's code."""
    table = make_table(
        "id int primary key, n int not null check (n > 0), ref int",
        more="alter table {t} add foreign key (ref) references {t} (id);"
        "insert into {t} values (1, 1);",
    )
    headers = {"apikey": stack.secret_key}
    response = httpx.post(f"{stack.api_url}/rest/v1/{table}", json=row, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert set(response.json()) == {"code", "message", "details", "hint"}


def test_what_a_function_raises(http: httpx.Client, db: Database) -> None:
    """An exception of a function is 400 with its code, message, detail and hint."""
    name = new_name("f")
    db.execute(
        f"create function public.{name}(code text) returns void language plpgsql as $$ begin "
        "raise exception 'no such thing' using errcode = code, detail = 'd', hint = 'h'; end $$"
    )
    try:
        for code, status in (("P0001", 400), ("23514", 400), ("PT418", 418), ("40001", 500)):
            response = http.post(f"/rest/v1/rpc/{name}", json={"code": code})
            assert response.status_code == status
            assert response.json() == {
                "code": code,
                "message": "no such thing",
                "details": "d",
                "hint": "h",
            }
    finally:
        db.execute(f"drop function public.{name}")


def test_filters_compare_what_was_given(
    http: httpx.Client, admin: Client, db: Database, make_table: MakeTable
) -> None:
    """A filter's value is not taken for a number, or for no value, before its column is known."""
    table = make_table("id int, word text, big bigint, exact numeric")
    words = ["007", "1.10", "null", "true", "9007199254740993", "0x10", "5", "1e3"]
    for n, word in enumerate(words):
        db.execute(f"insert into public.{table} (id, word) values (%s, %s)", [n, word])
        found = http.get(f"/rest/v1/{table}", params={"word": f"eq.{word}", "select": "id"})
        assert found.json() == [{"id": n}], word
    db.execute(
        f"insert into public.{table} (id, big, exact) "
        "values (50, 9007199254740993, 12345678901234567.89), (51, 9007199254740992, 1)"
    )
    for query in ({"big": "eq.9007199254740993"}, {"exact": "eq.12345678901234567.89"}):
        assert http.get(f"/rest/v1/{table}", params={**query, "select": "id"}).json() == [
            {"id": 50}
        ]


def test_a_denied_request_is_401_or_403(
    http: httpx.Client, make_person: MakePerson, make_table: MakeTable
) -> None:
    """42501 is 401 for anon and 403 for who is signed in."""
    table = make_table("id int", more="revoke all on {t} from anon, authenticated;")
    assert http.get(f"/rest/v1/{table}").status_code == 401
    headers = {"authorization": f"Bearer {make_person().token}"}
    response = http.get(f"/rest/v1/{table}", headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "42501")


def test_count_range_and_upsert(admin: Client, stack: Stack, make_table: MakeTable) -> None:
    """Count, pages and upsert are PostgREST's."""
    table = make_table("id int primary key, n int")
    admin.table(table).insert([{"id": i, "n": i} for i in range(1, 11)]).execute()
    page = admin.table(table).select("*", count=CountMethod.exact).order("id").range(2, 4).execute()
    assert page.count == 10
    assert page.data == [{"id": n, "n": n} for n in (3, 4, 5)]
    headers = {"apikey": stack.secret_key, "prefer": "count=exact", "range": "0-1"}
    response = httpx.get(f"{stack.api_url}/rest/v1/{table}?order=id", headers=headers)
    assert response.headers["content-range"] == "0-1/10"
    assert response.status_code == 206
    admin.table(table).upsert([{"id": 1, "n": 100}, {"id": 11, "n": 11}]).execute()
    assert admin.table(table).select("n").in_("id", [1, 11]).order("id").execute().data == [
        {"n": 100},
        {"n": 11},
    ]


@pytest.mark.parametrize("query", ["limit=abc", "limit=5x", "offset=x&limit=2000"])
def test_a_limit_that_is_no_number_is_none(
    stack: Stack, http: httpx.Client, make_table: MakeTable, query: str
) -> None:
    """PostgREST leaves such a limit or offset out, and max_rows holds all the same."""
    table = make_table("id int", more="insert into {t} select generate_series(1, 1001)")
    response = http.get(f"/rest/v1/{table}?{query}", headers={"apikey": stack.secret_key})
    assert (response.status_code, len(response.json())) == (200, 1000)


@pytest.mark.parametrize("query", ["", "select=id", "order=id&limit=1", "columns=id"])
def test_changing_every_row_takes_a_filter(
    stack: Stack, http: httpx.Client, make_table: MakeTable, query: str
) -> None:
    """Without a filter an update or a delete is refused, with whatever key, as by safeupdate."""
    table = make_table(
        "id int", more="insert into {t} values (1); revoke all on {t} from authenticated"
    )
    path = f"/rest/v1/{table}?{query}"
    users = sign({"role": "authenticated", "exp": int(time.time()) + 60}, stack.jwt_secret)
    for key in (stack.publishable_key, stack.secret_key, users):
        headers = {"authorization": f"Bearer {key}"}
        if not key.startswith("ey"):
            headers["apikey"] = key
        for method, body, word in (("PATCH", {"id": 2}, "UPDATE"), ("DELETE", None, "DELETE")):
            response = http.request(method, path, headers=headers, json=body)
            assert response.status_code == 400
            assert response.json() == {
                "code": "21000",
                "message": f"{word} requires a WHERE clause",
                "details": None,
                "hint": None,
            }


def test_a_filter_or_nothing_to_set_is_enough(
    stack: Stack, http: httpx.Client, make_table: MakeTable
) -> None:
    """Any filter will do, an update that sets nothing is none, and an upsert is an insert."""
    table = make_table("id int primary key, n int", more="insert into {t} values (1), (2)")
    path = f"/rest/v1/{table}"
    headers = {"apikey": stack.secret_key, "prefer": "return=representation"}
    assert http.patch(path, headers=headers, json={}).json() == []
    answer = http.patch(path, params={"id": "not.is.null"}, headers=headers, json={"n": 3}).json()
    assert [row["n"] for row in answer] == [3, 3]
    answer = http.patch(path, params={"or": "(id.eq.1,id.eq.7)"}, headers=headers, json={"n": 4})
    assert answer.json() == [{"id": 1, "n": 4}]
    upsert = {**headers, "prefer": "resolution=merge-duplicates,return=representation"}
    assert http.post(path, headers=upsert, json=[{"id": 1, "n": 5}]).json() == [{"id": 1, "n": 5}]
    put = http.put(path, params={"id": "eq.1"}, headers=headers, json={"id": 1, "n": 6})
    assert put.json() == [{"id": 1, "n": 6}]
    assert http.delete(path, params={"id": "gt.0"}, headers=headers).status_code == 200
    response = http.delete(f"/rest/v1/{new_name()}", headers=headers)
    assert (response.status_code, response.json()["code"]) == (404, "PGRST205")


def test_rpc_with_arguments(admin: Client, db: Database) -> None:
    """Named arguments of several types, defaults, and a set as the result."""
    name = new_name("f")
    db.execute(
        f"create function public.{name}(a int, b text default 'x', c text[] default '{{}}') "
        "returns table (n int, s text, k int) language sql "
        "as 'select g, b, cardinality(c) from generate_series(1, a) g'"
    )
    try:
        assert admin.rpc(name, {"a": 1}).execute().data == [{"n": 1, "s": "x", "k": 0}]
        rows = admin.rpc(name, {"a": 2, "b": "it's", "c": ["p", "q"]}).execute().data
        assert rows == [{"n": 1, "s": "it's", "k": 2}, {"n": 2, "s": "it's", "k": 2}]
        with refused(PostgrestAPIError, "PGRST202"):
            admin.rpc(name, {"unknown": 1}).execute()
    finally:
        db.execute(f"drop function public.{name}")


def test_single_and_what_it_undoes(stack: Stack, admin: Client, make_table: MakeTable) -> None:
    """.single() on none or many rows is PGRST116, and a change that ends in it is undone."""
    table = make_table("id int primary key, n int default 0")
    admin.table(table).insert([{"id": 1}, {"id": 2}]).execute()
    assert admin.table(table).select("id").eq("id", 1).single().execute().data == {"id": 1}
    for rows in ([99], [1, 2]):
        with refused(PostgrestAPIError, "PGRST116"):
            admin.table(table).select("id").in_("id", rows).single().execute()
    response = httpx.patch(
        f"{stack.api_url}/rest/v1/{table}?id=in.(1,2)",
        json={"n": 5},
        headers={
            "apikey": stack.secret_key,
            "accept": "application/vnd.pgrst.object+json",
            "prefer": "return=representation",
        },
    )
    assert (response.status_code, response.json()["code"]) == (406, "PGRST116")
    assert admin.table(table).select("n").execute().data == [{"n": 0}, {"n": 0}]


def test_reads_cannot_write(http: httpx.Client, db: Database, make_table: MakeTable) -> None:
    """A GET, and a stable function by POST, run in a read-only transaction."""
    table = make_table("id int")
    name = new_name("f")
    body = f"insert into public.{table} values (1) returning id"
    for volatility in ("volatile", "stable"):
        db.execute(
            f"create or replace function public.{name}_{volatility}() returns int {volatility} "
            f"language plpgsql security definer as $$ begin execute '{body}'; return 1; end $$"
        )
    try:
        for request in (
            http.get(f"/rest/v1/rpc/{name}_volatile"),
            http.post(f"/rest/v1/rpc/{name}_stable", json={}),
        ):
            assert request.status_code >= 400
        assert http.get(f"/rest/v1/{table}").json() == []
        assert http.post(f"/rest/v1/rpc/{name}_volatile", json={}).json() == 1
        assert http.get(f"/rest/v1/{table}").json() == [{"id": 1}]
    finally:
        db.execute(f"drop function public.{name}_volatile, public.{name}_stable")


def test_statement_timeout_of_anon(http: httpx.Client, db: Database) -> None:
    """A query of anon ends after its three seconds (57014)."""
    name = new_name("f")
    db.execute(
        f"create function public.{name}() returns int language sql as 'select 1 from pg_sleep(20)'"
    )
    try:
        started = time.monotonic()
        response = http.post(f"/rest/v1/rpc/{name}", json={}, timeout=15)
        assert time.monotonic() - started < 6
        assert (response.status_code, response.json()["code"]) == (500, "57014")
    finally:
        db.execute(f"drop function public.{name}")


def test_schemas_that_are_not_exposed(http: httpx.Client, admin: Client, db: Database) -> None:
    """Schema auth and a schema of one's own are not in the API."""
    schema = new_name("s")
    db.execute(f"create schema {schema}; create table {schema}.hidden (id int)")
    try:
        with refused(PostgrestAPIError, "PGRST205"):
            admin.table("hidden").select("*").execute()
        for profile in (schema, "auth"):
            response = http.get("/rest/v1/users", headers={"accept-profile": profile})
            assert (response.status_code, response.json()["code"]) == (406, "PGRST106")
    finally:
        db.execute(f"drop schema {schema} cascade")


# Auth --------------------------------------------------------------------------------------------


def test_sign_up_makes_user_identity_and_claims(
    connect: Connect, stack: Stack, admin: Client, db: Database
) -> None:
    """Sign-up gives a session, metadata as a jsonb object, and a token like GoTrue's."""
    client, email = connect(), new_email()
    answer = client.auth.sign_up(
        {"email": email, "password": PASSWORD, "options": {"data": {"display_name": "Ann"}}}
    )
    assert answer.user is not None
    assert answer.session is not None
    try:
        row = db.execute(
            "select jsonb_typeof(raw_user_meta_data), raw_user_meta_data ->> 'display_name', "
            "jsonb_typeof(raw_app_meta_data), (select count(*) from auth.identities i "
            "where i.user_id = u.id and jsonb_typeof(identity_data) = 'object') "
            "from auth.users u where id = %s",
            [answer.user.id],
        ).fetchone()
        assert row == ("object", "Ann", "object", 1)
        claims = decode(answer.session.access_token)
        assert claims["sub"] == answer.user.id
        assert claims["aud"] == claims["role"] == "authenticated"
        assert claims["email"] == email
        assert claims["app_metadata"] == {"provider": "email", "providers": ["email"]}
        assert claims["user_metadata"]["display_name"] == "Ann"
        assert claims["aal"] == "aal1"
        assert claims["amr"][0]["method"] == "password"
        assert isinstance(claims["amr"][0]["timestamp"], int)
        assert claims["is_anonymous"] is False
        assert claims["iss"] == f"{stack.api_url}/auth/v1"
        assert claims["exp"] - claims["iat"] == 3600
        session = db.execute(
            "select user_id::text from auth.sessions where id = %s", [claims["session_id"]]
        ).fetchone()
        assert session == (answer.user.id,)
        with refused(AuthError, "user_already_exists"):
            connect().auth.sign_up({"email": email.upper(), "password": PASSWORD})
    finally:
        admin.auth.admin.delete_user(answer.user.id)


def test_sign_in_and_its_refusals(connect: Connect, make_person: MakePerson) -> None:
    """A wrong password and an unknown address are one error; a weak password is refused."""
    person = make_person()
    for email, password in ((person.email, "wrong password"), (new_email(), PASSWORD)):
        with refused(AuthError, "invalid_credentials"):
            connect().auth.sign_in_with_password({"email": email, "password": password})
    with refused(AuthError, "weak_password"):
        connect().auth.sign_up({"email": new_email(), "password": "12345"})


def test_refresh_keeps_the_session(make_person: MakePerson) -> None:
    """A refreshed token is of the same session and has the same claims."""
    person = make_person(app_metadata={"team": "blue"})
    before = decode(person.token)
    session = person.client.auth.refresh_session().session
    assert session is not None
    after = decode(session.access_token)
    for claim in ("session_id", "sub", "amr", "app_metadata", "email", "role"):
        assert after[claim] == before[claim]
    assert after["app_metadata"]["team"] == "blue"
    assert person.client.auth.get_user() is not None


def test_sign_out_ends_the_session(
    connect: Connect,
    http: httpx.Client,
    make_person: MakePerson,
    db: Database,
) -> None:
    """After sign-out the session's row is gone, and neither of its tokens is of use to Auth."""
    person = make_person()
    session = person.client.auth.get_session()
    assert session is not None
    person.client.auth.sign_out()
    counted = "select count(*) from auth.sessions where user_id = %s"
    assert db.execute(counted, [person.id]).fetchone() == (0,)
    with refused(AuthError, "refresh_token_not_found"):
        connect().auth.refresh_session(session.refresh_token)
    response = http.get(
        "/auth/v1/user", headers={"authorization": f"Bearer {session.access_token}"}
    )
    assert (response.status_code, response.json()["error_code"]) == (403, "session_not_found")


def test_update_user(connect: Connect, make_person: MakePerson) -> None:
    """A user changes their password and metadata, and the new token has the new metadata."""
    person = make_person(user_metadata={"a": 1, "b": 2})
    changed = person.client.auth.update_user(
        {"password": "another password", "data": {"b": 3, "c": {"d": [1]}}}
    )
    assert changed is not None
    assert {**changed.user.user_metadata, "email_verified": True} == {
        "a": 1,
        "b": 3,
        "c": {"d": [1]},
        "email_verified": True,
    }
    again = connect().auth.sign_in_with_password(
        {"email": person.email, "password": "another password"}
    )
    assert again.session is not None
    assert decode(again.session.access_token)["user_metadata"]["c"] == {"d": [1]}
    with refused(AuthError, "invalid_credentials"):
        connect().auth.sign_in_with_password({"email": person.email, "password": PASSWORD})


def test_a_deleted_user_is_gone(make_person: MakePerson, db: Database) -> None:
    """Deleting a row of auth.users takes what hangs on it along; the old token finds nobody."""
    person = make_person()
    db.execute("delete from auth.users where id = %s", [person.id])
    for table in ("identities", "sessions"):
        counted = db.execute(
            sql.SQL("select count(*) from auth.{} where user_id = %s").format(
                sql.Identifier(table)
            ),
            [person.id],
        )
        assert counted.fetchone() == (0,)
    with refused(AuthError, "user_not_found"):
        person.client.auth.get_user()


def test_a_user_that_sql_made_can_sign_in(connect: Connect, db: Database) -> None:
    """The insert that seed files use, with pgcrypto's hash, makes a user who can sign in."""
    user, email = str(uuid.uuid4()), new_email()
    db.execute(
        """insert into auth.users (instance_id, id, aud, role, email, encrypted_password,
             email_confirmed_at, raw_app_meta_data, raw_user_meta_data, created_at, updated_at,
             confirmation_token, email_change, email_change_token_new, recovery_token)
           values ('00000000-0000-0000-0000-000000000000', %s, 'authenticated', 'authenticated',
             %s, extensions.crypt(%s, extensions.gen_salt('bf')), now(),
             '{"provider":"email","providers":["email"]}', '{"k":1}', now(), now(),
             '', '', '', '')""",
        [user, email, PASSWORD],
    )
    try:
        answer = connect().auth.sign_in_with_password({"email": email, "password": PASSWORD})
        assert answer.user is not None
        assert answer.user.id == user
        assert answer.user.user_metadata == {"k": 1}
    finally:
        db.execute("delete from auth.users where id = %s", [user])


def test_sign_up_triggers(
    connect: Connect, admin: Client, db: Database, make_table: MakeTable
) -> None:
    """A definer's trigger sees the metadata as an object; one that is not fails as on Supabase."""
    table = make_table("id uuid references auth.users (id) on delete cascade, name text")
    name = new_name("tg")
    address = new_email()
    body = f"""create or replace function public.{name}() returns trigger language plpgsql %s
      set search_path = '' as $$ begin
        if new.email = '{address}' then
          insert into public.{table} values (new.id, new.raw_user_meta_data ->> 'display_name');
        end if;
        return new; end $$"""
    db.execute(f"revoke all on public.{table} from supabase_auth_admin, public")
    db.execute(body % "security definer")
    db.execute(
        f"create trigger {name} after insert on auth.users for each row "
        f"execute function public.{name}()"
    )
    credentials: Any = {
        "email": address,
        "password": PASSWORD,
        "options": {"data": {"display_name": "Ann"}},
    }
    try:
        user = connect().auth.sign_up(credentials).user
        assert user is not None
        found = db.execute(f"select id::text, name from public.{table}").fetchall()
        assert found == [(user.id, "Ann")]
        admin.auth.admin.delete_user(user.id)
        assert db.execute(f"select count(*) from public.{table}").fetchone() == (0,)
        db.execute(body % "security invoker")
        with pytest.raises(AuthError, match="Database error saving new user") as caught:
            connect().auth.sign_up(credentials)
        assert caught.value.code == "unexpected_failure"
        with pytest.raises(AuthError, match="Database error creating new user"):
            admin.auth.admin.create_user({"email": address})
        kept = db.execute("select count(*) from auth.users where email = %s", [address]).fetchone()
        assert kept == (0,)
    finally:
        db.execute(f"drop trigger {name} on auth.users; drop function public.{name}()")


# Auth, the admin's part --------------------------------------------------------------------------


def test_admin_creates_and_reads_a_user(stack: Stack, admin: Client, db: Database) -> None:
    """All attributes of a user that an admin makes come back, and are in the table as objects."""
    email, phone = new_email(), f"1555{int(time.time_ns()) % 10**9:09}"
    wanted = str(uuid.uuid4())
    user = admin.auth.admin.create_user(
        {
            "id": wanted,
            "email": email.upper(),
            "phone": f"+{phone}",
            "password": PASSWORD,
            "email_confirm": True,
            "phone_confirm": True,
            "user_metadata": {"name": "Ann"},
            "app_metadata": {"team": [1]},
            "role": "service_role",
        }
    ).user
    try:
        assert user.id == wanted
        assert user.email == email
        assert user.phone == phone
        assert user.email_confirmed_at is not None
        assert user.phone_confirmed_at is not None
        assert user.role == "service_role"
        assert user.user_metadata == {"name": "Ann", "email_verified": True}
        assert user.app_metadata == {
            "provider": "email",
            "providers": ["email", "phone"],
            "team": [1],
        }
        assert user.identities is not None
        assert {each.provider for each in user.identities} == {"email", "phone"}
        assert user.identities[0].identity_data["sub"] == wanted
        assert admin.auth.admin.get_user_by_id(wanted).user == user
        kinds = db.execute(
            "select jsonb_typeof(raw_user_meta_data), jsonb_typeof(raw_app_meta_data) "
            "from auth.users where id = %s",
            [wanted],
        ).fetchone()
        assert kinds == ("object", "object")
        with refused(AuthError, "email_exists"):
            admin.auth.admin.create_user({"email": email})
        with refused(AuthError, "phone_exists"):
            admin.auth.admin.create_user({"phone": phone})
    finally:
        admin.auth.admin.delete_user(wanted)


def test_an_unconfirmed_user_cannot_sign_in(connect: Connect, admin: Client) -> None:
    """Without email_confirm the address is not confirmed; an update confirms it."""
    email = new_email()
    user = admin.auth.admin.create_user({"email": email, "password": PASSWORD}).user
    try:
        assert user.email_confirmed_at is None
        credentials: Any = {"email": email, "password": PASSWORD}
        with refused(AuthError, "email_not_confirmed"):
            connect().auth.sign_in_with_password(credentials)
        admin.auth.admin.update_user_by_id(user.id, {"email_confirm": True})
        assert connect().auth.sign_in_with_password(credentials).session is not None
    finally:
        admin.auth.admin.delete_user(user.id)


def test_admin_updates_a_user(
    connect: Connect,
    admin: Client,
    make_person: MakePerson,
    db: Database,
) -> None:
    """Metadata is merged (null removes), the address moves with its identity, sessions end."""
    person = make_person(user_metadata={"a": 1, "b": 2}, app_metadata={"x": 1})
    email = new_email()
    user = admin.auth.admin.update_user_by_id(
        person.id,
        {
            "email": email,
            "password": "another password",
            "user_metadata": {"b": None, "c": 3},
            "app_metadata": {"y": 2},
        },
    ).user
    assert user.email == email
    assert user.user_metadata == {"a": 1, "c": 3, "email_verified": True}
    assert user.app_metadata == {"provider": "email", "providers": ["email"], "x": 1, "y": 2}
    assert user.identities is not None
    assert user.identities[0].identity_data["email"] == email
    counted = "select count(*) from auth.sessions where user_id = %s"
    assert db.execute(counted, [person.id]).fetchone() == (0,)
    credentials: Any = {"email": email, "password": "another password"}
    assert connect().auth.sign_in_with_password(credentials).session is not None
    with refused(AuthError, "email_exists"):
        admin.auth.admin.update_user_by_id(person.id, {"email": make_person().email})


def test_a_banned_user_is_kept_out(
    connect: Connect, admin: Client, make_person: MakePerson
) -> None:
    """A ban refuses sign-in and refresh until it is lifted."""
    person = make_person()
    user = admin.auth.admin.update_user_by_id(person.id, {"ban_duration": "1h30m"}).user
    assert user.id == person.id
    credentials: Any = {"email": person.email, "password": PASSWORD}
    with refused(AuthError, "user_banned"):
        connect().auth.sign_in_with_password(credentials)
    with refused(AuthError, "user_banned"):
        person.client.auth.refresh_session()
    admin.auth.admin.update_user_by_id(person.id, {"ban_duration": "none"})
    assert connect().auth.sign_in_with_password(credentials).session is not None
    with refused(AuthError, "validation_failed"):
        admin.auth.admin.update_user_by_id(person.id, {"ban_duration": "a while"})


def test_admin_lists_users(stack: Stack, admin: Client, make_person: MakePerson) -> None:
    """Pages hold each user once, newest first, and the headers tell how many there are."""
    people = [make_person() for _ in range(3)]
    found: list[str] = []
    page = 1
    while users := admin.auth.admin.list_users(page=page, per_page=2):
        assert len(users) <= 2
        found += [each.id for each in users]
        page += 1
    assert {each.id for each in people} <= set(found)
    response = httpx.get(
        f"{stack.api_url}/auth/v1/admin/users?per_page=1", headers={"apikey": stack.secret_key}
    )
    assert int(response.headers["x-total-count"]) >= 3
    assert 'rel="next"' in response.headers["link"]
    assert response.json()["aud"] == "authenticated"


def test_admin_deletes_a_user(admin: Client, make_person: MakePerson) -> None:
    """A deleted user is 404, and so is their next deletion; a soft one keeps an unreadable row."""
    hard, soft = make_person(), make_person()
    admin.auth.admin.delete_user(hard.id)
    for call in (admin.auth.admin.get_user_by_id, admin.auth.admin.delete_user):
        with refused(AuthError, "user_not_found"):
            call(hard.id)
    admin.auth.admin.delete_user(soft.id, should_soft_delete=True)
    user = admin.auth.admin.get_user_by_id(soft.id).user
    assert user.email != soft.email
    assert user.user_metadata == {}
    again = make_person(email=soft.email)
    assert again.id != soft.id
    admin.auth.admin.delete_user(soft.id)


def test_the_admin_api_is_for_admins(
    connect: Connect, stack: Stack, make_person: MakePerson, http: httpx.Client
) -> None:
    """Anonymous and signed-in users are refused; the legacy key is as good as the secret one."""
    assert http.get("/auth/v1/admin/users").json()["error_code"] == "not_admin"
    token = make_person().token
    for bearer, status, code in (
        (token, 403, "not_admin"),
        (sign({"role": "service_role"}, "wrong" * 9), 403, "bad_jwt"),
    ):
        response = http.get("/auth/v1/admin/users", headers={"authorization": f"Bearer {bearer}"})
        assert (response.status_code, response.json()["error_code"]) == (status, code)
    assert connect(stack.service_role_key).auth.admin.list_users()


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({}, "validation_failed"),
        ({"email": "no address"}, "validation_failed"),
        ({"phone": "abc"}, "validation_failed"),
        ({"email": "a@example.com", "password": "short"}, "weak_password"),
        ({"email": "a@example.com", "password": "é" * 40}, "validation_failed"),  # 80 bytes
        ({"email": "a@example.com", "id": "7"}, "validation_failed"),
        ({"email": 5}, "bad_json"),
        ({"email": "a@example.com", "user_metadata": [1]}, "bad_json"),
    ],
)
def test_admin_refuses_what_is_no_user(
    admin: Client, attributes: dict[str, Any], code: str
) -> None:
    """Attributes that GoTrue refuses are refused with its code."""
    with refused(AuthError, code):
        admin.auth.admin.create_user(attributes)  # type: ignore[arg-type]


def test_a_password_has_at_most_72_bytes(connect: Connect, make_person: MakePerson) -> None:
    """A password of which bcrypt would drop the end is refused at sign-up and in a change."""
    with refused(AuthError, "validation_failed"):
        connect().auth.sign_up({"email": new_email(), "password": "é" * 37})
    person = make_person()
    with refused(AuthError, "validation_failed"):
        person.client.auth.update_user({"password": "é" * 37})
    person.client.auth.update_user({"password": "é" * 36})


def test_anonymous_sign_in_is_off(connect: Connect) -> None:
    """Anonymous sign-in is refused where the configuration does not allow it."""
    with refused(AuthError, "anonymous_provider_disabled"):
        connect().auth.sign_in_anonymously()


def test_what_auth_does_not_have_says_so(stack: Stack) -> None:
    """MFA, SSO, invitations and links are 501 with a word on where they are."""
    for path in ("factors", "sso", "invite", "admin/generate_link"):
        response = httpx.post(
            f"{stack.api_url}/auth/v1/{path}", json={}, headers={"apikey": stack.secret_key}
        )
        assert response.status_code == 501
        assert "Docker" in response.json()["msg"]


# The database as Supabase makes it ---------------------------------------------------------------


def test_postgres_is_no_superuser(db: Database) -> None:
    """Role postgres has what Supabase's has, and no more."""
    row = db.execute(
        "select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls "
        "from pg_roles where rolname = current_user"
    ).fetchone()
    assert row == (False, True, True, True, True)


def test_nobody_is_a_superuser(stack: Stack, db: Database) -> None:
    """No superuser has a password, known or not, and nothing is connected as one."""
    assert db.execute(
        "select rolname from pg_authid where rolsuper and rolpassword is not null"
    ).fetchall() == []  # fmt: skip
    assert db.execute(
        "select rolname, application_name from pg_stat_activity join pg_roles "
        "on oid = usesysid where rolsuper and backend_type = 'client backend'"
    ).fetchall() == []  # fmt: skip
    for password in ("postgres", ""):
        url = stack.db_url.replace("//postgres:postgres@", f"//supabase_admin:{password}@")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url)


def test_nothing_of_postgres_runs_as_superuser(
    admin: Client, db: Database, make_table: MakeTable
) -> None:
    """The gateway reads the schema, and a function that it calls unwittingly gains nothing."""
    name = make_table("who text")
    # A better match than pg_catalog's own, for a call with two literals.
    db.execute(
        "create function public.pg_has_role(text, oid, text) returns boolean language plpgsql "
        f"as $$begin insert into public.{name} values (session_user); return true; end$$"
    )
    try:
        db.execute("analyze pg_type")  # so that a statement that was prepared is read again
        db.execute("notify pgrst, 'reload schema'")
        rows: Any = admin.table(name).select("who").execute().data
        assert {row["who"] for row in rows} <= {"postgres"}
    finally:
        db.execute("drop function public.pg_has_role(text, oid, text)")


def test_what_postgres_may_do_on_auth(db: Database, make_table: MakeTable) -> None:
    """Triggers, policies, references, rows, grants to read: yes. Changing what is Auth's: no."""
    name = new_name("g")
    make_table("id uuid references auth.users (id)")
    db.execute(
        f"create function public.{name}() returns trigger language plpgsql "
        "as 'begin return new; end'"
    )
    db.execute(f"create role {name}")
    try:
        for statement in (
            f"create trigger {name} before update on auth.users execute function public.{name}()",
            f"drop trigger {name} on auth.users",
            f"create policy {name} on auth.users for select using (false)",
            f"drop policy {name} on auth.users",
            f"grant select on auth.users to {name}",
            f"revoke select on auth.users from {name}",
            "update auth.users set updated_at = updated_at where false",
        ):
            db.execute(statement)
        for statement in (
            "create table auth.mine (id int)",
            "create function auth.mine() returns int language sql as 'select 1'",
            "alter table auth.users add column mine int",
            "alter table auth.users disable row level security",
            "create index on auth.users (aud)",
            "drop table auth.users cascade",
            "drop function auth.uid() cascade",
            "create or replace function auth.uid() returns uuid language sql return null::uuid",
            "set role supabase_auth_admin",
            "alter role supabase_admin password 'x'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(statement)
    finally:
        db.execute(f"drop function public.{name}(); grant {name} to postgres")
        db.execute(f"drop owned by {name}; drop role {name}")


ACLS = """
select name, owner, item.* from (
  select oid::regclass::text as name, relowner as owner,
    coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))
      as acl
  from pg_class where relnamespace = 'auth'::regnamespace
  union all select attrelid::regclass::text || attnum, 0, attacl from pg_attribute
    where attrelid = 'auth.users'::regclass
  union all select oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner))
    from pg_proc where pronamespace = 'auth'::regnamespace
  union all select defaclobjtype::text, defaclrole, defaclacl from pg_default_acl
) as each cross join aclexplode(acl) as item order by name, owner, item.*
"""


@pytest.mark.parametrize(
    "statement",
    [
        "revoke all on auth.users from supabase_auth_admin",
        "revoke select on auth.users from dashboard_user",
        "revoke select, insert on auth.users from postgres cascade",
        "grant insert, update on auth.users to anon",
        "grant update (email) on auth.users to anon",
        "grant insert on all tables in schema auth to anon",
        "grant insert on auth.users to anon with grant option",
        "grant execute on function auth.uid() to anon",
        "revoke execute on function auth.uid() from public",
        "do $$begin execute 'grant delete on auth.users to public'; end$$",
    ],
)
def test_grants_on_auth_that_are_not_postgres_to_make(db: Database, statement: str) -> None:
    """A grant of what postgres may not grant on does nothing and warns, as from anybody else."""
    said: list[str] = []
    db.add_notice_handler(lambda notice: said.append(f"{notice.severity} {notice.message_primary}"))
    before = db.execute(ACLS).fetchall()
    with db.transaction(force_rollback=True):
        db.execute(statement)
        assert db.execute(ACLS).fetchall() == before
    word = "could be revoked" if statement.startswith("revoke") else "were granted"
    assert said
    assert all(re.match(rf"WARNING no privileges {word} for ", each) for each in said)


def test_grants_on_auth_that_postgres_makes(db: Database) -> None:
    """Select on a table may be handed on and taken back, also by column; of all, that is left."""
    role = new_name("r")
    query = "select has_table_privilege(%s, 'auth.users', %s)"

    def has(*privileges: str) -> list[bool]:
        rows = [db.execute(query, [role, each]).fetchone() for each in privileges]
        return [row == (True,) for row in rows]

    with db.transaction(force_rollback=True):
        db.execute(f"create role {role}; grant all on auth.users to {role}")
        assert has("select", "insert", "update", "delete", "trigger") == [True] + [False] * 4
        db.execute(f"revoke all on auth.users from {role}")
        assert has("select") == [False]
        db.execute(f"grant select (email) on auth.users to {role}")
        assert has("select") == [False]
        assert db.execute(
            "select has_column_privilege(%s, 'auth.users', 'email', 'select')", [role]
        ).fetchone() == (True,)
        db.execute(f"grant select on auth.users to {role} with grant option")
        assert has("select with grant option") == [True]
        db.execute(f"revoke select on auth.users from {role}")
        assert has("select") == [False]
        # And elsewhere everything is as ever.
        db.execute(f"create table public.{role} (); grant all on public.{role} to {role}")


@pytest.mark.parametrize(
    "statement",
    [
        (
            "alter default privileges for role supabase_auth_admin in schema auth "
            "revoke all on tables from postgres"
        ),
        "alter default privileges for role supabase_auth_admin grant insert on tables to anon",
        "drop owned by supabase_auth_admin cascade",
    ],
)
def test_what_is_auths_stays_auths(db: Database, statement: str) -> None:
    """Postgres neither gives what Auth owns away nor settles what others get of it."""
    before = db.execute(ACLS).fetchall()
    with db.transaction(force_rollback=True):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), db.transaction():
            db.execute(statement)
        assert db.execute(ACLS).fetchall() == before


def test_what_migrations_do(db: Database) -> None:
    """Role postgres makes schemas, trusted extensions and publications' members."""
    name = new_name("s")
    with db.transaction(force_rollback=True):
        db.execute(f"create schema {name}; create schema if not exists supabase_migrations")
        for extension in ("pg_trgm", "citext", "btree_gist", "hstore", "ltree"):
            db.execute(f"create extension if not exists {extension} with schema extensions")
        db.execute("create extension if not exists pgcrypto with schema extensions")
        db.execute(f"create table public.{name} (id uuid default extensions.uuid_generate_v4())")
        db.execute(f"alter publication supabase_realtime add table public.{name}")
        db.execute(f"alter table public.{name} replica identity full")
        db.execute(f"create role {name}; grant {name} to authenticator; grant anon to {name}")
        assert db.execute(
            "select count(*) from pg_publication_tables where tablename = %s", [name]
        ).fetchone() == (1,)


def test_default_privileges(db: Database, make_table: MakeTable) -> None:
    """What postgres makes in public is open to the API roles; tables of auth are not."""
    table = make_table("id serial")
    for role in ("anon", "authenticated", "service_role"):
        row = db.execute(
            "select has_table_privilege(%(r)s, %(t)s, 'select,insert,update,delete'), "
            "has_sequence_privilege(%(r)s, %(s)s, 'usage'), "
            "has_table_privilege(%(r)s, 'auth.users', 'select'), "
            "has_schema_privilege(%(r)s, 'auth', 'usage'), "
            "has_schema_privilege(%(r)s, 'public', 'create')",
            {"r": role, "t": f"public.{table}", "s": f"public.{table}_id_seq"},
        ).fetchone()
        assert row == (True, True, False, True, False)


def test_auth_tables_are_closed(db: Database) -> None:
    """Every table of auth is supabase_auth_admin's and has row level security."""
    rows = db.execute(
        "select relname, relrowsecurity, pg_get_userbyid(relowner) from pg_class "
        "where relnamespace = 'auth'::regnamespace and relkind = 'r'"
    ).fetchall()
    assert {"users", "identities", "sessions", "refresh_tokens"} <= {row[0] for row in rows}
    assert all(row[1:] == (True, "supabase_auth_admin") for row in rows)


@pytest.mark.parametrize("setting", ["request.jwt.claim.{}", "request.jwt.claims"])
def test_auth_functions_read_both_spellings(db: Database, setting: str) -> None:
    """auth.uid(), role() and email() know a claim by its own setting and in the whole."""
    claims = {"sub": str(uuid.uuid4()), "role": "authenticated", "email": "a@example.com"}
    with db.transaction(force_rollback=True):
        if "{}" in setting:
            for name, value in claims.items():
                db.execute("select set_config(%s, %s, true)", [setting.format(name), value])
        else:
            db.execute("select set_config(%s, %s, true)", [setting, json.dumps(claims)])
        row = db.execute(
            "select auth.uid()::text, auth.role(), auth.email(), auth.jwt()"
        ).fetchone()
    assert row is not None
    assert row[:3] == tuple(claims.values())
    assert row[3] == (None if "{}" in setting else claims)


def test_a_new_password_ends_the_other_sessions(
    connect: Connect, make_person: MakePerson, db: Database
) -> None:
    """As in GoTrue, the session that changes the password is kept, and every other one is over."""
    person = make_person()
    kept = decode(person.token)["session_id"]
    elsewhere = connect()
    elsewhere.auth.sign_in_with_password({"email": person.email, "password": PASSWORD})
    left = "select id::text from auth.sessions where user_id = %s"
    person.client.auth.update_user({"data": {"a": 1}})
    assert len(db.execute(left, [person.id]).fetchall()) == 2
    person.client.auth.update_user({"password": "another password"})
    assert db.execute(left, [person.id]).fetchall() == [(kept,)]
    with refused(AuthError, "refresh_token_not_found"):
        elsewhere.auth.refresh_session()
    person.client.auth.refresh_session()


def test_where_a_request_came_from(stack: Stack, db: Database, http: httpx.Client) -> None:
    """As behind Kong, a request's headers end with the address that it came from."""
    name = new_name("seen")
    db.execute(
        f"create function public.{name}() returns text language sql stable as "
        "$$ select current_setting('request.headers')::json ->> 'x-forwarded-for' $$"
    )
    try:
        for given, seen in (
            ({}, "127.0.0.1"),
            ({"x-forwarded-for": "192.0.2.1"}, "192.0.2.1, 127.0.0.1"),
        ):
            reply = http.post(f"/rest/v1/rpc/{name}", headers=given, json={})
            assert reply.json() == seen
    finally:
        db.execute(f"drop function public.{name}()")
