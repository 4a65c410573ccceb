"""Twenty-six planted mistakes: each is noticed, and without one there is no alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from _rls import declare
from _rls_mistakes import INTENT, MISTAKES, SQL

from riptide import audit_rls, open_stack, verify_rls
from riptide.results import Verdict
from riptide.rls.endpoint import endpoint_of
from riptide.rls.intent import read_intent
from riptide.rls.verify import verification

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def started(make_project: Callable[..., Settings]) -> Settings:
    """Give a project whose stack is started, and that declares the schema."""
    settings = make_project()
    open_stack(settings).start()
    declare(settings, INTENT)
    return settings


def make(settings: Settings, mistake: str = "") -> None:
    """Make the schema anew, with a mistake in it."""
    clean = """
    drop schema if exists private cascade; drop schema public cascade; create schema public;
    grant usage on schema public to anon, authenticated, service_role;
    """
    with psycopg.connect(settings.local_db_url, autocommit=True) as connection:
        connection.execute((clean + SQL + mistake).encode())


def found_by_audit(settings: Settings) -> set[str]:
    """Give the names of what the audit finds errors and warnings of."""
    report = audit_rls(settings=settings)
    return {each.name for each in (*report.errors, *report.warnings)}


def test_the_schema_gives_no_alarm(started: Settings) -> None:
    """Of the schema as it is neither task says anything, and every table of it was tried."""
    make(started)
    report = verify_rls(settings=started)
    assert report.failures == ()
    tried = {"documents", "club_notes", "objects", "people", "handles"}
    assert {f"public.{each}" for each in tried} < set(report.tables)
    assert found_by_audit(started) == set()


def test_there_are_as_many_as_is_said() -> None:
    """The documentation's figure is of twenty-six."""
    assert len(MISTAKES) == 26


@pytest.mark.parametrize("what", MISTAKES)
def test_each_mistake_is_noticed(what: str, started: Settings) -> None:
    """The task that is to notice it does, and names where it is. Only that table is tried."""
    mistake = MISTAKES[what]
    make(started, mistake.sql)
    if mistake.task == "audit":
        assert [each for each in found_by_audit(started) if mistake.table in each]
        return
    intent = read_intent(started.supabase_dir / "rls.toml")
    endpoint = endpoint_of(started, allow_remote=False)
    with verification(started, intent, endpoint, lambda _: None) as run:
        checks = run(only=[f"public.{mistake.table}"])
    wrong = {each.table for each in checks if each.verdict is not Verdict.OK}
    assert mistake.table in {each.rpartition(".")[2].partition("(")[0] for each in wrong}
