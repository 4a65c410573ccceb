"""The accounts' two clients, to be asked in one way."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from _http import async_http_client

from riptide.accounts import Accounts, AsyncAccounts

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from uuid import UUID

    import httpx
    from supabase import Client

    from riptide.results import StackStatus


class Asker:
    """Gives an `Accounts` for a client, or an `AsyncAccounts` whose methods are waited for."""

    def __init__(self, kind: str, stack: StackStatus) -> None:
        self.kind, self.stack = kind, stack
        self._runner = asyncio.Runner()
        self._http: list[httpx.AsyncClient] = []

    def __call__(self, client: Client, user_id: UUID | None = None) -> Any:
        """Give it, for who the synchronous client is."""
        if self.kind == "sync":
            return Accounts(client, user_id=user_id)
        return _Waited(AsyncAccounts(self.run(self._async(client)), user_id=user_id), self.run)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Wait for a coroutine."""
        return self._runner.run(coroutine)

    async def _async(self, client: Client) -> Any:
        from supabase import acreate_client
        from supabase.lib.client_options import AsyncClientOptions

        http = async_http_client()
        self._http.append(http)
        options = AsyncClientOptions(
            auto_refresh_token=False,
            persist_session=False,
            httpx_client=http,
            headers={"Authorization": client.options.headers["Authorization"]},
        )
        return await acreate_client(self.stack.api_url, client.supabase_key, options)

    def close(self) -> None:
        """Close all connections."""
        for each in self._http:
            self.run(each.aclose())
        self._runner.close()


class _Waited:
    """Has the attributes of an object; what is to be awaited is waited for."""

    def __init__(self, inner: Any, run: Any) -> None:
        self._inner, self._run = inner, run

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if inspect.iscoroutinefunction(value):
            return lambda *args, **kwargs: self._run(value(*args, **kwargs))
        return _Waited(value, self._run)
