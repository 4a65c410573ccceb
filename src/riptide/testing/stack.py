"""A stack for one test run: of the project's copy, on free ports, gone afterwards.

The copy is what keeps the developer's own stack out of it: an embedded stack is known by its
project's folder, so one of another folder can neither be taken for theirs nor end or empty it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._access import is_root, make_folder
from riptide._oserror import told
from riptide.errors import ConfigError, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from supabase import Client

    from riptide.results import StackStatus
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack
    from riptide.testing.rows import Baseline

PREFIX = "riptide-pytest-"

_TIMEOUT = 30.0  # seconds that a request may take

# Not of the developer's stack or linked project, and not what npm can bring back.
_LEFT_OUT = (".temp", ".branches", "node_modules")

# Seconds that a folder is given to get its lock, before it counts as an orphan's.
_YOUNG = 10.0


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
        from riptide.rls.actors import Endpoint, make_client

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
    from filelock import FileLock

    from riptide.migrations.push import apply_migrations
    from riptide.rls.interrupts import ignored
    from riptide.testing.rows import Baseline

    project = project.resolve()  # links to what is in it have to hold elsewhere
    sweep()
    with told(Path(tempfile.gettempdir()), state="nothing was started", variable="TMPDIR"):
        base = Path(tempfile.mkdtemp(prefix=PREFIX))
        # As root, PostgreSQL runs as somebody else, who has to get to its data: through it, but
        # not to look around.
        base.chmod(0o711 if is_root() else 0o700)
    # Held as long as this process lives: a folder whose lock is free is an orphan's.
    with FileLock(base / "lock"):
        stacks: list[EmbeddedStack] = []
        try:
            with told(base, state="nothing was started", variable="TMPDIR"):
                root = copy_project(project, base / "project")
            settings, status = _start(root, stacks)
            apply_migrations(settings=settings, include_seed=settings.config.seed_enabled)
            baseline = Baseline.of(settings)  # before any test can change something
            # No certificates are loaded for what is this machine's own.
            with httpx.Client(timeout=_TIMEOUT, verify=False) as http:  # noqa: S501
                yield SupabaseStack(settings=settings, status=status, http=http, baseline=baseline)
        finally:
            with ignored():
                for each in stacks:
                    each.stop(delete_data=True)
                shutil.rmtree(base, ignore_errors=True)
    shutil.rmtree(base, ignore_errors=True)  # Windows keeps a lock's file while it is held


def _start(root: Path, stacks: list[EmbeddedStack]) -> tuple[Settings, StackStatus]:
    """Start the stack of ``root`` on ports that are free; remember it as soon as it is tried."""
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack
    from riptide.stack.ports import free_port, port_is_free

    for last in (False, False, True):
        api_port, db_port = free_port(), free_port()
        settings = Settings.load(
            root, backend="embedded", target="local", api_port=api_port, db_port=db_port
        )
        # The developer's data is not to be in the same folder, not even beside this one.
        settings = replace(settings, data_dir=None)
        make_folder(settings.run_dir)
        stack = EmbeddedStack(settings, reason="for tests")
        stacks[:] = [stack]
        try:
            return settings, stack.start()
        except StackError:
            # Another worker may have taken a port between the look at it and the start.
            if last or (port_is_free(api_port) and port_is_free(db_port)):
                raise
    raise AssertionError("the last attempt returns or raises")


def copy_project(project: Path, root: Path) -> Path:
    """Copy ``supabase/`` to a new folder, and link to whatever else the project has.

    The links are for what leads out of ``supabase/``: seeds and templates that ``config.toml``
    names, ``.env``, the Supabase CLI in ``node_modules``.

    Args:
        project: The folder that has ``supabase/config.toml``.
        root: The folder to make.

    Raises:
        OSError: Something cannot be read or written.
    """
    make_folder(root)
    for each in project.iterdir():
        if each.name == "supabase":
            continue
        try:
            (root / each.name).symlink_to(each, target_is_directory=each.is_dir())
        except OSError:  # Windows lets few users make links
            if each.is_file():
                shutil.copy2(each, root)
    shutil.copytree(
        project / "supabase",
        root / "supabase",
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
        ignore_dangling_symlinks=True,
    )
    if is_root():
        (root / "supabase").chmod(0o755)  # whatever it was there: PostgreSQL's data is in it
    return root


def sweep() -> None:
    """End and remove the stacks of test runs that were killed before they could."""
    from filelock import FileLock, Timeout

    from riptide.errors import RiptideError
    from riptide.project_config import ProjectConfig
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack

    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(Timeout, OSError, RiptideError):  # it is at work, or another user's
            found = folder.stat()
            if os.name == "posix" and found.st_uid != os.geteuid():
                continue
            if time.time() - found.st_mtime < _YOUNG:
                continue
            with FileLock(folder / "lock", timeout=0):
                root = folder / "project"
                if (root / "supabase").is_dir():
                    # What is to be ended is written in its state, whatever config.toml says.
                    settings = Settings.bare(root, ProjectConfig(project_id="orphan"))
                    EmbeddedStack(settings).stop(delete_data=True)
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)
