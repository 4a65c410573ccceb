"""What is asked and how the answer is read, for the synchronous and the asynchronous client alike.

Each function is a generator: it gives requests of supabase-py, is sent their answers, and returns
the result. Who drives it sends the requests in its own way (`riptide.accounts.client`,
`riptide.accounts.aio`); supabase-py's two clients build requests by the same methods.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast
from uuid import UUID

from riptide.accounts.checksum import is_token
from riptide.accounts.results import ApiToken, NewApiToken, Profile, UserSession, VerifiedToken
from riptide.errors import AccountError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import timedelta

T = TypeVar("T")
Flow = Generator[Any, Any, T]

_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")
_SERVER = "as a server, say whose: Accounts(client, user_id=…)"


class ProfileChanges(TypedDict, total=False):
    """The columns of a profile that its owner may change; what is left out stays."""

    display_name: str | None
    avatar_url: str | None
    website: str | None
    timezone: str | None
    preferences: Mapping[str, Any]


# --- the profile ---------------------------------------------------------------------------------


def get_profile(client: Any, user_id: UUID | None) -> Flow[Profile]:
    """Give the caller's profile, or for a server that of the user."""
    request = client.table("profiles").select("*").limit(2)
    if user_id is not None:
        request = request.eq("id", str(user_id))
    answer = yield request
    return _only(Profile, answer.data, "profile")


def update_profile(client: Any, user_id: UUID | None, changes: Mapping[str, Any]) -> Flow[Profile]:
    """Change it."""
    unknown = sorted(set(changes) - set(ProfileChanges.__annotations__))
    if unknown:
        raise TypeError(f"update() got an unexpected keyword argument {unknown[0]!r}")
    _sendable(changes)
    if not changes or user_id is None:
        # The API changes nothing without a filter, and the filter is the id.
        profile = yield from get_profile(client, user_id)
        if not changes:
            return profile
        user_id = profile.id
    answer = yield client.table("profiles").update(dict(changes)).eq("id", str(user_id))
    return _only(Profile, answer.data, "profile")


# --- tokens --------------------------------------------------------------------------------------


def create_token(
    client: Any, name: str, scopes: Collection[str] | None, expires_in: timedelta | None
) -> Flow[NewApiToken]:
    """Make a token."""
    answer = yield client.rpc(
        "create_api_token",
        {
            # Also where it is null: the database has no default for it, and says so.
            **_sendable({"name": name}),
            **_given(
                scopes=None if scopes is None else list(scopes),
                expires_in=_interval(expires_in),
            ),
        },
    )
    return _only(NewApiToken, answer.data, "token")


def list_tokens(client: Any, user_id: UUID | None, *, ended: bool) -> Flow[tuple[ApiToken, ...]]:
    """Give the tokens, the newest first."""
    request = client.table("api_tokens").select("*").order("created_at", desc=True)
    if user_id is not None:
        request = request.eq("user_id", str(user_id))
    if not ended:
        request = request.is_("revoked_at", "null").or_("expires_at.is.null,expires_at.gt.now")
    answer = yield request
    return _every(ApiToken, answer.data)


def rename_token(client: Any, token_id: UUID | str, name: str) -> Flow[ApiToken]:
    """Give a token another name."""
    change = _sendable({"name": name})
    answer = yield client.table("api_tokens").update(change).eq("id", _id(token_id))
    return _only(ApiToken, answer.data, "token", field="id")


def revoke_token(client: Any, token_id: UUID | str) -> Flow[ApiToken]:
    """End a token."""
    answer = yield client.rpc("revoke_api_token", {"id": _id(token_id)})
    return _only(ApiToken, answer.data, "token", field="id")


def rotate_token(client: Any, token_id: UUID | str) -> Flow[NewApiToken]:
    """End a token and make one like it."""
    answer = yield client.rpc("rotate_api_token", {"id": _id(token_id)})
    return _only(NewApiToken, answer.data, "token", field="id")


def verify_token(client: Any, token: str, ip: object) -> Flow[VerifiedToken | None]:
    """Say whom a token acts for. What is no token by its checksum is not looked up."""
    if not is_token(token):
        return None
    given = _given(token=token, ip=None if ip is None else str(ip))
    answer = yield client.rpc("verify_api_token", given)
    found = _every(VerifiedToken, answer.data)
    return found[0] if found else None


# --- sessions ------------------------------------------------------------------------------------


