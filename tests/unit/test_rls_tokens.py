"""Tokens that have to be refused, and what a user would claim."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

from riptide._jwt import signed
from riptide.rls.tokens import claims_of, expired, forged, metadata_to_claim, unsigned

CLAIMS = {"sub": "a", "role": "authenticated", "exp": 9_999_999_999}
SECRET = "a secret of the tests"


def is_signed(token: str, secret: str) -> bool:
    """Check a signature as a server does (RFC 7515)."""
    text, _, signature = token.rpartition(".")
    made = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode() == signature


def header(token: str) -> dict[str, str]:
    """Read a token's header."""
    text = token.partition(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


def test_a_token_is_signed_with_the_secret() -> None:
    """Its claims come back, and only the secret fits."""
    token = signed(CLAIMS, SECRET)
    assert claims_of(token) == CLAIMS
    assert header(token) == {"alg": "HS256", "typ": "JWT"}
    assert is_signed(token, SECRET)
    assert not is_signed(token, "another")


def test_a_forged_token_has_everything_but_the_signature() -> None:
    """Somebody else has signed it, another one each time."""
    assert claims_of(forged(CLAIMS)) == CLAIMS
    assert not is_signed(forged(CLAIMS), SECRET)
    assert forged(CLAIMS) != forged(CLAIMS)


def test_an_unsigned_token_says_so() -> None:
    """Its algorithm is none and its signature empty."""
    token = unsigned(CLAIMS)
    assert header(token)["alg"] == "none"
    assert token.endswith(".")
    assert claims_of(token) == CLAIMS


def test_an_expired_token_was_good() -> None:
    """It is signed, and over by more than any skew of clocks."""
    token = expired(CLAIMS, SECRET)
    assert is_signed(token, SECRET)
    assert claims_of(token)["exp"] < time.time() - 600


def test_what_policies_compare_the_metadata_with_is_claimed() -> None:
    """Keys and values come from the policies' texts, as PostgreSQL writes them."""
    claimed = metadata_to_claim(
        [
            "(((auth.jwt() -> 'user_metadata'::text) ->> 'plan'::text) = 'gold'::text)",
            "raw_user_meta_data ->> 'level' = any (array['staff', 'root'])",
            "((auth.jwt() -> 'app_metadata'::text) ->> 'team'::text) = 'red'::text",
        ]
    )
    assert claimed["plan"] == "gold"
    assert claimed["level"] == "staff"
    assert claimed["role"] == "admin"
    assert "team" not in claimed
