"""Users for one test: made through the Auth API, signed in, gone afterwards with their rows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from riptide.errors import RlsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from supabase import Client

    from riptide.testing.stack import SupabaseStack


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody who is signed in.

    Attributes:
        client: supabase-py, signed in as this user.
        id: What ``auth.uid()`` gives for them.
        email: Their address; nothing is ever sent to it.
    """

    client: Client = field(repr=False)
    id: str
    email: str


class NewUser(Protocol):
    """The fixture ``new_user``."""

    def __call__(
        self,
        *,
        email: str | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        app_metadata: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> User:
        """Make a user and sign them in.

        Args:
            email: Their address; by default one that nobody else has.
            user_metadata: What a user may change themselves, such as a display name: no policy
                should trust it. ``auth.jwt() -> 'user_metadata'``, ``raw_user_meta_data``.
            app_metadata: What only a server may set; for names that are no Python names or are
                one of these arguments'.
            claims: The same, one by one: ``new_user(role="admin")`` is what a policy sees as
                ``auth.jwt() -> 'app_metadata' ->> 'role'``. Not a claim of the token's top
                level: the database role is always ``authenticated``.

        Raises:
            RlsError: The Auth API would not make the user or sign them in.
        """
        ...


class Users:
    """Makes users, and remembers them until `remove`."""

    def __init__(self, stack: SupabaseStack) -> None:
        self._stack = stack
        self._made: list[str] = []

    def make(
        self,
        *,
        email: str | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        app_metadata: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> User:
        """See `NewUser`."""
        import httpx
        from supabase_auth.errors import AuthError

        from riptide._interrupts import deferred

        address = email or f"user-{secrets.token_hex(6)}@example.com"
        password = secrets.token_urlsafe(24)
        client, admin = self._stack.anon(), self._stack.service_role().auth.admin
        doing = "make"
        try:
            with deferred():  # made and not remembered, they would stay
                user = admin.create_user(
                    {
                        "email": address,
                        "password": password,
                        "email_confirm": True,
                        "app_metadata": {**(app_metadata or {}), **claims},
                        "user_metadata": dict(user_metadata or {}),
                    }
                ).user
                self._made.append(user.id)
            doing = "sign in"
            client.auth.sign_in_with_password({"email": address, "password": password})
        except (AuthError, httpx.HTTPError) as error:
            words = getattr(error, "message", "") or str(error) or type(error).__name__
            raise RlsError(
                f"the Auth API would not {doing} the user {address}: {words}",
                detail="  It takes an e-mail address and a password. config.toml: [auth.email]; a "
                "trigger on auth.users can refuse too.",
                state="it is removed when the test ends" if doing == "sign in" else None,
                next_step="mend that; SUPABASE_URL in the fixture supabase_stack's "
                "status.to_env() is where it answers",
            ) from error
        return User(client=client, id=user.id, email=address)

    def remove(self) -> None:
        """Delete the users that are left of those made, and by cascade what refers to them.

        Raises:
            RlsError: A row refers to one of them without ``on delete cascade``.
        """
        if not self._made:
            return
        import psycopg

        from riptide.database import connect

        made, self._made = self._made, []
        with connect(self._stack.settings.target) as connection:
            try:
                connection.execute("delete from auth.users where id = any(%s::uuid[])", [made])
            except psycopg.IntegrityError as error:
                table = f"{error.diag.schema_name}.{error.diag.table_name}"
                raise RlsError(
                    f"the users of this test cannot be deleted: {error.diag.message_primary}",
                    detail=f"  {error.diag.message_detail or table}",
                    state="they and their rows are still there for the next test",
                    next_step=f"give {table} `on delete cascade`; where that is not wanted, call "
                    "reset_database() at the end of the test",
                ) from None
