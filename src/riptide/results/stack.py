"""What the functions about the local stack give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from riptide.results._base import SECRET, Result

if TYPE_CHECKING:
    from pathlib import Path


class Service(StrEnum):
    """A part of the stack that can be up or down on its own."""

    DATABASE = "database"
    API = "api"


@dataclass(frozen=True, kw_only=True)
class StackStatus(Result):
    """The local stack, as it is now.

    Attributes:
        backend: ``embedded`` or ``docker``.
        reason: Why that backend, for a person.
        running: Whether every part of it answers.
        started: Whether this very call started it.
        stopped: Whether this very call stopped it.
        deleted: Whether this very call deleted its data.
        renewed: Whether this very call started the API anew while the database went on.
        api_url: ``http://127.0.0.1:<port>``: REST under ``/rest/v1``, Auth under ``/auth/v1``.
        db_url: The database, as role ``postgres``. The password is the well-known local one.
        services: Each part and whether it is up.
        pids: The processes, where they are this machine's (embedded).
        versions: Of what runs.
        data_dir: Where the data is kept, where it is a folder (embedded).
        note: Something that a person should know (such as the user that a root stack runs as).
        seconds: Wall time of the call that gave this.
        publishable_key: For a browser or a client; Row Level Security applies.
        secret_key: For a server; Row Level Security does not apply.
        anon_key: The legacy JWT form of the publishable key.
        service_role_key: The legacy JWT form of the secret key.
        jwt_secret: Signs the users' tokens (HS256).
    """

    backend: str
    reason: str = ""
    running: bool
    started: bool = False
    stopped: bool = False
    deleted: bool = False
    renewed: bool = False
    api_url: str = ""
    db_url: str = field(default="", repr=False)
    services: dict[str, bool] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    data_dir: Path | None = None
    note: str = ""
    seconds: float = 0.0
    publishable_key: str = field(default="", repr=False, metadata=SECRET)
    secret_key: str = field(default="", repr=False, metadata=SECRET)
    anon_key: str = field(default="", repr=False, metadata=SECRET)
    service_role_key: str = field(default="", repr=False, metadata=SECRET)
    jwt_secret: str = field(default="", repr=False, metadata=SECRET)

    def to_env(self) -> dict[str, str]:
        """Give the variables that ``supabase status -o env`` prints, named for an application.

        Secrets are in it: this is what ``inv stack.status --env`` is asked for.
        """
        return {
            "SUPABASE_URL": self.api_url,
            "SUPABASE_DB_URL": self.db_url,
            "SUPABASE_PUBLISHABLE_KEY": self.publishable_key,
            "SUPABASE_SECRET_KEY": self.secret_key,
            "SUPABASE_ANON_KEY": self.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": self.service_role_key,
            "SUPABASE_JWT_SECRET": self.jwt_secret,
        }
