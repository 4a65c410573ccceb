"""What the fault tests of the embedded stack share: its processes, its rows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil
import psycopg

from riptide.stack.process import find

if TYPE_CHECKING:
    from collections.abc import Iterable

    from riptide.results import StackStatus
    from riptide.settings import Settings


def processes_of(settings: Settings) -> list[psutil.Process]:
    """Give every live process that works for a project, by its command line."""
    found = []
    for each in psutil.process_iter(["cmdline", "status"]):
        words = each.info["cmdline"] or []
        ours = any(f"{settings.root}/" in f"{word}/" for word in words)
        if ours and each.info["status"] != psutil.STATUS_ZOMBIE and each.pid != os.getpid():
            found.append(each)
    return found


def fill(status: StackStatus) -> None:
    """Make the table that must survive, with one row in it."""
    with psycopg.connect(status.db_url, autocommit=True) as connection:
        connection.execute("create table public.kept (id int); insert into public.kept values (7)")


def rows(status: StackStatus) -> list[tuple[int]]:
    """Give what is in the table that must survive."""
    with psycopg.connect(status.db_url) as connection:
        return connection.execute("select id from public.kept").fetchall()


def living(pids: Iterable[int]) -> set[int]:
    """Give those of some processes that live."""
    return {pid for pid in pids if find(pid) is not None}
