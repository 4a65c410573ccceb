"""The database's refusal as an `AccountError` that names the field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from riptide.errors import AccountError

if TYPE_CHECKING:
    from riptide.accounts.flows import Flow, T

_FIELD = re.compile(r"field: (\w+)")
_COLUMN = re.compile(r'column "(\w+)"')
# <table>_<columns>_<kind>, after which this schema names its constraints.
_CONSTRAINT = re.compile(r'constraint "(?:profiles|api_tokens|user_sessions)_(\w+)_(check|key)"')
_ENUM = re.compile(r'invalid input value for enum [\w."]*api_token_scope')

# Of the functions' arguments one each is of these types.
_SYNTAX = re.compile(r"invalid input syntax for type (inet|interval): ")
_OF_TYPE = {"inet": "ip", "interval": "expires_in"}

# PostgREST's own: https://docs.postgrest.org/en/stable/references/errors.html
_ABSENT = frozenset({"PGRST202", "PGRST204", "PGRST205", "42883", "42P01"})
_SIGN_IN = frozenset({"PGRST301", "PGRST302", "PGRST303", "28000", "42501"})


def told(flow: Flow[T]) -> Flow[T]:
    """Turn what the API refuses, or does not answer, into an `AccountError`."""
    import httpx
    from postgrest.exceptions import APIError

    try:
        return (yield from flow)
    except APIError as error:
        raise refusal(error) from error
    except httpx.HTTPError as error:
        unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        raise AccountError(
            f"the API does not answer: {str(error) or type(error).__name__}",
            state="nothing was changed" if unsent else "whether it was done is not known",
            next_step="is the URL right, and does it run? inv stack.status"
            if unsent
            else "look whether it was done, then the same again",
        ) from error


def refusal(error: Any) -> AccountError:
    """Give the error for an answer that is an error.

    Args:
        error: A `postgrest.exceptions.APIError`.
    """
    code, message = error.code or "", error.message or "the API refused it"
    next_step = None
    if code in _ABSENT:
        next_step = "inv migrate.status: are all migrations applied?"
    elif code in _SIGN_IN:
        next_step = (
            "ask as the signed-in user; as a server, with the secret key, for what is a server's"
        )
    field = field_of(message, error.details)
    detail = error.hint
    if broken := _CONSTRAINT.search(message):
        # PostgreSQL's words for it are for who wrote the constraint.
        detail = "\n  ".join(filter(None, [message, error.hint]))
        message = f"{field} is {'taken' if broken[2] == 'key' else 'not acceptable'}"
    return AccountError(
        message,
        field=field,
        code=code or None,
        detail=f"  {detail}" if detail else None,
        state="nothing was changed",
        next_step=next_step,
    )


def field_of(message: str, details: object) -> str | None:
    """Give the argument or column that was refused, where the answer says so.

    RipTide's functions say ``field: name`` in the details, the one part of an error beside message
    and hint that PostgREST passes on; a constraint is named after its columns, of which a
    ``user_id`` is never the one to mend.
    """
    if named := _FIELD.fullmatch(str(details or "").strip()):
        return named[1]
    if broken := _CONSTRAINT.search(message):
        return broken[1].removeprefix("user_id_")
    if _ENUM.search(message):
        return "scopes"
    if wrong := _SYNTAX.match(message):
        return _OF_TYPE[wrong[1]]
    column = _COLUMN.search(message)
    return column[1] if column else None
