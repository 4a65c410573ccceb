"""Devices whose sessions end: by a new password, by a purge, and by several at once."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from _calls import Person, call, is_signed_in, refused
from postgrest.exceptions import APIError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from supabase import Client

    from riptide.results import StackStatus

pytestmark = pytest.mark.integration

SUPABASE = Path(__file__).resolve().parents[2] / "supabase"
NAME = "20260201000200_complete_user_sessions.sql"
CLAIMS = (
    "select set_config('request.jwt.claims',"
    " json_build_object('sub', %s::text, 'session_id', %s::text)::text, true)"
)
LIVE = "select count(*) from public.{} where user_id = %s and revoked_at is null"


def live(database: psycopg.Connection[Any], table: str, user_id: str) -> int:
    """Count a user's rows that are not revoked."""
    found = database.execute(LIVE.format(table).encode(), (user_id,)).fetchone()
    assert found is not None
    return int(found[0])


@pytest.fixture(params=[False, True], ids=["keeps tokens", "revokes tokens"])
def revokes_tokens(
    request: pytest.FixtureRequest, database: psycopg.Connection[Any]
) -> Iterator[bool]:
    """Give each value of the setting, and put the default back."""
    if request.param:
        database.execute(
            "insert into private.settings (password_change_revokes_tokens) values (true)"
        )
    yield bool(request.param)
    database.execute("delete from private.settings")


def test_a_new_password_ends_the_others(
    person: Person,
    revokes_tokens: bool,
    database: psycopg.Connection[Any],
) -> None:
    """The device that changes it stays, the others go, and tokens as the setting says."""
    for client in (person.laptop, person.phone):
        call(client, "touch_session")
    call(person.laptop, "create_api_token", name="one")
    person.laptop.auth.update_user({"data": {"a": 1}})
    assert live(database, "user_sessions", person.id) == 2
    assert live(database, "api_tokens", person.id) == 1
    person.laptop.auth.update_user({"password": "another password"})
    assert [row["is_current"] for row in call(person.laptop, "list_sessions")] == [True]
    assert live(database, "api_tokens", person.id) == (0 if revokes_tokens else 1)
    assert (is_signed_in(person.laptop), is_signed_in(person.phone)) == (True, False)


def test_a_password_that_a_server_sets_ends_all(
    person: Person,
    service: Client,
    database: psycopg.Connection[Any],
) -> None:
    """Nobody asks from a device of the user: none is kept."""
    for client in (person.laptop, person.phone):
        call(client, "touch_session")
    service.auth.admin.update_user_by_id(person.id, {"password": "another password"})
    assert live(database, "user_sessions", person.id) == 0
    assert (is_signed_in(person.laptop), is_signed_in(person.phone)) == (False, False)


@pytest.mark.parametrize("asks", [True, False])
def test_a_password_that_is_set_in_sql(
    asks: bool,
    person: Person,
    database: psycopg.Connection[Any],
) -> None:
    """With the claims of one of the user's sessions that one is kept, without claims none."""
    laptop = call(person.laptop, "touch_session")
    call(person.phone, "touch_session")
    with database.transaction(force_rollback=True):
        if asks:
            database.execute(CLAIMS, (person.id, laptop["auth_session_id"]))
        database.execute(
            "update auth.users set encrypted_password = 'x' where id = %s", (person.id,)
        )
        kept = "select id::text from auth.sessions where user_id = %s"
        expected = [(laptop["auth_session_id"],)] if asks else []
        assert database.execute(kept, (person.id,)).fetchall() == expected
        assert live(database, "user_sessions", person.id) == len(expected)


def test_deleting_a_user_takes_their_sessions_along(
    person: Person,
    database: psycopg.Connection[Any],
) -> None:
    """The triggers are not in the way of the cascade."""
    call(person.laptop, "touch_session")
    with database.transaction(force_rollback=True):
        database.execute("delete from auth.users where id = %s", (person.id,))
        found = database.execute(
            "select (select count(*) from auth.sessions where user_id = %(id)s),"
            " (select count(*) from public.user_sessions where user_id = %(id)s)",
            {"id": person.id},
        )
        assert found.fetchone() == (0, 0)


def test_two_devices_touch_at_once(
    person: Person,
    stack: StackStatus,
    database: psycopg.Connection[Any],
) -> None:
    """Many touches from two devices make two rows, and none fails or waits for another."""
    sessions = [
        row[0]
        for row in database.execute(
            "select id::text from auth.sessions where user_id = %s", (person.id,)
        )
    ]

    def touch(worker: int) -> None:
        with psycopg.connect(stack.db_url) as connection:
            connection.execute("set role authenticated")
            for turn in range(20):
                connection.execute(CLAIMS, (person.id, sessions[worker % 2]))
                connection.execute("select public.touch_session(%s)", (f"{worker}-{turn}",))
                connection.commit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(touch, range(8)))
    assert live(database, "user_sessions", person.id) == 2


@pytest.mark.parametrize("first", [True, False])
def test_a_touch_and_a_revocation_at_once(
    first: bool,
    person: Person,
    stack: StackStatus,
    database: psycopg.Connection[Any],
) -> None:
    """Whoever comes first, in the end the phone is not signed in, and nobody is in a deadlock."""
    laptop = call(person.laptop, "touch_session")
    phone = call(person.phone, "touch_session") if first else None

    def touch() -> str:
        try:
            call(person.phone, "touch_session")
        except APIError as error:
            return str(error.code)
        return "done"

    with psycopg.connect(stack.db_url) as connection, ThreadPoolExecutor(1) as pool:
        connection.execute("set role authenticated")
        connection.execute(CLAIMS, (person.id, laptop["auth_session_id"]))
        connection.execute("select public.revoke_other_sessions()")
        touched = pool.submit(touch)
        with pytest.raises(TimeoutError):
            touched.result(timeout=0.3)
        connection.commit()
        assert touched.result(timeout=10) == "28000"
    rows = database.execute(
        "select id::text, revoked_at is null from public.user_sessions where user_id = %s"
        " order by created_at",
        (person.id,),
    ).fetchall()
    assert rows == [(laptop["id"], True), *([(phone["id"], False)] if phone else [])]


