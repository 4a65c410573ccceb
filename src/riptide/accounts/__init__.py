"""A product's accounts on RipTide's schema: profiles, API tokens and sessions, through supabase-py.

``Accounts`` works with a `supabase.Client`, ``AsyncAccounts`` with a `supabase.AsyncClient`; what
they ask and how they read the answer is the same code. As a signed-in user::

    accounts = Accounts(client)
    accounts.profile.update(display_name="Ann")
    token = accounts.tokens.create("laptop", scopes=["read"]).token  # shown once
    for each in accounts.sessions.list():
        print(each.device_name, each.is_current)

As a server, with the secret key::

    found = Accounts(server).tokens.verify(token)
    if found and "read" in found.scopes:
        print(Accounts(server, user_id=found.user_id).profile.get().display_name)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide._lazy import lazily

if TYPE_CHECKING:
    from riptide.accounts.aio import AsyncAccounts
    from riptide.accounts.checksum import is_token
    from riptide.accounts.client import Accounts
    from riptide.accounts.flows import ProfileChanges
    from riptide.accounts.results import ApiToken, NewApiToken, Profile, UserSession, VerifiedToken
    from riptide.errors import AccountError

__all__ = [
    "AccountError",
    "Accounts",
    "ApiToken",
    "AsyncAccounts",
    "NewApiToken",
    "Profile",
    "ProfileChanges",
    "UserSession",
    "VerifiedToken",
    "is_token",
]

_HOMES = {
    "AccountError": "riptide.errors",
    "Accounts": "riptide.accounts.client",
    "ApiToken": "riptide.accounts.results",
    "AsyncAccounts": "riptide.accounts.aio",
    "NewApiToken": "riptide.accounts.results",
    "Profile": "riptide.accounts.results",
    "ProfileChanges": "riptide.accounts.flows",
    "UserSession": "riptide.accounts.results",
    "VerifiedToken": "riptide.accounts.results",
    "is_token": "riptide.accounts.checksum",
}


__getattr__ = lazily(__name__, _HOMES)
