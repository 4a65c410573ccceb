"""The part of bench.py that is about the stack and the tasks around it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from bench_project import ROOT, BenchError, base_path

if TYPE_CHECKING:
    import psycopg
    from bench_project import Bench

CONNECTIONS = 3  # held open while memory is measured, beside those of the API
NOT_CLONED = (
    *(".git", ".venv", ".nox", ".temp", ".branches", ".env", "__pycache__", "*.egg-info"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache", "build", "dist", "node_modules"),
)


def start(bench: Bench) -> None:
    """Measure the stack's starts: of a new project, with data, and on a new machine."""
    drop = ("stack.stop", "--delete-data", "--yes")
    bench.inv("stack.start")  # makes what is made once a machine
    bench.inv(*drop)
    cold, warm, first = [], [], []
    for _ in range(bench.runs):
        cold.append(bench.inv("stack.start"))
        bench.inv("stack.stop")
        warm.append(bench.inv("stack.start"))
        bench.inv(*drop)
    for number in range(max(2, bench.runs // 3)):
        cache = bench.base / f"cache{number}"  # the toolchain is there, the prepared data is not
        cache.mkdir(mode=0o755)
        (cache / bench.toolchain.root.name).symlink_to(bench.toolchain.root)
        first.append(bench.inv("stack.start", RIPTIDE_CACHE_DIR=str(cache)))
        bench.inv(*drop, RIPTIDE_CACHE_DIR=str(cache))
    bench.add("inv stack.start, new project (cold, data directory included)", cold, goal=2.5)
    bench.add("inv stack.start, data is there (warm)", warm, goal=1.2)
    bench.add("inv stack.start, the very first: prepares the data directory", first, goal=2.5)


def up(bench: Bench) -> None:
    """Measure ``inv up``: from nothing, and again."""
    first = bench.inv("up")
    again = [bench.inv("up") for _ in range(bench.runs)]
    bench.add("inv up, stack not started yet (toolchain cached)", [first])
    bench.add("inv up, second run: nothing to do", again, goal=5.0, strict=True)
    bench.add("inv rls.verify", [bench.inv("rls.verify") for _ in range(bench.runs)], goal=3.0)
    bench.add("inv rls.mutate", [bench.inv("rls.mutate")], goal=90.0)
    audits = [bench.inv("rls.audit") for _ in range(bench.runs)]
    bench.add("inv rls.audit", audits, goal=2.0, strict=True)


def memory(bench: Bench) -> None:
    """Measure what the running stack holds, with connections in use."""
    import psutil
    import psycopg

    from riptide import open_stack

    status = open_stack(bench.settings).status()
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
    bench.add(name, [total / 2**20], unit="MB", goal=250)


def status(bench: Bench) -> None:
    """Measure ``inv migrate.status`` beside the CLI called in three ways, in turns."""
    words = ["migration", "list", f"--workdir={bench.settings.root}"]
    modules = bench.toolchain.node_modules
    shim = shutil.which("supabase", path=str(modules / ".bin"))
    npx = shutil.which("npx")
    commands = {"bare": [str(bench.toolchain.cli), *words]}
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
    for _ in range(bench.runs):
        times["inv"].append(bench.inv("migrate.status"))
        for name, argv in commands.items():
            # npx looks for the package from the folder that it is called in.
            cwd = bench.toolchain.root if name == "npx" else None
            times[name].append(bench.timed(argv, cwd))
    for name, values in times.items():
        bench.add(names[name], values)
    ratios = {
        name: [ours / theirs for ours, theirs in zip(times["inv"], values, strict=True)]
        for name, values in times.items()
    }
    bench.add("inv migrate.status / bare binary", ratios["bare"], unit="x", goal=1.3)
    for name in ("shim", "npx"):
        if name in ratios:
            label = "npx" if name == "npx" else "node_modules/.bin/supabase"
            row = ratios[name]
            bench.add(f"inv migrate.status / {label}", row, unit="x", goal=1.0, strict=True)


def check(bench: Bench) -> None:
    """Measure ``inv migrate.check`` of this project's own migrations, target included."""
    times = [bench.inv("migrate.check") for _ in range(bench.runs)]
    bench.add("inv migrate.check, this project's migrations", times, goal=10.0)


def reset(bench: Bench) -> None:
    """Measure ``inv stack.reset`` with the schema in place."""
    times = []
    for _ in range(bench.runs):
        bench.inv("migrate.push")
        times.append(bench.inv("stack.reset", "--yes"))
    bench.add("inv stack.reset", times, goal=2.0, strict=True)


def imports(bench: Bench) -> None:
    """Measure ``import riptide`` over a bare Python, in turns, and ``inv --list``."""
    bare, ours = [], []
    for _ in range(bench.runs * 2):
        bare.append(bench.timed([sys.executable, "-c", "pass"]))
        ours.append(bench.timed([sys.executable, "-c", "import riptide"]))
    costs = [(a - b) * 1000 for a, b in zip(ours, bare, strict=True)]
    bench.add("import riptide (over a bare Python)", costs, unit="ms", goal=60)
    listed = [bench.inv("--list") for _ in range(bench.runs)]
    bench.add("inv --list", listed, goal=0.4)


def clone(bench: Bench) -> None:
    """Measure a copy of this project's files, from nothing to a green ``up``."""
    # As a cloner has it: no caches, and the system's Python, not the one of this environment.
    root, caches = bench.base / "clone", bench.base / "empty"
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
        seconds = bench.timed([python, script, "up"], root, **variables)
    finally:
        if (root / "supabase" / ".temp").exists():
            stop = ("stack.stop", "--delete-data", "--yes")
            bench.timed([python, script, *stop], root, **variables)
    what = "clone to green up: bootstrap.py up with empty caches"
    bench.add(what, [copied + seconds], goal=90)
