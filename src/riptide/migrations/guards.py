"""SQL as pg-delta writes it, made so that it may run twice with no effect.

Not a parser: pg-delta (the comparison in the Supabase CLI) writes each kind of statement in one
way. What is not known here stays as it is, and the trial on a scratch database tells.
"""

from __future__ import annotations

import re

from riptide._quote import literal
from riptide.migrations.needless import without_needless
from riptide.migrations.sql import split

_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_QUALIFIED = rf"{_NAME}(?:\.{_NAME})*"
_FUNCTION_BODIES = "check_function_bodies"


def _rule(pattern: str, replacement: str) -> tuple[re.Pattern[str], str]:
    return re.compile(pattern, re.IGNORECASE), replacement


# One substitution at the beginning of a statement.
_SIMPLE = (
    _rule(
        r"^create (table|unlogged table|foreign table|schema|extension|sequence|materialized view"
        r"|statistics|collation)\s+(?!if not)",
        r"CREATE \1 IF NOT EXISTS ",
    ),
    _rule(r"^create (unique )?index (?!if not|concurrently)", r"CREATE \1INDEX IF NOT EXISTS "),
    _rule(r"^create (view|trigger|rule|aggregate|function|procedure) ", r"CREATE OR REPLACE \1 "),
    _rule(
        r"^drop (table|foreign table|schema|extension|sequence|materialized view|view|statistics"
        r"|index|policy|trigger|rule|function|procedure|aggregate|type|domain|publication"
        r"|event trigger|collation|server|foreign data wrapper"
        r"|text search (?:configuration|dictionary|parser|template))\s+(?!if exists)",
        r"DROP \1 IF EXISTS ",
    ),
    _rule(rf"^(alter type {_QUALIFIED}\s+add value) (?!if not)", r"\1 IF NOT EXISTS "),
    _rule(rf"^(alter table (?:only )?{_QUALIFIED}\s+add column) (?!if not)", r"\1 IF NOT EXISTS "),
    _rule(
        rf"^(alter table (?:only )?{_QUALIFIED}\s+drop (?:column|constraint)) (?!if exists)",
        r"\1 IF EXISTS ",
    ),
    _rule(rf"^(alter domain {_QUALIFIED}\s+drop constraint) (?!if exists)", r"\1 IF EXISTS "),
    _rule(rf"^(alter type {_QUALIFIED}\s+drop attribute) (?!if exists)", r"\1 IF EXISTS "),
)
_POLICY = re.compile(rf"^create policy ({_NAME}) on ({_QUALIFIED})", re.IGNORECASE)
_TYPE = re.compile(rf"^create (?:type|domain) ({_QUALIFIED})", re.IGNORECASE)
_PUBLICATION = re.compile(rf"^create publication ({_NAME})", re.IGNORECASE)
_PUBLISHED = re.compile(
    rf"^alter publication ({_NAME}) (add|drop) table (?:only )?({_QUALIFIED})(?!\s*,)",
    re.IGNORECASE,
)
_CONSTRAINT = re.compile(
    rf"^alter (table|domain) (?:only )?({_QUALIFIED})\s+add constraint ({_NAME})", re.IGNORECASE
)
_ATTRIBUTE = re.compile(rf"^alter type ({_QUALIFIED})\s+add attribute ({_NAME})", re.IGNORECASE)
_NEW_VALUE = re.compile(rf"^alter type {_QUALIFIED}\s+add value ", re.IGNORECASE)


def guarded(text: str) -> str:
    """Give the statements of ``text`` so that a second run changes nothing."""
    statements = without_needless([each.text for each in split(text)])
    needs_bodies = any(
        re.match(r"create (or replace )?(function|procedure)\b", each, re.IGNORECASE)
        for each in statements
    )
    return "".join(
        f"{_guard(each)};\n\n"
        for each in statements
        if needs_bodies or _FUNCTION_BODIES not in each.partition("=")[0]
    )


def new_values(text: str) -> list[str]:
    """Give the statements that give an enum a value.

    Nobody can use it in the same transaction
    (https://www.postgresql.org/docs/17/sql-altertype.html).
    """
    return [each.text for each in split(text) if _NEW_VALUE.match(each.text)]


def _guard(statement: str) -> str:
    if policy := _POLICY.match(statement):
        return f"DROP POLICY IF EXISTS {policy[1]} ON {policy[2]};\n{statement}"
    if made := _TYPE.match(statement):
        return _unless(f"to_regtype({literal(made[1])}) is not null", statement)
    if made := _PUBLICATION.match(statement):
        there = f"exists (select from pg_publication where pubname = {literal(_plain(made[1]))})"
        return _unless(there, statement)
    if published := _PUBLISHED.match(statement):
        there = (
            "exists (select from pg_publication_rel as r\n"
            "    join pg_publication as p on p.oid = r.prpubid\n"
            f"    where p.pubname = {literal(_plain(published[1]))}\n"
            f"      and r.prrelid = to_regclass({literal(published[3])}))"
        )
        negated = there if published[2].lower() == "add" else f"not {there}"
        return _unless(negated, statement)
    if constraint := _CONSTRAINT.match(statement):
        name = _plain(constraint[3])
        column, kind = {"table": ("conrelid", "regclass"), "domain": ("contypid", "regtype")}[
            constraint[1].lower()
        ]
        there = (
            f"exists (select from pg_constraint where conname = {literal(name)}\n"
            f"    and {column} = {literal(constraint[2])}::{kind})"
        )
        return _unless(there, statement)
    if attribute := _ATTRIBUTE.match(statement):
        there = (
            "exists (select from pg_attribute as a join pg_class as c on c.oid = a.attrelid\n"
            f"    where a.attname = {literal(_plain(attribute[2]))} and not a.attisdropped\n"
            f"      and c.reltype = {literal(attribute[1])}::regtype)"
        )
        return _unless(there, statement)
    for pattern, replacement in _SIMPLE:
        changed, times = pattern.subn(replacement, statement, count=1)
        if times:
            # The words that the pattern kept are pg-delta's, in capitals.
            return changed
    return statement


def _plain(name: str) -> str:
    """Give a name as the catalog has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _unless(condition: str, statement: str) -> str:
    tag = "$guard$"
    while tag in statement:
        tag = f"{tag[:-1]}_$"
    body = "\n".join(f"    {line}" if line else "" for line in statement.splitlines())
    if "'" in statement or "$" in statement:  # a line break in a literal is its own
        body = f"    {statement}"
    negated = condition.removeprefix("not ") if condition.startswith("not ") else ""
    wanted = negated or f"not {_bare(condition)}"
    return f"do {tag} begin\n  if {wanted} then\n{body};\n  end if;\nend {tag}"


def _bare(condition: str) -> str:
    """Put a condition in parentheses where ``not`` would bind to a part of it."""
    return f"({condition})" if " is not null" in condition else condition
