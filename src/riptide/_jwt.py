"""Tokens as a local stack signs them: HS256 (RFC 7515), byte for byte as the Supabase CLI's.

PyJWT, which supabase-py brings, sorts a header in its own way, and takes 0.1 s to import.
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def signed(claims: Mapping[str, Any], secret: str) -> str:
    """Give a token with these claims, in their order."""
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    return f"{text}.{_encoded(hmac.digest(secret.encode(), text.encode(), 'sha256'))}"


def part(value: Mapping[str, Any]) -> str:
    """Give an object as a part of a token."""
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
