"""The whole way up: in which order its steps are, and what ends it before the first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from riptide import toolchain
from riptide.errors import (
    ConfigError,
    Interrupted,
    MigrationError,
    RiptideError,
    ToolNotFoundError,
)
from riptide.results import PushResult, RlsReport, StackStatus
from riptide.target import Target
from riptide.up import bring_up

if TYPE_CHECKING:
    from riptide.settings import Settings


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for every step, and give the list of those that were taken."""
    taken: list[str] = []

    class Stack:
        def start(self, **_: Any) -> StackStatus:
            taken.append("start")
            return StackStatus(backend="embedded", running=True)

    def find(*_: Any, **__: Any) -> Path:
        taken.append("find the CLI")
        return Path("/bin/supabase")

    def push(**_: Any) -> PushResult:
        taken.append("push")
        return PushResult(target="local")

    def verify(**_: Any) -> RlsReport:
        taken.append("verify")
        return RlsReport(target="local")

    monkeypatch.setattr(toolchain, "present_cli", find)
    monkeypatch.setattr("riptide.stack.open_stack", lambda *_, **__: Stack())
    monkeypatch.setattr("riptide.migrations.push.apply_migrations", push)
    monkeypatch.setattr("riptide.rls.verify_rls", verify)
    return taken


def test_every_step_is_taken_in_order(settings: Settings, steps: list[str]) -> None:
    """The CLI is looked for, the stack started, the migrations pushed, the policies verified."""
    bring_up(settings=settings)
    assert steps == ["find the CLI", "start", "push", "verify"]


def test_cli_that_cannot_be_used_is_told_before_the_start(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a CLI that a push could use nothing is started, and that is what is said."""
    old = tmp_path / "old"
    old.write_text("an old one", encoding="ascii")
    old.chmod(0o755)
    monkeypatch.setattr(toolchain, "_ask_cli", lambda *_: "2.40.7")
    monkeypatch.setattr("riptide.stack.open_stack", lambda *_, **__: pytest.fail("was opened"))
    with pytest.raises(ToolNotFoundError, match=r"is version 2\.40\.7") as caught:
        bring_up(settings=replace(settings, cli_path=old))
    assert caught.value.state == "nothing was started"


@pytest.mark.parametrize("target", ["postgresql://postgres:hush@db.example.com/postgres", ""])
def test_target_that_is_not_local_is_refused(
    settings: Settings, steps: list[str], target: str
) -> None:
    """Nobody's remote database is pushed to by what is for the local stack."""
    remote = Target(kind="remote" if target else "linked", url=target)
    with pytest.raises(ConfigError, match="only the local") as caught:
        bring_up(settings=replace(settings, target=remote))
    assert steps == []
    assert caught.value.state == "nothing was started"
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("step", "error", "state"),
    [
        (
            "riptide.migrations.push.apply_migrations",
            MigrationError("is still the template", state="nothing was applied"),
            "nothing was applied; the stack runs",
        ),
        (
            "riptide.rls.verify_rls",
            ConfigError("no such table"),
            "the stack runs, and every migration is applied",
        ),
        (
            "riptide.migrations.push.apply_migrations",
            Interrupted("2 of 3 migrations applied", "inv migrate.push"),
            "2 of 3 migrations applied; the stack runs",
        ),
        (
            "riptide.rls.verify_rls",
            KeyboardInterrupt(),
            "the stack runs, and every migration is applied; the step after that was stopped",
        ),
    ],
)
def test_what_is_done_already_is_told(
    settings: Settings,
    steps: list[str],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
    state: str,
) -> None:
    """A step that is refused or interrupted says what the steps before it have done."""

    def refuse(**_: Any) -> None:
        raise error

    monkeypatch.setattr(step, refuse)
    with pytest.raises((RiptideError, Interrupted)) as caught:
        bring_up(settings=settings)
    told = caught.value
    assert isinstance(told, RiptideError | Interrupted)
    assert told.state == state
    assert "start" in steps
    assert isinstance(told, RiptideError) or told.next_step == "inv up"
