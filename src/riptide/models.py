"""Tables, views and types of the database, as Pydantic models.

Written by `inv db.types` with `supabase gen types --lang=python`; run it again, do not edit.
"""

# ruff: noqa
# fmt: off

from __future__ import annotations

import datetime
import uuid
from typing import (
    Annotated,
    Any,
    List,
    Literal,
    Optional,
)
from typing_extensions import NotRequired, TypeAlias, TypedDict

from pydantic import BaseModel, Field, JsonValue

# Types that the CLI leaves open, as the API's JSON has them.
PgCatalogInet: TypeAlias = str

PublicApiTokenScope: TypeAlias = Literal["read", "write", "admin"]

class PublicApiTokens(BaseModel):
    created_at: datetime.datetime = Field(alias="created_at")
    expires_at: Optional[datetime.datetime] = Field(alias="expires_at")
    id: uuid.UUID = Field(alias="id")
    last_used_at: Optional[datetime.datetime] = Field(alias="last_used_at")
    last_used_ip: Optional[PgCatalogInet] = Field(alias="last_used_ip")
    name: str = Field(alias="name")
    revoked_at: Optional[datetime.datetime] = Field(alias="revoked_at")
    scopes: List[PublicApiTokenScope] = Field(alias="scopes")
    token_prefix: Optional[str] = Field(alias="token_prefix")
    user_id: uuid.UUID = Field(alias="user_id")

class PublicApiTokensInsert(TypedDict):
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    expires_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="expires_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    last_used_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="last_used_at")]]
    last_used_ip: NotRequired[Annotated[Optional[PgCatalogInet], Field(alias="last_used_ip")]]
    name: Annotated[str, Field(alias="name")]
    revoked_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="revoked_at")]]
    scopes: NotRequired[Annotated[List[PublicApiTokenScope], Field(alias="scopes")]]
    token_prefix: NotRequired[Annotated[Optional[str], Field(alias="token_prefix")]]
    user_id: NotRequired[Annotated[uuid.UUID, Field(alias="user_id")]]

class PublicApiTokensUpdate(TypedDict):
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    expires_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="expires_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    last_used_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="last_used_at")]]
    last_used_ip: NotRequired[Annotated[Optional[PgCatalogInet], Field(alias="last_used_ip")]]
    name: NotRequired[Annotated[str, Field(alias="name")]]
    revoked_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="revoked_at")]]
    scopes: NotRequired[Annotated[List[PublicApiTokenScope], Field(alias="scopes")]]
    token_prefix: NotRequired[Annotated[Optional[str], Field(alias="token_prefix")]]
    user_id: NotRequired[Annotated[uuid.UUID, Field(alias="user_id")]]

class PublicProfiles(BaseModel):
    avatar_url: Optional[str] = Field(alias="avatar_url")
    created_at: datetime.datetime = Field(alias="created_at")
    display_name: Optional[str] = Field(alias="display_name")
    id: uuid.UUID = Field(alias="id")
    last_seen_at: Optional[datetime.datetime] = Field(alias="last_seen_at")
    preferences: JsonValue = Field(alias="preferences")
    timezone: Optional[str] = Field(alias="timezone")
    updated_at: datetime.datetime = Field(alias="updated_at")
    website: Optional[str] = Field(alias="website")

