"""What a person sees, on terminals of every width."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from rich.console import Console

from riptide import render
from riptide.errors import ConfigError
from riptide.render import migrations as show
from riptide.results import Migration, MigrationList, MigrationState, PushResult, StackStatus


@pytest.mark.parametrize("width", [20, 60, 100])
def test_versions_can_be_copied(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """However narrow a terminal is, each version stands on one line, and its state beside it."""
    out = io.StringIO()

    def console(**_: Any) -> Console:
        return Console(file=out, width=width, force_terminal=True, color_system=None)

    monkeypatch.setattr(render, "console", console)
    found = MigrationList(
        target="local",
        migrations=tuple(
            Migration(version=f"2026010100000{n}", name="x" * 40, state=MigrationState.PENDING)
            for n in range(3)
        ),
    )
    show.migration_list(found)
    for n in range(3):
        (line,) = [each for each in out.getvalue().splitlines() if f"2026010100000{n}" in each]
        assert "pending" in line


def test_result_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that stdout does not take is told as that, and that the work is done."""
    from riptide.errors import RiptideError

    class Full(io.StringIO):
        """A full disk."""

        def write(self, _: str) -> int:
            """Refuse."""
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(RiptideError, match="cannot be written to stdout: No space") as caught:
        render.as_json(MigrationList(target="local", migrations=()))
    assert caught.value.state == "what was asked for is done"


def test_file_that_was_edited_too_late_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """It stands in the result: a phrase of progress would be gone from a terminal."""
    show.push(PushResult(target="local", applied=("1_a.sql",), edited=("1_a.sql",), seconds=1))
    assert capsys.readouterr().out == (
        "  applied 1_a.sql  0.00 s\n"
        "  1_a.sql was edited too late: it is applied as it was planned\n"
        "local: applied 1 migration in 1.0 s\n"
    )


def test_words_that_are_piped_need_no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines for a file or another program are written without what makes colours and tables."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
    for name in ("rich", "rich.console", "rich.text", "rich.table", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    with render.progress() as progress:
        progress("a step")
    render.show("o\x1bne", render.styled("two: ", ("three", "bold")))
    render.stack(StackStatus(backend="embedded", running=False))
    render.error(ConfigError("wr\r\x07\x9b\u202eong", state="as before", next_step="mend it"))
    assert out.getvalue() == "one\ntwo: three\nstack    stopped\nbackend  embedded\n"
    assert err.getvalue().endswith(" a step\nerror: wrong\nstate: as before\nnext:  mend it\n")


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_colour_can_be_asked_for(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Who reads colours through a pipe asks for them as everywhere."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, "1")
    render.show(render.styled("two: ", ("three", "bold")))
    assert out.getvalue() == "two: \x1b[1mthree\x1b[0m\n"
