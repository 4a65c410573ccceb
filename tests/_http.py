"""HTTP clients of the local stack, which has no certificate to check."""

from __future__ import annotations

from typing import Any

import httpx


def http_client(**options: Any) -> httpx.Client:
    """Give a client for ``http://`` addresses."""
    # One that could ask for https:// reads all certificates first: 50 ms, in hundreds of tests.
    return httpx.Client(**{"timeout": 10, "verify": False, **options})


def async_http_client() -> httpx.AsyncClient:
    """Give one for coroutines."""
    return httpx.AsyncClient(timeout=10, verify=False)
