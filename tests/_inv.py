"""A real `inv`, started in a project's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from riptide.settings import Settings

TASKS = "from riptide.tasks import namespace\n\nns = namespace()\n"


def inv(settings: Settings, *words: str, **variables: str) -> subprocess.Popen[str]:
    """Start `inv` with ``words``, in a process group of its own; its output is one stream.

    Args:
        settings: The project's; its ports are passed on.
        words: Task and flags.
        variables: More of them for its environment.
    """
    return inv_to(subprocess.PIPE, subprocess.STDOUT, settings, *words, **variables)


def inv_to(
    stdout: int | TextIO, stderr: int, settings: Settings, *words: str, **variables: str
) -> subprocess.Popen[str]:
    """Start `inv` likewise, with other streams."""
    (settings.root / "tasks.py").write_text(TASKS, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        cwd=settings.root,
        env={
            **os.environ,
            "RIPTIDE_STACK": "embedded",
            "SUPABASE_API_PORT": str(settings.config.api_port),
            "SUPABASE_DB_PORT": str(settings.config.db_port),
            **variables,
        },
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    )
