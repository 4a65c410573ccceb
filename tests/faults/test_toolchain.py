"""Installing the toolchain when it is killed, interrupted, or has no room."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from _requires import require

from riptide import _install, _layout, _npm, toolchain
from riptide._npm import STAMP
from riptide.errors import ToolNotFoundError
from riptide.project_config import ProjectConfig
from riptide.settings import Settings
from riptide.toolchain import ensure_toolchain, installed_toolchain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.name != "posix", reason="signals and mounts are POSIX's"),
]

INSTALL = """
import sys
from pathlib import Path
from riptide.project_config import ProjectConfig
from riptide.settings import Settings
from riptide.toolchain import ensure_toolchain
cache = Path(sys.argv[1])
settings = Settings(root=cache, config=ProjectConfig(project_id="test"), cache_dir=cache)
ensure_toolchain(settings, progress=lambda step: print(step, flush=True))
"""
NOBODY = 65534


def settings_with(cache: Path) -> Settings:
    """Give settings of an empty project whose toolchain is in ``cache``."""
    return Settings(root=cache, config=ProjectConfig(project_id="test"), cache_dir=cache)


def npms_of(cache: Path) -> list[psutil.Process]:
    """Give the running npm processes that install into ``cache``."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(STAMP, "").startswith(f"{cache}{os.sep}"):
                found.append(process)
    return found


@pytest.fixture
def halfway(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start an installation and give it when npm has begun to unpack."""
    require(shutil.which("node"), "Node.js 20 or newer on PATH")
    process = subprocess.Popen(
        [sys.executable, "-c", INSTALL, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        deadline = time.monotonic() + 60
        while not any(tmp_path.glob("toolchain-*.tmp/node_modules/*/*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "npm did not begin to unpack within 60 s"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()
        for each in npms_of(tmp_path):
            each.kill()


def test_killed_installation_is_done_again(halfway: subprocess.Popen[str], tmp_path: Path) -> None:
    """After kill -9 the next run ends the orphaned npm, cleans up, and installs."""
    orphans = npms_of(tmp_path)
    halfway.kill()
    halfway.wait()
    assert orphans
    assert installed_toolchain(settings_with(tmp_path)) is None
    found = ensure_toolchain(settings_with(tmp_path))
    subprocess.run([found.postgres_bin / "postgres", "--version"], check=True, capture_output=True)
    assert not list(tmp_path.glob("*.tmp"))
    assert npms_of(tmp_path) == []


def test_interrupted_installation_leaves_nothing(
    halfway: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Ctrl-C in the middle ends npm, removes what it unpacked, and leaves nothing to be found."""
    halfway.send_signal(signal.SIGINT)
    _, errors = halfway.communicate(timeout=30)
    assert halfway.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert npms_of(tmp_path) == []
    assert not list(tmp_path.glob("toolchain-*.tmp"))
    assert installed_toolchain(settings_with(tmp_path)) is None


def test_folder_without_permission_is_named(tmp_path: Path) -> None:
    """A cache folder that belongs to somebody else is named, with what to set instead."""
    require(shutil.which("node"), "Node.js 20 or newer on PATH")
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o555)
    cache.chmod(0o555)
    if os.geteuid() == 0:
        done = as_nobody(cache)
        assert done.returncode == 1
        words = done.stderr
    else:
        with pytest.raises(ToolNotFoundError) as caught:
            ensure_toolchain(settings_with(cache))
        words = str(caught.value)
    assert f"the toolchain cannot be installed in {cache}: Permission denied" in words
    assert "set RIPTIDE_CACHE_DIR to a folder that you may write to" in words
    assert list(cache.iterdir()) == []


def as_nobody(cache: Path) -> subprocess.CompletedProcess[str]:
    """Install in a child that stops being root once its modules are imported."""
    # The test's own folders and the interpreter may be where only root may look.
    for folder in (cache.parent, *cache.parent.parents):
        if "pytest" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o011)
    script = (
        "import os, filelock, hashlib, psutil, platformdirs, subprocess, sys\n"
        "from pathlib import Path\n"
        "import riptide._install, riptide.runner, riptide.toolchain\n"
        "from riptide.project_config import ProjectConfig\n"
        "from riptide.settings import Settings\n"
        "cache = Path(sys.argv[1])\n"
        "config = ProjectConfig(project_id='test')\n"
        "settings = Settings(root=cache, config=config, cache_dir=cache)\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "riptide.toolchain.ensure_toolchain(settings)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(cache)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 16 MB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if mount.returncode:
        pytest.skip(f"this root may not mount: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_too_small_disk_is_named(small_disk: Path) -> None:
    """Where there is too little room from the start the folder is named, and nothing is tried."""
    require(shutil.which("node"), "Node.js 20 or newer on PATH")
    steps: list[str] = []
    with pytest.raises(ToolNotFoundError) as caught:
        ensure_toolchain(settings_with(small_disk), progress=steps.append)
    assert str(caught.value).splitlines() == [
        f"error: the disk is full: the toolchain needs 300 MB in {small_disk}",
        "state: nothing was installed",
        "next:  make room there, or set RIPTIDE_CACHE_DIR to a folder with 300 MB",
    ]
    assert steps == []
    assert not list(small_disk.glob("toolchain-*.tmp"))


def test_disk_that_fills_up_is_named(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where npm runs out of room, which it may not notice itself, nothing half-unpacked stays."""
    require(shutil.which("node"), "Node.js 20 or newer on PATH")
    pinned = json.loads((_layout.PACKAGE_FILES / "package.json").read_text(encoding="utf-8"))
    for kind in ("dependencies", "optionalDependencies"):  # enough, and soon unpacked
        pinned[kind] = {name: pinned[kind][name] for name in pinned[kind] if "postgres" in name}
    (tmp_path / "package.json").write_text(json.dumps(pinned))
    (tmp_path / "package-lock.json").write_text(json.dumps({"lockfileVersion": 3}))
    for module in (_install, _layout, toolchain):
        monkeypatch.setattr(module, "PACKAGE_FILES", tmp_path)
    monkeypatch.setattr(_npm, "SPACE_NEEDED_MB", 1)
    with pytest.raises(ToolNotFoundError, match="the disk is full"):
        ensure_toolchain(settings_with(small_disk))
    assert not list(small_disk.glob("toolchain-*.tmp"))
    assert installed_toolchain(settings_with(small_disk)) is None


def test_read_only_disk_is_named(small_disk: Path) -> None:
    """A file system that is mounted read-only is named, with what to set instead."""
    require(shutil.which("node"), "Node.js 20 or newer on PATH")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ToolNotFoundError) as caught:
        ensure_toolchain(settings_with(small_disk / "cache"))
    assert "Read-only file system" in caught.value.message
    assert "RIPTIDE_CACHE_DIR" in (caught.value.next_step or "")
