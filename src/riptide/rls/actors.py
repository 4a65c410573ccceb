"""Who tries: two users made through the Auth API, a caller who is not signed in, a server."""

from __future__ import annotations

import base64
import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from riptide._interrupts import deferred, ignored
from riptide.errors import RlsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from psycopg import Connection
    from supabase import Client

ADDRESS = "riptide-rls-{}@example.com"
MARK = {"riptide_rls": True}
_TIMEOUT = 15.0


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where to try.

    Attributes:
        name: For a person; no password in it.
        api_url: The API.
        db_url: The database, as a role that owns the tables and may become the API's roles.
        publishable_key: For clients; the legacy anon key does as well.
        secret_key: For servers; the legacy service role key does as well.
        remedy: What to do where it does not answer.
    """

    name: str
    api_url: str
    db_url: str = field(repr=False)
    publishable_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Somebody who sends requests.

    Attributes:
        name: ``owner``, ``other``, ``anon`` or ``service_role``: as in `RlsCheck.actor`.
        role: The database role that the requests run as.
        client: supabase-py, signed in.
        user_id: The user's id; empty for anon and the service role.
        claims: The token's claims, as the database sees them.
    """

    name: str
    role: str
    client: Client = field(repr=False)
    user_id: str = ""
    claims: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Actors:
    """All of them."""

    owner: Actor
    other: Actor
    anon: Actor
    service_role: Actor

    @property
    def user_ids(self) -> tuple[str, str]:
        """The ids of the two users."""
        return self.owner.user_id, self.other.user_id


@contextmanager
def open_actors(endpoint: Endpoint, connection: Connection[Any], run: str) -> Iterator[Actors]:
    """Make the users and sign them in; afterwards they are gone, whatever happened.

    Args:
        endpoint: Where.
        connection: The same endpoint's database, to make sure that no user stays behind.
        run: The verification's name, which is in their addresses.

    Raises:
        RlsError: The API does not answer, a key is not valid, or users are refused.
    """
    import httpx

    emails = [ADDRESS.format(f"{run}-{letter}") for letter in "ab"]
    # One client for all: its connections are kept open, and a TLS context is costly to make.
    http = httpx.Client(timeout=_TIMEOUT, verify=endpoint.api_url.startswith("https:"))
    made: list[str] = []
    service = make_client(endpoint, endpoint.secret_key, http)
    try:
        users = [
            _make_user(endpoint, service, http, name, email, made)
            for name, email in zip(("owner", "other"), emails, strict=True)
        ]
        yield Actors(
            owner=users[0],
            other=users[1],
            anon=Actor(
                name="anon",
                role="anon",
                client=make_client(endpoint, endpoint.publishable_key, http),
                claims={"role": "anon"},
            ),
            service_role=Actor(name="service_role", role="service_role", client=service),
        )
    finally:
        with ignored():
            _remove_users(service, connection, made, emails)
            http.close()


def make_client(endpoint: Endpoint, key: str, http: httpx.Client) -> Client:
    """Give a client that is signed in as nobody yet and keeps its session to itself.

    Args:
        endpoint: Whose.
        key: The publishable or the secret one.
        http: Shared by all clients; who made it closes it.
    """
    from supabase import create_client
    from supabase.lib.client_options import SyncClientOptions

    return create_client(
        endpoint.api_url,
        key,
        SyncClientOptions(
            # A timer that refreshes tokens would outlive the run.
            auto_refresh_token=False,
            persist_session=False,
            postgrest_client_retry=False,
            httpx_client=http,
        ),
    )


def _make_user(
    endpoint: Endpoint,
    service: Client,
    http: httpx.Client,
    name: str,
    email: str,
    made: list[str],
) -> Actor:
    import httpx
    from supabase_auth.errors import AuthError

    password = secrets.token_urlsafe(24)
    doing, key_name = "create a user", "secret"
    client = make_client(endpoint, endpoint.publishable_key, http)
    try:
        with deferred():
            user = service.auth.admin.create_user(
                {
                    "email": email,
                    "password": password,
                    "email_confirm": True,
                    "app_metadata": MARK,
                    "user_metadata": {"display_name": f"RLS verification ({name})"},
                }
            ).user
            made.append(user.id)
        doing, key_name = "sign a user in", "publishable"
        session = client.auth.sign_in_with_password({"email": email, "password": password}).session
    except (AuthError, httpx.HTTPError) as error:
        raise _explain(endpoint, error, doing, key_name) from error
    if session is None:
        raise RlsError("the Auth API signed a user in without a session", next_step=endpoint.remedy)
    return Actor(
        name=name,
        role="authenticated",
        client=client,
        user_id=user.id,
        claims=claims_of(session.access_token),
    )


def _explain(endpoint: Endpoint, error: Exception, doing: str, key_name: str) -> RlsError:
    status = getattr(error, "status", 0) or 0
    code = str(getattr(error, "code", "") or "")
    words = getattr(error, "message", "") or str(error)
    state = "nothing was tried; no user is left behind"
    if status in (0, 502, 503, 504):
        return RlsError(
            f"the API at {endpoint.api_url} does not answer",
            detail=f"  {words}",
            state=state,
            next_step=endpoint.remedy,
        )
    if status == 401 or "api_key" in code or code in ("bad_jwt", "no_authorization", "not_admin"):
        return RlsError(
            f"the API at {endpoint.api_url} does not accept the {key_name} key ({status})",
            detail=f"  {words}",
            state=state,
            next_step=f"check SUPABASE_{key_name.upper()}_KEY",
        )
    return RlsError(
        f"the Auth API would not {doing}: {words} ({code or status})",
        detail="  Verification takes two users with an e-mail address and a password."
        " config.toml: [auth.email] enabled.",
        state=state,
        next_step="allow that, then `inv rls.verify`",
    )


def claims_of(token: str) -> dict[str, Any]:
    """Read a token's claims; its signature is not looked at."""
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return dict(claims)


def _remove_users(
    service: Client, connection: Connection[Any], made: list[str], emails: list[str]
) -> None:
    """Delete the users as an application would; by SQL those that this did not reach."""
    import httpx
    import psycopg
    from supabase_auth.errors import AuthError

    left = list(made)
    for user_id in made:
        try:
            service.auth.admin.delete_user(user_id)
            left.remove(user_id)
        except (AuthError, httpx.HTTPError):
            break
    try:
        # Also finds one whose making was interrupted before its id was known here.
        connection.execute("delete from auth.users where email = any(%s)", (emails,))
    except psycopg.Error as error:
        if left:
            raise RlsError(
                "the users made for the verification could not be deleted",
                detail=f"  {error}",
                state=f"left in auth.users: {', '.join(emails)}",
                next_step="delete them, for instance in Supabase Studio",
            ) from error
