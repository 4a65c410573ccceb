"""What the database says of a user's profile, tokens and sessions: frozen and typed."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - Pydantic looks at it when it reads a row
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID  # noqa: TC003 - likewise

from riptide.results._base import SECRET, Result


@dataclass(frozen=True, kw_only=True)
class Profile(Result):
    """What a user shows of themselves, and prefers."""

    id: UUID
    display_name: str | None
    avatar_url: str | None
    website: str | None
    timezone: str | None
    preferences: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    last_seen_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ApiToken(Result):
    """A token as its owner sees it: not the token itself, but how it begins, ``token_prefix``.

    Attributes:
        scopes: ``read``, ``write``, ``admin``; none of them holds another.
        last_used_at: Accurate to a minute.
    """

    id: UUID
    user_id: UUID
    name: str
    token_prefix: str | None
    scopes: tuple[str, ...]
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_ip: str | None
    revoked_at: datetime | None
    created_at: datetime

    @property
    def live(self) -> bool:
        """Whether it is neither revoked nor, by this machine's clock, expired."""
        expired = self.expires_at is not None and self.expires_at <= datetime.now(UTC)
        return self.revoked_at is None and not expired


@dataclass(frozen=True, kw_only=True)
class NewApiToken(ApiToken):
    """A token that was just made.

    Attributes:
        token: The token, to be shown this once: the database keeps its hash alone.
    """

    token: str = field(repr=False, metadata=SECRET)


@dataclass(frozen=True, kw_only=True)
class VerifiedToken(Result):
    """Whom a token acts for, and what it may be used for."""

    token_id: UUID
    user_id: UUID
    scopes: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class UserSession(Result):
    """A device that a user is signed in on.

    Attributes:
        auth_session_id: The Auth server's session, claim ``session_id`` of its tokens.
        is_current: Whether it is the session that asks; never for a server.
    """

    id: UUID
    user_id: UUID
    auth_session_id: UUID
    device_name: str | None
    user_agent: str | None
    ip_address: str | None
    location: Mapping[str, Any] | None
    created_at: datetime
    last_active_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    is_current: bool = False
