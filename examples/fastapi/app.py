"""An API whose callers are programs: each request carries an API token that a user has made.

    uvicorn app:app

It needs SUPABASE_URL and SUPABASE_SECRET_KEY (`inv stack.status --env`).
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Security, status
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from pydantic import BaseModel, ConfigDict
from supabase import AsyncClient, acreate_client

from riptide.accounts import AccountError, AsyncAccounts, Profile, UserSession, VerifiedToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Make the one client that all requests share, with the server's key."""
    app.state.supabase = await acreate_client(
        os.environ["SUPABASE_URL"], os.environ["SUPABASE_SECRET_KEY"]
    )
    yield


app = FastAPI(title="Accounts", lifespan=lifespan)
bearer = HTTPBearer(auto_error=False, description="an API token: rt_…")


def supabase(request: Request) -> AsyncClient:
    """Give the server's client."""
    client: AsyncClient = request.app.state.supabase
    return client


async def token(
    scopes: SecurityScopes,
    request: Request,
    client: Annotated[AsyncClient, Depends(supabase)],
    sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> VerifiedToken:
    """Give the token of the request: 401 where there is none in force, 403 where it may not."""
    address = request.client.host if request.client else None
    found = sent and await AsyncAccounts(client).tokens.verify(sent.credentials, ip=address)
    if not found:
        # https://www.rfc-editor.org/rfc/rfc6750#section-3
        challenge = 'Bearer error="invalid_token"' if sent else "Bearer"
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED,
            "a valid API token is needed",
            {"WWW-Authenticate": challenge},
        )
    missing = sorted(set(scopes.scopes) - set(found.scopes))
    if missing:
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            f"the token lacks the scope {missing[0]}",
            {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{missing[0]}"'},
        )
    return found


Reader = Annotated[VerifiedToken, Security(token, scopes=["read"])]
Writer = Annotated[VerifiedToken, Security(token, scopes=["write"])]
Client = Annotated[AsyncClient, Depends(supabase)]


class Changes(BaseModel):
    """What a program may change of a profile; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    display_name: str | None = None
    avatar_url: str | None = None
    website: str | None = None
    timezone: str | None = None


@app.get("/me")
async def read_profile(token: Reader, client: Client) -> Profile:
    """Give the profile of the user whom the token acts for."""
    return await AsyncAccounts(client, user_id=token.user_id).profile.get()


@app.patch("/me")
async def change_profile(token: Writer, client: Client, changes: Changes) -> Profile:
    """Change it."""
    said = changes.model_dump(exclude_unset=True)
    return await AsyncAccounts(client, user_id=token.user_id).profile.update(**said)


@app.get("/devices")
async def list_devices(token: Reader, client: Client) -> list[UserSession]:
    """List the devices that the user is signed in on, the latest active first."""
    return list(await AsyncAccounts(client, user_id=token.user_id).sessions.list())


@app.exception_handler(AccountError)
async def refused(_: Request, error: AccountError) -> JSONResponse:
    """Give the database's refusal on, with its field; anything else is not the caller's fault."""
    if error.field is None:
        return JSONResponse({"detail": "not available at the moment"}, status_code=503)
    place = {"loc": ["body", error.field], "msg": error.message, "type": error.code}
    return JSONResponse({"detail": [place]}, status_code=422)
