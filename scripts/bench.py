#!/usr/bin/env python3
"""Measure RipTide's speed and memory, and hold them to their goals.

    nox -s bench                          medians of several runs, as a table
    nox -s bench -- --quick               fewer runs
    nox -s bench -- --json bench.json     the same as JSON, every single value in it
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
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from riptide.settings import Settings
    from riptide.toolchain import Toolchain

ROOT = Path(__file__).resolve().parent.parent
TASKS = "from riptide.tasks import namespace\n\nns = namespace()\n"
# A person's own project must not be measured; where things are kept is the machine's matter.
FOREIGN = ("SUPABASE_", "RIPTIDE_", "PG")
KEPT = ("RIPTIDE_CACHE_DIR", "RIPTIDE_RUN_AS")
CONNECTIONS = 3  # held open while memory is measured, beside those of the API
NOT_CLONED = (
    *(".git", ".venv", ".nox", ".temp", ".branches", ".env", "__pycache__", "*.egg-info"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache", "build", "dist", "node_modules"),
)


class BenchError(Exception):
    """Something could not be measured."""


@dataclass(frozen=True)
class Row:
    """One thing that was measured.

    Attributes:
        name: What it is.
        values: Each run's value.
        unit: ``s``, ``ms``, ``MB`` or ``x`` (a ratio, of each run to its neighbour).
        goal: What the median may be at most; ``None`` for what is only told.
        strict: Whether the goal itself is too much already.
    """

    name: str
    values: tuple[float, ...]
    unit: str = "s"
    goal: float | None = None
    strict: bool = False

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; ``None`` where there is none."""
        if self.goal is None:
            return None
        return self.median < self.goal if self.strict else self.median <= self.goal

    def show(self, value: float) -> str:
        """Write a value with its unit."""
        digits = 0 if self.unit in ("ms", "MB") else 2
        return f"{value:.{digits}f} {self.unit}"

    def cells(self) -> tuple[str, ...]:
        """Give the row's cells as the table has them."""
        spread = f"{self.show(min(self.values))} – {self.show(max(self.values))}"
        sign = "<" if self.strict else "≤"
        goal = "–" if self.goal is None else f"{sign} {self.show(self.goal)}"
        met = {None: "–", True: "met", False: "NOT MET"}[self.met]
        runs = len(self.values)
        return (
            self.name,
            self.show(self.median),
            spread if runs > 1 else "–",
            str(runs),
            goal,
            met,
        )

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON types."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "goal": self.goal,
            "met": self.met,
            "values": list(self.values),
        }


