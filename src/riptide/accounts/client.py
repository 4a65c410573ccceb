"""The accounts through a synchronous `supabase.Client`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from riptide.accounts import flows
from riptide.accounts.refusals import told

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta
    from ipaddress import IPv4Address, IPv6Address
    from uuid import UUID

    from supabase import Client

    from riptide.accounts.flows import Flow, ProfileChanges, T
    from riptide.accounts.results import ApiToken, NewApiToken, Profile, UserSession, VerifiedToken


class Accounts:
    """A user's profile, tokens and sessions.

    Every method raises `AccountError` where the database refuses, with the field that it refuses,
    or where the API does not answer.

    Args:
        client: A `supabase.Client` of a signed-in user; or a server's, with the secret key.
        user_id: For a server: whose profile, tokens and sessions are meant. What only the user
            can do (making, rotating and revoking) is refused to a server by the database.

    Attributes:
        profile: `ProfileAccount`.
        tokens: `TokenAccount`.
        sessions: `SessionAccount`.
    """

    def __init__(self, client: Client, *, user_id: UUID | None = None) -> None:
        self.profile = ProfileAccount(client, user_id)
        self.tokens = TokenAccount(client, user_id)
        self.sessions = SessionAccount(client, user_id)


class _Account:
    def __init__(self, client: Client, user_id: UUID | None) -> None:
        self._client = client
        self._user_id = user_id


class ProfileAccount(_Account):
    """What a user shows of themselves."""

    def get(self) -> Profile:
        """Give it."""
        return _run(flows.get_profile(self._client, self._user_id))

    def update(self, **changes: Unpack[ProfileChanges]) -> Profile:
        """Change what is said and leave the rest; ``None`` empties a column."""
        return _run(flows.update_profile(self._client, self._user_id, changes))


class TokenAccount(_Account):
    """Keys for programs that act for a user."""

    def create(
        self,
        name: str,
        *,
        scopes: Collection[str] | None = None,
        expires_in: timedelta | None = None,
    ) -> NewApiToken:
        """Make a token, which is in the answer and nowhere else.

        Args:
            name: What the user calls it: no other live one of theirs has that name.
            scopes: Of ``read``, ``write`` and ``admin``; by default ``read``.
            expires_in: How long it is good for; by default a year.
        """
        return _run(flows.create_token(self._client, name, scopes, expires_in))

    def list(self, *, ended: bool = False) -> tuple[ApiToken, ...]:
        """Give those that are in force, the newest first.

        Args:
            ended: Those as well that are revoked or expired: at most as many as the API gives at
                once (``[api] max_rows`` of config.toml).
        """
        return _run(flows.list_tokens(self._client, self._user_id, ended=ended))

    def rename(self, token_id: UUID | str, name: str) -> ApiToken:
        """Give a token another name."""
        return _run(flows.rename_token(self._client, token_id, name))

    def revoke(self, token_id: UUID | str) -> ApiToken:
        """End a token, for good; one that is revoked already stays as it is."""
        return _run(flows.revoke_token(self._client, token_id))

    def rotate(self, token_id: UUID | str) -> NewApiToken:
        """Revoke a token and make one like it, both or neither."""
        return _run(flows.rotate_token(self._client, token_id))

    def verify(
        self, token: str, *, ip: IPv4Address | IPv6Address | str | None = None
    ) -> VerifiedToken | None:
        """Say whom a token acts for; ``None`` where it is none or no longer in force.

        For servers, with the secret key. What is no token by its checksum is not looked up.

        Args:
            token: As it was sent.
            ip: From where, to be kept with the token.
        """
        return _run(flows.verify_token(self._client, token, ip))


class SessionAccount(_Account):
    """The devices that a user is signed in on."""

    def touch(
        self,
        device_name: str | None = None,
        *,
        location: Mapping[str, Any] | None = None,
        expires_in: timedelta | None = None,
    ) -> UserSession:
        """Note that this session is in use: after signing in, and now and then.

        Args:
            device_name: What the user knows the device by.
            location: Where it is, as the application has it.
            expires_in: How long the row counts from its first touch; by default, and at most, 30
                days. Later it can be shortened, and nothing extends it.
        """
        return _run(flows.touch_session(self._client, device_name, location, expires_in))

    def list(self) -> tuple[UserSession, ...]:
        """Give those that are in force, the latest active first."""
        return _run(flows.list_sessions(self._client, self._user_id))

    def revoke(self, session_id: UUID | str) -> UserSession:
        """Sign a device out: its refresh token ends, its access token runs out by itself.

        Args:
            session_id: The session's ``id``.
        """
        return _run(flows.revoke_session(self._client, session_id))

    def revoke_others(self) -> int:
        """Sign out all devices but this one; give how many."""
        return _run(flows.revoke_other_sessions(self._client))


def _run(flow: Flow[T]) -> T:
    """Send a flow's requests, one after the other."""
    from httpx import HTTPError
    from postgrest.exceptions import APIError

    flow = told(flow)
    try:
        request = next(flow)
        while True:
            try:
                answer = request.execute()
            except (APIError, HTTPError) as error:
                request = flow.throw(error)
            else:
                request = flow.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
