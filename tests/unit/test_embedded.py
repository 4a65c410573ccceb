"""The embedded stack's command lines, and what a start makes of how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from riptide.errors import StackError
from riptide.stack.embedded import postgres
from riptide.stack.embedded.postgres import Cluster
from riptide.stack.ports import require_free_port


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Give a cluster of which nothing is there yet but its folder."""
    (tmp_path / "data").mkdir()
    return Cluster(bin_dir=Path("/bin-dir"), home=tmp_path, port=4321, options=("fsync=off",))


def test_server_is_started_directly(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server itself is started where it can be: its pid is known from the first moment."""
    monkeypatch.setattr(postgres, "BY_PG_CTL", False)
    data = (cluster.home / "data").as_posix()
    assert cluster.server_argv() == [
        str(Path("/bin-dir/postgres")),
        *("-D", data, "-p", "4321", "-c", "fsync=off"),
    ]
    assert cluster.mark.arguments == ("-D", data)


def test_server_is_started_by_pg_ctl(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows it is pg_ctl's to start, with its folder written as pg_ctl passes it on."""
    monkeypatch.setattr(postgres, "BY_PG_CTL", True)
    data = (cluster.home / "data").as_posix()
    assert cluster.server_argv() == [
        str(Path("/bin-dir/pg_ctl")),
        *("start", "-W", "-D", data, "-l", str(cluster.log), "-o", "-p 4321 -c fsync=off"),
    ]


def test_initdb_is_told_everything(cluster: Cluster) -> None:
    """Passwords are SCRAM, the encoding is UTF-8, the collation depends on no system."""
    argv = cluster.initdb_argv()
    assert argv[0] == str(Path("/bin-dir/initdb"))
    assert {
        "--username=supabase_admin",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--builtin-locale=C.UTF-8",
        "--set=listen_addresses=127.0.0.1",
    } <= set(argv)


class Launcher:
    """Stands in for the start of a process and for looking for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, code: int, by_pg_ctl: bool) -> None:
        self.logs: list[Path] = []
        monkeypatch.setattr(postgres, "BY_PG_CTL", by_pg_ctl)
        monkeypatch.setattr(postgres, "spawn", self._spawn)
        monkeypatch.setattr(postgres, "find", lambda *_: None)
        monkeypatch.setattr(postgres, "exit_code", lambda _: code)
        monkeypatch.setattr(postgres, "require_free_port", lambda *_, **__: None)

    def _spawn(self, _argv: list[str], *, log: Path, **_: Any) -> int:
        self.logs.append(log)
        log.write_text("FATAL:  a reason\n", encoding="ascii")
        return 99


@pytest.mark.parametrize(
    ("by_pg_ctl", "code", "said"),
    [
        (False, 1, "ended while it started"),
        (True, 1, "ended while it started"),
        (True, 0, "did not get ready within 0.1 s"),
    ],
)
def test_start_that_fails(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, by_pg_ctl: bool, code: int, said: str
) -> None:
    """A launcher that has done its work is no server that ended; one that failed is told."""
    launcher = Launcher(monkeypatch, code=code, by_pg_ctl=by_pg_ctl)
    with pytest.raises(StackError, match=said):
        cluster.start(timeout=0.1)
    # On Windows the log is pg_ctl's own to write.
    assert [each.name for each in launcher.logs] == ["pg_ctl.log" if by_pg_ctl else "postgres.log"]


def test_taken_port_names_what_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that a person chose is changed by its variable; of another none is named."""
    monkeypatch.setattr("riptide.stack.ports.port_is_free", lambda _: False)
    monkeypatch.setattr("riptide.stack.ports.listener", lambda _: None)
    monkeypatch.setattr("riptide.stack.ports._LAST_MOMENT", 0)
    with pytest.raises(StackError, match="port 4321 is taken by another program") as caught:
        require_free_port(4321, "SUPABASE_DB_PORT", state="the database runs")
    assert caught.value.state == "the database runs"
    assert caught.value.next_step == "stop it, or set SUPABASE_DB_PORT to a free port"
    with pytest.raises(StackError) as caught:
        require_free_port(4321, "")
    assert caught.value.next_step == "try it again"
