"""Where the API and the database of a verification are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riptide.errors import ConfigError, RlsError

if TYPE_CHECKING:
    from riptide.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where to try.

    Attributes:
        name: For a person; no password in it.
        api_url: The API.
        db_url: The database, as a role that owns the tables and may become the API's roles.
        publishable_key: For clients; the legacy anon key does as well.
        secret_key: For servers; the legacy service role key does as well.
        jwt_secret: What signs its tokens; empty where that is not known.
        remedy: What to do where it does not answer.
    """

    name: str
    api_url: str
    db_url: str = field(repr=False)
    publishable_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    jwt_secret: str = field(default="", repr=False)
    remedy: str


def endpoint_of(
    settings: Settings,
    *,
    allow_remote: bool,
    purpose: str = "Three users and their rows would be made there, and removed again.",
    task: str = "inv rls.verify",
) -> Endpoint:
    """Give where a target's API and database are.

    Args:
        settings: The project's.
        allow_remote: Whether the target may be another than this project's local stack.
        purpose: What would happen there, for a person.
        task: What would do it.

    Raises:
        ConfigError: It is remote, and that is not allowed or not all of it is known.
        RlsError: The local stack is not running.
    """
    from riptide.stack import open_stack

    if settings.target.is_local:
        status = open_stack(settings).status()
        if not status.running:
            raise RlsError(
                "the local stack is not running",
                state="nothing was tried",
                next_step="inv stack.start",
            )
        if not (status.api_url and status.publishable_key and status.secret_key):
            raise RlsError(
                "the local stack runs without its API or its Auth server",
                state="nothing was tried",
                next_step="inv stack.stop, then `inv stack.start`",
            )
        return Endpoint(
            name=f"local ({status.api_url})",
            api_url=status.api_url,
            db_url=status.db_url,
            publishable_key=status.publishable_key,
            secret_key=status.secret_key,
            jwt_secret=status.jwt_secret,
            remedy="inv stack.status",
        )
    if not allow_remote:
        raise ConfigError(
            f"the target is not this project's local stack: {settings.target.name}",
            detail=f"  {purpose}",
            state="nothing was tried",
            next_step=f"{task} --allow-remote, if that is meant",
        )
    needed = {
        "SUPABASE_DB_URL": settings.target.url,
        "SUPABASE_URL": settings.api_url,
        "SUPABASE_PUBLISHABLE_KEY": settings.publishable_key,
        "SUPABASE_SECRET_KEY": settings.secret_key,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ConfigError(
            f"the remote project is not known well enough: {', '.join(missing)}",
            state="nothing was tried",
            next_step="set that in the environment or in .env",
        )
    return Endpoint(
        name=f"{settings.target.name}, {settings.api_url}",
        api_url=settings.api_url,
        db_url=settings.target.url,
        publishable_key=settings.publishable_key,
        secret_key=settings.secret_key,
        remedy="check SUPABASE_URL and the network",
    )
