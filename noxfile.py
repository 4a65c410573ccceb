"""Nox's sessions: `nox` runs the default ones, `nox -s unit -- -k toolchain` passes arguments on.

Versions and dependency groups are pyproject.toml's; nothing is said twice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Iterator

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "unit", "integration", "faults"]
# A Python that is missing is said to be missing; uv would fetch one.
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
# Nothing may be passed over in CI because it is missing there.
IN_CI = os.environ.get("CI", "") not in {"", "0", "false"}
nox.options.error_on_missing_interpreters = IN_CI

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)

# A person's own project, database or stack must not leak into the tests.
FOREIGN = ("SUPABASE_", "RIPTIDE_", "PG")
# Each of some hundred `inv` that the tests run would compile all that it imports.
SLOW = ("PYTHONDONTWRITEBYTECODE",)
# The Supabase CLI is JavaScript in Bun. For a second's work its compiler and its garbage collector
# take more than they give: without them the tests that call it are through in 3/4 of the time.
# Not for users: a push of 1,000 files gains by both.
SHORT_LIVED = {"BUN_JSC_useBaselineJIT": "0", "BUN_JSC_useGC": "0"}
# Each has a stack of its own: the tests share nothing, and this shows it. One more than CI's
# smallest machine has cores, as a test waits for other programs half of its time. A module that
# starts a stack for itself is one worker's (conftest.py), so that it is started once.
WORKERS = ("--numprocesses=3", "--dist=loadscope", "--no-loadscope-reorder")
# Each stack is a copy of a thousand files that is thrown away a minute later. To have them in
# memory takes up to a quarter off the processors' work: an ext4 without a journal passes over each
# inode that was freed within the last minute, one by one.
MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes; the tests have been seen to take 1.1 GB
# Installs what the stack runs, as the first test that starts one would.
TOOLCHAIN = """
from riptide.settings import Settings
from riptide.toolchain import ensure_toolchain
ensure_toolchain(Settings.load())
"""
# Where to install, and as whom to run: a matter of the machine.
KEPT = ("RIPTIDE_CACHE_DIR", "RIPTIDE_RUN_AS")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff."""
    session.install(*group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    install(session, "types")
    with toolchain_meanwhile(session):
        session.run("mypy", *session.posargs)


@nox.session
def unit(session: nox.Session) -> None:
    """Run the tests that start no process and open no socket."""
    install(session, "test")
    run_tests(session, "tests/unit", "--numprocesses=auto")


@nox.session
def integration(session: nox.Session) -> None:
    """Run the tests on real parts: PostgreSQL, the gateway, the Supabase CLI, npm."""
    install(session, "test")
    run_tests(session, "tests/integration", *WORKERS, keep=KEPT)


@nox.session
def faults(session: nox.Session) -> None:
    """Run the tests that kill, interrupt or starve the real parts."""
    install(session, "test")
    run_tests(session, "tests/faults", *WORKERS, keep=KEPT)


@nox.session(python=PYTHONS)
def matrix(session: nox.Session) -> None:
    """Run the unit tests on every supported Python that is here."""
    install(session, "test")
    run_tests(session, "tests/unit", "--numprocesses=auto")


@nox.session
def package(session: nox.Session) -> None:
    """Build sdist and wheel; hold the wheel, in an environment of its own, to the sdist's tests."""
    session.install(*group("package"))
    built = Path(session.create_tmp()).resolve()
    shutil.rmtree(built)
    session.run("uv", "build", "--out-dir", str(built))
    (sdist,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    with tarfile.open(sdist) as archive:
        archive.extractall(built, filter="data")
    unpacked = built / sdist.name.removesuffix(".tar.gz")
    absent = files_in(unpacked / "src") - set(zipfile.ZipFile(wheel).namelist())
    if absent:
        session.error(f"the wheel lacks {', '.join(sorted(absent))}")

    venv = built / "venv"
    session.run("uv", "venv", "--python", sys.executable, str(venv))
    python = str(venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    session.run("uv", "pip", "install", "--python", python, str(wheel), *group("test"))
    environ = without_foreign()
    where = "import riptide, pathlib; print(pathlib.Path(riptide.__file__).parent)"
    said = session.run(python, "-c", where, silent=True, external=True, env=environ)
    if str(venv) not in str(said):
        session.error(f"riptide was imported from {said}")
    session.chdir(unpacked)
    session.run(python, "-m", "invoke", "--list", external=True, env=environ)
    session.run(python, "-m", "pytest", "tests/unit", *session.posargs, external=True, env=environ)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed and memory; arguments go to scripts/bench.py."""
    install(session, "test")
    session.run("python", "scripts/bench.py", *session.posargs, env=without_foreign(KEPT))


@contextmanager
def toolchain_meanwhile(session: nox.Session) -> Iterator[None]:
    """Install in CI what later sessions need, from the network, while mypy works on one core.

    Where it cannot be installed the tests that need it say why.
    """
    if not IN_CI:
        yield
        return
    python = str(Path(session.bin) / ("python.exe" if os.name == "nt" else "python"))
    out = without_foreign(KEPT)
    with subprocess.Popen(
        [python, "-c", TOOLCHAIN],
        env={name: value for name, value in os.environ.items() if name not in out},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as installing:
        try:
            yield
        except BaseException:
            installing.terminate()
            raise


def group(name: str) -> tuple[str, ...]:
    """Give the requirements of one of pyproject.toml's dependency groups."""
    return nox.project.dependency_groups(PYPROJECT, name)


def files_in(folder: Path) -> set[str]:
    """Give the files below a folder, as an archive names them."""
    return {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}


def install(session: nox.Session, name: str) -> None:
    """Install the project, editable, and a dependency group."""
    session.install("--editable", ".", *group(name))


def run_tests(session: nox.Session, folder: str, *options: str, keep: tuple[str, ...] = ()) -> None:
    """Run a folder's tests; arguments after ``--`` go to pytest."""
    env = {**without_foreign(keep), **SHORT_LIVED}
    with temporary_folder() as temporary:
        if temporary:
            env["TMPDIR"] = temporary
        session.run("pytest", folder, *options, *session.posargs, env=env)


@contextmanager
def temporary_folder() -> Iterator[str | None]:
    """Give a folder in memory where there is room for one; else the system's own is as good."""
    if os.environ.get("TMPDIR") or not usable(MEMORY):
        yield None
        return
    for left in MEMORY.glob("riptide-nox-*-*"):  # by one that was killed
        try:
            os.kill(int(left.name.split("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except (PermissionError, ValueError):  # another user's, or not ours at all
            continue
    with tempfile.TemporaryDirectory(
        prefix=f"riptide-nox-{os.getpid()}-", dir=MEMORY, ignore_cleanup_errors=True
    ) as folder:
        # As root PostgreSQL runs as somebody else, who has to get to its data.
        Path(folder).chmod(0o711)
        yield folder


def usable(folder: Path) -> bool:
    """Whether there is room, and programs may be run from there: in a container they may not."""
    if sys.platform == "win32" or not os.access(folder, os.W_OK):
        return False
    barred = os.statvfs(folder).f_flag & os.ST_NOEXEC
    return not barred and shutil.disk_usage(folder).free >= ROOM


def without_foreign(keep: tuple[str, ...] = ()) -> dict[str, str | None]:
    """Give the variables to take out of a session's environment."""
    return {
        name: None
        for name in os.environ
        if (name.startswith(FOREIGN) and name not in keep) or name in SLOW
    }
