"""The part of bench.py about the project's own schema: a million tokens, a million sessions."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench_migrations import project_of
from bench_project import ROOT, BenchError, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench_project import Bench
    from psycopg import Connection

    from riptide.settings import Settings

USERS, ROWS, ENDED, KNOWN = 50_000, 1_000_000, 100_000, 1_000
CLIENTS, EACH, TURNS = 8, 2_000, 200
ID = "lpad(to_hex({}), 32, '0')::uuid"
# A user's tokens and sessions lie far from each other, as when they are made over the years. The
# first tokens are such as verify_api_token takes; of the others nobody knows the text.
DATA = (
    f"""
    insert into auth.users (id, email, encrypted_password)
    select {ID.format("n")}, n || '@example.com', '' from generate_series(1, {USERS}) as n""",
    # The trigger that frees an expired token's name costs a look-up a row, and there is none here.
    "alter table public.api_tokens disable trigger api_tokens_free_name",
    f"""
    insert into public.api_tokens (id, user_id, name, token_prefix, scopes, expires_at)
    select {ID.format("n")}, {ID.format(f"n % {USERS} + 1")}, 'token ' || n,
      'rt_' || left(md5(n::text), 8), '{{read}}', now() + interval '1 year'
    from generate_series(1, {ROWS}) as n""",
    "alter table public.api_tokens enable trigger api_tokens_free_name",
    f"""
    insert into private.api_token_secrets (token_hash, token_id)
    select sha256(convert_to(case when n <= {KNOWN}
        then body || private.api_token_checksum(body) else body end, 'UTF8')), {ID.format("n")}
    from generate_series(1, {ROWS}) as n,
      lateral (select 'rt_' || lpad(n::text, 43, '0') as body)""",
    f"""
    insert into public.user_sessions (user_id, auth_session_id, device_name, last_active_at,
      created_at, expires_at)
    select {ID.format(f"n % {USERS} + 1")}, gen_random_uuid(), 'Laptop', now() - n * interval '1 s',
      now() - interval '90 days',
      now() + case when n <= {ENDED} then -40 else 20 end * interval '1 day'
    from generate_series(1, {ROWS}) as n""",
    "vacuum analyze public.api_tokens, private.api_token_secrets, public.user_sessions",
)
USER = ID.format(str(USERS // 2))
CLAIMS = f"select set_config('request.jwt.claims', json_build_object('sub', {USER})::text, false)"
LISTS = {
    "tokens": "select * from public.api_tokens{}",
    "sessions": "select * from public.user_sessions{} order by last_active_at desc",
}
# The JavaScript RipTide's: a permissive policy for servers beside the owner's, and a call a row.
COUNTER_EXAMPLE = """
drop policy api_tokens_select_own on public.api_tokens;
create policy "Users can view own tokens" on public.api_tokens
  for select using (auth.uid() = user_id);
create policy "Service role has full access" on public.api_tokens
  for all using (auth.role() = 'service_role');
"""
KNOWN_TOKENS = f"""
select array_agg(body || private.api_token_checksum(body) order by n)
from generate_series(1, {KNOWN}) as n, lateral (select 'rt_' || lpad(n::text, 43, '0') as body)
"""
# As many verifications as that in one statement: the server alone is measured, and no client.
VERIFY_MANY = """
select count(*) from generate_series(1, %s) as n,
  lateral public.verify_api_token((%s::text[])[n %% cardinality(%s::text[]) + 1])
"""


def schema(bench: Bench) -> None:
    """Measure the owner's reads, verification and purge, each against its goal."""
    from riptide import apply_migrations, open_stack

    settings = project_of(bench, "schema")
    for folder in ("migrations", "rollbacks"):
        shutil.copytree(
            ROOT / "supabase" / folder, settings.supabase_dir / folder, dirs_exist_ok=True
        )
    try:
        open_stack(settings).start()
        apply_migrations(settings=settings)
        _fill(settings)
        _reads(bench, settings)
        _verify(bench, settings)
        _purge(bench, settings)
    finally:
        open_stack(settings).stop(delete_data=True)
        shutil.rmtree(settings.root)


@contextmanager
def _session(settings: Settings, role: str = "postgres") -> Iterator[Connection[Any]]:
    """Give a session of a role, signed in where it is a user's, without a time limit."""
    import psycopg

    with psycopg.connect(settings.local_db_url, autocommit=True, prepare_threshold=0) as connection:
        if role == "authenticated":
            connection.execute(CLAIMS.encode())
        connection.execute(f"set role {role}".encode())
        connection.execute("set statement_timeout = 0")
        yield connection


def _fill(settings: Settings) -> None:
    with _session(settings) as connection:
        for statement in DATA:
            say(f"filling: {' '.join(statement.split())[:60]}")
            connection.execute(statement.encode())


def _times(connection: Connection[Any], query: str, values: Sequence[Any] = ()) -> list[float]:
    """Time a prepared statement again and again, each time to its last row; in milliseconds."""
    times = []
    for _ in range(TURNS):
        began = time.perf_counter()
        connection.execute(query.encode(), values or None).fetchall()
        times.append(1000 * (time.perf_counter() - began))
    return times


