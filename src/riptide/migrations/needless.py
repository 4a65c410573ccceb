"""Statements that pg-delta writes and that change nothing, left out of a migration.

Of every object that it makes it revokes all from the owner and grants all again: half of what a
person would have to read.
"""

from __future__ import annotations

import re

_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_QUALIFIED = rf"{_NAME}(?:\.{_NAME})*"
_MADE = re.compile(
    r"^create (?:or replace )?(?:unlogged |foreign |materialized )?(?:table|view|sequence|schema"
    rf"|function|procedure|aggregate|type|domain)\s+({_QUALIFIED})",
    re.IGNORECASE,
)
_GIVEN_AWAY = re.compile(
    rf"^alter [a-z ]+? ({_QUALIFIED})(?:\(.*\))?\s+owner to ", re.IGNORECASE | re.DOTALL
)
_REVOKE_ALL = re.compile(
    rf"^revoke all on (\w+) ({_QUALIFIED}(?:\(.*\))?) from ({_NAME})$", re.IGNORECASE | re.DOTALL
)
_GRANT = re.compile(
    rf"^grant ([\w, ]+) on (\w+) ({_QUALIFIED}(?:\(.*\))?) to ({_NAME})$",
    re.IGNORECASE | re.DOTALL,
)
_EXTENSION = re.compile(rf"^create extension ({_NAME})", re.IGNORECASE)
_COMMENT = re.compile(rf"^comment on extension ({_NAME})", re.IGNORECASE)
# All that can be granted: https://www.postgresql.org/docs/17/ddl-priv.html
_TABLE = "delete insert maintain references select trigger truncate update"
_ALL = {
    "table": frozenset(_TABLE.split()),
    "sequence": frozenset({"select", "update", "usage"}),
    "schema": frozenset({"create", "usage"}),
    "type": frozenset({"usage"}),
    "domain": frozenset({"usage"}),
    "function": frozenset({"execute"}),
    "procedure": frozenset({"execute"}),
}
_OWNER = "postgres"  # who runs migrations, and so owns what they make


def without_needless(statements: list[str]) -> list[str]:
    """Leave out what changes nothing.

    A ``revoke all`` whose ``grant`` of all follows at once, and that, too, where it goes to the
    owner of what the same text makes. The comment of an extension that the same text makes: it
    comes with it, and on hosted Supabase only its owner, who is not ``postgres``, may write it.
    """
    made = {_flat(found[1]) for each in statements if (found := _MADE.match(each))}
    away = {_flat(found[1]) for each in statements if (found := _GIVEN_AWAY.match(each))}
    extensions = {_flat(found[1]) for each in statements if (found := _EXTENSION.match(each))}
    kept: list[str] = []
    for each in statements:
        comment = _COMMENT.match(each)
        if comment and _flat(comment[1]) in extensions:
            continue
        grant, revoke = _GRANT.match(each), _REVOKE_ALL.match(kept[-1]) if kept else None
        if grant and revoke and grant.group(2, 3, 4) == revoke.group(1, 2, 3):
            kind, name, role = (grant[number].lower() for number in (2, 3, 4))
            given = frozenset(word.strip().lower() for word in grant[1].split(","))
            if given == _ALL.get(kind):
                kept.pop()
                name = _flat(name.partition("(")[0])
                if role.strip('"') == _OWNER and name in made - away:
                    continue
        kept.append(each)
    return kept


def _flat(name: str) -> str:
    return name.replace('"', "").lower()
