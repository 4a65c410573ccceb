"""The embedded stack under kill -9, Ctrl-C, stale files and foreign processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from _inv import inv
from _stacks import processes_of, rows

from riptide import StackError, open_stack
from riptide.stack.embedded.postgres import Cluster
from riptide.stack.embedded.state import State
from riptide.stack.ports import free_port
from riptide.stack.process import end, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.results import StackStatus
    from riptide.settings import Settings


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that is none of ours."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_followed_logs_end_with_ctrl_c(started: tuple[Settings, StackStatus]) -> None:
    """`stack.logs --follow` prints new lines as they come, and Ctrl-C ends it without an error."""
    settings, status = started
    process = inv(settings, "stack.logs", "--follow")
    assert process.stdout is not None
    seen = process.stdout.readline()
    with psycopg.connect(status.db_url) as connection, pytest.raises(psycopg.Error):
        connection.execute("select 'a line that comes later' from nowhere")
    while "a line that comes later" not in seen:
        seen = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert (process.returncode, "error" in output) == (0, False), output


@pytest.mark.parametrize("killed", [["postgres"], ["gateway"], ["postgres", "gateway"]])
def test_start_mends_what_was_killed(
    started: tuple[Settings, StackStatus], killed: list[str]
) -> None:
    """After kill -9 of any part the status says so, and a plain start gives all back, data too."""
    settings, before = started
    for name in killed:
        os.kill(before.pids[name], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(find(before.pids[name]) for name in killed) and time.monotonic() < deadline:
        time.sleep(0.02)
    stack = open_stack(settings)
    assert not stack.status().running
    again = stack.start()
    assert again.running
    assert (again.started, again.renewed) == ("postgres" in killed, killed == ["gateway"])
    assert (again.pids["postgres"] == before.pids["postgres"]) == again.renewed
    assert rows(again) == [(7,)]


def test_busy_api_is_waited_for(started: tuple[Settings, StackStatus]) -> None:
    """An API that does not answer for some seconds is not what a crash left: all goes on."""
    settings, before = started
    with psycopg.connect(before.db_url) as session:
        os.kill(before.pids["gateway"], signal.SIGSTOP)
        try:
            starting = inv(settings, "stack.start")
            time.sleep(3.5)  # its own question has waited 2 s by then
        finally:
            os.kill(before.pids["gateway"], signal.SIGCONT)
        output, _ = starting.communicate(timeout=60)
        assert "it ran already; nothing was changed" in output
        assert session.execute("select 1").fetchone() == (1,)
    assert open_stack(settings).status().pids == before.pids


def test_api_that_never_answers_is_restarted_alone(
    started: tuple[Settings, StackStatus], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API that hangs is started anew, and the sessions of the database go on."""
    settings, before = started
    monkeypatch.setattr("riptide.stack.embedded.renew.BUSY_WAIT", 1.0)
    said: list[str] = []
    with psycopg.connect(before.db_url) as session:
        os.kill(before.pids["gateway"], signal.SIGSTOP)
        again = open_stack(settings).start(progress=said.append)
        assert session.execute("select 1").fetchone() == (1,)
    assert again.renewed
    assert again.running
    assert "restarting the API: it did not answer for 1 s" in said
    assert find(before.pids["gateway"]) is None
    assert {each.pid for each in processes_of(settings)} == set(again.pids.values())


def test_pid_file_of_a_living_server_stays(started: tuple[Settings, StackStatus]) -> None:
    """The pid file of a server that runs is never removed: without it the server would end."""
    settings, status = started
    assert status.data_dir is not None
    cluster = Cluster(bin_dir=Path(), home=status.data_dir.parent, port=status.pids["postgres"])
    cluster._forget_stale_pid()
    assert (status.data_dir / "postmaster.pid").exists()
    (status.data_dir / "postmaster.pid").write_text("999999\n")
    cluster._forget_stale_pid()
    assert not (status.data_dir / "postmaster.pid").exists()
    open_stack(settings).stop(delete_data=True)


def test_api_port_that_somebody_took_is_named(started: tuple[Settings, StackStatus]) -> None:
    """Who took the port of an API that ended is said; on another port it comes back."""
    settings, before = started
    api = find(before.pids["gateway"])
    assert api is not None
    end(api)
    port = settings.config.api_port
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(StackError, match=rf"port {port} is taken by python") as caught:
            open_stack(settings).start()
        assert caught.value.state == "the database runs, the API does not"
        assert "SUPABASE_API_PORT" in (caught.value.next_step or "")
        config = settings.config
        config = config.with_ports(api_port=free_port(), db_port=config.db_port)
        other = replace(settings, config=config)
        again = open_stack(other).start()
        assert again.renewed
        assert again.api_url.endswith(f":{config.api_port}")
        assert again.pids["postgres"] == before.pids["postgres"]


