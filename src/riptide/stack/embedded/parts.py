"""The two processes of an embedded stack: found again, and ended."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from riptide._layout import postgres_bin, this_platform
from riptide.stack.embedded.gateway import Gateway
from riptide.stack.embedded.places import outside_name, possible_homes, usual_home
from riptide.stack.embedded.postgres import Cluster
from riptide.stack.embedded.state import State
from riptide.stack.process import find, find_all

if TYPE_CHECKING:
    import psutil

    from riptide.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What belongs to a project's stack, by its state; where that is lost, by its marks.

    Attributes:
        settings: The project's.
        state: What is written down, or ``None``.
        gateway: The API.
        clusters: The database: one, or each that may be it where no state says so.
    """

    settings: Settings
    state: State | None
    gateway: Gateway
    clusters: tuple[Cluster, ...]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read what is written down; starts and ends nothing.

        Raises:
            PermissionError: This user may not read the state.
        """
        state = State.read(settings.run_dir)
        if state is None:
            homes = possible_homes(settings)
            return cls(
                settings=settings,
                state=None,
                gateway=gateway_of(settings, None),
                clusters=tuple(Cluster(bin_dir=Path(), home=each, port=0) for each in homes),
            )
        cluster = Cluster(
            bin_dir=_bin_dir(state),
            home=state.home,
            port=state.db_port,
            started_in=state.postgres_mark,
            known_pid=state.postgres_pid,
        )
        gateway = gateway_of(settings, state)
        return cls(settings=settings, state=state, gateway=gateway, clusters=(cluster,))

    @property
    def cluster(self) -> Cluster:
        """The database, at the place where its data is or would be."""
        return self.clusters[0]

    def running(self) -> dict[str, psutil.Process]:
        """Give the processes that run, by ``postgres`` and ``gateway``."""
        if self.state is None:
            return self._lost()
        found = {"postgres": self.cluster.find(), "gateway": self.gateway.find()}
        return {name: each for name, each in found.items() if each is not None}

    def _lost(self) -> dict[str, psutil.Process]:
        found: dict[str, psutil.Process] = {}
        for each in find_all(self.gateway.mark, *(cluster.mark for cluster in self.clusters)):
            found["gateway" if find(each.pid, self.gateway.mark) else "postgres"] = each
        for cluster in self.clusters:
            server = cluster.find()
            if server is not None:
                found["postgres"] = server
        return found

    def end(self, *, immediate: bool = False) -> None:
        """End them, and whatever else carries their marks.

        Args:
            immediate: Without a checkpoint, for data that is about to be deleted.
        """
        self.gateway.stop()
        for cluster in self.clusters:
            cluster.stop(immediate=immediate)

    def outside_of_moved(self) -> Path | None:
        """Give the folder of the data where that is kept outside of a project that was moved.

        It has the old place in its name, so that no state leads to it once this one is gone. `None`
        where there is again a project at the old place, whose data it may be.
        """
        if self.state is None or self.state.moved_from is None:
            return None
        supabase = self.state.moved_from.parent.parent
        if (supabase / "config.toml").exists():
            return None
        home = self.state.home
        if home.name != outside_name(self.settings, supabase.parent) or not home.is_dir():
            return None
        wanted = home.with_name(outside_name(self.settings, self.settings.root))
        return home if usual_home(self.settings) == wanted and not wanted.exists() else None

    def take_over_data(self) -> None:
        """Rename that folder after the new place; the processes must have ended."""
        home = self.outside_of_moved()
        if home is not None:
            home.rename(usual_home(self.settings))


def gateway_of(settings: Settings, state: State | None) -> Gateway:
    """Give the gateway of a project's stack, on the ports that it was started on."""
    if state is None:
        return Gateway(run_dir=settings.run_dir, config=settings.config, instance="")
    return Gateway(
        run_dir=settings.run_dir,
        config=settings.config.with_ports(api_port=state.api_port, db_port=state.db_port),
        instance=state.instance,
        started_in=state.gateway_mark,
        known_pid=state.gateway_pid,
    )


def _bin_dir(state: State) -> Path:
    """Give the folder of what a running server is stopped with; a signal does it elsewhere."""
    if sys.platform == "win32":
        return postgres_bin(state.toolchain / "node_modules", this_platform())
    return Path()
