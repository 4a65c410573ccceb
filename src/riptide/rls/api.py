"""Sends one request of supabase-py and says how it was answered."""

from __future__ import annotations

import time
from typing import Any

from riptide.errors import RlsError
from riptide.rls.verdict import Outcome, Reply, outcome_of

# Seconds that the API is given to read the schema again after a migration; it takes about 0.5.
SCHEMA_WAIT = 10.0


def minimal() -> Any:
    """Give postgrest-py's word for: send no representation back."""
    from postgrest.types import ReturnMethod

    return ReturnMethod.minimal


def send(request: Any, *, counts: bool = False) -> Reply:
    """Send a request.

    Args:
        request: A query of supabase-py that can be executed.
        counts: Whether the rows that come back are to be counted.

    Raises:
        RlsError: The API stopped answering, or does not learn of the table.
    """
    import httpx
    from postgrest.exceptions import APIError

    began = time.monotonic()
    while True:
        try:
            data = request.execute().data
        except APIError as error:
            # PostgREST's schema cache may be a moment behind a migration:
            # https://docs.postgrest.org/en/stable/references/errors.html#group-2-schema-cache
            if error.code in ("PGRST204", "PGRST205"):
                if time.monotonic() - began < SCHEMA_WAIT:
                    time.sleep(0.05)
                    continue
                raise RlsError(
                    f"the API has not read the schema again: {error.message}",
                    state="the verification is not finished; its users are removed",
                    next_step="inv stack.stop and `inv stack.start`; on a remote project run "
                    "notify pgrst, 'reload schema'",
                ) from error
            return Reply(outcome=outcome_of(error.code), message=error.message or str(error.code))
        except httpx.HTTPError as error:
            raise RlsError(
                f"the API stopped answering: {str(error) or type(error).__name__}",
                state="the verification is not finished; its users are removed",
                next_step="inv stack.status, then `inv rls.verify`",
            ) from error
        return Reply(outcome=Outcome.DONE, rows=len(data) if counts else -1)
