#!/usr/bin/env python3
"""Measure RipTide's speed and memory, and hold them to their goals.

    nox -s bench                          medians of several runs, as a table
    nox -s bench -- --quick               fewer runs
    nox -s bench -- --json bench.json     the same as JSON, every single value in it
    nox -s bench -- --only migrations     one part of it alone (again: --only … --only …)
    nox -s bench -- --clone               also from a clone with empty caches (downloads 300 MB)

Every time is that of a whole process, as a person waits for it. What is compared is run in turns
(A B C A B C), so that a busy machine slows all of it alike. It uses free ports and a project in a
temporary folder, and leaves nothing running.

Exit codes: 0 measured, whether the goals are met or not; 1 it could not be measured. It is not a
test: a machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import bench_migrations
import bench_rls
import bench_schema
import bench_stack
from bench_project import Bench, BenchError, Row, project, say

if TYPE_CHECKING:
    from collections.abc import Sequence


PARTS = {
    each.__name__: each
    for each in (
        bench_stack.start,
        bench_stack.up,
        bench_stack.memory,
        bench_stack.check,
        bench_stack.status,
        bench_stack.reset,
        bench_stack.imports,
        bench_stack.clone,
        bench_migrations.migrations,
        bench_rls.rls,
        bench_schema.schema,
    )
}
DOWNLOADS = {"clone"}  # not unless asked for


def measure(*, runs: int, parts: Sequence[str]) -> tuple[list[Row], dict[str, Any]]:
    """Measure some parts, in the order given.

    Args:
        runs: How often each thing is done.
        parts: Their names, as in `PARTS`.

    Raises:
        BenchError: Something could not be measured.
    """
    from riptide.errors import RiptideError
    from riptide.toolchain import ensure_toolchain

    machine: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": load(),
    }
    try:
        with project() as (settings, base):
            toolchain = ensure_toolchain(settings, progress=say)
            bench = Bench(settings, toolchain, base, runs)
            for part in parts:
                say(f"measuring: {part}")
                PARTS[part](bench)
            machine["versions"] = toolchain.versions
    except RiptideError as error:
        raise BenchError(str(error)) from error
    machine["load_after"] = load()
    return bench.rows, machine


def load() -> list[float]:
    """Give the load averages of 1, 5 and 15 minutes; empty where the system has none."""
    try:
        return [round(each, 2) for each in os.getloadavg()]
    except (AttributeError, OSError):
        return []


def show(rows: list[Row], machine: dict[str, Any]) -> None:
    """Print the table and what it was measured on."""
    from rich import box
    from rich.table import Table

    from riptide import render

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name, side in zip(
        ("", "median", "min – max", "runs", "goal", ""),
        ("left", "right", "right", "right", "right", "left"),
        strict=True,
    ):
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*row.cells())
    versions = ", ".join(f"{name} {each}" for name, each in machine["versions"].items())
    render.show(
        table,
        f"{machine['system']}, {machine['processors']} processors, Python {machine['python']}, "
        f"{versions}; load {machine['load_before'][:1]} before, {machine['load_after'][:1]} after",
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Measure RipTide's speed and memory.")
    parser.add_argument("--quick", action="store_true", help="three runs of each instead of seven")
    parser.add_argument("--runs", type=int, help="how many runs of each")
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}"
    )
    parser.add_argument("--clone", action="store_true", help="also from a clone with empty caches")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value to FILE")
    given = parser.parse_args(arguments)
    if given.runs is not None and given.runs < 1:
        parser.error("--runs takes 1 or more")
    wanted = set(given.only or PARTS.keys() - DOWNLOADS) | ({"clone"} if given.clone else set())
    try:
        rows, machine = measure(
            runs=given.runs or (3 if given.quick else 7),
            parts=[each for each in PARTS if each in wanted],
        )
        if given.json:
            body = {"machine": machine, "rows": [row.to_dict() for row in rows]}
            given.json.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    except (BenchError, OSError) as error:
        print(f"error: {error}\nstate: nothing is left running", file=sys.stderr)
        return 1
    show(rows, machine)
    return 0


def _terminated(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nbench: interrupted; nothing is left running", file=sys.stderr)
        sys.exit(130)
