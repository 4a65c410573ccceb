"""A stack for one test run, with the project's migrations and seed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riptide.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from supabase import Client

    from riptide.results import StackStatus
    from riptide.settings import Settings
    from riptide.testing.rows import Baseline

_TIMEOUT = 30.0  # seconds that a request may take


@dataclass(frozen=True, kw_only=True)
class SupabaseStack:
    """A running stack with the project's migrations applied.

    Attributes:
        settings: Those of the temporary copy of the project, with the ports in use.
        status: URLs and keys; ``status.to_env()`` gives them as an application's variables.
        http: What all clients send their requests with.
        baseline: What the migrations and the seed left.
    """

    settings: Settings
    status: StackStatus
    http: httpx.Client = field(repr=False)
    baseline: Baseline = field(repr=False)

    def __repr__(self) -> str:
        """Be short: pytest shows this with every test that fails."""
        return f"<SupabaseStack {self.api_url} in {self.settings.root}>"

    @property
    def api_url(self) -> str:
        """The API: REST under ``/rest/v1``, Auth under ``/auth/v1``."""
        return self.status.api_url

    @property
    def db_url(self) -> str:
        """The database, as role ``postgres``, which Row Level Security does not bind."""
        return self.status.db_url

    def anon(self) -> Client:
        """Give a new client of somebody who is not signed in."""
        return self._client(self.status.publishable_key)

    def service_role(self) -> Client:
        """Give a new client of a server, which Row Level Security does not bind."""
        return self._client(self.status.secret_key)

    def _client(self, key: str) -> Client:
        from riptide.rls.actors import make_client
        from riptide.rls.endpoint import Endpoint

        endpoint = Endpoint(
            name="the tests' stack",
            api_url=self.api_url,
            db_url=self.db_url,
            publishable_key=self.status.publishable_key,
            secret_key=self.status.secret_key,
            remedy="run the tests again",
        )
        return make_client(endpoint, key, self.http)


def project_of(start: Path) -> Path:
    """Give the nearest folder, from ``start`` upwards, that is a Supabase project.

    Raises:
        ConfigError: There is none.
    """
    for folder in (start, *start.parents):
        if (folder / "supabase" / "config.toml").is_file():
            return folder
    raise ConfigError(
        f"no Supabase project in {start} or above it",
        detail="  A project is a folder with a supabase/config.toml in it; the search starts at "
        "pytest's rootdir.",
        state="nothing was started",
        next_step="inv migrate.init, or override the fixture supabase_project in a conftest.py "
        "to return the project's folder",
    )


def require_tools(project: Path) -> None:
    """Find all that a stack runs on; what npm has is installed, once a machine.

    Raises:
        ConfigError: The project's settings cannot be used.
        ToolNotFoundError: Node.js, npm, libpq or a supported Supabase CLI is missing.
        CommandError: npm failed, say without a network.
    """
    from riptide.database import without_libpq
    from riptide.settings import Settings
    from riptide.toolchain import ensure_toolchain, find_cli

    try:
        import psycopg  # noqa: F401 - whether it can be
    except ImportError as error:
        raise without_libpq(error) from None
    settings = Settings.load(project, backend="embedded", target="local")
    ensure_toolchain(settings)
    find_cli(settings, state="nothing was started")


@contextmanager
def stack_of(project: Path) -> Iterator[SupabaseStack]:
    """Start a stack of a copy of ``project``, push its migrations, seed; leave nothing behind.

    Args:
        project: The folder that has ``supabase/config.toml``. Nothing in it is changed.

    Raises:
        RiptideError: As of `open_stack` and `apply_migrations`.
    """
    import httpx

    from riptide.migrations.push import apply_migrations
    from riptide.stack.embedded.temporary import temporary_stack
    from riptide.testing.rows import Baseline

    with temporary_stack(project) as (settings, status):
        apply_migrations(settings=settings, include_seed=settings.config.seed_enabled)
        baseline = Baseline.of(settings)  # before any test can change something
        # No certificates are loaded for what is this machine's own.
        with httpx.Client(timeout=_TIMEOUT, verify=False) as http:  # noqa: S501
            yield SupabaseStack(settings=settings, status=status, http=http, baseline=baseline)
