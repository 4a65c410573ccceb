"""What the parts of bench.py share: a row of the table, a command's time, a project for a while."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from riptide.settings import Settings
    from riptide.toolchain import Toolchain

ROOT = Path(__file__).resolve().parent.parent
TASKS = "from riptide.tasks import namespace\n\nns = namespace()\n"
# A person's own project must not be measured; where things are kept is the machine's matter.
FOREIGN = ("SUPABASE_", "RIPTIDE_", "PG")
KEPT = ("RIPTIDE_CACHE_DIR", "RIPTIDE_RUN_AS")


class BenchError(Exception):
    """Something could not be measured."""


@dataclass(frozen=True)
class Row:
    """One thing that was measured.

    Attributes:
        name: What it is.
        values: Each run's value.
        unit: ``s``, ``ms``, ``MB``, ``rows`` or ``x`` (a ratio, of each run to its neighbour).
        goal: What the median may be at most; ``None`` for what is only told.
        strict: Whether the goal itself is too much already.
        least: Whether the goal is what it has to be at least.
    """

    name: str
    values: tuple[float, ...]
    unit: str = "s"
    goal: float | None = None
    strict: bool = False
    least: bool = False

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; ``None`` where there is none."""
        if self.goal is None:
            return None
        if self.least:
            return self.median >= self.goal
        return self.median < self.goal if self.strict else self.median <= self.goal

    def show(self, value: float) -> str:
        """Write a value with its unit."""
        digits = 0 if self.unit in ("MB", "rows") else 1 if self.unit == "ms" else 2
        return f"{value:.{digits}f} {self.unit}"

    def cells(self) -> tuple[str, ...]:
        """Give the row's cells as the table has them."""
        spread = f"{self.show(min(self.values))} – {self.show(max(self.values))}"
        sign = "≥" if self.least else "<" if self.strict else "≤"
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
        least: bool = False,
    ) -> None:
        """Keep a row."""
        self.rows.append(Row(name, tuple(values), unit, goal, strict, least))


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


def say(text: str) -> None:
    """Tell a step; on stderr, as stdout is for the table."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
