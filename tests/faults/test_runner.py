"""Commands that are interrupted while they start."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from riptide.runner import SubprocessRunner


def test_signal_while_a_command_starts_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between the start of a child and the moment it is known ends that child too."""
    started: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def interrupted(*args: Any, **options: Any) -> subprocess.Popen[str]:
        started.append(popen(*args, **options))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        SubprocessRunner().run([sys.executable, "-c", "import time; time.sleep(60)"])
    assert started[0].poll() is not None
