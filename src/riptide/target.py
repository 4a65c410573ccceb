"""The database that a command is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from riptide.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from riptide.project_config import ProjectConfig

# https://supabase.com/docs/guides/database/connecting-to-postgres
TRANSACTION_POOLER_PORT = 6543

LOCAL = "local"
LINKED = "linked"
REMOTE = "remote"
SCRATCH = "scratch"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The database that a command is about.

    Attributes:
        kind: ``local`` (this project's stack), ``linked`` (the project that ``supabase link``
            chose, reached by the CLI alone), ``remote`` (a URL) or ``scratch`` (a database of
            ours that is deleted afterwards, its password no secret).
        url: The database's URL, password included, each part percent-encoded; empty for
            ``linked``.
        by_url: Whether a person gave the URL itself, and not ``remote``, which may be another one.
    """

    kind: str = LOCAL
    url: str = field(default="", repr=False)
    by_url: bool = field(default=False, compare=False)

    @property
    def is_local(self) -> bool:
        """Whether it is this project's own stack, where nothing precious is kept."""
        return self.kind == LOCAL

    @property
    def name(self) -> str:
        """Its name for a person: no user, no password."""
        if not self.url:
            return "linked project"
        from urllib.parse import urlsplit

        parts = urlsplit(self.url)
        return f"{self.kind} ({parts.netloc.rpartition('@')[2]}{parts.path})"

    @property
    def flag(self) -> str:
        """What a command has to say to mean it, with a space before; empty for the local one."""
        if self.is_local:
            return ""
        if self.kind == LINKED:
            return f" --target {LINKED}"
        return " --target <the same URL>" if self.by_url else f" --target {REMOTE}"

    @property
    def address(self) -> str:
        """Its URL without the password: what may stand in a process list."""
        from riptide._url import without_password

        return without_password(self.url)

    @property
    def password(self) -> str | None:
        """The password in its URL, or ``None``."""
        from riptide._url import password_of

        return password_of(self.url)

    @property
    def pools_transactions(self) -> bool:
        """Whether it is a pooler in transaction mode, where no session outlives a transaction."""
        from urllib.parse import urlsplit

        hosts = urlsplit(self.url).netloc.rpartition("@")[2].split(",")
        return any(each.endswith(f":{TRANSACTION_POOLER_PORT}") for each in hosts)


def local_db_url(config: ProjectConfig) -> str:
    """Give the URL that every local Supabase stack has, with this project's port."""
    return f"postgresql://postgres:postgres@127.0.0.1:{config.db_port}/postgres"


def choose_target(given: str | None, env: Mapping[str, str], config: ProjectConfig) -> Target:
    """Give the target that a person means.

    Args:
        given: ``--target``, or ``None``.
        env: The environment, with ``.env``.
        config: The project's.

    Raises:
        ConfigError: It is no target, or its URL is not known or cannot be read.
    """
    if given in (None, LOCAL):
        return Target(url=local_db_url(config))
    if not str(given).strip():  # never the local one instead: a variable was not set
        raise ConfigError(
            "the target is an empty text",
            detail="  --target takes local, linked, remote or a postgresql:// URL.",
        )
    if given == LINKED:
        return Target(kind=LINKED)
    url = env.get("SUPABASE_DB_URL", "") if given == REMOTE else str(given)
    if not url:
        raise ConfigError(
            "the remote database's URL is not known",
            next_step="set SUPABASE_DB_URL in the environment or in .env",
        )
    from riptide._url import canonical

    origin = "SUPABASE_DB_URL" if given == REMOTE else "--target"
    return Target(kind=REMOTE, url=canonical(url, origin), by_url=given != REMOTE)


def require_url(target: Target) -> None:
    """Refuse the linked project where its database has to be looked at: only the CLI gets there.

    Raises:
        ConfigError: It is the linked project.
    """
    if target.kind == LINKED:
        raise ConfigError(
            "the linked project's database is not known by its URL",
            state="nothing was looked at",
            next_step="set SUPABASE_DB_URL, and say --target remote",
        )


def session_target(target: Target) -> Target | None:
    """Give the target whose sessions are the database's own, for one that pools transactions.

    Supabase's poolers, shared and dedicated, answer on port 6543 in transaction mode, and the same
    host on 5432 with whole sessions
    (https://supabase.com/docs/guides/database/connecting-to-postgres).

    Returns:
        It, or ``None`` where the host is not Supabase's and nothing is known of its other ports.
    """
    from urllib.parse import urlsplit

    host = urlsplit(target.url).netloc.rpartition("@")[2]
    if not re.fullmatch(rf"[\w.-]+\.supabase\.(?:com|co):{TRANSACTION_POOLER_PORT}", host):
        return None
    direct = f"{host.rpartition(':')[0]}:5432"
    return replace(target, url=target.url.replace(f"@{host}/", f"@{direct}/", 1))
