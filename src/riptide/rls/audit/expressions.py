"""Reading a policy's expression as PostgreSQL writes it out (``pg_get_expr``): pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A string, a quoted name, a word (dots included), or one character.
_TOKEN = re.compile(
    r"'(?:[^']|'')*'|(?:\"(?:[^\"]|\"\")*\"|[A-Za-z_][\w$]*)(?:\.[\w$]+)*|\s+|.", re.DOTALL
)
_CALLS = ("auth.uid", "auth.jwt", "auth.role", "auth.email", "current_setting")

_UID = r"(?:\( SELECT auth\.uid\(\) AS uid\)|auth\.uid\(\))"
_COLUMN = r'(?:"(?:[^"]|"")+"|[a-z_][\w$]*)'
_COMPARED = re.compile(rf"{_UID} = (?P<after>{_COLUMN})|(?P<before>{_COLUMN}) = {_UID}")

# The ways to ask for the caller's role: a function, a claim, the role itself.
_ROLE = re.compile(r"auth\.role\(\)|'role'|request\.jwt\.claim|CURRENT_USER|CURRENT_ROLE")
_TRUE = {"true", "1=1"}
_SIGNED_IN = {
    "auth.uidisnotnull",
    "selectauth.uidasuidisnotnull",
    "auth.role='authenticated'::text",
    "selectauth.roleasrole='authenticated'::text",
}


@dataclass
class _Frame:
    start: int
    select: bool = False
    has_from: bool = False
    text: str = ""
    opens_call: int | None = None


@dataclass
class _Call:
    start: int
    frame: _Frame | None
    end: int = 0


def is_always_true(expression: str | None, role: str) -> bool:
    """Whether it holds for every row, as far as can be seen, when this client asks."""
    if expression is None:  # such a policy lets nothing pass
        return False
    bare = re.sub(r"[\s()]", "", expression).lower()
    return bare in _TRUE or (role == "authenticated" and bare in _SIGNED_IN)


def reads_user_metadata(expression: str) -> bool:
    """Whether it asks for what users write about themselves: a claim, or a column of auth.users.

    A column of the table that has that name is its own matter.
    """
    strings = " ".join(re.findall(r"'(?:[^']|'')*'", expression))
    claims = "auth.jwt()" in expression or "current_setting(" in expression
    return (claims and re.search(r"\buser_metadata\b", strings) is not None) or (
        "auth.users" in expression and "raw_user_meta_data" in expression
    )


def asks_for_service_role(expression: str) -> bool:
    """Whether it compares the caller's role with ``service_role``."""
    return "'service_role'" in expression and _ROLE.search(expression) is not None


def compared_with_user(expression: str) -> set[str]:
    """Give the table's own columns that are compared with ``auth.uid()``, quotes taken off."""
    own = _outside_selects(expression)
    names = {match["after"] or match["before"] for match in _COMPARED.finditer(own)}
    return {name[1:-1].replace('""', '"') if name[0] == '"' else name for name in names}


def per_row_calls(expression: str, table: str) -> list[tuple[int, int]]:
    """Give the places of calls that are made for each row, and not once for the statement.

    PostgreSQL calls a function once where it stands in a sub-select that needs nothing of the row
    (https://supabase.com/docs/guides/database/postgres/row-level-security#call-functions-with-select):
    one without FROM, and without a column of the table.

    Args:
        expression: As ``pg_get_expr`` gives it.
        table: The table's bare name as SQL writes it: in a sub-select it stands before its columns.
    """
    return [(each.start, each.end) for each in _calls(expression) if _is_per_row(each, table)]


def wrapped(expression: str, table: str) -> str:
    """Give the expression with each of those calls in a sub-select."""
    for start, end in reversed(per_row_calls(expression, table)):
        expression = f"{expression[:start]}(select {expression[start:end]}){expression[end:]}"
    return expression


def _is_per_row(call: _Call, table: str) -> bool:
    frame = call.frame
    if frame is None or frame.has_from:
        return True
    return re.search(rf"(?<![\w.\"]){re.escape(table)}\.", frame.text) is not None


def _calls(expression: str) -> list[_Call]:
    found: list[_Call] = []
    stack: list[_Frame] = []
    tokens = list(_TOKEN.finditer(expression))
    for index, token in enumerate(tokens):
        text = token[0]
        after = tokens[index + 1][0] if index + 1 < len(tokens) else ""
        if text in _CALLS and after == "(":
            selects = [each for each in stack if each.select]
            found.append(_Call(start=token.start(), frame=selects[-1] if selects else None))
        elif text == "(":
            before = tokens[index - 1][0] if index else ""
            select = re.match(r"\(\s*SELECT\b", expression[token.start() :]) is not None
            opens = len(found) - 1 if before in _CALLS else None
            stack.append(_Frame(start=token.start(), select=select, opens_call=opens))
        elif text == ")" and stack:
            frame = stack.pop()
            frame.text = expression[frame.start : token.end()]
            if frame.opens_call is not None:
                found[frame.opens_call].end = token.end()
        elif text == "FROM" and stack and stack[-1].select:
            stack[-1].has_from = True
    return found


def _outside_selects(expression: str) -> str:
    """Take out sub-selects that read tables: their columns are those of others."""
    parts, depth, start = [], 0, 0
    stack: list[tuple[int, bool]] = []
    for token in _TOKEN.finditer(expression):
        if token[0] == "(":
            rest = expression[token.start() :]
            other = re.match(r"\(\s*SELECT\b(?! auth\.uid\(\) AS uid\))", rest) is not None
            stack.append((token.start(), other))
            if other and not depth:
                parts.append(expression[start : token.start()])
            depth += other
        elif token[0] == ")" and stack:
            _, other = stack.pop()
            depth -= other
            if other and not depth:
                start = token.end()
    if not depth:
        parts.append(expression[start:])
    return " … ".join(parts)
