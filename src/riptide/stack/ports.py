"""The ports that a stack listens on, all of them on 127.0.0.1."""

from __future__ import annotations

import os
import random
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from riptide.errors import StackError
from riptide.stack.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection

    import psutil

HOST = "127.0.0.1"

# Below what Linux (32768), macOS and Windows (49152) give to outgoing connections.
_UNASSIGNED = range(20000, 32768)

# Seconds that a port which nobody is seen to have may take to come free: a process that was killed
# counts as gone when its first thread is.
_LAST_MOMENT = 0.5


def port_is_free(port: int) -> bool:
    """Whether nothing listens on ``port`` of 127.0.0.1 and one could listen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform == "win32":  # the other option would let two listen on one port there
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    # macOS lets one listen on 127.0.0.1 beside another that listens on every address, as Docker
    # does, and takes its callers away.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) != 0


def free_port() -> int:
    """Give a port of 127.0.0.1 that was free a moment ago, for a server of some minutes.

    Not one that the system would choose: those it gives to outgoing connections too, and one that
    had been free would be taken whenever somebody connects to something.
    """
    for port in random.sample(_UNASSIGNED, len(_UNASSIGNED)):
        if port_is_free(port):
            return port
    raise StackError("no port is free", state="nothing was started")


def listener(port: int) -> psutil.Process | None:
    """Give the process that listens on ``port``; ``None`` where this user may not know."""
    import psutil

    def listens(each: Any) -> bool:
        return each.status == psutil.CONN_LISTEN and bool(each.laddr) and each.laddr.port == port

    try:
        for each in psutil.net_connections(kind="tcp"):
            if listens(each):
                return psutil.Process(each.pid) if each.pid is not None else None
    except psutil.AccessDenied:  # macOS: all at once for root only, one's own for everybody
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(listens(each) for each in process.net_connections(kind="tcp")):
                    return process
    except psutil.Error:
        pass
    return None


def _described(process: psutil.Process | None) -> str:
    import psutil

    if process is None:
        return "another program"
    try:
        return f"{process.name()} (pid {process.pid})"
    except psutil.Error:
        return f"pid {process.pid}"


def require_free_port(
    port: int,
    variable: str,
    *,
    ours: Collection[int] = (),
    state: str = "nothing was started",
) -> None:
    """Refuse a port that somebody else has.

    Args:
        port: The port.
        variable: What a person sets to choose another one; empty where nobody chose it.
        ours: Pids of processes that will be ended before the port is needed.
        state: What state things are in where it is taken.

    Raises:
        StackError: It is taken; with what takes it.
    """
    deadline = time.monotonic() + _LAST_MOMENT
    while not port_is_free(port):
        owner = listener(port)
        if owner is not None or not wait_until(deadline, 0.05):
            break
    else:
        return
    if owner is not None and owner.pid in ours:
        return
    if port < 1024 and os.name == "posix" and os.geteuid() != 0:
        raise StackError(
            f"port {port} is only for root",
            state=state,
            next_step=f"set {variable} to a port from 1024 on",
        )
    raise StackError(
        f"port {port} is taken by {_described(owner)}",
        state=state,
        next_step=f"stop it, or set {variable} to a free port" if variable else "try it again",
    )