@pytest.fixture
def ended(
    sign_up: Callable[..., tuple[Client, str]], database: psycopg.Connection[Any]
) -> tuple[Client, str]:
    """Give a user with 25 rows that ended 40 days ago, and one that ended yesterday."""
    client, user_id = sign_up()
    database.execute(
        "insert into public.user_sessions"
        " (user_id, auth_session_id, created_at, expires_at, revoked_at)"
        " select %(id)s, gen_random_uuid(), now() - interval '99 days',"
        "  now() - interval '1 day' * case when n = 0 then 1 when n %% 2 = 0 then 40 else 1 end,"
        "  case when n %% 2 = 1 then now() - interval '40 days' end"
        " from generate_series(0, 25) as n",
        {"id": user_id},
    )
    return client, user_id


def test_a_purge_goes_in_batches(
    ended: tuple[Client, str], service: Client, database: psycopg.Connection[Any]
) -> None:
    """Each call deletes one batch, until there is none; what is live or young stays."""
    client, user_id = ended
    call(client, "touch_session")
    counts = [call(service, "purge_expired_sessions", batch_size=10) for _ in range(4)]
    assert counts == [10, 10, 5, 0]
    counted = "select count(*) from public.user_sessions where user_id = %s"
    assert database.execute(counted, (user_id,)).fetchone() == (2,)
    assert call(service, "purge_expired_sessions", older_than="1 hour") == 1
    assert [row["is_current"] for row in call(client, "list_sessions")] == [True]


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        ({"batch_size": 0}, "field: batch_size"),
        ({"batch_size": 100_001}, "field: batch_size"),
        ({"batch_size": None}, "field: batch_size"),
        ({"older_than": "-1 day"}, "field: older_than"),
        ({"older_than": None}, "field: older_than"),
    ],
)
def test_a_purge_of_nonsense(arguments: dict[str, Any], detail: str, service: Client) -> None:
    """Neither no batch nor what has not ended can be asked for."""
    assert refused(service, "purge_expired_sessions", **arguments) == ("22023", detail)


def test_only_servers_purge(nobody: Client, ended: tuple[Client, str]) -> None:
    """No client may call the purge."""
    for client in (nobody, ended[0]):
        assert refused(client, "purge_expired_sessions")[0] == "42501"


def test_a_purge_waits_for_nobody(
    ended: tuple[Client, str], stack: StackStatus, service: Client
) -> None:
    """What somebody else has locked is left to the next batch; two purges share the work."""
    _, user_id = ended
    with psycopg.connect(stack.db_url) as other:
        other.execute(
            "select from public.user_sessions where user_id = %s"
            " and least(expires_at, revoked_at) < now() - interval '30 days' limit 5 for update",
            (user_id,),
        )
        assert call(service, "purge_expired_sessions") == 20
        other.rollback()
    assert call(service, "purge_expired_sessions") == 5


def test_a_purge_ends_the_session_of_an_expired_row(
    person: Person,
    service: Client,
    database: psycopg.Connection[Any],
) -> None:
    """A refresh token does not outlive its row, by which it could begin anew."""
    row = call(person.phone, "touch_session")
    database.execute(
        "update public.user_sessions set created_at = now() - interval '99 days',"
        " expires_at = now() - interval '1 day' where id = %s",
        (row["id"],),
    )
    assert call(service, "purge_expired_sessions", older_than="1 hour") >= 1
    assert (is_signed_in(person.laptop), is_signed_in(person.phone)) == (True, False)
    assert refused(person.phone, "touch_session") == ("28000", "field: session_id")


def test_rows_of_before_are_kept_both_ways(database: psycopg.Connection[Any]) -> None:
    """The migration changes no row of before; its rollback keeps rows that have no name."""
    user = uuid.uuid4()
    all_of = (
        "select id, auth_session_id, device_name, user_agent, ip_address, last_active_at,"
        " expires_at, revoked_at, created_at from public.user_sessions where user_id = %s"
    )
    with database.transaction(force_rollback=True):
        database.execute((SUPABASE / "rollbacks" / NAME).read_bytes())
        database.execute(
            "insert into auth.users (id, email) values (%s, %s)", (user, f"{user}@example.com")
        )
        database.execute(
            "insert into public.user_sessions"
            " (user_id, auth_session_id, device_name, ip_address, revoked_at)"
            " values (%s, gen_random_uuid(), 'Laptop', '192.0.2.1', now())",
            (user,),
        )
        before = database.execute(all_of.encode(), (user,)).fetchall()
        database.execute((SUPABASE / "migrations" / NAME).read_bytes())
        assert database.execute(all_of.encode(), (user,)).fetchall() == before
        database.execute(
            "insert into public.user_sessions (user_id, auth_session_id)"
            " values (%s, gen_random_uuid())",
            (user,),
        )
        database.execute((SUPABASE / "rollbacks" / NAME).read_bytes())
        names = {row[2] for row in database.execute(all_of.encode(), (user,))}
        assert names == {"Laptop", "Unknown device"}
