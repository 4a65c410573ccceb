"""A user's notes are theirs alone; an auditor may read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from supabase import Client

    from riptide.testing import AssertAllowed, AssertDenied, NewUser, ResetDatabase, User


@pytest.fixture
def author(new_user: NewUser) -> User:
    """Give the user whose note it is."""
    return new_user()


@pytest.fixture
def note(author: User) -> dict[str, Any]:
    """Give a note of the author's."""
    made: Any = author.client.table("notes").insert({"body": "mine"}).execute().data
    return dict(made[0])


def test_author(
    author: User,
    note: dict[str, Any],
    new_user: NewUser,
    assert_allowed: AssertAllowed,
    assert_denied: AssertDenied,
) -> None:
    """The author reads, changes and deletes a note, and cannot give it away."""
    notes = author.client.table("notes")
    assert_allowed(notes.select("body").eq("id", note["id"]))
    assert_allowed(notes.update({"body": "new"}).eq("id", note["id"]))
    assert_denied(notes.update({"user_id": new_user().id}).eq("id", note["id"]))
    assert_allowed(notes.delete().eq("id", note["id"]))


def test_others(
    author: User, note: dict[str, Any], new_user: NewUser, assert_denied: AssertDenied
) -> None:
    """Nobody else sees it, changes it, deletes it or writes in the author's name."""
    notes = new_user().client.table("notes")
    assert_denied(notes.select("*").eq("id", note["id"]))
    assert_denied(notes.update({"body": "theirs"}).eq("id", note["id"]))
    assert_denied(notes.delete().eq("id", note["id"]))
    assert_denied(notes.insert({"user_id": author.id, "body": "forged"}))


def test_auditor(
    note: dict[str, Any],
    new_user: NewUser,
    assert_allowed: AssertAllowed,
    assert_denied: AssertDenied,
) -> None:
    """An auditor reads every note, and changes none."""
    notes = new_user(role="auditor").client.table("notes")
    assert_allowed(notes.select("*").eq("id", note["id"]))
    assert_denied(notes.update({"body": "seen"}).eq("id", note["id"]))


def test_anon(anon: Client, note: dict[str, Any], assert_denied: AssertDenied) -> None:
    """Who is not signed in sees no note and writes none."""
    assert_denied(anon.table("notes").select("*").eq("id", note["id"]))
    assert_denied(anon.table("notes").insert({"user_id": note["user_id"], "body": "forged"}))


def test_topics(
    anon: Client,
    service_role: Client,
    assert_allowed: AssertAllowed,
    assert_denied: AssertDenied,
    reset_database: ResetDatabase,
) -> None:
    """Everybody reads the topics, only a server writes them."""
    assert_allowed(anon.table("topics").select("*").eq("name", "home"))
    assert_denied(anon.table("topics").insert({"name": "spam"}))
    assert_allowed(service_role.table("topics").insert({"name": "holidays"}))
    reset_database()  # the two of the seed again, for whichever test comes next
    assert len(service_role.table("topics").select("*").execute().data) == 2