@dataclass
class Bench:
    """One run of everything, in one temporary project.

    Attributes:
        settings: The project's.
        toolchain: The installed packages.
        base: The temporary folder.
        runs: How often each thing is done.
        rows: What was measured so far.
    """

    settings: Settings
    toolchain: Toolchain
    base: Path
    runs: int
    rows: list[Row] = field(default_factory=list)

    # --- running ---------------------------------------------------------------------------------

    def environment(self, **more: str) -> dict[str, str]:
        """Give the variables that every command gets."""
        config = self.settings.config
        return clean_environment() | {
            "RIPTIDE_STACK": "embedded",
            "SUPABASE_API_PORT": str(config.api_port),
            "SUPABASE_DB_PORT": str(config.db_port),
            "SUPABASE_TELEMETRY_DISABLED": "1",
            "DO_NOT_TRACK": "1",
            **more,
        }

    def timed(self, argv: Sequence[str], cwd: Path | None = None, **more: str) -> float:
        """Run a command to its end, in the project's folder; give the seconds it took."""
        return timed(argv, cwd=cwd or self.settings.root, env=self.environment(**more))

    def inv(self, *words: str, **more: str) -> float:
        """Run ``inv`` with these words; give the seconds it took."""
        return self.timed([*inv_command(), *words], None, **more)

    def add(
        self,
        name: str,
        values: Sequence[float],
        *,
        unit: str = "s",
        goal: float | None = None,
        strict: bool = False,
    ) -> None:
        """Keep a row."""
        self.rows.append(Row(name, tuple(values), unit, goal, strict))

    # --- what is measured ------------------------------------------------------------------------

    def start(self) -> None:
        """Measure the stack's starts: of a new project, with data, and on a new machine."""
        drop = ("stack.stop", "--delete-data", "--yes")
        self.inv("stack.start")  # makes what is made once a machine
        self.inv(*drop)
        cold, warm, first = [], [], []
        for _ in range(self.runs):
            cold.append(self.inv("stack.start"))
            self.inv("stack.stop")
            warm.append(self.inv("stack.start"))
            self.inv(*drop)
        for number in range(max(2, self.runs // 3)):
            cache = self.base / f"cache{number}"  # the toolchain is there, the prepared data is not
            cache.mkdir(mode=0o755)
            (cache / self.toolchain.root.name).symlink_to(self.toolchain.root)
            first.append(self.inv("stack.start", RIPTIDE_CACHE_DIR=str(cache)))
            self.inv(*drop, RIPTIDE_CACHE_DIR=str(cache))
        self.add("inv stack.start, new project (cold, data directory included)", cold, goal=2.5)
        self.add("inv stack.start, data is there (warm)", warm, goal=1.2)
        self.add("inv stack.start, the very first: prepares the data directory", first, goal=2.5)

    def up(self) -> None:
        """Measure ``inv up``: from nothing, and again."""
        first = self.inv("up")
        again = [self.inv("up") for _ in range(self.runs)]
        self.add("inv up, stack not started yet (toolchain cached)", [first])
        self.add("inv up, second run: nothing to do", again, goal=5.0, strict=True)
        self.add("inv rls.verify", [self.inv("rls.verify") for _ in range(self.runs)])
        audits = [self.inv("rls.audit") for _ in range(self.runs)]
        self.add("inv rls.audit", audits, goal=2.0, strict=True)

    def memory(self) -> None:
        """Measure what the running stack holds, with connections in use."""
        import psutil
        import psycopg

        from riptide import open_stack

        status = open_stack(self.settings).status()
        opened: list[psycopg.Connection[Any]] = []
        try:
            for _ in range(CONNECTIONS):
                opened.append(psycopg.connect(status.db_url))
                opened[-1].execute("select count(*) from public.profiles").fetchall()
            total, kind, count = 0, "PSS", 0
            for pid in status.pids.values():
                parent = psutil.Process(pid)
                for each in (parent, *parent.children(recursive=True)):
                    info: Any = each.memory_full_info()
                    if not hasattr(info, "pss"):  # Linux alone tells it
                        kind = "USS: no PSS here"
                    total += getattr(info, "pss", info.uss)
                    count += 1
        except psutil.Error as error:
            raise BenchError(f"the stack's memory could not be read: {error}") from error
        finally:
            for connection in opened:
                connection.close()
        name = f"memory of the whole stack ({kind}, {count} processes, {CONNECTIONS} more sessions)"
        self.add(name, [total / 2**20], unit="MB", goal=250)

    def status(self) -> None:
        """Measure ``inv migrate.status`` beside the CLI called in three ways, in turns."""
        words = ["migration", "list", f"--workdir={self.settings.root}"]
        modules = self.toolchain.node_modules
        shim = shutil.which("supabase", path=str(modules / ".bin"))
        npx = shutil.which("npx")
        commands = {"bare": [str(self.toolchain.cli), *words]}
        if shim:
            commands["shim"] = [shim, *words]
        if npx:
            commands["npx"] = [npx, "--no", "--", "supabase", *words]
        names = {
            "inv": "inv migrate.status",
            "bare": "supabase migration list: the bare binary",
            "shim": "supabase migration list: node_modules/.bin/supabase (through Node.js)",
            "npx": "npx supabase migration list",
        }
        times: dict[str, list[float]] = {name: [] for name in ("inv", *commands)}
        for _ in range(self.runs):
            times["inv"].append(self.inv("migrate.status"))
            for name, argv in commands.items():
                # npx looks for the package from the folder that it is called in.
                cwd = self.toolchain.root if name == "npx" else None
                times[name].append(self.timed(argv, cwd))
        for name, values in times.items():
            self.add(names[name], values)
        ratios = {
            name: [ours / theirs for ours, theirs in zip(times["inv"], values, strict=True)]
            for name, values in times.items()
        }
        self.add("inv migrate.status / bare binary", ratios["bare"], unit="x", goal=1.3)
        for name in ("shim", "npx"):
            if name in ratios:
                label = "npx" if name == "npx" else "node_modules/.bin/supabase"
                row = ratios[name]
                self.add(f"inv migrate.status / {label}", row, unit="x", goal=1.0, strict=True)

    def check(self) -> None:
        """Measure ``inv migrate.check`` of this project's own migrations, target included."""
        times = [self.inv("migrate.check") for _ in range(self.runs)]
        self.add("inv migrate.check, this project's migrations", times, goal=10.0)

    def reset(self) -> None:
        """Measure ``inv stack.reset`` with the schema in place."""
        times = []
        for _ in range(self.runs):
            self.inv("migrate.push")
            times.append(self.inv("stack.reset", "--yes"))
        self.add("inv stack.reset", times, goal=2.0, strict=True)

    def imports(self) -> None:
        """Measure ``import riptide`` over a bare Python, in turns, and ``inv --list``."""
        bare, ours = [], []
        for _ in range(self.runs * 2):
            bare.append(self.timed([sys.executable, "-c", "pass"]))
            ours.append(self.timed([sys.executable, "-c", "import riptide"]))
        costs = [(a - b) * 1000 for a, b in zip(ours, bare, strict=True)]
        self.add("import riptide (over a bare Python)", costs, unit="ms", goal=60)
        listed = [self.inv("--list") for _ in range(self.runs)]
        self.add("inv --list", listed, goal=0.4)

    def clone(self) -> None:
        """Measure a copy of this project's files, from nothing to a green ``up``."""
        # As a cloner has it: no caches, and the system's Python, not the one of this environment.
        root, caches = self.base / "clone", self.base / "empty"
        caches.mkdir(mode=0o755)
        name = "python" if os.name == "nt" else "python3"
        python = shutil.which(name, path=base_path()) or sys.executable
        script = str(root / "scripts" / "bootstrap.py")
        from riptide.stack.ports import free_port

        variables = {
            "SUPABASE_API_PORT": str(free_port()),  # the other project's stack still runs
            "SUPABASE_DB_PORT": str(free_port()),
            "PYTHONPATH": "",  # the clone's own package, no other
            "RIPTIDE_CACHE_DIR": str(caches / "riptide"),
            "PIP_CACHE_DIR": str(caches / "pip"),
            "UV_CACHE_DIR": str(caches / "uv"),
            "npm_config_cache": str(caches / "npm"),
        }
        began = time.monotonic()
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*NOT_CLONED))
        copied = time.monotonic() - began
        try:
            seconds = self.timed([python, script, "up"], root, **variables)
        finally:
            if (root / "supabase" / ".temp").exists():
                stop = ("stack.stop", "--delete-data", "--yes")
                self.timed([python, script, *stop], root, **variables)
        what = "clone to green up: bootstrap.py up with empty caches"
        self.add(what, [copied + seconds], goal=90)


