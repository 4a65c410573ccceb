"""What a person sees, on terminals of every width."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from riptide import render
from riptide.render import migrations as show
from riptide.results import Migration, MigrationList, MigrationState


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
