"""A token's text as it is documented, written anew in Python: the SQL is held to this."""

from __future__ import annotations

import secrets
import zlib

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(value: int, width: int) -> str:
    """Write a number in base 62, padded with zeros."""
    text = ""
    for _ in range(width):
        value, digit = divmod(value, 62)
        text = DIGITS[digit] + text
    return text


def with_checksum(body: str) -> str:
    """Give a token out of its first 46 characters."""
    return body + base62(zlib.crc32(body.encode()), 6)


def made_up() -> str:
    """Give a token with a right checksum that nobody has made."""
    return with_checksum("rt_" + base62(int.from_bytes(secrets.token_bytes(32), "big"), 43))