class PublicProfilesInsert(TypedDict):
    avatar_url: NotRequired[Annotated[Optional[str], Field(alias="avatar_url")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    display_name: NotRequired[Annotated[Optional[str], Field(alias="display_name")]]
    id: Annotated[uuid.UUID, Field(alias="id")]
    last_seen_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="last_seen_at")]]
    preferences: NotRequired[Annotated[JsonValue, Field(alias="preferences")]]
    timezone: NotRequired[Annotated[Optional[str], Field(alias="timezone")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]
    website: NotRequired[Annotated[Optional[str], Field(alias="website")]]

class PublicProfilesUpdate(TypedDict):
    avatar_url: NotRequired[Annotated[Optional[str], Field(alias="avatar_url")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    display_name: NotRequired[Annotated[Optional[str], Field(alias="display_name")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    last_seen_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="last_seen_at")]]
    preferences: NotRequired[Annotated[JsonValue, Field(alias="preferences")]]
    timezone: NotRequired[Annotated[Optional[str], Field(alias="timezone")]]
    updated_at: NotRequired[Annotated[datetime.datetime, Field(alias="updated_at")]]
    website: NotRequired[Annotated[Optional[str], Field(alias="website")]]

class PublicUserSessions(BaseModel):
    auth_session_id: uuid.UUID = Field(alias="auth_session_id")
    created_at: datetime.datetime = Field(alias="created_at")
    device_name: Optional[str] = Field(alias="device_name")
    expires_at: datetime.datetime = Field(alias="expires_at")
    id: uuid.UUID = Field(alias="id")
    ip_address: Optional[PgCatalogInet] = Field(alias="ip_address")
    last_active_at: datetime.datetime = Field(alias="last_active_at")
    location: Optional[JsonValue] = Field(alias="location")
    revoked_at: Optional[datetime.datetime] = Field(alias="revoked_at")
    user_agent: Optional[str] = Field(alias="user_agent")
    user_id: uuid.UUID = Field(alias="user_id")

class PublicUserSessionsInsert(TypedDict):
    auth_session_id: NotRequired[Annotated[uuid.UUID, Field(alias="auth_session_id")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    device_name: NotRequired[Annotated[Optional[str], Field(alias="device_name")]]
    expires_at: NotRequired[Annotated[datetime.datetime, Field(alias="expires_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    ip_address: NotRequired[Annotated[Optional[PgCatalogInet], Field(alias="ip_address")]]
    last_active_at: NotRequired[Annotated[datetime.datetime, Field(alias="last_active_at")]]
    location: NotRequired[Annotated[Optional[JsonValue], Field(alias="location")]]
    revoked_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="revoked_at")]]
    user_agent: NotRequired[Annotated[Optional[str], Field(alias="user_agent")]]
    user_id: NotRequired[Annotated[uuid.UUID, Field(alias="user_id")]]

class PublicUserSessionsUpdate(TypedDict):
    auth_session_id: NotRequired[Annotated[uuid.UUID, Field(alias="auth_session_id")]]
    created_at: NotRequired[Annotated[datetime.datetime, Field(alias="created_at")]]
    device_name: NotRequired[Annotated[Optional[str], Field(alias="device_name")]]
    expires_at: NotRequired[Annotated[datetime.datetime, Field(alias="expires_at")]]
    id: NotRequired[Annotated[uuid.UUID, Field(alias="id")]]
    ip_address: NotRequired[Annotated[Optional[PgCatalogInet], Field(alias="ip_address")]]
    last_active_at: NotRequired[Annotated[datetime.datetime, Field(alias="last_active_at")]]
    location: NotRequired[Annotated[Optional[JsonValue], Field(alias="location")]]
    revoked_at: NotRequired[Annotated[Optional[datetime.datetime], Field(alias="revoked_at")]]
    user_agent: NotRequired[Annotated[Optional[str], Field(alias="user_agent")]]
    user_id: NotRequired[Annotated[uuid.UUID, Field(alias="user_id")]]

class PublicListedSession(BaseModel):
    id: Optional[uuid.UUID] = Field(alias="id")
    user_id: Optional[uuid.UUID] = Field(alias="user_id")
    auth_session_id: Optional[uuid.UUID] = Field(alias="auth_session_id")
    device_name: Optional[str] = Field(alias="device_name")
    user_agent: Optional[str] = Field(alias="user_agent")
    ip_address: Optional[PgCatalogInet] = Field(alias="ip_address")
    location: Optional[JsonValue] = Field(alias="location")
    last_active_at: Optional[datetime.datetime] = Field(alias="last_active_at")
    expires_at: Optional[datetime.datetime] = Field(alias="expires_at")
    revoked_at: Optional[datetime.datetime] = Field(alias="revoked_at")
    created_at: Optional[datetime.datetime] = Field(alias="created_at")
    is_current: Optional[bool] = Field(alias="is_current")

class PublicNewApiToken(BaseModel):
    id: Optional[uuid.UUID] = Field(alias="id")
    user_id: Optional[uuid.UUID] = Field(alias="user_id")
    name: Optional[str] = Field(alias="name")
    token_prefix: Optional[str] = Field(alias="token_prefix")
    scopes: Optional[List[PublicApiTokenScope]] = Field(alias="scopes")
    expires_at: Optional[datetime.datetime] = Field(alias="expires_at")
    last_used_at: Optional[datetime.datetime] = Field(alias="last_used_at")
    last_used_ip: Optional[PgCatalogInet] = Field(alias="last_used_ip")
    revoked_at: Optional[datetime.datetime] = Field(alias="revoked_at")
    created_at: Optional[datetime.datetime] = Field(alias="created_at")
    token: Optional[str] = Field(alias="token")
