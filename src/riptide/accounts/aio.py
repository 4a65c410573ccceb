"""The accounts through an asynchronous `supabase.AsyncClient`: see `riptide.accounts.client`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from riptide.accounts import flows
from riptide.accounts.refusals import told

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta
    from ipaddress import IPv4Address, IPv6Address
    from uuid import UUID

    from supabase import AsyncClient

    from riptide.accounts.flows import Flow, ProfileChanges, T
    from riptide.accounts.results import ApiToken, NewApiToken, Profile, UserSession, VerifiedToken


class AsyncAccounts:
    """As `riptide.accounts.Accounts`, each method to be awaited.

    Args:
        client: A `supabase.AsyncClient`.
        user_id: As there.
    """

    def __init__(self, client: AsyncClient, *, user_id: UUID | None = None) -> None:
        self.profile = AsyncProfileAccount(client, user_id)
        self.tokens = AsyncTokenAccount(client, user_id)
        self.sessions = AsyncSessionAccount(client, user_id)


class _Account:
    def __init__(self, client: AsyncClient, user_id: UUID | None) -> None:
        self._client = client
        self._user_id = user_id


class AsyncProfileAccount(_Account):
    """What a user shows of themselves."""

    async def get(self) -> Profile:
        """Give it."""
        return await _run(flows.get_profile(self._client, self._user_id))

    async def update(self, **changes: Unpack[ProfileChanges]) -> Profile:
        """Change what is said and leave the rest; ``None`` empties a column."""
        return await _run(flows.update_profile(self._client, self._user_id, changes))


class AsyncTokenAccount(_Account):
    """Keys for programs that act for a user."""

    async def create(
        self,
        name: str,
        *,
        scopes: Collection[str] | None = None,
        expires_in: timedelta | None = None,
    ) -> NewApiToken:
        """Make a token, which is in the answer and nowhere else."""
        return await _run(flows.create_token(self._client, name, scopes, expires_in))

    async def list(self, *, ended: bool = False) -> tuple[ApiToken, ...]:
        """Give those that are in force, the newest first; with ``ended`` the others, too."""
        return await _run(flows.list_tokens(self._client, self._user_id, ended=ended))

    async def rename(self, token_id: UUID | str, name: str) -> ApiToken:
        """Give a token another name."""
        return await _run(flows.rename_token(self._client, token_id, name))

    async def revoke(self, token_id: UUID | str) -> ApiToken:
        """End a token, for good; one that is revoked already stays as it is."""
        return await _run(flows.revoke_token(self._client, token_id))

    async def rotate(self, token_id: UUID | str) -> NewApiToken:
        """Revoke a token and make one like it, both or neither."""
        return await _run(flows.rotate_token(self._client, token_id))

    async def verify(
        self, token: str, *, ip: IPv4Address | IPv6Address | str | None = None
    ) -> VerifiedToken | None:
        """Say whom a token acts for; ``None`` where it is none or no longer in force."""
        return await _run(flows.verify_token(self._client, token, ip))


class AsyncSessionAccount(_Account):
    """The devices that a user is signed in on."""

    async def touch(
        self,
        device_name: str | None = None,
        *,
        location: Mapping[str, Any] | None = None,
        expires_in: timedelta | None = None,
    ) -> UserSession:
        """Note that this session is in use: after signing in, and now and then."""
        return await _run(flows.touch_session(self._client, device_name, location, expires_in))

    async def list(self) -> tuple[UserSession, ...]:
        """Give those that are in force, the latest active first."""
        return await _run(flows.list_sessions(self._client, self._user_id))

    async def revoke(self, session_id: UUID | str) -> UserSession:
        """Sign a device out: its refresh token ends, its access token runs out by itself."""
        return await _run(flows.revoke_session(self._client, session_id))

    async def revoke_others(self) -> int:
        """Sign out all devices but this one; give how many."""
        return await _run(flows.revoke_other_sessions(self._client))


async def _run(flow: Flow[T]) -> T:
    """Send a flow's requests, one after the other."""
    from httpx import HTTPError
    from postgrest.exceptions import APIError

    flow = told(flow)
    try:
        request = next(flow)
        while True:
            try:
                answer = await request.execute()
            except (APIError, HTTPError) as error:
                request = flow.throw(error)
            else:
                request = flow.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result
