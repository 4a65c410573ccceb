"""The embedded stack, for real: starting, stopping, resetting, and what others left behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import psycopg
import pytest
from _inv import inv

from riptide import StackError, open_stack
from riptide.project_config import ProjectConfig
from riptide.settings import Settings
from riptide.stack.embedded.bundle import ENTRY
from riptide.stack.embedded.gateway import legacy_key
from riptide.stack.embedded.stack import EmbeddedStack
from riptide.stack.embedded.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.results import StackStatus


def health(status: StackStatus) -> dict[str, str]:
    """Ask the gateway how it is."""
    with urllib.request.urlopen(f"{status.api_url}/_riptide/health", timeout=5) as answer:
        body: dict[str, str] = json.load(answer)
        return body


def test_start_is_idempotent(project: Settings) -> None:
    """A second start changes nothing: the same processes, and it says that it started nothing."""
    stack = open_stack(project)
    first, again = stack.status(), stack.start()
    assert first.running
    assert not again.started
    assert again.pids == first.pids


def test_listens_on_loopback_only(stack: StackStatus) -> None:
    """Nothing of the stack listens on any address but 127.0.0.1."""
    addresses = {
        each.laddr.ip
        for pid in stack.pids.values()
        for each in psutil.Process(pid).net_connections(kind="tcp")
        if each.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def flip_bytes(code: bytes) -> bytes:
    """Damage V8's code behind its header, which is all that V8 looks at: it would end of it."""
    damaged = bytearray(code)
    for place in range(len(code) // 4, len(code) // 2, 997):
        damaged[place] ^= 0xFF
    return bytes(damaged)


@pytest.mark.parametrize(
    "kept", [None, lambda _: b"", lambda _: b"not V8's", lambda code: code[:9999], flip_bytes]
)
def test_code_of_the_gateway_is_kept(
    project: Settings,
    stack: StackStatus,
    tmp_path: Path,
    kept: Callable[[bytes], bytes] | None,
) -> None:
    """Where V8's code is not there, or is not as it was kept, it is made anew."""
    running = psutil.Process(stack.pids["gateway"])
    program = next(each for each in running.cmdline() if each.endswith(ENTRY))
    folder = tmp_path / "copy"
    shutil.copytree(Path(program).parent, folder)
    (code,) = folder.glob("code-*")
    whole = code.read_bytes()
    code.unlink()
    if kept is not None:
        code.write_bytes(kept(whole))
    argv = [each if each != program else str(folder / ENTRY) for each in running.cmdline()]
    made = []
    for _ in range(2):
        done = subprocess.run([*argv, "--migrate"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        made.append(code.stat())
    assert made[0].st_size > len(whole) / 2
    # The second took what the first had made.
    assert (made[1].st_ino, made[1].st_mtime_ns) == (made[0].st_ino, made[0].st_mtime_ns)
    assert list(folder.glob("*.tmp")) == []


def test_data_directory_is_private(stack: StackStatus) -> None:
    """The data directory is for its owner alone, and PostgreSQL does not run as root."""
    assert stack.data_dir is not None
    assert stat.S_IMODE(stack.data_dir.stat().st_mode) == 0o700
    assert psutil.Process(stack.pids["postgres"]).uids().effective != 0


def test_health_names_this_stack(project: Settings, stack: StackStatus) -> None:
    """The gateway answers with the instance of this project's state, so none is mistaken for it."""
    state = State.read(project.run_dir)
    assert state is not None
    assert health(stack) == {
        "status": "ok",
        "instance": state.instance,
        "pid": stack.pids["gateway"],
    }


def test_legacy_keys_are_the_well_known_ones() -> None:
    """The legacy keys of the default secret are byte for byte the ones every local stack has."""
    secret = ProjectConfig(project_id="x").auth.jwt_secret
    assert legacy_key("anon", secret) == (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6ImFub24iLCJleHAiOjE5ODM4MTI5OTZ9."
        "CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0"
    )


def test_stop_keeps_the_data_and_leaves_no_process(make_project: Callable[..., Settings]) -> None:
    """After stop and start a row is still there; in between no process of the stack is."""
    stack = open_stack(make_project())
    started = stack.start()
    with psycopg.connect(started.db_url, autocommit=True) as connection:
        connection.execute("create table public.kept (id int); insert into public.kept values (7)")
    stopped = stack.stop()
    assert not stopped.running
    assert not any(psutil.pid_exists(pid) and _alive(pid) for pid in started.pids.values())
    again = stack.start()
    with psycopg.connect(again.db_url) as connection:
        assert connection.execute("select id from public.kept").fetchall() == [(7,)]


def test_reset_gives_the_stack_back_empty(make_project: Callable[..., Settings]) -> None:
    """After a reset no table, no user and no history is there, and the API serves again."""
    stack = open_stack(make_project())
    started = stack.start()
    with psycopg.connect(started.db_url, autocommit=True) as connection:
        connection.execute("create table public.gone (id int); create schema private")
    status = stack.reset()
    assert status.running
    with psycopg.connect(status.db_url) as connection:
        found = connection.execute(
            "select count(*) from pg_class where relnamespace = 'public'::regnamespace "
            "union all select count(*) from auth.users "
            "union all select count(*) from pg_namespace where nspname = 'private'"
        ).fetchall()
    assert found == [(0,), (0,), (0,)]
    assert health(status)["status"] == "ok"


def test_delete_data_removes_the_folder(make_project: Callable[..., Settings]) -> None:
    """Stop with delete_data leaves neither the data directory nor a state."""
    settings = make_project()
    stack = open_stack(settings)
    status = stack.start()
    assert status.data_dir is not None
    assert stack.stop(delete_data=True).deleted
    assert not stack.stop(delete_data=True).deleted
    assert not status.data_dir.parent.exists()
    assert State.read(settings.run_dir) is None
    assert {each.name for each in settings.run_dir.iterdir()} == {".gitignore", "stack.lock"}


@pytest.mark.parametrize("which", ["api_port", "db_port"])
def test_taken_port_is_named_with_its_owner(
    make_project: Callable[..., Settings], which: str
) -> None:
    """A taken port is refused before anything is started, with the program that takes it."""
    settings = make_project()
    port = getattr(settings.config, which)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StackError) as caught:
        open_stack(settings).start()
    assert f"port {port} is taken by" in caught.value.message
    assert f"pid {os.getpid()}" in caught.value.message
    assert "SUPABASE_" in str(caught.value.next_step)
    assert not open_stack(settings).status().pids


def test_changed_configuration_reaches_a_running_stack(
    make_project: Callable[..., Settings],
) -> None:
    """A start restarts the API alone where config.toml was changed, and then does nothing again."""
    settings = make_project()
    before = open_stack(settings).start()
    config = settings.root / "supabase" / "config.toml"
    config.write_text(
        f'{config.read_text()}[auth]\nsecret_key = "sb_secret_other_one"\n', encoding="utf-8"
    )
    changed = Settings.load(
        settings.root,
        backend="embedded",
        api_port=settings.config.api_port,
        db_port=settings.config.db_port,
        environ={},
    )
    changed = replace(changed, cache_dir=settings.cache_dir)
    stale = open_stack(changed).status()
    assert stale.secret_key == before.secret_key  # what the API accepts until it is restarted
    assert "config.toml, or a variable that it names, was changed" in stale.note

    said: list[str] = []
    with psycopg.connect(before.db_url) as session:
        after = open_stack(changed).start(progress=said.append)
        assert session.execute("select 1").fetchone() == (1,)
    assert (after.started, after.renewed) == (False, True)
    assert "config.toml" not in after.note
    assert after.secret_key == "sb_secret_other_one"
    assert any("restarting the API: config.toml" in each for each in said)
    for key, code in (("sb_secret_other_one", 200), (before.secret_key, 401)):
        reply = httpx.get(f"{after.api_url}/auth/v1/admin/users", headers={"apikey": key})
        assert reply.status_code == code

    again = open_stack(changed).start()
    assert (again.started, again.renewed, again.pids) == (False, False, after.pids)


def test_exposed_schema_that_does_not_exist_is_told(make_project: Callable[..., Settings]) -> None:
    """A start warns of each schema that the API is to serve and the database has not."""
    settings = make_project()
    config = settings.root / "supabase" / "config.toml"
    text = '[api]\nschemas = ["public", "graphql_public", "api", "b;\\"c"]\n'
    config.write_text(config.read_text() + text, encoding="utf-8")
    said, _ = inv(settings, "stack.start").communicate()
    for name in ("api", 'b;"c'):
        assert f"warning: schema {name} of [api] schemas does not exist" in said
    assert "next:  inv migrate.push" in said
    with psycopg.connect(settings.local_db_url) as session:
        session.execute("create schema api")
    again, _ = inv(settings, "stack.start", "--json").communicate()
    assert json.loads(again[again.index("{") :])["missing_schemas"] == ['b;"c']


def test_two_starts_at_once_give_one_stack(make_project: Callable[..., Settings]) -> None:
    """Two threads that start the same stack end with the same two processes."""
    from concurrent.futures import ThreadPoolExecutor

    settings = make_project()
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: open_stack(settings).start(), range(2))
    assert first.pids == second.pids
    assert sorted([first.started, second.started]) == [False, True]


def test_other_ports_than_the_running_ones_are_refused(
    make_project: Callable[..., Settings],
) -> None:
    """A start on other ports than the running stack's says so and leaves it alone."""
    from dataclasses import replace

    settings = make_project()
    status = open_stack(settings).start()
    other = replace(settings, config=settings.config.with_ports(api_port=1025, db_port=1026))
    with pytest.raises(StackError, match="runs on ports"):
        open_stack(other).start()
    assert open_stack(settings).status().pids == status.pids


def test_logs_have_both_services(project: Settings, stack: StackStatus) -> None:
    """The logs hold lines of the database and of the API, each marked with its service."""
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:  # no key was sent
        urllib.request.urlopen(f"{stack.api_url}/rest/v1/profiles", timeout=5)
    refused.value.close()
    deadline = time.monotonic() + 5  # the line is written once the reply is sent
    while time.monotonic() < deadline:
        entries = list(EmbeddedStack(project).logs())
        if any("GET /rest/v1/profiles 401" in entry for entry in entries):
            break
    assert any(entry.startswith("     api │ GET /rest/v1/profiles 401") for entry in entries)
    assert any(entry.startswith("database │") for entry in entries)


def test_logs_before_any_start_say_so(make_project: Callable[..., Settings]) -> None:
    """Asking for logs of a stack that never ran is an error that names the next command."""
    with pytest.raises(StackError, match="never started"):
        list(open_stack(make_project()).logs())


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
