"""A PostgreSQL for a minute: Supabase's roles and schemas, nobody's data, gone afterwards.

A copy of the prepared data directory (`template`) in the system's folder for temporary files,
without fsync. It is what migrations are rehearsed and checked on, whatever the backend in use.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._oserror import told
from riptide.stack.embedded.held import held_folder, sweep
from riptide.stack.embedded.postgres import Cluster
from riptide.target import SCRATCH, Target

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
    from riptide.stack.embedded.template import ensure_template
    from riptide.stack.ports import free_port
    from riptide.stack.process import service_user
    from riptide.toolchain import ensure_toolchain

    toolchain = ensure_toolchain(settings, runner=runner, progress=progress)
    user = service_user(settings.run_as)
    template = ensure_template(toolchain, settings.config, user, runner, progress)
    sweep(_PREFIX, _end)
    with held_folder(_PREFIX, state="nothing was changed") as folder:
        cluster = Cluster(
            bin_dir=toolchain.postgres_bin,
            home=folder / "postgres",
            port=free_port(),
            user=user,
            options=_OPTIONS,
        )
        try:
            with cluster.files.replaced(template) as fill:
                with told(folder.parent, state="nothing was changed", variable="TMPDIR"):
                    fill()
                cluster.start()
            yield Scratch(cluster=cluster)
        finally:
            cluster.stop(immediate=True)


def _end(folder: Path) -> None:
    Cluster(bin_dir=Path(), home=folder / "postgres", port=0).stop(immediate=True)
