"""The users of a verification: made and signed in through the Auth API, and removed again."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from riptide._interrupts import deferred
from riptide.errors import RlsError

if TYPE_CHECKING:
    from psycopg import Connection
    from supabase import Client

    from riptide.rls.endpoint import Endpoint

ADDRESS = "riptide-rls-{}@example.com"
MARK = {"riptide_rls": True}


@dataclass(frozen=True, kw_only=True)
class Made:
    """A user that was made."""

    user_id: str
    email: str
    password: str = field(repr=False)


class Users:
    """The users that one run makes.

    Attributes:
        emails: Of all of them, made or not: what is left is found by them.
    """

    def __init__(self, endpoint: Endpoint, service: Client, run: str) -> None:
        self._endpoint = endpoint
        self._service = service
        self._run = run
        self._made: list[str] = []
        self.emails: list[str] = []

    def make(self, name: str, metadata: dict[str, Any] | None = None) -> Made:
        """Make a user.

        Args:
            name: For the user's display name.
            metadata: What else they have written about themselves.

        Raises:
            RlsError: The API does not answer, a key is not valid, or users are refused.
        """
        import httpx
        from supabase_auth.errors import AuthError

        password = secrets.token_urlsafe(24)
        email = ADDRESS.format(f"{self._run}-{name}")
        self.emails.append(email)
        try:
            with deferred():
                user = self._service.auth.admin.create_user(
                    {
                        "email": email,
                        "password": password,
                        "email_confirm": True,
                        "app_metadata": MARK,
                        "user_metadata": {
                            "display_name": f"RLS verification ({name})",
                            **(metadata or {}),
                        },
                    }
                ).user
                self._made.append(user.id)
        except (AuthError, httpx.HTTPError) as error:
            raise explain(self._endpoint, error, "create a user", "secret") from error
        return Made(user_id=user.id, email=email, password=password)

    def sign_in(self, client: Client, user: Made) -> str:
        """Sign a user in with a client; give the token.

        Raises:
            RlsError: The API does not answer, a key is not valid, or that is refused.
        """
        import httpx
        from supabase_auth.errors import AuthError

        try:
            session = client.auth.sign_in_with_password(
                {"email": user.email, "password": user.password}
            ).session
        except (AuthError, httpx.HTTPError) as error:
            raise explain(self._endpoint, error, "sign a user in", "publishable") from error
        if session is None:
            raise RlsError(
                "the Auth API signed a user in without a session", next_step=self._endpoint.remedy
            )
        return session.access_token

    def claim(self, client: Client, metadata: dict[str, Any]) -> str:
        """Write into a signed-in user's own metadata, and give the token that says so.

        Raises:
            RlsError: The API does not answer or refuses that.
        """
        import httpx
        from supabase_auth.errors import AuthError

        try:
            client.auth.update_user({"data": metadata})
            session = client.auth.refresh_session().session
        except (AuthError, httpx.HTTPError) as error:
            doing = "let a user change their metadata"
            raise explain(self._endpoint, error, doing, "publishable") from error
        if session is None:
            raise RlsError(
                "the Auth API refreshed a session without one", next_step=self._endpoint.remedy
            )
        return session.access_token

    def remove(self, connection: Connection[Any]) -> None:
        """Delete the users as an application would; by SQL those that this did not reach.

        Raises:
            RlsError: They could not be deleted.
        """
        import httpx
        import psycopg
        from supabase_auth.errors import AuthError

        left = list(self._made)
        for user_id in self._made:
            try:
                self._service.auth.admin.delete_user(user_id)
                left.remove(user_id)
            except (AuthError, httpx.HTTPError):
                break
        try:
            # Also finds one whose making was interrupted before its id was known here.
            connection.execute("delete from auth.users where email = any(%s)", (self.emails,))
        except psycopg.Error as error:
            if left:
                raise RlsError(
                    "the users made for the verification could not be deleted",
                    detail=f"  {error}",
                    state=f"left in auth.users: {', '.join(self.emails)}",
                    next_step="delete them, for instance in Supabase Studio",
                ) from error


def explain(endpoint: Endpoint, error: Exception, doing: str, key_name: str) -> RlsError:
    """Make the error for a refusal of the Auth API.

    Args:
        endpoint: Whose.
        error: What supabase-py raised.
        doing: What was asked for, after "would not".
        key_name: Which key was used: ``secret`` or ``publishable``.
    """
    status = getattr(error, "status", 0) or 0
    code = str(getattr(error, "code", "") or "")
    words = getattr(error, "message", "") or str(error)
    state = "nothing was tried; no user is left behind"
    if status in (0, 502, 503, 504):
        return RlsError(
            f"the API at {endpoint.api_url} does not answer",
            detail=f"  {words}",
            state=state,
            next_step=endpoint.remedy,
        )
    if status == 401 or "api_key" in code or code in ("bad_jwt", "no_authorization", "not_admin"):
        return RlsError(
            f"the API at {endpoint.api_url} does not accept the {key_name} key ({status})",
            detail=f"  {words}",
            state=state,
            next_step=f"check SUPABASE_{key_name.upper()}_KEY",
        )
    return RlsError(
        f"the Auth API would not {doing}: {words} ({code or status})",
        detail="  Verification takes three users with an e-mail address and a password."
        " config.toml: [auth.email] enabled.",
        state=state,
        next_step="allow that, then `inv rls.verify`",
    )
