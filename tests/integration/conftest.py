"""What several of the integration tests need beside the stack."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from riptide.settings import Settings
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
