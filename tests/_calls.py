"""What the tests of the schema's functions share: calling them over HTTP, and a user's devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from postgrest.exceptions import APIError
from supabase import AuthApiError

if TYPE_CHECKING:
    from supabase import Client

PASSWORD = "correct horse battery"


def call(client: Client, function: str, **arguments: Any) -> Any:
    """Call a function through the API."""
    return client.rpc(function, arguments).execute().data


def refused(client: Client, function: str, **arguments: Any) -> tuple[str, str | None]:
    """Call a function that must refuse; give the SQLSTATE and the detail."""
    with pytest.raises(APIError) as caught:
        call(client, function, **arguments)
    return str(caught.value.code), caught.value.details


@dataclass
class Person:
    """A user with two devices."""

    id: str
    laptop: Client
    phone: Client


def session_of(client: Client) -> Any:
    """Give the session that a client is signed in with."""
    session = client.auth.get_session()
    assert session is not None
    return session


def is_signed_in(client: Client) -> bool:
    """Whether a client's refresh token is still good."""
    try:
        client.auth.refresh_session()
    except AuthApiError:
        return False
    return True
