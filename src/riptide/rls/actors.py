"""Who tries: users made through the Auth API, callers who are nobody or pretend, a server."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from riptide._interrupts import ignored
from riptide._jwt import signed
from riptide.rls.tokens import claims_of, expired, forged, metadata_to_claim, unsigned
from riptide.rls.users import Users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import httpx
    from psycopg import Connection
    from supabase import Client

    from riptide.rls.endpoint import Endpoint

_TIMEOUT = 15.0


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Somebody who sends requests.

    Attributes:
        name: As in `RlsCheck.actor`.
        role: The database role that the requests run as.
        client: supabase-py, signed in; ``None`` where such a token cannot be had here.
        user_id: The user's id; empty for who is no user.
        claims: The token's claims, as the database sees them.
        silent: What stands in place of the claims, where that is no object with something in it.
    """

    name: str
    role: str
    client: Client | None = field(repr=False, default=None)
    user_id: str = ""
    claims: dict[str, Any] = field(default_factory=dict, repr=False)
    silent: str | None = None

    @property
    def claims_text(self) -> str:
        """What PostgREST puts into ``request.jwt.claims``."""
        return json.dumps(self.claims) if self.silent is None else self.silent


@dataclass(frozen=True, kw_only=True)
class Actors:
    """All of them.

    Attributes:
        owner: The user whose rows they are.
        other: Another user.
        anon: A caller who is not signed in.
        service_role: A server.
        empty: A user who has no row in any table.
        claimant: The same user, who has written into their own metadata that they are an admin.
        no_sub: A token of a signed-in user that does not say whose.
        bad_tokens: The owner's token, expired, signed by somebody else, and by nobody; ``name``
            says which.
        not_tried: Why some of this cannot be tried here, for a person.
    """

    owner: Actor
    other: Actor
    anon: Actor
    service_role: Actor
    empty: Actor
    claimant: Actor
    no_sub: Actor
    bad_tokens: tuple[Actor, ...]
    not_tried: tuple[str, ...] = ()

    @property
    def user_ids(self) -> tuple[str, ...]:
        """The ids of the users."""
        return self.owner.user_id, self.other.user_id, self.empty.user_id


@contextmanager
def open_actors(
    endpoint: Endpoint, connection: Connection[Any], run: str, texts: Iterable[str] = ()
) -> Iterator[Actors]:
    """Make the users and sign them in; afterwards they are gone, whatever happened.

    Args:
        endpoint: Where.
        connection: The same endpoint's database, to make sure that no user stays behind.
        run: The verification's name, which is in their addresses.
        texts: Policies and functions, for what a user could claim to be.

    Raises:
        RlsError: The API does not answer, a key is not valid, or users are refused.
    """
    import httpx

    # One client for all: its connections are kept open, and a TLS context is costly to make.
    http = httpx.Client(timeout=_TIMEOUT, verify=endpoint.api_url.startswith("https:"))
    service = make_client(endpoint, endpoint.secret_key, http)
    users = Users(endpoint, service, run)
    try:
        yield _actors(endpoint, http, service, users, texts)
    finally:
        with ignored():
            users.remove(connection)
            http.close()


def _actors(
    endpoint: Endpoint, http: httpx.Client, service: Client, users: Users, texts: Iterable[str]
) -> Actors:
    def client(token: str | None = None) -> Client:
        return make_client(endpoint, endpoint.publishable_key, http, token)

    def user(name: str) -> Actor:
        made, signed_in = users.make(name), client()
        return Actor(
            name=name,
            role="authenticated",
            client=signed_in,
            user_id=made.user_id,
            claims=claims_of(users.sign_in(signed_in, made)),
        )

    def pretender(name: str, token: str, claims: dict[str, Any]) -> Actor:
        return Actor(name=name, role="authenticated", client=client(token), claims=claims)

    owner, other = user("owner"), user("other")
    empty, claimant = _without_rows(endpoint, users, client, owner, metadata_to_claim(texts))
    without = {key: value for key, value in owner.claims.items() if key != "sub"}
    bad = [
        pretender("a token that somebody else signed", forged(owner.claims), owner.claims),
        pretender("a token that nobody signed", unsigned(owner.claims), owner.claims),
    ]
    secret = endpoint.jwt_secret
    if secret:
        late = expired(owner.claims, secret)
        bad.insert(0, pretender("an expired token", late, owner.claims))
    return Actors(
        owner=owner,
        other=other,
        anon=Actor(name="anon", role="anon", client=client(), claims={"role": "anon"}),
        service_role=Actor(name="service_role", role="service_role", client=service),
        empty=empty,
        claimant=claimant,
        no_sub=Actor(
            name="no_sub",
            role="authenticated",
            client=client(signed(without, secret)) if secret else None,
            claims=without,
        ),
        bad_tokens=tuple(bad),
        not_tried=() if secret else (UNSIGNABLE,),
    )


def _without_rows(
    endpoint: Endpoint,
    users: Users,
    client: Callable[[str | None], Client],
    owner: Actor,
    metadata: dict[str, Any],
) -> tuple[Actor, Actor]:
    """Make the user who has no rows, as who they are and as who they say they are.

    Where tokens can be signed here the two are: that spares three requests, one of which takes the
    time of a password's hash.
    """
    if endpoint.jwt_secret:
        made = users.make("empty", metadata)
        claims = {**owner.claims, "sub": made.user_id, "email": made.email, "user_metadata": {}}
        tokens = [
            signed(each, endpoint.jwt_secret)
            for each in (claims, {**claims, "user_metadata": metadata})
        ]
    else:
        made, signing = users.make("empty"), client(None)
        tokens = [users.sign_in(signing, made), users.claim(signing, metadata)]
    plain, claiming = (
        Actor(
            name=name,
            role="authenticated",
            client=client(token),
            user_id=made.user_id,
            claims=claims_of(token),
        )
        for name, token in zip(("empty", "claimant"), tokens, strict=True)
    )
    return plain, claiming


UNSIGNABLE = (
    "an expired token, and over HTTP one without sub: they take the secret that signs tokens, "
    "which is known of a local stack only"
)


def make_client(
    endpoint: Endpoint, key: str, http: httpx.Client, token: str | None = None
) -> Client:
    """Give a client that keeps its session to itself.

    Args:
        endpoint: Whose.
        key: The publishable or the secret one.
        http: Shared by all clients; who made it closes it.
        token: Whose requests they are; by default nobody is signed in yet.
    """
    from supabase import create_client
    from supabase.lib.client_options import SyncClientOptions

    options = SyncClientOptions(
        # A timer that refreshes tokens would outlive the run.
        auto_refresh_token=False,
        persist_session=False,
        postgrest_client_retry=False,
        httpx_client=http,
    )
    if token is not None:
        options.headers["Authorization"] = f"Bearer {token}"
    return create_client(endpoint.api_url, key, options)
