"""The embedded stack on damaged data, another user's files, and folders that cannot be written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import pytest
from _requires import require, require_root
from _stacks import processes_of, rows

import riptide
from riptide import StackError, open_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from riptide.results import StackStatus
    from riptide.settings import Settings

    Started = tuple[Settings, StackStatus]

NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be an ordinary user for a while, as far as files go."""
    require_root()
    # What is imported for the first time within would be looked for as nobody, who may not get to
    # this Python.
    for each in walk_packages(riptide.__path__, "riptide."):
        if each.name not in ("riptide.pytest_plugin", "riptide.__main__"):
            import_module(each.name)
    for name in ("encodings.ascii", "filelock", "platformdirs", "psutil", "http.client", "tomllib"):
        import_module(name)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def told(error: StackError) -> str:
    """Give an error's text; it has to have a state and a next step."""
    assert error.state
    assert error.next_step
    return str(error)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("PG_VERSION", None, "PG_VERSION is missing"),
        ("PG_VERSION", b"\xff\xfe\n", "PG_VERSION holds no version"),
        ("PG_VERSION", b"16\n", "PostgreSQL 16's"),
        ("global/pg_control", None, "pg_control is missing"),
        ("global/pg_control", b"half", "PostgreSQL ended while it started"),
    ],
)
def test_damaged_data_is_told_and_kept(
    started: Started, name: str, content: bytes | None, word: str
) -> None:
    """Damaged data is an error that destroys nothing; put right, it has its rows."""
    settings, status = started
    stack = open_stack(settings)
    stack.stop()
    assert status.data_dir is not None
    file = status.data_dir / name
    kept = file.read_bytes()
    if content is None:
        mode = file.stat()
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(StackError, match=word) as caught:
        stack.start()
    assert not str(caught.value.next_step).startswith(("inv stack.reset", "inv stack.stop"))
    assert "the data is as it was" in told(caught.value)
    assert processes_of(settings) == []
    file.write_bytes(kept)
    if content is None and os.name == "posix" and os.geteuid() == 0:
        os.chown(file, mode.st_uid, mode.st_gid)
    assert rows(stack.start()) == [(7,)]


@pytest.mark.parametrize("content", [b"", b"\xff\x00\n", b"9" * 40, "²".encode(), b"-1\n", b"1\n"])
def test_garbage_in_the_pid_file(started: Started, content: bytes) -> None:
    """Whatever is in postmaster.pid, the server is found, stopped, and started again."""
    settings, before = started
    assert before.data_dir is not None
    (before.data_dir / "postmaster.pid").write_bytes(content)
    stack = open_stack(settings)
    assert stack.status().pids == before.pids
    stack.stop()
    assert processes_of(settings) == []
    (before.data_dir / "postmaster.pid").write_bytes(content)
    assert rows(stack.start()) == [(7,)]


def test_damaged_data_can_be_reset(started: Started) -> None:
    """A reset gives an empty stack, whatever is left of the data."""
    settings, status = started
    assert status.data_dir is not None
    open_stack(settings).stop()
    (status.data_dir / "PG_VERSION").unlink()
    shutil.rmtree(status.data_dir / "base")
    assert open_stack(settings).reset().running