def touch_session(
    client: Any,
    device_name: str | None,
    location: Mapping[str, Any] | None,
    expires_in: timedelta | None,
) -> Flow[UserSession]:
    """Make or refresh the row of the caller's session."""
    given = _given(device_name=device_name, location=location, expires_in=_interval(expires_in))
    answer = yield client.rpc("touch_session", given)
    return _only(UserSession, answer.data, "session")


def list_sessions(client: Any, user_id: UUID | None) -> Flow[tuple[UserSession, ...]]:
    """Give the live sessions, the latest active first."""
    if user_id is None:
        request = client.rpc("list_sessions", {})
    else:  # a server has no session of its own, so none that could be the current one
        request = client.table("user_sessions").select("*").eq("user_id", str(user_id))
        request = request.is_("revoked_at", "null").or_("expires_at.is.null,expires_at.gt.now")
        request = request.order("last_active_at", desc=True)
    answer = yield request
    return _every(UserSession, answer.data)


def revoke_session(client: Any, session_id: UUID | str) -> Flow[UserSession]:
    """End a session."""
    answer = yield client.rpc("revoke_session", {"id": _id(session_id)})
    return _only(UserSession, answer.data, "session", field="id")


def revoke_other_sessions(client: Any) -> Flow[int]:
    """End all others."""
    answer = yield client.rpc("revoke_other_sessions", {})
    return int(answer.data)


# --- writing and reading -------------------------------------------------------------------------


def _given(**arguments: Any) -> dict[str, Any]:
    """Leave out what was not said: the function's own default counts."""
    return _sendable({name: value for name, value in arguments.items() if value is not None})


def _sendable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values that were named, of which each text can be sent and kept.

    PostgreSQL keeps no NUL in a text (https://www.postgresql.org/docs/17/datatype-character.html)
    and would not say which column that was in; half of a surrogate pair is no character in UTF-8.

    Raises:
        AccountError: One cannot.
    """
    for field, value in values.items():
        if any(_UNSENDABLE.search(text) for text in _texts(value)):
            raise AccountError(
                f"{field} has a character that no text can have: NUL, or half of a surrogate pair",
                field=field,
                code="22021",
                state="nothing was asked",
            )
    return dict(values)


def _texts(value: Any) -> Iterator[str]:
    """Give each text in a value that is to become JSON."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list | tuple):
            waiting += each


def _interval(span: timedelta | None) -> str | None:
    """Give a span as PostgreSQL reads one, whose days and seconds have limits of their own.

    https://www.postgresql.org/docs/17/datatype-datetime.html#DATATYPE-INTERVAL-INPUT
    """
    if span is None:
        return None
    return f"{span.days} days {span.seconds}.{span.microseconds:06} seconds"


def _id(given: UUID | str) -> str:
    """Give an id as text.

    Raises:
        AccountError: It is none.
    """
    try:
        return str(given if isinstance(given, UUID) else UUID(given))
    except ValueError:
        raise AccountError(
            f"{given!r} is no id", field="id", code="22P02", state="nothing was asked"
        ) from None


def _only(kind: type[T], data: Any, noun: str, *, field: str | None = None) -> T:
    """Read the one row of an answer: as an object, or in a list.

    Raises:
        AccountError: There is none, or more than one.
    """
    found = _every(kind, data if isinstance(data, list) else [data])
    if len(found) == 1:
        return found[0]
    if found:
        raise AccountError(f"more than one {noun} is there to choose from", next_step=_SERVER)
    # The functions' own code for it, of which PostgREST makes status 404:
    # https://docs.postgrest.org/en/stable/references/errors.html#raise-errors-with-http-status-codes
    raise AccountError(f"there is no such {noun}", field=field, code="PT404")


def _every(kind: type[T], data: Sequence[Any]) -> tuple[T, ...]:
    """Read rows.

    Raises:
        AccountError: They are not as RipTide's schema has them.
    """
    from pydantic import ValidationError

    try:
        reader = _reader(cast("Any", kind))
        rows: tuple[T, ...] = reader.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(each) for each in first["loc"][1:])
        raise AccountError(
            "the answer is not as RipTide's schema has it",
            detail=f"  {where}: {first['msg']}" if where else f"  {first['msg']}",
            next_step="inv migrate.status: are all migrations applied?",
        ) from error
    return rows


@cache
def _reader(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(tuple[kind, ...])
