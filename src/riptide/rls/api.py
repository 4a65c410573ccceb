"""Sends one request of supabase-py and says how it was answered."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from riptide.errors import RlsError
from riptide.rls.verdict import Outcome, Reply, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Seconds that the API is given to read the schema again after a migration; it takes about 0.5.
SCHEMA_WAIT = 10.0


def minimal() -> Any:
    """Give postgrest-py's word for: send no representation back."""
    from postgrest.types import ReturnMethod

    return ReturnMethod.minimal


# Names that are no filter when they stand bare in a request's query:
# https://docs.postgrest.org/en/stable/references/api/tables_views.html
_RESERVED = frozenset(
    {"select", "order", "limit", "offset", "columns", "on_conflict", "and", "or", "not", "apikey"}
)


def selected(columns: Sequence[str]) -> str:
    """Give what ``select`` asks for, names quoted where they have to be; no column is all."""
    return ",".join(map(quoted, columns)) or "*"


def matching(request: Any, row: Mapping[str, Any]) -> Any:
    """Filter a request by the row's values.

    A bare ``limit=eq.…`` is no filter but a limit that PostgREST cannot read and leaves out, and
    the request would be one for every row; `postgrest-py` quotes neither that nor a dot.

    Raises:
        ValueError: There is no value to filter by.
    """
    if not row:
        raise ValueError("a request without a filter would be one for every row")
    for name, value in row.items():
        if quoted(name) == name:
            request = request.eq(name, value)
        else:
            config = request.request
            config.params = config.params.add(quoted(name), f"eq.{value}")
    return request


def quoted(name: str) -> str:
    """Give a name as a request's query has it."""
    if re.fullmatch(r"\w+", name) and name.lower() not in _RESERVED:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def send_together(
    requests: Sequence[tuple[Any, str, Callable[[Any], int] | None]],
) -> list[Reply]:
    """Send requests that only read and of which none needs another's answer.

    Args:
        requests: Each with its table and how its rows are counted, as for `send`.

    Raises:
        RlsError: As `send` does.
    """
    return [send(request, table, counts=True, sees=sees) for request, table, sees in requests]


def send(
    request: Any, table: str, *, counts: bool = False, sees: Callable[[Any], int] | None = None
) -> Reply:
    """Send a request.

    Args:
        request: A query of supabase-py that can be executed.
        table: Which it is about, for messages.
        counts: Whether the rows that come back are to be counted.
        sees: Counts them in another way than by their number: gets what was answered.

    Raises:
        RlsError: The API stopped answering, or does not learn of the table.
    """
    import httpx
    from postgrest.exceptions import APIError

    began = time.monotonic()
    while True:
        try:
            answer = request.execute()
        except APIError as error:
            # PostgREST's schema cache may be a moment behind a migration:
            # https://docs.postgrest.org/en/stable/references/errors.html#group-2-schema-cache
            if error.code in ("PGRST204", "PGRST205"):
                if time.monotonic() - began < SCHEMA_WAIT:
                    time.sleep(0.05)
                    continue
                raise RlsError(
                    f"the API does not know {table}: {error.message}",
                    detail="  It has not read the schema again, or cannot: the local API knows no "
                    "table with a dot in its name."
                    if "." in table.partition(".")[2]
                    else "  It has not read the schema again.",
                    state="the verification is not finished; its users are removed",
                    next_step="inv stack.stop and `inv stack.start`; on a remote project run "
                    "notify pgrst, 'reload schema'",
                ) from error
            # Another schema than those it was started with; a name that is no path.
            if error.code in ("PGRST106", "PGRST125"):
                raise RlsError(
                    f"the API does not serve {table}: {error.message}",
                    state="the verification is not finished; its users are removed",
                    next_step="config.toml, [api] schemas, is read when the stack starts: "
                    "inv stack.stop, then `inv stack.start`",
                ) from error
            words = error.message or str(error.code)
            # No row where `single()` wants one: the request was answered.
            if error.code == "PGRST116":
                return Reply(outcome=Outcome.DONE, rows=0)
            return Reply(
                outcome=outcome_of(error.code, words), message=words, code=error.code or ""
            )
        except httpx.HTTPError as error:
            raise RlsError(
                f"the API stopped answering: {str(error) or type(error).__name__}",
                state="the verification is not finished; its users are removed",
                next_step="inv stack.status, then `inv rls.verify`",
            ) from error
        if sees is not None:
            return Reply(outcome=Outcome.DONE, rows=sees(answer))
        return Reply(outcome=Outcome.DONE, rows=len(answer.data) if counts else -1)
