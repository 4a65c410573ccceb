"""What the Auth API's refusals are called."""

from __future__ import annotations

import httpx
import pytest
from supabase_auth.errors import AuthApiError, AuthRetryableError

from riptide.rls.endpoint import Endpoint
from riptide.rls.tokens import claims_of
from riptide.rls.users import explain

ENDPOINT = Endpoint(
    name="local",
    api_url="http://127.0.0.1:1",
    db_url="postgresql://postgres:hush@127.0.0.1/postgres",
    publishable_key="sb_publishable_hush",
    secret_key="sb_secret_hush",
    remedy="inv stack.status",
)


@pytest.mark.parametrize(
    ("error", "words", "next_step"),
    [
        (
            httpx.ConnectError("Connection refused"),
            "the API at http://127.0.0.1:1 does not answer",
            "inv stack.status",
        ),
        (AuthRetryableError("bad gateway", 502), "does not answer", "inv stack.status"),
        (
            AuthApiError("Invalid API key", 401, None),
            "does not accept the secret key (401)",
            "check SUPABASE_SECRET_KEY",
        ),
        (
            AuthApiError("User not allowed", 403, "not_admin"),
            "does not accept the secret key (403)",
            "check SUPABASE_SECRET_KEY",
        ),
        (
            AuthApiError("Signups not allowed for this instance", 422, "signup_disabled"),
            "would not create a user: Signups not allowed for this instance (signup_disabled)",
            "allow that, then `inv rls.verify`",
        ),
        (
            AuthApiError("Request rate limit reached", 429, "over_request_rate_limit"),
            "would not create a user: Request rate limit reached",
            "allow that, then `inv rls.verify`",
        ),
    ],
)
def test_a_refusal_is_explained(error: Exception, words: str, next_step: str) -> None:
    """Silence, a wrong key and a closed sign-up are three different errors, without secrets."""
    explained = explain(ENDPOINT, error, "create a user", "secret")
    assert words in explained.message
    assert explained.next_step == next_step
    assert explained.state == "nothing was tried; no user is left behind"
    assert "hush" not in str(explained) + repr(ENDPOINT)


def test_claims_are_read_from_a_token() -> None:
    """The middle part of a token is its claims, with or without padding."""
    assert claims_of("x.eyJzdWIiOiAiYSIsICJyb2xlIjogImFub24ifQ.y") == {"sub": "a", "role": "anon"}
