"""API tokens made, rotated and verified by several at once; and what becomes of old ones."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from supabase import Client

    from riptide.results import StackStatus

pytestmark = pytest.mark.integration

SUPABASE = Path(__file__).resolve().parents[2] / "supabase"
CLAIMS = "select set_config('request.jwt.claims', json_build_object('sub', %s::text)::text, false)"
NAME = "20260201000100_complete_api_tokens.sql"


@contextmanager
def session_of(stack: StackStatus, user_id: str) -> Iterator[psycopg.Connection[Any]]:
    """Give a session of the database that acts for a user, as PostgREST's would."""
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        connection.execute("set role authenticated")
        connection.execute(
            CLAIMS,
            (user_id,),
        )
        yield connection


def at_once(
    stack: StackStatus, user_id: str, count: int, statements: Callable[[int], list[tuple[str, Any]]]
) -> list[str]:
    """Run each worker's statements at the same time as the others'; give what they came to."""

    def work(worker: int) -> list[str]:
        results = []
        with session_of(stack, user_id) as connection:
            for statement, value in statements(worker):
                try:
                    connection.execute(statement.encode(), (value,))
                    results.append("done")
                except psycopg.Error as error:
                    results.append(str(error.sqlstate))
        return results

    with ThreadPoolExecutor(count) as pool:
        return [each for results in pool.map(work, range(count)) for each in results]


def test_fifty_under_eight(
    sign_up: Callable[..., tuple[Client, str]],
    stack: StackStatus,
    database: psycopg.Connection[Any],
) -> None:
    """Eight clients who make ten tokens each make fifty, and are refused the rest."""
    _, user_id = sign_up()
    made = at_once(
        stack,
        user_id,
        8,
        lambda worker: [("select public.create_api_token(%s)", f"{worker}-{n}") for n in range(10)],
    )
    assert (made.count("done"), made.count("23514")) == (50, 30)
    found = database.execute(
        "select count(*) from public.api_tokens where user_id = %s", (user_id,)
    )
    assert found.fetchone() == (50,)
    # At the limit one may still be replaced, but none added.
    some = database.execute("select id from public.api_tokens where user_id = %s", (user_id,))
    [(first,), *_] = some.fetchall()
    with session_of(stack, user_id) as connection:
        connection.execute("select public.rotate_api_token(%s)", (first,))
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            connection.execute("select public.create_api_token('one more')")
    assert caught.value.diag.message_detail == "field: user_id"


@pytest.mark.parametrize("clients", [2, 8])
def test_rotations_at_once(
    clients: int,
    sign_up: Callable[..., tuple[Client, str]],
    stack: StackStatus,
    database: psycopg.Connection[Any],
) -> None:
    """Of several rotations of one token one makes a new one; the others are told why not."""
    client, user_id = sign_up()
    made: Any = client.rpc("create_api_token", {"name": "one"}).execute().data
    results = at_once(
        stack, user_id, clients, lambda _: [("select public.rotate_api_token(%s)", made["id"])]
    )
    assert (results.count("done"), results.count("22023")) == (1, clients - 1)
    found = database.execute(
        "select count(*) filter (where revoked_at is null), count(*)"
        " from public.api_tokens where user_id = %s",
        (user_id,),
    )
    assert found.fetchone() == (1, 2)


def test_a_use_is_written_by_one(
    sign_up: Callable[..., tuple[Client, str]],
    stack: StackStatus,
    database: psycopg.Connection[Any],
) -> None:
    """Eight servers accept one token at once: one writes, nobody waits for a lock."""
    client, _ = sign_up()
    made: Any = client.rpc("create_api_token", {"name": "one"}).execute().data

    def verify(_: int) -> int:
        with psycopg.connect(stack.db_url, autocommit=True) as connection:
            connection.execute("set role service_role")
            connection.execute("set lock_timeout = '2s'")
            rows = [
                connection.execute("select * from public.verify_api_token(%s)", (made["token"],))
                for _ in range(20)
            ]
            return sum(len(each.fetchall()) for each in rows)

    # Somebody else holds the row, as a rename that takes long would: still nobody waits.
    with database.transaction(force_rollback=True), ThreadPoolExecutor(8) as pool:
        database.execute("update public.api_tokens set name = 'two' where id = %s", (made["id"],))
        assert list(pool.map(verify, range(8))) == [20] * 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(verify, range(8))) == [20] * 8
    found = database.execute(
        "select count(*) from public.api_tokens where id = %s and last_used_at is not null",
        (made["id"],),
    )
    assert found.fetchone() == (1,)


ROW = """
insert into public.api_tokens
  (id, user_id, name, token_hash, scopes, expires_at, revoked_at, created_at)
values (%s, %s, %s, encode(sha256(convert_to(%s, 'UTF8')), 'hex'), %s, %s, %s, %s)
"""


def test_old_tokens_are_carried_over_and_back(
    stack: StackStatus, database: psycopg.Connection[Any]
) -> None:
    """No token, name or scope of before is lost by the migration, nor by its rollback."""
    later = [path for path in sorted((SUPABASE / "migrations").iterdir()) if path.name >= NAME]
    user, ids = uuid.uuid4(), [uuid.uuid4() for _ in range(5)]
    all_of = (
        "select id, name, token_hash, scopes, expires_at, revoked_at, created_at"
        " from public.api_tokens where user_id = %s order by id"
    )
    with database.transaction(force_rollback=True):
        for path in reversed(later):
            database.execute((SUPABASE / "rollbacks" / path.name).read_bytes())
        database.execute(
            "insert into auth.users (id, email) values (%s, %s)", (user, f"{user}@example.com")
        )
        rows: list[tuple[Any, ...]] = [
            (ids[0], user, "same", "0", ["read"], None, None, "2020-01-01"),
            (ids[1], user, "same", "1", ["files:read", "write"], "2099-01-01", None, "2020-01-02"),
            (ids[2], user, "same", "2", [], None, "2020-02-01", "2020-01-03"),
            (ids[3], user, "x" * 100, "3", ["deploy"], None, None, "2020-01-04"),
            (ids[4], user, "x" * 100, "4", ["admin", "admin"], None, None, "2020-01-05"),
        ]
        for row in rows:
            database.execute(ROW.encode(), row)
        before = database.execute(all_of.encode(), (user,)).fetchall()
        database.execute(later[0].read_bytes())
        after = database.execute(
            "select id, name, scopes::text[], token_hash, token_prefix, revoked_at"
            " from public.api_tokens left join private.api_token_secrets on token_id = id"
            " where user_id = %s",
            (user,),
        ).fetchall()
        found = {row[0]: row[1:] for row in after}
        assert [found[each][0] for each in ids[:4]] == [
            "same", f"same ({str(ids[1])[:8]})", "same", "x" * 100,
        ]  # fmt: skip
        assert found[ids[4]][0] == "x" * 89 + f" ({str(ids[4])[:8]})"
        assert [found[each][1] for each in ids] == [["read"], ["write"], [], [], ["admin"]]
        assert {row[0]: row[2] for row in before} == {
            key: row[2].hex() for key, row in found.items()
        }
        database.execute((SUPABASE / "rollbacks" / NAME).read_bytes())
        assert database.execute(all_of.encode(), (user,)).fetchall() == before
