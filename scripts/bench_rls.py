"""The part of bench.py about Row Level Security: how its cost grows, and what a probe takes."""

from __future__ import annotations

import shutil
import statistics
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from bench_migrations import project_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench_project import Bench

    from riptide.settings import Settings

COUNTS = (10, 50, 200)
TABLE = """
create table public.bench_{n} (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  body text not null default ''
);
create index on public.bench_{n} (user_id);
alter table public.bench_{n} enable row level security;
revoke all on table public.bench_{n} from anon, authenticated;
grant select, insert, update (body), delete on table public.bench_{n} to authenticated;
create policy own on public.bench_{n} for all to authenticated
  using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
"""
INTENT = '[tables.bench_{n}]\nowner = "user_id"\nupdate_columns = ["body"]\n\n'


def rls(bench: Bench) -> None:
    """Measure ``rls.verify`` of 10, 50 and 200 tables, and each probe of the last."""
    from riptide import open_stack, verify_rls

    settings = project_of(bench, "tables")
    try:
        open_stack(settings).start()
        medians: dict[int, float] = {}
        probes: dict[str, list[float]] = {}
        done = 0
        for count in COUNTS:
            _add(settings, done, count)
            done = count
            times = []
            for _ in range(max(1, bench.runs // 3)):
                with _timed_probes() as timed:
                    began = time.perf_counter()
                    report = verify_rls(settings=settings)
                    times.append(time.perf_counter() - began)
                if not report.ok:
                    raise AssertionError(report.summary)
            probes = timed
            bench.add(f"verify_rls, {count} tables, {len(report.checks)} checks", times)
            medians[count] = statistics.median(times)
        # Linear: each table more costs as much at 200 as at 50. Twice is quadratic's beginning.
        few, some, many = COUNTS
        early = (medians[some] - medians[few]) / (some - few)
        late = (medians[many] - medians[some]) / (many - some)
        bench.add(
            f"cost of one table more, {some} to {many} / {few} to {some}",
            [late / early],
            unit="x",
            goal=1.3,
        )
        for kind, goal in (("HTTP", 10), ("SQL", 2)):
            times = [1000 * each for each in probes[kind]]
            median = [statistics.median(times)]
            bench.add(f"a probe over {kind}, median of {len(times)}", median, unit="ms", goal=goal)
    finally:
        open_stack(settings).stop(delete_data=True)
        shutil.rmtree(settings.root)


def _add(settings: Settings, done: int, count: int) -> None:
    """Add tables until there are so many, and declare them."""
    import psycopg

    sql = "".join(TABLE.format(n=n) for n in range(done, count))
    with psycopg.connect(settings.local_db_url, autocommit=True) as connection:
        connection.execute(sql.encode())
    path: Path = settings.supabase_dir / "rls.toml"
    path.write_text("".join(INTENT.format(n=n) for n in range(count)), encoding="utf-8")


@contextmanager
def _timed_probes() -> Iterator[dict[str, list[float]]]:
    """Time each request, and each try in SQL, of what runs within."""
    import httpx

    from riptide.rls.blind import Blind

    times: dict[str, list[float]] = {"HTTP": [], "SQL": []}
    send, undone = httpx.Client.send, Blind.undone

    def sent(*arguments: Any, **more: Any) -> Any:
        began = time.perf_counter()
        try:
            return send(*arguments, **more)
        finally:
            times["HTTP"].append(time.perf_counter() - began)

    @contextmanager
    def tried(self: Blind) -> Iterator[None]:
        began = time.perf_counter()
        with undone(self):
            yield
        times["SQL"].append(time.perf_counter() - began)

    with patch.object(httpx.Client, "send", sent), patch.object(Blind, "undone", tried):
        yield times