@pytest.mark.skipif(os.name != "posix", reason="it is how Windows does it")
def test_server_by_pg_ctl(
    make_project: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started and stopped by pg_ctl, as on Windows, the server is known and leaves nothing."""
    monkeypatch.setattr("riptide.stack.embedded.postgres.BY_PG_CTL", True)
    settings = make_project()
    status = open_stack(settings).start()
    assert status.running
    assert {each.pid for each in processes_of(settings)} == set(status.pids.values())
    open_stack(settings).stop()
    assert processes_of(settings) == []


@pytest.mark.parametrize("content", [b"", b'{"format": 1, "insta', b"[]", b'{"format": 99}'])
def test_start_survives_a_broken_state_file(
    started: tuple[Settings, StackStatus], content: bytes
) -> None:
    """With half a state file the running processes are found all the same; none is left twice."""
    settings, _ = started
    (settings.run_dir / "stack.json").write_bytes(content)
    again = open_stack(settings).start()
    assert again.running
    assert rows(again) == [(7,)]
    mains = {each.pid for each in processes_of(settings)}
    assert set(again.pids.values()) == mains


def test_foreign_process_is_never_ended(
    started: tuple[Settings, StackStatus], stranger: subprocess.Popen[bytes]
) -> None:
    """A pid in the state that belongs to somebody else's process now is left alone."""
    settings, _ = started
    stack = open_stack(settings)
    state = State.read(settings.run_dir)
    assert state is not None
    stack.stop()
    replace(state, postgres_pid=stranger.pid, gateway_pid=stranger.pid).write()
    postmaster = state.home / "data" / "postmaster.pid"
    postmaster.write_text(f"{stranger.pid}\n{state.home}/data\n1\n{state.db_port}\n\n127.0.0.1\n")
    assert not stack.status().running
    again = stack.start()
    assert again.running
    assert stranger.pid not in again.pids.values()
    stack.stop()
    assert stranger.poll() is None


def test_copied_project_leaves_the_original_alone(
    started: tuple[Settings, StackStatus], make_project: Callable[..., Settings]
) -> None:
    """A copy of a running project, its state file included, never stops or deletes the original."""
    settings, before = started
    copy = make_project()
    shutil.copytree(
        settings.run_dir, copy.run_dir, ignore=shutil.ignore_patterns("postgres"), symlinks=True
    )
    stack = open_stack(copy)
    assert not stack.status().pids
    stack.stop(delete_data=True)
    own = stack.start()
    assert own.pids.keys() == before.pids.keys()
    assert set(own.pids.values()).isdisjoint(before.pids.values())
    stack.stop(delete_data=True)
    after = open_stack(settings).status()
    assert (after.running, after.pids) == (True, before.pids)
    assert rows(after) == [(7,)]


def test_tight_umask_does_not_shut_postgresql_out(make_project: Callable[..., Settings]) -> None:
    """With umask 077, as root too, every folder on the way to the data is made passable."""
    settings = make_project()
    settings = replace(settings, data_dir=settings.root.parent / "kept" / "elsewhere")
    before = os.umask(0o077)
    try:
        status = open_stack(settings).start()
    finally:
        os.umask(before)
        open_stack(settings).stop(delete_data=True)
    assert status.running
    assert settings.data_dir is not None
    assert str(status.data_dir).startswith(str(settings.data_dir))


def test_stop_without_a_state_finds_the_orphans(started: tuple[Settings, StackStatus]) -> None:
    """Processes whose state file is gone are ended by a plain stop."""
    settings, _ = started
    (settings.run_dir / "stack.json").unlink()
    open_stack(settings).stop()
    assert processes_of(settings) == []


@pytest.mark.parametrize(
    ("number", "moments"),
    [
        (signal.SIGKILL, (0, 100, 250, 500)),
        (signal.SIGINT, (0, 50, 200, 350)),
        (signal.SIGTERM, (0, 200)),  # it takes the way of SIGINT
    ],
)
def test_start_that_is_ended_at_any_moment(
    make_project: Callable[..., Settings], number: signal.Signals, moments: tuple[int, ...]
) -> None:
    """A start that is killed or interrupted at any moment is followed by a plain one that works."""
    settings = make_project()
    for milliseconds in moments:
        process = inv(settings, "stack.start")
        assert process.stdout is not None
        while "starting PostgreSQL" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(milliseconds / 1000)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
        # What came when all was done, or while Python itself ended, has stopped nothing.
        done = "stack     running" in output or "state: the stack runs" in output
        if number is signal.SIGINT and not done:
            assert process.returncode == 130, output
            assert "error: interrupted" in output
            assert "Traceback" not in output
            assert processes_of(settings) == []
        status = open_stack(settings).start()
        assert status.running
        assert {each.pid for each in processes_of(settings)} == set(status.pids.values())
        open_stack(settings).stop(delete_data=True)
    assert processes_of(settings) == []
