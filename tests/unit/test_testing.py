"""The parts of the pytest plugin that need no stack: reading queries, comparing, copying."""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from postgrest import AsyncPostgrestClient, SyncPostgrestClient

from riptide import pytest_plugin
from riptide.errors import ConfigError
from riptide.stack.embedded.gateway import legacy_key
from riptide.stack.embedded.temporary import copy_project
from riptide.testing.effect import Change, Row
from riptide.testing.request import Answer, Request
from riptide.testing.rows import _Table, in_order
from riptide.testing.stack import project_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from riptide.settings import Settings
    from riptide.testing import SupabaseStack


@pytest.fixture
def stack(settings: Settings) -> SupabaseStack:
    """Give what a query is read with."""
    status = SimpleNamespace(secret_key="sb_secret_x", service_role_key="x", api_url="http://x")
    return cast("SupabaseStack", SimpleNamespace(settings=settings, status=status))


@pytest.fixture
def client() -> Iterator[SyncPostgrestClient]:
    """Give a client whose server answers every request with a refusal, and keeps them."""

    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={"code": "42501", "message": request.headers["Prefer"]})

    with httpx.Client(transport=httpx.MockTransport(refuse)) as http:
        yield SyncPostgrestClient(
            "http://x/rest/v1",
            headers={"Authorization": f"Bearer {legacy_key('authenticated', 'secret')}"},
            http_client=http,
        )


# --- queries -------------------------------------------------------------------------------------


def test_operations(client: SyncPostgrestClient, stack: SupabaseStack) -> None:
    """What a query asks for, and of what, is read from it."""
    notes = client.table("notes")
    queries = {
        "select": notes.select("*").eq("id", 1),
        "insert": notes.insert({"id": 1}),
        "upsert": notes.upsert({"id": 1}),
        "update": notes.update({"body": "x"}).eq("id", 1),
        "delete": notes.delete().eq("id", 1),
        "call": client.rpc("notes", {}),
    }
    requests = {name: Request(each, stack) for name, each in queries.items()}
    assert {name: each.operation for name, each in requests.items()} == {
        name: name for name in queries
    }
    assert {each.name for each in requests.values()} == {"notes"}
    assert {each.schema for each in requests.values()} == {"public"}
    assert str(requests["update"]) == 'PATCH notes?id=eq.1 {"body": "x"}'
    assert requests["select"].actor == ("authenticated", "authenticated")
    assert Request(client.schema("api").table("a b").select("*"), stack).schema == "api"


def test_write_is_tried_without_a_representation(
    client: SyncPostgrestClient, stack: SupabaseStack
) -> None:
    """The query is sent as its minimal form, and stays what it was."""
    query = client.table("notes").upsert({"id": 1})
    request = Request(query, stack)
    assert request.send(minimal=True).words == "resolution=merge-duplicates,return=minimal"
    assert "return=representation" in request.send().words


@pytest.mark.parametrize(
    "what",
    [
        "notes",
        None,
        AsyncPostgrestClient("http://x").table("notes").select("*"),
    ],
)
def test_what_is_no_query(stack: SupabaseStack, what: object) -> None:
    """Anything but a query that is to be executed yet is refused."""
    with pytest.raises(TypeError, match=r"before \.execute\(\)"):
        Request(what, stack)


def test_answers() -> None:
    """Only a privilege, a policy or a trigger refuses; a key that is not valid does not."""
    assert Answer(code="42501").refused
    assert Answer(code="P0001").refused
    assert not Answer(code="401").refused
    assert not Answer(code="PGRST301").refused
    assert str(Answer(rows=1)) == "accepted, 1 row in the answer"
    assert str(Answer(rows=-1)) == "accepted"


# --- effects -------------------------------------------------------------------------------------


def row(version: int, **values: Any) -> Row:
    """Give a row."""
    return Row(str(version), values)


def test_changes() -> None:
    """Rows that are new, gone, changed or written anew are told apart and told."""
    change = Change.between(
        {"id=1": row(1, id=1, body="a"), "id=2": row(1, id=2), "id=3": row(1, id=3)},
        {"id=1": row(2, id=1, body="b"), "id=3": row(2, id=3), "id=4": row(2, id=4)},
    )
    assert str(change) == (
        "added the row id=4; removed the row id=2; changed the row id=1: body from a to b; "
        "wrote the values that were there already to the row id=3"
    )
    same = {"id=1": row(1, id=1)}
    assert not Change.between(same, same)
    assert str(Change.between(same, same)) == "no row was added, changed or removed"


