"""The benchmark's arithmetic and its ways out; what it measures takes real parts."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import bench
import bench_project
import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_subprocess import FakeProcess

MACHINE: dict[str, Any] = {
    "system": "Linux x86_64",
    "processors": 2,
    "python": "3.11.7",
    "load_before": [0.1],
    "load_after": [0.2],
    "versions": {"node": "20.0.0"},
}


@pytest.mark.parametrize(
    ("values", "goal", "strict", "met"),
    [
        ((1.0, 2.0, 9.0), 2.0, False, True),
        ((1.0, 2.0, 9.0), 2.0, True, False),
        ((1.0, 2.1, 2.2), 2.0, False, False),
        ((1.0,), None, False, None),
    ],
)
def test_the_median_is_held_to_the_goal(
    values: tuple[float, ...], goal: float | None, strict: bool, met: bool | None
) -> None:
    """A goal is met when the median is at most it, or below it where it is strict."""
    assert bench_project.Row("x", values, "s", goal, strict).met is met


def test_cells_say_what_was_measured() -> None:
    """A row shows median, spread, number of runs, goal and verdict in its unit."""
    row = bench_project.Row("x", (1.0, 3.0, 2.0), "s", 1.5)
    assert row.cells() == ("x", "2.00 s", "1.00 s – 3.00 s", "3", "≤ 1.50 s", "NOT MET")
    more = bench_project.Row("n", (99.0, 101.0, 100.0), "x", 100, least=True)
    assert (more.cells()[4:], more.met) == (("≥ 100.00 x", "met"), True)
    assert bench_project.Row("n", (99.0,), "x", 100, least=True).met is False
    assert bench_project.Row("m", (141.6,), "MB").cells() == ("m", "142 MB", "–", "1", "–", "–")


def test_a_command_that_fails_is_not_measured(fp: FakeProcess, tmp_path: Path) -> None:
    """A failing command is an error with its words, never a time."""
    fp.register(["x"], returncode=1, stderr="no such thing")
    with pytest.raises(bench_project.BenchError, match="x exited with 1\n  no such thing"):
        bench_project.timed(["x"], cwd=tmp_path, env={})


def test_a_person_s_project_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable that names somebody's project or database reaches what is measured."""
    monkeypatch.setattr(
        os, "environ", {"SUPABASE_DB_URL": "x", "PGHOST": "x", "RIPTIDE_CACHE_DIR": "c", "A": "1"}
    )
    assert bench_project.clean_environment() == {"RIPTIDE_CACHE_DIR": "c", "A": "1"}


def test_a_missed_goal_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exits with 0 whatever the figures are, and writes every value as JSON."""
    rows = [bench_project.Row("slow", (9.0, 8.0), "s", 1.0)]
    monkeypatch.setattr(bench, "measure", lambda *, runs, parts: (rows, MACHINE))
    assert bench.main(["--quick", "--json", str(tmp_path / "b.json")]) == 0
    assert "NOT MET" in capsys.readouterr().out
    written = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert written["rows"][0]["values"] == [9.0, 8.0]
    assert written["rows"][0]["met"] is False


def test_what_cannot_be_measured_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exits with 1 and an error where a part could not be run."""

    def broken(*, runs: int, parts: object) -> None:
        raise bench_project.BenchError("no stack")

    monkeypatch.setattr(bench, "measure", broken)
    assert bench.main([]) == 1
    assert "error: no stack" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], [each for each in bench.PARTS if each != "clone"]),
        (["--clone"], list(bench.PARTS)),
        (["--only", "reset", "--only", "start"], ["start", "reset"]),
        (["--only", "imports", "--clone"], ["imports", "clone"]),
    ],
)
def test_a_part_can_be_measured_alone(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], parts: list[str]
) -> None:
    """All that downloads nothing, unless parts are named; in the order of the table."""
    measured: list[Sequence[str]] = []

    def measure(*, runs: int, parts: Sequence[str]) -> tuple[list[bench_project.Row], object]:
        measured.append(parts)
        return [], MACHINE

    monkeypatch.setattr(bench, "measure", measure)
    assert bench.main(arguments) == 0
    assert measured == [parts]


def test_a_part_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """What can be measured alone is named."""
    with pytest.raises(SystemExit) as caught:
        bench.main(["--only", "nothing"])
    assert caught.value.code == 2
    assert "migrations" in capsys.readouterr().err
