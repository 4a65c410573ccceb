"""A PostgreSQL for a minute: Supabase's roles and schemas, nobody's data, gone afterwards.

A copy of the prepared data directory (`template`) in the system's folder for temporary files,
without fsync. It is what migrations are rehearsed and checked on, whatever the backend in use.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from riptide.errors import StackError
from riptide.settings import SCRATCH, Target
from riptide.stack.embedded.postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.runner import Runner
    from riptide.settings import Settings

_PREFIX = "riptide-scratch-"
# Nothing of it is to survive anything.
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """A running scratch server, with as many empty databases as are asked for."""

    cluster: Cluster

    def database(self, name: str) -> Target:
        """Make an empty database, as a new project of Supabase's has it.

        Args:
            name: Letters and underscores.
        """
        return self._make(name, "postgres")

    def copy(self, source: Target, name: str) -> Target:
        """Make a copy of one of its databases; nobody may be connected to that."""
        return self._make(name, source.url.rpartition("/")[2])

    def _make(self, name: str, template: str) -> Target:
        import psycopg

        with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
            connection.execute(
                # Without fsync copying the files is the fastest, and needs no WAL.
                f'create database "{name}" template "{template}" strategy file_copy '
                "owner postgres".encode()
            )
        return Target(kind=SCRATCH, url=self.cluster.url(database=name))


@contextmanager
def scratch_server(
    settings: Settings, *, runner: Runner, progress: Callable[[str], None]
) -> Iterator[Scratch]:
    """Start a scratch server, and leave nothing of it behind.

    Args:
        settings: The project's; its cache folder has the toolchain.
        runner: Runs the commands.
        progress: Called with a phrase before something that takes time.

    Raises:
        StackError: It could not be started.
        ToolNotFoundError: Node.js is missing, or the platform has no embedded PostgreSQL.
    """
    from filelock import FileLock

    from riptide.stack.embedded.template import ensure_template
    from riptide.stack.ports import free_port
    from riptide.stack.process import service_user
    from riptide.toolchain import ensure_toolchain

    toolchain = ensure_toolchain(settings, runner=runner, progress=progress)
    user = service_user(settings.run_as)
    template = ensure_template(toolchain, settings.config, user, runner, progress)
    _sweep()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    except OSError as error:
        raise StackError(
            f"no scratch database can be made in {tempfile.gettempdir()}: {error.strerror}",
            state="nothing was changed",
            next_step="set TMPDIR to a folder with 100 MB to spare",
        ) from None
    folder.chmod(0o755)  # another user may have to get to its data
    cluster = Cluster(
        bin_dir=toolchain.postgres_bin,
        home=folder / "postgres",
        port=free_port(),
        user=user,
        options=_OPTIONS,
    )
    # Held as long as this process lives: a folder whose lock is free is an orphan's.
    with FileLock(folder / "lock"):
        try:
            try:
                cluster.files.stage(template)
            except OSError as error:
                raise StackError(
                    f"no scratch database can be made in {folder.parent}: {error.strerror}",
                    state="nothing was changed",
                    next_step="set TMPDIR to a folder with 100 MB to spare",
                ) from None
            with cluster.files.swapped():
                cluster.start()
            yield Scratch(cluster=cluster)
        finally:
            cluster.stop(immediate=True)
            shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Remove what a kill -9 left of earlier ones."""
    from filelock import FileLock, Timeout

    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(Timeout, OSError):  # it is at work, or another user's
            if os.name == "posix" and folder.stat().st_uid != os.geteuid():
                continue
            with FileLock(folder / "lock", timeout=0):
                Cluster(bin_dir=Path(), home=folder / "postgres", port=0).stop(immediate=True)
                shutil.rmtree(folder, ignore_errors=True)
