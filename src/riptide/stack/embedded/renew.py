"""A running stack's API, started anew where it has to be; PostgreSQL and its sessions go on."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.stack.embedded.bundle import files_digest
from riptide.stack.embedded.gateway import Gateway
from riptide.stack.ports import require_free_port
from riptide.stack.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.settings import Settings
    from riptide.stack.embedded.parts import Parts
    from riptide.stack.embedded.state import State
    from riptide.toolchain import Toolchain

# Seconds that a live gateway may take to answer: it may read a large schema anew, and the machine
# may be busy.
BUSY_WAIT = 20.0


def outdated(parts: Parts) -> str:
    """Say what was changed since the API was started, for a person; empty where nothing was."""
    state = parts.state
    if state is None or state.gateway_pid is None:
        return ""
    if state.api_config != parts.gateway.config_digest():
        return "config.toml, or a variable that it names, was changed since the API was started"
    if state.api_files != api_files(parts.settings):
        return "the API was started by another version of riptide"
    return ""


def api_files(settings: Settings) -> str:
    """Give what tells this version's API from another one's: its packages and its own files."""
    from riptide.toolchain import toolchain_root

    return f"{toolchain_root(settings).name}, gateway-{files_digest()}"


def renewable(parts: Parts) -> State | None:
    """Give the state of a stack whose PostgreSQL may go on while the API is started anew.

    Not that of one whose folder was moved: it carries its old name until both have ended.
    """
    state = parts.state
    if state is None or state.postgres_pid is None or state.moved_from is not None:
        return None
    return state if state.db_port == parts.settings.config.db_port else None


def trouble(parts: Parts, tell: Callable[[str], None]) -> str:
    """Say why the API has to be started anew, for a person; empty where it need not.

    A process that lives and does not answer is waited for, 20 s at most.
    """
    if parts.gateway.find() is None:
        return "it had ended"
    if parts.gateway.config.api_port != parts.settings.config.api_port:
        return f"it is to have port {parts.settings.config.api_port}"
    if said := outdated(parts):
        return said
    tell(f"waiting for the API, which does not answer ({BUSY_WAIT:g} s at most)")
    deadline = time.monotonic() + BUSY_WAIT
    while not parts.gateway.healthy():
        if not wait_until(deadline):
            return f"it did not answer for {BUSY_WAIT:g} s"
    return ""


def restart_api(
    parts: Parts, state: State, toolchain: Toolchain, tell: Callable[[str], None]
) -> None:
    """Start the API anew, with what ``config.toml`` says now.

    Args:
        parts: The running stack.
        state: Its state, by `renewable`.
        toolchain: What the new API runs on.
        tell: Called with a phrase before something that takes time.

    Raises:
        StackError: Its port is taken, or it did not start; PostgreSQL goes on.
    """
    config = parts.settings.config
    old = [each.pid for each in parts.gateway.find_all()]
    require_free_port(
        config.api_port, "SUPABASE_API_PORT", ours=old, state="the database runs, the API does not"
    )
    parts.gateway.stop()
    gateway = Gateway(
        run_dir=state.run_dir,
        config=config,
        instance=state.instance,
        log_begins_at=parts.gateway.log_size,
    )
    # What PostgreSQL was started from stays what it was.
    versions = {**toolchain.versions, "postgresql": state.versions.get("postgresql", "")}
    state = replace(
        state,
        api_port=config.api_port,
        api_config=gateway.config_digest(),
        api_files=api_files(parts.settings),
        gateway_pid=None,
        versions=versions,
    )
    state.write()
    tell("starting the API")
    try:
        pid = gateway.spawn(toolchain)
        replace(state, gateway_pid=pid).write()
        gateway.wait_ready(pid, state="the database runs, the API does not")
    except BaseException:  # Ctrl-C too: what this call started must not stay
        gateway.stop()
        raise


def note(parts: Parts, pids: dict[str, int]) -> str:
    """Give what a person should know of a stack, or nothing."""
    state = parts.state
    if state is None:
        if not pids:
            return ""
        return "its state file is gone and its processes run: inv stack.stop ends them"
    notes = []
    if "gateway" in pids and (said := outdated(parts)):
        what = "the API" if state.moved_from is None else "the stack"
        notes.append(f"{said}: inv stack.start restarts {what}")
    if state.run_as is not None:
        notes.append(f"PostgreSQL runs as user {state.run_as}; its data is in {state.home}")
    if state.moved_from is not None:
        notes.append(f"started in {state.moved_from.parents[2]}, moved here since")
    return "; ".join(notes)
