"""The toolchain, really installed by npm into an empty cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from _requires import require, require_root

from riptide.project_config import ProjectConfig
from riptide.settings import Settings
from riptide.toolchain import Toolchain, ensure_toolchain, find_cli, installed_toolchain

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

INSTALL = """
import sys
from pathlib import Path
from riptide.project_config import ProjectConfig
from riptide.settings import Settings
from riptide.toolchain import ensure_toolchain
cache = Path(sys.argv[1])
settings = Settings(root=cache, config=ProjectConfig(project_id="test"), cache_dir=cache)
print(ensure_toolchain(settings, progress=lambda step: print(step, flush=True)).root)
"""


def settings_with(cache: Path) -> Settings:
    """Give settings of an empty project whose toolchain is in ``cache``."""
    return Settings(root=cache, config=ProjectConfig(project_id="test"), cache_dir=cache)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Let two processes install into one empty cache at once; give it and what they said."""
    require(shutil.which("node"), "Node.js 20 or newer on PATH")
    cache = tmp_path_factory.mktemp("cache")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", INSTALL, str(cache)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=280)[0] for process in processes]
    if any("could not reach its registry" in each for each in said):
        require(condition=False, reason="npm's registry can be reached")
    assert [process.returncode for process in processes] == [0, 0], said
    return cache, said


@pytest.fixture
def installed(two_processes: tuple[Path, list[str]]) -> Toolchain:
    """Give the toolchain that the two processes installed."""
    found = installed_toolchain(settings_with(two_processes[0]))
    assert found is not None
    return found


def test_two_processes_install_once(two_processes: tuple[Path, list[str]]) -> None:
    """Of two processes at once one installs, the other waits, and both get the same toolchain."""
    cache, said = two_processes
    assert sorted("toolchain installed in" in each for each in said) == [False, True]
    assert sum("another process is installing" in each for each in said) <= 1
    assert len({each.splitlines()[-1] for each in said}) == 1
    assert not list(cache.glob("*.tmp"))


def test_programs_run_and_are_the_pinned_ones(installed: Toolchain) -> None:
    """The CLI, PostgreSQL (with its libraries) and the gateway's packages are there and run."""
    quiet = {**os.environ, "SUPABASE_TELEMETRY_DISABLED": "1"}
    said = {
        path.stem: subprocess.run(
            [path, "--version"], capture_output=True, encoding="utf-8", check=True, env=quiet
        ).stdout.strip()
        for path in (installed.cli, *sorted(installed.postgres_bin.iterdir()))
        if path.stem in {"supabase", "initdb", "pg_ctl", "postgres"}
    }
    assert said["supabase"] == installed.versions["supabase"] == "3.1.0"
    for name in ("initdb", "pg_ctl", "postgres"):
        assert said[name].split()[2] == installed.versions["postgresql"] == "17.10"
    script = "import('@supabase/lite').then(m => console.log(typeof m.App))"
    loaded = subprocess.run(
        [installed.node.executable, "-e", script],
        cwd=installed.root,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert loaded.stdout.strip() == "function"


def test_links_stay_within_the_toolchain(installed: Toolchain) -> None:
    """Every link is relative and whole, so that it survived the rename."""
    links = [path for path in installed.root.rglob("*") if path.is_symlink()]
    assert len(links) > 5 or os.name == "nt"
    for link in links:
        assert not link.readlink().is_absolute(), link
        assert link.resolve(strict=True).is_relative_to(installed.root.resolve()), link


def test_installed_toolchain_is_found_again(installed: Toolchain) -> None:
    """The second time nothing is installed, and the CLI is the toolchain's own."""
    settings = settings_with(installed.root.parent)
    steps: list[str] = []
    before = installed.root.stat().st_mtime_ns
    assert ensure_toolchain(settings, progress=steps.append) == installed
    assert steps == []
    assert installed.root.stat().st_mtime_ns == before


def test_cli_of_the_project_is_taken_as_npm_installed_it(
    installed: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project whose node_modules has the CLI uses it, by its native binary."""
    (tmp_path / "node_modules").symlink_to(installed.node_modules, target_is_directory=True)
    settings = Settings(
        root=tmp_path, config=ProjectConfig(project_id="test"), cache_dir=tmp_path / "empty"
    )
    assert find_cli(settings).resolve() == installed.cli.resolve()
    assert not (tmp_path / "empty").exists()


def test_cli_on_path_is_asked_for_its_version(
    installed: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the CLI on PATH, with no npm about it, is asked once and then used."""
    (tmp_path / "bin").mkdir()
    copy = tmp_path / "bin" / installed.cli.name
    os.link(installed.cli, copy)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    settings = Settings(
        root=tmp_path, config=ProjectConfig(project_id="test"), cache_dir=tmp_path / "cache"
    )
    assert find_cli(settings) == copy
    assert "3.1.0" in (tmp_path / "cache" / "versions.json").read_text()


@pytest.mark.skipif(os.name != "posix", reason="only a POSIX system has root")
def test_another_user_can_run_what_root_installed(
    installed: Toolchain, two_processes: tuple[Path, list[str]]
) -> None:
    """What root installed in a reachable folder runs as an unprivileged user."""
    require_root()
    for folder in (installed.root.parent, *installed.root.parent.parents):
        if not folder.stat().st_mode & 0o001 and "pytest" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o011)
    done = subprocess.run(
        [installed.postgres_bin / "postgres", "--version"],
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
