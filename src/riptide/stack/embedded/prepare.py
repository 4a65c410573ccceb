"""All that a start needs, found and checked before anything is stopped or deleted for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide._access import is_root
from riptide.errors import StackError
from riptide.stack.embedded.bundle import ensure_bundle
from riptide.stack.embedded.data import DataDirectory
from riptide.stack.embedded.places import home_for
from riptide.stack.embedded.postgres import Cluster
from riptide.stack.ports import require_free_port
from riptide.stack.process import reachable_by, service_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from riptide.runner import Runner
    from riptide.settings import Settings
    from riptide.stack.embedded.parts import Parts
    from riptide.toolchain import Toolchain


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What `prepare` found.

    Attributes:
        cluster: The database as it will be started.
        template: What the data directory is to be a copy of, or ``None`` where there is one.
    """

    toolchain: Toolchain
    cluster: Cluster
    template: Path | None


def prepare(parts: Parts, runner: Runner, tell: Callable[[str], None], *, empty: bool) -> Prepared:
    """Find and check all that a start needs; stops and deletes nothing.

    Args:
        parts: What may run already: its ports count as free.
        runner: Runs what has to be installed or made first.
        tell: Called with a phrase before something that takes time.
        empty: Whether the data that is there is to be left out.

    Raises:
        StackError: A port is taken, a folder cannot be used, or the data there cannot.
        ConfigError: RIPTIDE_RUN_AS cannot be used.
        ToolNotFoundError: Node.js or the toolchain is missing.
    """
    from riptide.stack.embedded.template import ensure_template
    from riptide.toolchain import cache_told

    settings = parts.settings
    _require_ports(parts)
    toolchain = ensure(settings, runner, tell)
    user = service_user(settings.run_as)
    if user is not None and not reachable_by(toolchain.postgres_bin, user):
        raise StackError(
            f"user {user.name}, whom PostgreSQL has to run as, cannot get to {toolchain.root}",
            state="nothing was changed",
            next_step="set RIPTIDE_CACHE_DIR to a folder that every user may enter",
        )
    cluster = Cluster(
        bin_dir=toolchain.postgres_bin,
        home=home_for(settings, user),
        port=settings.config.db_port,
        port_variable="SUPABASE_DB_PORT",
        user=user,
    )
    moved = parts.outside_of_moved()
    files = DataDirectory(home=moved, user=user) if moved else cluster.files
    template = None
    if files.exists and not empty:
        files.check()
    else:
        if not is_root():  # who may give files to anybody
            files.check_owner()
        with cache_told(settings):
            template = ensure_template(toolchain, settings.config, user, runner, tell)
    return Prepared(toolchain=toolchain, cluster=cluster, template=template)


def install(parts: Parts, runner: Runner, tell: Callable[[str], None]) -> None:
    """Install the toolchain where it is missing; the stack's lock is not needed for it.

    Raises:
        StackError: A port is taken: that is said before anything is installed.
        ToolNotFoundError: Node.js or the toolchain is missing.
        CommandError: npm failed.
    """
    from riptide.toolchain import toolchain_is_installed

    try:
        installed = toolchain_is_installed(parts.settings)
    except OSError:  # whose project and cache these are is looked at under the lock
        return
    if not installed:
        _require_ports(parts)
        ensure(parts.settings, runner, tell)


def ensure(settings: Settings, runner: Runner, tell: Callable[[str], None]) -> Toolchain:
    """Give the toolchain with the gateway in it, installed first where it is missing.

    Raises:
        ToolNotFoundError: Node.js or the toolchain is missing.
        CommandError: npm or esbuild failed.
    """
    from riptide.toolchain import cache_told, ensure_toolchain

    with cache_told(settings):
        toolchain = ensure_toolchain(settings, runner=runner, progress=tell)
        ensure_bundle(toolchain, runner)
    return toolchain


def _require_ports(parts: Parts) -> None:
    running = parts.running()
    ours = [each.pid for each in running.values()]
    config, state = parts.settings.config, parts.state
    # What this stack itself was started on, where the system does not tell who listens.
    held = {
        port
        for name, port in (
            ("postgres", state.db_port if state else None),
            ("gateway", state.api_port if state else None),
        )
        if name in running
    }
    for port, variable in (
        (config.db_port, "SUPABASE_DB_PORT"),
        (config.api_port, "SUPABASE_API_PORT"),
    ):
        if port not in held:
            require_free_port(port, variable, ours=ours)
