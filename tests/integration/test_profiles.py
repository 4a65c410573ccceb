"""Profiles: what their owner may write, what is refused and how, and what others may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from postgrest.exceptions import APIError

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from supabase import Client

pytestmark = pytest.mark.integration


def update(client: Client, user_id: str, **values: Any) -> dict[str, Any]:
    """Change a profile through the API and give the row."""
    done = client.table("profiles").update(values).eq("id", user_id).execute()
    return dict(done.data[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"website": "http://example.com"},
        {"website": "https://example.com/~ada?x=1"},
        {"website": None},
        {"timezone": "Europe/Lisbon"},
        {"timezone": "UTC"},
        {"timezone": None},
        {"preferences": {"theme": "dark", "nested": {"list": [1, None, "two"]}}},
        {"preferences": {"text": "x" * 16_000}},
        {"display_name": "x" * 80, "avatar_url": "https://example.com/a.png"},
    ],
)
def test_an_owner_writes_what_is_theirs(
    values: dict[str, Any], sign_up: Callable[..., tuple[Client, str]]
) -> None:
    """What fits comes back as it was written."""
    client, user_id = sign_up()
    assert {key: update(client, user_id, **values)[key] for key in values} == values


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("display_name", "x" * 81),
        ("display_name", ""),
        ("display_name", " Ada"),
        ("avatar_url", "http://example.com/a.png"),
        ("avatar_url", "javascript:alert(1)"),
        ("website", "javascript:alert(1)"),
        ("website", "example.com"),
        ("website", "https://example.com/a b"),
        ("website", "https://example.com/" + "x" * 2048),
        ("timezone", "Mars/Olympus_Mons"),
        ("timezone", "XYZ+3"),
        ("timezone", "europe/lisbon"),
        ("timezone", ""),
        ("preferences", []),
        ("preferences", "text"),
        ("preferences", {"text": "x" * 16_384}),
        ("preferences", {"text": "x" * 1_048_576}),
    ],
)
def test_what_does_not_fit_names_its_constraint(
    column: str, value: object, sign_up: Callable[..., tuple[Client, str]]
) -> None:
    """A refusal is a check violation named for the column, and nothing changes."""
    client, user_id = sign_up()
    before = client.table("profiles").select("*").execute().data
    with pytest.raises(APIError) as caught:
        update(client, user_id, **{column: value})
    assert caught.value.code == "23514"
    assert f'"profiles_{column}_check"' in str(caught.value.message)
    assert client.table("profiles").select("*").execute().data == before


@pytest.mark.parametrize("column", ["id", "created_at", "updated_at", "last_seen_at"])
def test_what_is_not_the_owners_to_write(
    column: str, sign_up: Callable[..., tuple[Client, str]]
) -> None:
    """The owner may write neither who they are nor when what happened."""
    client, user_id = sign_up()
    with pytest.raises(APIError) as caught:
        update(client, user_id, **{column: None})
    assert caught.value.code == "42501"


def test_others_neither_see_nor_change_a_profile(
    sign_up: Callable[..., tuple[Client, str]], database: psycopg.Connection[Any]
) -> None:
    """Another user's update finds nothing; nobody inserts or deletes."""
    client, user_id = sign_up()
    other, _ = sign_up()
    update(client, user_id, website="https://example.com")
    assert other.table("profiles").select("*").eq("id", user_id).execute().data == []
    changed = other.table("profiles").update({"website": None}).eq("id", user_id).execute()
    assert changed.data == []
    for one in (client, other):
        with pytest.raises(APIError, match="permission denied"):
            one.table("profiles").delete().eq("id", user_id).execute()
    found = database.execute("select website from public.profiles where id = %s", (user_id,))
    assert found.fetchall() == [("https://example.com",)]


def test_to_be_seen_is_no_change(
    sign_up: Callable[..., tuple[Client, str]], database: psycopg.Connection[Any]
) -> None:
    """last_seen_at moves without updated_at; a preference moves it."""
    client, user_id = sign_up()
    first = update(client, user_id, website="https://example.com")
    database.execute("update public.profiles set last_seen_at = now() where id = %s", (user_id,))
    [seen] = client.table("profiles").select("*").execute().data
    assert seen["last_seen_at"] is not None  # type: ignore[call-overload, index]
    assert seen["updated_at"] == first["updated_at"]  # type: ignore[call-overload, index]
    assert update(client, user_id, preferences={"a": 1})["updated_at"] > first["updated_at"]


def test_a_server_is_held_to_the_time_zones_too(database: psycopg.Connection[Any]) -> None:
    """Whoever inserts or updates: the check is the table's, not the API's."""
    import psycopg

    for statement in (
        "insert into public.profiles (id, timezone) values (gen_random_uuid(), 'Nowhere')",
        "update public.profiles set timezone = 'Nowhere'",
    ):
        with database.transaction(force_rollback=True):
            database.execute(
                "insert into auth.users (id, email) values (gen_random_uuid(), 'tz@example.com')"
            )
            with pytest.raises(psycopg.errors.CheckViolation) as caught:
                database.execute(statement)
        assert caught.value.diag.constraint_name == "profiles_timezone_check"
        assert caught.value.diag.column_name == "timezone"