def test_value_put_back() -> None:
    """A row that was written counts unless it was to hold something else."""
    change = Change.between({"id=1": row(1, rank="low")}, {"id=1": row(2, rank="low")})
    assert change.without_rewrites_but({"rank": "low"})
    assert change.without_rewrites_but(None)
    assert not change.without_rewrites_but({"rank": "high"})
    assert not change.touches({"rank": "high"})


def test_other_column_alone_is_no_update() -> None:
    """Where a trigger puts the value back and dates the row, what was asked for did not happen."""
    change = Change.between({"1": row(1, rank="low", at=1)}, {"1": row(2, rank="low", at=2)})
    assert not change.touches({"rank": "high"})
    assert change.without_rewrites_but({"rank": "high"})  # and yet the row is not as it was


def test_order_of_tables() -> None:
    """A table is filled after those it refers to, and those of a cycle are last."""

    def table(name: str, *refers_to: str) -> _Table:
        return _Table(
            name=name,
            schema="public",
            owned=True,
            columns=(),
            triggers=False,
            refers_to=frozenset(refers_to),
            identifier=("public", name),
            rows=b"",
        )

    tables = [table("c", "b"), table("x", "y"), table("y", "x"), table("b", "a"), table("a", "z")]
    assert [each.name for each in in_order(tables)] == ["a", "b", "c", "x", "y"]


# --- the project ---------------------------------------------------------------------------------


def test_project_is_looked_for_upwards(settings: Settings) -> None:
    """The nearest folder with a config.toml is the project; without one the error says where."""
    below = settings.root / "backend" / "tests"
    below.mkdir(parents=True)
    assert project_of(below) == settings.root
    shutil.rmtree(settings.root / "supabase")
    with pytest.raises(ConfigError, match="or above it") as caught:
        project_of(below)
    assert "supabase_project" in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="few users may make links on Windows")
def test_copy_of_a_project(settings: Settings, tmp_path: Path) -> None:
    """The copy has supabase/ without a stack's own files, and leads to what is beside it."""
    project = settings.root
    (project / ".env").write_text("A=1\n")
    (project / "supabase" / ".env").write_text("B=2\n")
    (project / "supabase" / ".temp" / "riptide").mkdir(parents=True)
    (project / "supabase" / "gone").symlink_to("nowhere")
    root = copy_project(project, tmp_path / "supabase" / ".." / "copy")
    assert {each.name for each in (root / "supabase").iterdir()} == {
        ".env",
        "config.toml",
        "migrations",
        "rollbacks",
    }
    assert (root / ".env").read_text() == "A=1\n"
    (root / "supabase" / "config.toml").write_text("")
    assert settings.config.project_id in (project / "supabase" / "config.toml").read_text()


@pytest.mark.skipif(os.name == "nt", reason="few users may make links on Windows")
def test_templates_are_copied(settings: Settings, tmp_path: Path) -> None:
    """The Supabase CLI refuses an e-mail template that a link leads to."""
    project, copy = settings.root, tmp_path / "copy"
    config = project / "supabase" / "config.toml"
    config.write_text(
        '[auth.email.template.invite]\ncontent_path = "./mails/en/invite.html"\n'
        '[auth.email.notification.password_changed]\ncontent_path = "changed.html"\n'
        '[auth.email.template.recovery]\ncontent_path = "../elsewhere.html"\n'
    )
    (project / "mails" / "en").mkdir(parents=True)
    for name in ("mails/en/invite.html", "mails/en/other.html", "mails/logo.svg", "changed.html"):
        (project / name).write_text(name)
    root = copy_project(project, copy)
    for name in ("mails/en/invite.html", "changed.html"):
        assert (root / name).resolve() == copy.resolve() / name
        assert (root / name).read_text() == name
    for name in ("mails/en/other.html", "mails/logo.svg"):
        assert (root / name).samefile(project / name)


# --- the plugin ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "there"), [(None, False), ("false", False), ("true", True)])
def test_in_ci(monkeypatch: pytest.MonkeyPatch, value: str | None, there: bool) -> None:
    """CI is where the variable says so."""
    monkeypatch.delenv("CI", raising=False)
    if value is not None:
        monkeypatch.setenv("CI", value)
    assert pytest_plugin._in_ci() is there


def test_errors_fail_plainly() -> None:
    """An error of RipTide's is a failure with its text."""
    failure = pytest.raises(pytest.fail.Exception, match="next:  do")
    with failure as caught, pytest_plugin._plainly():
        raise ConfigError("no", next_step="do")
    assert not caught.value.pytrace