def test_data_of_another_user_is_told_beforehand(started: Started) -> None:
    """Another RIPTIDE_RUN_AS than the data's owner is refused with the one that works."""
    require_root()
    import pwd

    settings, status = started
    stack = open_stack(settings)
    stack.stop()
    assert status.data_dir is not None
    owner = pwd.getpwuid(status.data_dir.stat().st_uid).pw_name
    other = next(each for each in ("nobody", "daemon", "bin") if each != owner)
    with pytest.raises(StackError, match=f"belongs to user {owner}, .* run as {other}") as caught:
        open_stack(replace(settings, run_as=other)).start()
    assert caught.value.next_step == f"RIPTIDE_RUN_AS={owner} inv stack.start"
    assert rows(open_stack(replace(settings, run_as=owner)).start()) == [(7,)]


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("action", ["status", "start", "stop", "reset", "logs"])
def test_project_of_root_for_an_ordinary_user(
    make_project: Callable[..., Settings], action: str, *, running: bool
) -> None:
    """In root's project another user gets an error that says whose it is, and harms nothing."""
    settings = make_project()
    stack = open_stack(settings)
    before = stack.start()
    if not running:
        stack.stop()
    calls: dict[str, Callable[[], object]] = {
        "status": stack.status,
        "start": stack.start,
        "stop": stack.stop,
        "reset": stack.reset,
        "logs": lambda: list(stack.logs()),
    }
    with as_nobody():
        if action == "status" and not running:
            assert not stack.status().running
            return
        with pytest.raises(StackError, match=r"belongs to user \w+, this is user nobody") as caught:
            calls[action]()
    assert "sudo inv" in told(caught.value)
    assert stack.status().pids == (before.pids if running else {})


def test_cache_of_another_user(make_project: Callable[..., Settings], tmp_path: Path) -> None:
    """A cache folder that this user may not enter is named, with the variable that changes it."""
    settings = make_project()
    cache = settings.root.with_name(f"{settings.root.name}-cache")
    cache.mkdir(mode=0o700)
    os.chmod(settings.root / "supabase", 0o777)  # noqa: PTH101
    with as_nobody(), pytest.raises(StackError, match="belongs to user root") as caught:
        open_stack(replace(settings, cache_dir=cache)).start()
    assert "RIPTIDE_CACHE_DIR" in told(caught.value)


@pytest.fixture
def mounted(make_project: Callable[..., Settings]) -> Iterator[Callable[..., None]]:
    """Give a function that mounts something; all is unmounted in the end."""
    require_root()
    require(shutil.which("mount"), "mount")
    places: list[Path] = []

    def mount(place: Path, *options: str) -> None:
        if subprocess.run(["mount", *options, str(place)], check=False).returncode:
            pytest.skip("this machine lets nobody mount")
        places.append(place)

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", str(place)], check=True)


def test_read_only_project(
    make_project: Callable[..., Settings], mounted: Callable[..., None]
) -> None:
    """On a read-only file system the status works, and a start says why it does not."""
    settings = make_project()
    mounted(settings.root, "--bind", str(settings.root))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(settings.root)], check=True)
    stack = open_stack(settings)
    assert not stack.status().running
    with pytest.raises(StackError, match="read-only file system") as caught:
        stack.start()
    assert "nothing was started" in told(caught.value)


@pytest.mark.parametrize("size", ["4k", "64k", "20m"])
def test_start_on_a_full_disk(
    make_project: Callable[..., Settings], mounted: Callable[..., None], size: str
) -> None:
    """A disk that is full when the state, or the data, is written leaves nothing running."""
    settings = make_project()
    temp = settings.supabase_dir / ".temp"
    temp.mkdir()
    mounted(temp, "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs")
    with pytest.raises(StackError, match="the disk is full") as caught:
        open_stack(settings).start()
    assert "df -h" in told(caught.value)
    assert processes_of(settings) == []
    home = settings.run_dir / "postgres"
    assert not home.exists() or not (home / "data.tmp").exists()


def test_full_disk_without_mounting(
    make_project: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that the disk has no room for leaves neither half a copy nor a process."""
    settings = make_project()
    copied = []

    def copy(source: str, target: str) -> str:
        copied.append(target)
        if len(copied) > 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source, None, target)
        return str(shutil.copyfile(source, target))

    monkeypatch.setattr("riptide.stack.embedded.data.shutil.copy", copy)
    with pytest.raises(StackError, match="the disk is full") as caught:
        open_stack(settings).start()
    assert "RIPTIDE_DATA_DIR" in told(caught.value)
    assert processes_of(settings) == []
    assert not list((settings.run_dir / "postgres").iterdir())
    monkeypatch.undo()
    assert open_stack(settings).start().running