def _compared(
    bench: Bench, name: str, ours: tuple[Any, ...], bare: tuple[Any, ...], goal: float
) -> None:
    """Time two statements in turns, and hold the ratio of their medians to the goal."""
    here, ratios = [], []
    for _ in range(bench.runs):
        pair = [statistics.median(_times(*each)) for each in (ours, bare)]
        here.append(pair[0])
        ratios.append(pair[0] / pair[1])
    bench.add(name, here, unit="ms")
    bench.add(f"{name}, against the bare statement", ratios, unit="x", goal=goal)


def _reads(bench: Bench, settings: Settings) -> None:
    """An owner's lists and rows through RLS, and the same without it; the counter-example's."""
    with _session(settings, "authenticated") as user, _session(settings) as bare:
        mine = f" where user_id = {USER}"
        for table, query in LISTS.items():
            _no_scan(user, query.format(""))
            _compared(
                bench,
                f"a user's {table} through RLS, {ROWS // USERS} of {ROWS:,}",
                (user, query.format("")),
                (bare, query.format(mine)),
                1.5,
            )
        for table in ("api_tokens", "user_sessions"):
            found = bare.execute(f"select id from public.{table}{mine} limit 1".encode()).fetchone()
            one = f"select * from public.{table} where id = %s"
            _no_scan(user, one, found)
            name = f"one row of {table} through RLS"
            _compared(bench, name, (user, one, found), (bare, one, found), 1.5)
        ours = statistics.median(_times(user, LISTS["tokens"].format("")))
        with bare.transaction(force_rollback=True):
            bare.execute(COUNTER_EXAMPLE, prepare=False)
            bare.execute(CLAIMS.encode())
            bare.execute("set local role authenticated")
            theirs = []
            for _ in range(bench.runs):
                began = time.perf_counter()
                bare.execute(LISTS["tokens"].format("").encode()).fetchall()
                theirs.append(1000 * (time.perf_counter() - began))
    bench.add("the same list of tokens under the counter-example's policies", theirs, unit="ms")
    times = [each / ours for each in theirs]
    bench.add("the counter-example's list, against ours", times, unit="x", goal=100, least=True)


def _no_scan(connection: Connection[Any], query: str, values: Any = None) -> None:
    """Hold a statement's plan to indexes.

    Raises:
        BenchError: It scans a table.
    """
    plan = connection.execute(f"explain {query}".encode(), values).fetchall()
    if any("Seq Scan" in line for (line,) in plan):
        raise BenchError("a scan of the whole table:\n" + "\n".join(line for (line,) in plan))


def _verify(bench: Bench, settings: Settings) -> None:
    """Verification against a bare look-up, and by eight clients at once."""
    with _session(settings) as postgres:
        [(tokens,)] = postgres.execute(KNOWN_TOKENS.encode()).fetchall()
        [(known,)] = postgres.execute(f"select {ID.format('1')}".encode()).fetchall()
        with _session(settings, "service_role") as server:
            _compared(
                bench,
                "verify_api_token",
                (server, "select * from public.verify_api_token(%s)", (tokens[0],)),
                (server, "select * from public.api_tokens where id = %s", (known,)),
                2,
            )

        def many(_: int) -> None:
            with _session(settings, "service_role") as server:
                found = server.execute(VERIFY_MANY, (EACH, tokens, tokens)).fetchone()
                if found != (EACH,):
                    raise BenchError(f"{found} of {EACH} tokens were accepted")

        cores = min(os.cpu_count() or 1, CLIENTS)
        ratios, all_written = [], []
        for _ in range(bench.runs):
            # From here on each token was used within the minute: nobody may write any more.
            many(0)
            before = _versions(postgres)
            began = time.perf_counter()
            many(0)
            alone = time.perf_counter() - began
            with ThreadPoolExecutor(CLIENTS) as pool:
                began = time.perf_counter()
                list(pool.map(many, range(CLIENTS)))
                ratios.append((time.perf_counter() - began) * cores / CLIENTS / alone)
            all_written.append(float(len(_versions(postgres) - before)))
    bench.add(
        f"verifying by {CLIENTS} clients, against perfect scaling to {cores} processors",
        ratios,
        unit="x",
        goal=1.3,
    )
    bench.add(
        f"rows written by {CLIENTS} clients for tokens used within the minute",
        all_written,
        unit="rows",
        goal=0,
    )


def _versions(connection: Connection[Any]) -> set[tuple[Any, ...]]:
    """Give the rows' versions of the known tokens: each write makes another."""
    query = f"select id, xmin::text from public.api_tokens where id <= {ID.format(KNOWN)}"
    return set(connection.execute(query.encode()).fetchall())


def _purge(bench: Bench, settings: Settings) -> None:
    """Purge what has ended, while somebody reads."""
    waits: list[float] = []
    purged, going = 0, True

    def read() -> None:
        with _session(settings, "authenticated") as user:
            while going:
                began = time.perf_counter()
                user.execute("select * from public.list_sessions()").fetchall()
                waits.append(1000 * (time.perf_counter() - began))

    with _session(settings, "service_role") as server, ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        batches = []
        try:
            while True:
                began = time.perf_counter()
                row = server.execute("select public.purge_expired_sessions(1000)").fetchone()
                if row is None or row[0] == 0:
                    break
                batches.append(time.perf_counter() - began)
                purged += row[0]
        finally:
            going = False
            reader.result()
    if purged != ENDED:
        raise BenchError(f"purged {purged} rows, not {ENDED}")
    bench.add(f"purging {ENDED:,} sessions in batches of 1,000", [sum(batches)])
    bench.add(f"the longest of {len(waits):,} reads meanwhile", [max(waits)], unit="ms", goal=50)
