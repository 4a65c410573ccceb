"""Other people's shapes: what is right gives no alarm, and each mistake turns its cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest
from _rls import declare
from _rls_others import SHAPES

from riptide import audit_rls, open_stack, verify_rls
from riptide.results import RlsReport, Verdict
from riptide.rls.endpoint import endpoint_of
from riptide.rls.intent import OPERATIONS, read_intent
from riptide.rls.verify import verification

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.settings import Settings

pytestmark = pytest.mark.integration

INTENT = "".join(each.intent for each in SHAPES.values())
ROUNDS = max(len(each.mistakes) for each in SHAPES.values())


@pytest.fixture(scope="module")
def others(make_project: Callable[..., Settings]) -> Settings:
    """Give a project whose API exposes a second schema, its stack started."""
    from dataclasses import replace

    settings = make_project()
    config = settings.supabase_dir / "config.toml"
    config.write_text('project_id = "others"\n[api]\nschemas = ["public", "app"]\n', "utf-8")
    settings = replace(
        settings, config=replace(settings.config, schemas=("public", "app"), project_id="others")
    )
    open_stack(settings).start()
    declare(settings, INTENT)
    return settings


def make(settings: Settings, number: int | None = None) -> None:
    """Make all shapes anew, with a mistake of each that has so many."""
    clean = """
    drop schema if exists app cascade; drop schema if exists private cascade;
    drop schema public cascade; create schema public;
    grant usage on schema public to anon, authenticated, service_role;
    """
    with psycopg.connect(settings.local_db_url, autocommit=True) as connection:
        connection.execute(clean.encode())
        for shape in SHAPES.values():
            connection.execute(shape.sql.encode())
            if number is not None and number < len(shape.mistakes):
                connection.execute(shape.mistakes[number].sql.encode())


PEOPLE = ("owner", "other", "anon", "service_role")


def turned(report: RlsReport) -> set[str]:
    """Give the cells of the main actors that do not hold, as the mistakes have them.

    A hole behind the select policies is one as well.
    """
    return {
        f"{each.table.removeprefix('public.')}: {each.operation} {each.actor} {each.expected}"
        f" {'leak' if each.verdict is Verdict.MASKED else each.verdict.value}"
        for each in report.failures
        if each.actor in PEOPLE and each.operation in OPERATIONS
    }


def told_by_keys(report: RlsReport) -> set[str]:
    """Give the cells of what keys tell that do not hold."""
    return {
        f"{each.table.removeprefix('public.')}: exists {each.actor} {each.expected}"
        f" {each.verdict.value}"
        for each in report.failures
        if each.operation == "exists"
    }


def strangers(report: RlsReport) -> set[str]:
    """Give the tables in which somebody else's cells, or others than these, do not hold."""
    return {
        each.table.removeprefix("public.")
        for each in report.failures
        if each.actor not in PEOPLE or each.operation not in OPERATIONS
    }


def test_what_is_right_gives_no_alarm(others: Settings) -> None:
    """Neither the verification nor the audit finds anything, and each shape was tried."""
    make(others)
    report = verify_rls(settings=others)
    assert report.failures == ()
    assert len(report.tables) >= len(SHAPES) + 2
    found = audit_rls(settings=others)
    assert [(each.rule, each.name) for each in (*found.errors, *found.warnings)] == []


@pytest.mark.parametrize("number", range(ROUNDS))
def test_each_mistake_turns_its_cells(number: int, others: Settings) -> None:
    """A mistake in each shape, all at once: its cells turn, and nothing else of the shape does."""
    make(others, number)
    shapes = [each for each in SHAPES.values() if number < len(each.mistakes)]
    chosen = [each.mistakes[number] for each in shapes]
    tables = set(re.findall(r"create table (\S+)", "".join(each.sql for each in shapes)))
    intent = read_intent(others.supabase_dir / "rls.toml")
    endpoint = endpoint_of(others, allow_remote=False)
    with verification(others, intent, endpoint, lambda _: None) as run:
        report = RlsReport(target="local", checks=tuple(run(only=tables)))
    assert {each.table for each in report.checks} >= tables
    expected = set().union(*(each.cells for each in chosen))
    assert turned(report) == expected
    keys = set().union(*(each.keys for each in chosen))
    assert keys <= told_by_keys(report)
    assert strangers(report) <= {each.partition(":")[0] for each in expected | keys}
    found = {each.rule for each in audit_rls(settings=others).findings}
    assert set().union(*(each.rules for each in chosen)) <= found
