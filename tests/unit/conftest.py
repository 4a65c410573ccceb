"""Unit tests start no process and open no socket: these guards see to it."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from riptide.project_config import ProjectConfig
from riptide.settings import Settings
from riptide.target import Target, local_db_url

if TYPE_CHECKING:
    from pathlib import Path


def _refuse(what: str) -> Any:
    def refused(*args: object, **kwargs: object) -> NoReturn:
        pytest.fail(f"a unit test {what}: {args[1:2]}")

    return refused


@pytest.fixture(autouse=True)
def _no_outside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts a process without pytest-subprocess or connects anywhere."""
    if "fp" not in request.fixturenames:
        monkeypatch.setattr(subprocess.Popen, "__init__", _refuse("started a process"))
    monkeypatch.setattr(socket.socket, "connect", _refuse("connected a socket"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the settings of an empty project."""
    (tmp_path / "supabase" / "migrations").mkdir(parents=True)
    (tmp_path / "supabase" / "rollbacks").mkdir()
    (tmp_path / "supabase" / "config.toml").write_text('project_id = "demo"\n', encoding="utf-8")
    config = ProjectConfig(project_id="demo")
    return Settings(
        root=tmp_path,
        config=config,
        target=Target(url=local_db_url(config)),
        cache_dir=tmp_path / "cache",
    )
