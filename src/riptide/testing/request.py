"""A query of supabase-py before it is sent: what it asks for, of what, and in whose name."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from riptide.errors import RlsError

if TYPE_CHECKING:
    from riptide.testing.stack import SupabaseStack

# What says no: a privilege or a policy, and a trigger that raises. A key that is not valid, or a
# token that ran out, is no answer to the question, so 401 alone does not count.
REFUSALS = ("42501", "P0001")
_NO_ROW = "PGRST116"  # `single()` of nothing
_SHOWN = 160  # characters of a body


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a query was answered.

    Attributes:
        code: PostgreSQL's or PostgREST's, where it was not accepted; else empty.
        words: The server's.
        rows: How many came back; -1 where none were asked for.
        response: What ``execute()`` gave.
    """

    code: str = ""
    words: str = ""
    rows: int = 0
    response: Any = None

    @property
    def refused(self) -> bool:
        """Whether a privilege, a policy or a trigger said no."""
        return self.code in REFUSALS

    def __str__(self) -> str:
        """Say it in a few words."""
        if not self.code:
            rows = f", {count(self.rows, 'row')} in the answer" if self.rows >= 0 else ""
            return f"accepted{rows}"
        return f"{'refused' if self.refused else 'failed'}: {self.words} ({self.code})"


class Request:
    """A query that can be read and sent."""

    def __init__(self, query: Any, stack: SupabaseStack) -> None:
        """Read ``query``.

        Raises:
            TypeError: It is none that is still to be executed.
        """
        from inspect import iscoroutinefunction

        config: Any = getattr(query, "request", None)
        execute = getattr(query, "execute", None)
        if not hasattr(config, "http_method") or execute is None or iscoroutinefunction(execute):
            raise TypeError(
                "this takes a query of supabase-py's synchronous client as it is before "
                f'.execute(): client.table("notes").select("*"), not {type(query).__name__}'
            )
        self._query, self._stack, self._config = query, stack, config
        self.method = str(getattr(config.http_method, "value", config.http_method)).upper()
        *before, name = str(config.path).rstrip("/").split("/")
        self.name = unquote(name)
        self.is_call = bool(before) and before[-1] == "rpc"
        self.headers: Any = config.headers
        header = "Accept-Profile" if self.method in ("GET", "HEAD") else "Content-Profile"
        self.schema = self.headers.get(header) or (stack.settings.config.schemas or ("public",))[0]

    @property
    def operation(self) -> str:
        """``select``, ``insert``, ``upsert``, ``update``, ``delete`` or ``call``."""
        if self.is_call:
            return "call"
        if self.method == "POST":
            return "upsert" if "resolution=" in self.headers.get("Prefer", "") else "insert"
        return {"PATCH": "update", "DELETE": "delete"}.get(self.method, "select")

    @property
    def ignores_duplicates(self) -> bool:
        """Whether rows that are there already are left as they are."""
        return "resolution=ignore-duplicates" in self.headers.get("Prefer", "")

    @property
    def body(self) -> Any:
        """What is to be written, or a function's arguments."""
        return self._config.json

    @property
    def actor(self) -> tuple[str, str]:
        """The database role that it runs as, and who that is for a person."""
        from riptide.rls.tokens import claims_of

        token = str(self.headers.get("Authorization", "")).removeprefix("Bearer ")
        claims: dict[str, Any] = {}
        with suppress(ValueError, IndexError):
            claims = claims_of(token)
        role = str(claims.get("role") or "anon")
        status = self._stack.status
        if token in (status.secret_key, status.service_role_key):
            return "service_role", "the service role"
        if not claims.get("sub"):
            return role, role
        return role, f"{claims.get('email') or claims['sub']} ({role})"

    def __str__(self) -> str:
        """Give it as a person would write it down."""
        query = unquote(str(self._config.params))
        text = f"{self.method} {'rpc/' if self.is_call else ''}{self.name}"
        text += f"?{query}" if query else ""
        if self.body:
            body = json.dumps(self.body, default=str, ensure_ascii=False)
            text += f" {body if len(body) <= _SHOWN else body[:_SHOWN] + '…'}"
        return text

    def send(self, *, minimal: bool = False) -> Answer:
        """Send it; the query that it was made of stays as it was.

        Args:
            minimal: Ask for no representation. With one, a write also needs a policy for select,
                and one that the policies for writing let through looks like a denied one.

        Raises:
            RlsError: The API stopped answering.
        """
        import httpx
        from postgrest.exceptions import APIError

        query = copy.copy(self._query)
        query.request = copy.copy(self._config)
        minimal = minimal and not self.is_call and self.operation != "select"
        if minimal:
            kept = [
                each.strip()
                for each in self.headers.get("Prefer", "").split(",")
                if each.strip() and not each.strip().startswith("return=")
            ]
            query.request.headers = httpx.Headers(self.headers)
            query.request.headers["Prefer"] = ",".join([*kept, "return=minimal"])
        try:
            response = query.execute()
        except APIError as error:
            code = str(error.code or "without a code")
            if code == _NO_ROW:
                return Answer()
            return Answer(code=code, words=error.message or "without a word")
        except httpx.HTTPError as error:
            raise RlsError(
                f"the API stopped answering: {str(error) or type(error).__name__}",
                state=f"not known whether this was done: {self}",
                next_step="run the tests again",
            ) from error
        if minimal:
            return Answer(rows=-1, response=response)
        data = getattr(response, "data", None)
        rows = len(data) if isinstance(data, list) else int(data not in (None, ""))
        return Answer(rows=max(rows, getattr(response, "count", None) or 0), response=response)

    def control(self) -> Answer:
        """Ask for the rows that it is about, as the service role, whom no policy binds.

        Raises:
            RlsError: The API stopped answering.
        """
        import httpx

        params = [(k, v) for k, v in self._config.params.multi_items() if k != "columns"]
        if self.method not in ("GET", "HEAD"):
            params = [("select", "*"), *((k, v) for k, v in params if k != "select")]
        secret = self._stack.status.secret_key
        try:
            response = self._stack.http.get(
                f"{self._stack.api_url}/rest/v1/{self.name}",
                params=params,
                headers={
                    "apikey": secret,
                    "Authorization": f"Bearer {secret}",
                    "Accept-Profile": self.schema,
                },
            )
            data = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RlsError(
                f"the API stopped answering: {str(error) or type(error).__name__}",
                state=f"the rows of {self.schema}.{self.name} could not be looked at",
                next_step="run the tests again",
            ) from error
        if isinstance(data, list):
            return Answer(rows=len(data), response=data)
        return Answer(code=str(data.get("code")), words=str(data.get("message")))


def count(number: int, noun: str) -> str:
    """Give ``1 row``, ``2 rows``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