def timed(argv: Sequence[str], *, cwd: Path, env: dict[str, str]) -> float:
    """Run a command to its end; give the seconds it took.

    Raises:
        BenchError: It could not be run, or failed.
    """
    began = time.perf_counter()
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise BenchError(f"{argv[0]} could not be run: {error.strerror}") from error
    seconds = time.perf_counter() - began
    if done.returncode:
        words = "\n".join(f"  {line}" for line in (done.stderr or done.stdout).splitlines()[-12:])
        raise BenchError(f"{' '.join(argv)} exited with {done.returncode}\n{words}")
    return seconds


def inv_command() -> list[str]:
    """Give the start of an ``inv`` command: the script beside this Python, else the module."""
    script = shutil.which("inv", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "invoke"]


def base_path() -> str:
    """Give PATH with the folder of the Python that this environment was made from in front."""
    folder = Path(sys.base_prefix) / ("" if os.name == "nt" else "bin")
    return f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"


def clean_environment() -> dict[str, str]:
    """Give this process's environment without what belongs to somebody's project."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) or name in KEPT
    }


@contextmanager
def project() -> Iterator[tuple[Settings, Path]]:
    """Make a project with this one's schema on free ports; afterwards nothing of it is left."""
    from riptide.settings import Settings
    from riptide.stack.embedded.stack import EmbeddedStack
    from riptide.stack.ports import free_port

    base = Path(tempfile.mkdtemp(prefix="riptide-bench-"))
    base.chmod(0o755)  # as root PostgreSQL runs as somebody else, who has to get there
    try:
        root = base / "project"
        shutil.copytree(ROOT / "supabase", root / "supabase", ignore=shutil.ignore_patterns(".*"))
        (root / "tasks.py").write_text(TASKS, encoding="utf-8")
        settings = Settings.load(
            root,
            backend="embedded",
            api_port=free_port(),
            db_port=free_port(),
            environ=clean_environment(),
        )
        try:
            yield settings, base
        finally:
            EmbeddedStack(settings).stop(delete_data=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def measure(*, runs: int, clone: bool) -> tuple[list[Row], dict[str, Any]]:
    """Measure everything.

    Args:
        runs: How often each thing is done.
        clone: Whether to go from a clone with empty caches too.

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
            parts = [bench.start, bench.up, bench.memory, bench.check, bench.status]
            parts += [bench.reset, bench.imports]
            for part in [*parts, bench.clone] if clone else parts:
                say(f"measuring: {part.__name__}")
                part()
            import bench_migrations  # beside this script, which tests import by its path

            say("measuring: migrations")
            bench_migrations.measure(bench)
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


def say(text: str) -> None:
    """Tell a step; on stderr, as stdout is for the table."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


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
    parser.add_argument("--clone", action="store_true", help="also from a clone with empty caches")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value to FILE")
    given = parser.parse_args(arguments)
    if given.runs is not None and given.runs < 1:
        parser.error("--runs takes 1 or more")
    try:
        rows, machine = measure(runs=given.runs or (3 if given.quick else 7), clone=given.clone)
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
