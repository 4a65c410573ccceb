"""The part of bench.py that is about migrations."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench_project import Bench

    from riptide.settings import Settings

FILES = 1000
UP = """\
create table if not exists public.bench_rows (id int);
insert into public.bench_rows select 1;
"""


def migrations(bench: Bench) -> None:
    """Measure pushes and lists of many files beside the bare CLI, a check, and a rollback."""
    from riptide import open_stack

    settings = project_of(bench, "many")
    many = replace(bench, settings=settings, rows=bench.rows)
    try:
        open_stack(settings).start()
        for number in range(FILES):
            _write(settings.migrations_dir / f"{20250101000000 + number}_m{number}.sql")
        _push(many)
        _status(many)
        _rollback(many)
    finally:
        open_stack(settings).stop(delete_data=True)
        shutil.rmtree(settings.root)
    own = [bench.inv("migrate.check") for _ in range(max(2, bench.runs // 2))]
    bench.add("inv migrate.check, this project's migrations", own, goal=10)


def _push(bench: Bench) -> None:
    """Push all files by the bare CLI and by ``inv``, in turns, each time from an empty history."""
    argv = [str(bench.toolchain.cli), "db", "push", "--yes", f"--workdir={bench.settings.root}"]
    ours, bare = [], []
    for _ in range(max(3, bench.runs // 2)):
        _forget(bench.settings)
        bare.append(bench.timed(argv))
        _forget(bench.settings)
        ours.append(bench.inv("migrate.push"))
    _compare(bench, f"migrate.push, {FILES} files", ours, bare, goal=1.2)


def _status(bench: Bench) -> None:
    argv = [str(bench.toolchain.cli), "migration", "list", f"--workdir={bench.settings.root}"]
    ours, bare = [], []
    for _ in range(bench.runs):
        bare.append(bench.timed(argv))
        ours.append(bench.inv("migrate.status"))
    _compare(bench, f"migrate.status, {FILES} files", ours, bare, goal=1.3)


def _rollback(bench: Bench) -> None:
    """Take one migration back, with a table of rows whose loss has to be counted."""
    import psycopg

    name = f"{20250101000000 + FILES}_last.sql"
    _write(bench.settings.migrations_dir / name, "create table public.last (id int primary key);\n")
    _write(bench.settings.rollbacks_dir / name, "drop table public.last;\n")
    times = []
    for _ in range(bench.runs):
        bench.inv("migrate.push")
        with psycopg.connect(bench.settings.local_db_url) as connection:
            connection.execute("insert into public.last select generate_series(1, 10000)")
        times.append(bench.inv("migrate.rollback", "--allow-data-loss"))
    bench.add("inv migrate.rollback of one migration, 10,000 rows saved first", times, goal=1.0)


def _compare(
    bench: Bench, what: str, ours: Sequence[float], bare: Sequence[float], *, goal: float
) -> None:
    bench.add(f"inv {what}", ours)
    bench.add("the bare CLI", bare)
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    bench.add(f"inv {what} / the bare CLI", ratios, unit="x", goal=goal)


def _forget(settings: Settings) -> None:
    """Empty the history and the table: everything is pending again."""
    import psycopg

    with psycopg.connect(settings.local_db_url, autocommit=True) as connection:
        connection.execute("drop table if exists public.bench_rows")
        connection.execute("drop schema if exists supabase_migrations cascade")


def project_of(bench: Bench, name: str) -> Settings:
    """Make an empty project with ports of its own."""
    from riptide.settings import Settings
    from riptide.stack.ports import free_port

    root = bench.base / name
    for folder in ("migrations", "rollbacks"):
        (root / "supabase" / folder).mkdir(parents=True)
    (root / "supabase" / "config.toml").write_text(f'project_id = "{name}"\n', encoding="utf-8")
    shutil.copy(bench.settings.root / "tasks.py", root)
    return Settings.load(
        root,
        backend="embedded",
        api_port=free_port(),
        db_port=free_port(),
        environ={  # the other project's ports stand in it
            name: value for name, value in bench.environment().items() if not name.endswith("_PORT")
        },
    )


def _write(path: Path, text: str = UP) -> None:
    path.write_text(text, encoding="utf-8")
