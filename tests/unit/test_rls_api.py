"""What a request asks for, before it is sent."""

from __future__ import annotations

import pytest
from postgrest import SyncPostgrestClient

from riptide.rls.api import matching, selected


def asked(row: dict[str, object]) -> str:
    """Give the query of a request that is to pick a row."""
    with SyncPostgrestClient("http://127.0.0.1:1") as client:
        request = matching(client.table("notes").select("id"), row)
        return str(request.request.params.remove("select"))


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("id", "id=eq.7"),
        ("Id", "Id=eq.7"),
        ("limit", "%22limit%22=eq.7"),
        ("order", "%22order%22=eq.7"),
        ("a.b", "%22a.b%22=eq.7"),
        ("on_conflict", "%22on_conflict%22=eq.7"),
    ],
)
def test_a_filter_is_a_filter(name: str, query: str) -> None:
    """A column with the name of one of PostgREST's words is quoted: else nothing is filtered."""
    assert asked({name: 7}) == query


def test_a_request_without_a_filter_is_refused() -> None:
    """A write to every row is never sent."""
    with pytest.raises(ValueError, match="every row"):
        asked({})


def test_what_is_selected_is_quoted() -> None:
    """Names that are more than a word stand in quotes; no name at all stands for every column."""
    assert selected(("id", "my id.x")) == 'id,"my id.x"'
    assert selected(()) == "*"
