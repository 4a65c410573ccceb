"""What several of the integration tests need beside the stack."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from _calls import PASSWORD, Person, session_of
from _http import http_client

from riptide.settings import Settings
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from supabase import Client

    from riptide.results import StackStatus

# A project of its own, whose tests are run by a pytest of its own.
collect_ignore = ["notes_project"]


@pytest.fixture
def database(stack: StackStatus) -> Iterator[psycopg.Connection[Any]]:
    """Give a session as postgres."""
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def elsewhere(tmp_path: Path, project: Settings, stack: StackStatus) -> Settings:
    """Give a project with an rls.toml of its own whose (remote) target is the stack."""
    folder = tmp_path / "supabase"
    folder.mkdir()
    (folder / "config.toml").write_text('project_id = "elsewhere"\n')
    return replace(
        Settings.load(tmp_path, environ={}),
        target=Target(kind="remote", url=stack.db_url),
        api_url=stack.api_url,
        publishable_key=stack.publishable_key,
        secret_key=stack.secret_key,
    )


@pytest.fixture
def new_client(stack: StackStatus) -> Iterator[Callable[[str], Client]]:
    """Give a function that makes a client of the stack's API with a key."""
    from supabase import create_client
    from supabase.lib.client_options import SyncClientOptions

    with http_client() as http:

        def make(key: str) -> Client:
            options = SyncClientOptions(
                auto_refresh_token=False, persist_session=False, httpx_client=http
            )
            return create_client(stack.api_url, key, options)

        yield make


@pytest.fixture
def nobody(new_client: Callable[[str], Client], stack: StackStatus) -> Client:
    """Give a client that nobody is signed in with."""
    return new_client(stack.publishable_key)


@pytest.fixture
def service(new_client: Callable[[str], Client], stack: StackStatus) -> Client:
    """Give a server's client."""
    return new_client(stack.secret_key)


@pytest.fixture
def sign_up(
    new_client: Callable[[str], Client], service: Client, stack: StackStatus
) -> Iterator[Callable[..., tuple[Client, str]]]:
    """Give a function that signs a fresh user up; they are gone afterwards."""
    made: list[str] = []

    def make(**metadata: object) -> tuple[Client, str]:
        signed_in = new_client(stack.publishable_key)
        reply = signed_in.auth.sign_up(
            {
                "email": f"schema-{secrets.token_hex(6)}@example.com",
                "password": PASSWORD,
                "options": {"data": metadata},
            }
        )
        assert reply.user is not None
        assert reply.session is not None
        made.append(reply.user.id)
        return signed_in, reply.user.id

    yield make
    for user_id in made:
        service.auth.admin.delete_user(user_id)


@pytest.fixture
def person(
    sign_up: Callable[..., tuple[Client, str]],
    new_client: Callable[[str], Client],
    stack: StackStatus,
) -> Person:
    """Give a user who is signed in twice."""
    laptop, user_id = sign_up()
    phone = new_client(stack.publishable_key)
    phone.auth.sign_in_with_password({"email": session_of(laptop).user.email, "password": PASSWORD})
    return Person(user_id, laptop, phone)
