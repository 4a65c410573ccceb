"""Makes tokens that an honest Auth server never would, and claims that a user makes up.

A token that the server did not sign has to be refused whatever its header says (RFC 8725, section
3.1).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from riptide._jwt import part, signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HOUR = 3600
# What applications commonly read there. Users write it themselves:
# https://supabase.com/docs/guides/database/database-linter?lint=0015_rls_references_user_metadata
_CLAIMED: dict[str, Any] = {
    "role": "admin",
    "roles": ["admin"],
    "user_role": "admin",
    "admin": True,
    "is_admin": True,
}
# `-> 'user_metadata'::text) ->> 'plan'::text) = 'gold'::text`, as PostgreSQL writes policies out;
# `raw_user_meta_data ->> 'plan' = any (array['gold'…` likewise.
_COMPARED = re.compile(
    r"user_meta_?data\b[^;=]{0,40}?->>?\s*'(?P<key>[^']+)'(?:::\w+)?\)*"
    r"(?:::\w+\)*)?\s*(?:=|@>|in)\s*(?:any\s*)?\(*(?:array\[)?'(?P<value>[^']*)'",
    re.IGNORECASE,
)


def claims_of(token: str) -> dict[str, Any]:
    """Read a token's claims; its signature is not looked at."""
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return dict(claims)


def unsigned(claims: Mapping[str, Any]) -> str:
    """Give a token that says of itself that nobody signed it."""
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def forged(claims: Mapping[str, Any]) -> str:
    """Give a token that somebody else has signed."""
    return signed(claims, secrets.token_urlsafe(48))


def expired(claims: Mapping[str, Any], secret: str) -> str:
    """Give a token that was good until an hour ago."""
    now = int(time.time())
    return signed({**claims, "iat": now - 2 * _HOUR, "exp": now - _HOUR}, secret)


def metadata_to_claim(texts: Iterable[str]) -> dict[str, Any]:
    """Give what a user would write into their own metadata to be let in.

    Args:
        texts: Policies and functions: what they compare the metadata with is claimed.
    """
    claimed = dict(_CLAIMED)
    for text in texts:
        for found in _COMPARED.finditer(text):
            claimed[found["key"]] = found["value"]
    return claimed
