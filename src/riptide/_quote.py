"""Names and texts as SQL has them, where a script is written and no query is sent.

A query that is sent uses `psycopg.sql`.
"""

from __future__ import annotations


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text; backslashes are plain with ``standard_conforming_strings``."""
    return "'" + text.replace("'", "''") + "'"
