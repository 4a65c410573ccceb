"""An API token's own checksum: what is no token can be refused without asking the database.

As GitHub's tokens have it: a prefix, random characters, and the CRC-32 of all that in base 62
(https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/).
"""

from __future__ import annotations

import re
import zlib

# `rt_`, 32 random bytes in base 62, six digits of the checksum.
_TOKEN = re.compile(r"(rt_[0-9A-Za-z]{43})([0-9A-Za-z]{6})")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def is_token(text: str) -> bool:
    """Whether a text can be an API token: its form and its checksum are right."""
    match = _TOKEN.fullmatch(text)
    return match is not None and match[2] == checksum(match[1])


def checksum(text: str) -> str:
    """Give the CRC-32 of ASCII text as six base-62 digits, the highest first."""
    number = zlib.crc32(text.encode("ascii"))
    digits = ""
    for _ in range(6):  # 62 ** 6 is more than 2 ** 32
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits
