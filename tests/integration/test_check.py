"""migrate.check: every kind of fault is found, and what is right is left alone."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import psycopg
import pytest
from _inv import inv

from riptide import ConfigError, apply_migrations, check_migrations, open_stack
from riptide.results import CheckReport, Level
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from riptide.settings import Settings


def write(settings: Settings, name: str, up: str | bytes, down: str | None = "") -> Path:
    """Write a migration and, unless ``down`` is None, its twin."""
    path = settings.migrations_dir / f"{name}.sql"
    path.write_bytes(up if isinstance(up, bytes) else up.encode())
    if down is not None:
        (settings.rollbacks_dir / path.name).write_text(down, encoding="utf-8")
    return path


def told(report: CheckReport) -> set[tuple[str, str, str, int | None]]:
    """Give each finding's check, level, file and line."""
    return {
        (each.check, each.level.value, each.file.name if each.file else "", each.line)
        for each in report.findings
    }


def one(report: CheckReport, check: str, file: str) -> str:
    """Give the one finding of a check about a file as text."""
    (found,) = (
        each
        for each in report.findings
        if each.check == check and each.file is not None and each.file.name == f"{file}.sql"
    )
    return " | ".join((found.message, *found.details, found.next_step))


def test_own_migrations_pass(project: Settings) -> None:
    """This project's own migrations pass every check, the running stack's schema included."""
    report = check_migrations(settings=project)
    assert report.findings == ()
    assert [each.skipped for each in report.steps] == [""] * 7
    assert report.ok
    number = len(list(project.migrations_dir.glob("*.sql")))
    assert f"{number} migrations, 7 checks: nothing found" in report.summary
    assert report.seconds < 30  # a hang, not a speed: that is scripts/bench.py's


@pytest.fixture(scope="module")
def planted(make_project: Callable[..., Settings]) -> CheckReport:
    """Give the report on a project with a fault of every kind, each in a file of its own."""
    settings = make_project()
    write(
        settings,
        "20250101000000_good",
        "create table if not exists public.good (id bigint, name text);",
        "drop table public.good;",
    )
    write(
        settings,
        "20250102000000_once",
        "-- made once\n\ncreate table public.once (id bigint);\ncreate index on public.once (id);",
        "drop table public.once;",
    )
    write(
        settings,
        "20250103000000_again",
        "create table if not exists public.again (id bigint);\ncreate index on public.again (id);",
        "drop table public.again;",
    )
    write(
        settings,
        "20250104000000_left",
        "create table if not exists public.behind (id bigint);\n"
        "alter table public.good add column if not exists extra text;\n"
        "grant select (id) on public.good to anon;",
        "drop table public.behind;",
    )
    write(
        settings,
        "20250105000000_greedy",
        "create table if not exists public.greedy (id bigint);",
        "drop table public.greedy, public.good cascade;",
    )
    write(
        settings,
        "20250106000000_changed",
        "alter table public.good alter column name set not null;",
        "-- forgotten\n",
    )
    write(settings, "20250107000000_twinless", "select 1;", None)
    write(
        settings,
        "20250108000000_broken_twin",
        "create table if not exists public.bt (id bigint);",
        "drop table public.bt;\n\ndrop table public.nope;",
    )
    write(
        settings,
        "20250109000000_ending_twin",
        "create table if not exists public.et (id bigint);",
        "drop table public.et;\ncommit;",
    )
    write(
        settings,
        "20250110000000_apart",
        "begin;\ncreate table if not exists public.apart (id bigint);\ncommit;\n",
        "drop table public.apart;",
    )
    write(
        settings,
        "20250111000000_apart_once",
        "begin;\ncreate table public.apart_once (id bigint);\ncommit;\n",
        "drop table public.apart_once;",
    )
    write(
        settings,
        "20250112000000_concurrent",
        "create index concurrently if not exists good_name_idx on public.good (name);",
        "drop index public.good_name_idx;",
    )
    write(
        settings,
        "20250113000000_mixed",
        "create table if not exists public.mixed (id bigint);\n"
        "create index concurrently if not exists mixed_idx on public.mixed (id);",
        "drop table public.mixed;",
    )
    write(settings, "20250114000000_empty", "-- nothing\n")
    write(settings, "20251301000000_no_time", "select 1;")
    write(settings, "20990101000000_future", "select 1;")
    write(settings, "20250115000000_lint", "alter table public.good drop column if exists gone;")
    write(settings, "20250116000000_crlf", "\ufeffselect\r\n1;\r\n".encode())
    (settings.migrations_dir / "notes.sql").write_text("select 1;")
    (settings.rollbacks_dir / "20240101000000_orphan.sql").write_text("select 1;")
    (settings.rollbacks_dir / "20250107000000_renamed.sql").write_text("select 1;")
    return check_migrations(settings=settings)


def test_every_planted_fault_is_found_and_no_other(planted: CheckReport) -> None:
    """Each fault is told under its check with file and line, and nothing else is told."""
    assert told(planted) == {
        ("files", "error", "notes.sql", None),
        ("files", "error", "20250113000000_mixed.sql", 2),
        ("files", "warning", "20250110000000_apart.sql", 1),
        ("files", "warning", "20250111000000_apart_once.sql", 1),
        ("files", "warning", "20250114000000_empty.sql", None),
        ("files", "warning", "20251301000000_no_time.sql", None),
        ("files", "warning", "20990101000000_future.sql", None),
        ("files", "warning", "20240101000000_orphan.sql", None),
        ("files", "warning", "20250107000000_renamed.sql", None),
        ("lint", "warning", "20250106000000_changed.sql", 1),
        ("lint", "warning", "20250115000000_lint.sql", 1),
        ("twice", "error", "20250102000000_once.sql", 3),
        ("twice", "error", "20250103000000_again.sql", None),
        ("twice", "error", "20250111000000_apart_once.sql", 2),
        ("rollback", "error", "20250104000000_left.sql", None),
        ("rollback", "error", "20250105000000_greedy.sql", None),
        ("rollback", "error", "20250106000000_changed.sql", None),
        ("rollback", "error", "20250107000000_twinless.sql", None),
        ("rollback", "error", "20250108000000_broken_twin.sql", 3),
        ("rollback", "error", "20250109000000_ending_twin.sql", 2),
    }
    skipped = {each.name: each.skipped for each in planted.steps if each.skipped}
    assert skipped == {
        "cycle": "a rollback is missing or at fault",
        "target": "the local stack is not running (inv stack.start)",
    }
    assert not planted.ok


def test_findings_say_what_and_what_to_do(planted: CheckReport) -> None:
    """A finding names the objects, the SQLSTATE and the next step."""
    assert "(42P07)" in one(planted, "twice", "20250102000000_once")
    assert "new: index public.again.again_id_idx1" in one(planted, "twice", "20250103000000_again")
    assert "only" not in one(planted, "rollback", "20250105000000_greedy")
    assert "gone: table public.good" in one(planted, "rollback", "20250105000000_greedy")
    changed = one(planted, "rollback", "20250106000000_changed")
    assert "column public.good.name" in changed
    assert "not null" in changed
    assert "rename it to 20250107000000_twinless.sql" in one(
        planted, "files", "20250107000000_renamed"
    )
    left = {
        line
        for each in planted.findings
        if each.file and each.file.name == "20250104000000_left.sql" and each.check == "rollback"
        for line in each.details
    }
    assert "left: column public.good.extra" in left
    assert any("column public.good.id" in each and "anon=r" in each for each in left)
    assert all(each.next_step for each in planted.findings if each.check != "lint")


def test_a_file_that_fails_does_not_hide_the_others(make_project: Callable[..., Settings]) -> None:
    """Files before one that cannot be applied are tried; those after it are said not to be."""
    settings = make_project()
    write(settings, "20250101000000_once", "create table public.a (id bigint);", "select 1;")
    write(settings, "20250102000000_bad", "select 1;\nselect * from public.nope;")
    write(settings, "20250103000000_after", "alter table public.a add column b text;")
    report = check_migrations(settings=settings)
    assert told(report) >= {
        ("apply", "error", "20250102000000_bad.sql", 2),
        ("twice", "error", "20250101000000_once.sql", 1),
        ("rollback", "error", "20250101000000_once.sql", None),
        ("twice", "note", "", None),
        ("rollback", "note", "", None),
    }
    assert "42P01" in one(report, "apply", "20250102000000_bad")
    assert len([each for each in report.findings if each.check == "apply"]) == 1


def test_files_that_no_database_can_be_given(make_project: Callable[..., Settings]) -> None:
    """Two files of one version, bytes that are no UTF-8 and a NUL are told; the rest is skipped."""
    settings = make_project()
    write(settings, "20250101000000_one", "select 1;")
    write(settings, "20250101000000_two", "select 1;")
    write(settings, "20250102000000_latin", b"select 1;\n-- \xe9\n")
    write(settings, "20250103000000_nul", b"select\0 1;")
    report = check_migrations(settings=settings)
    assert {each for each in told(report) if each[1] == "error"} == {
        ("files", "error", "20250101000000_two.sql", None),
        ("files", "error", "20250102000000_latin.sql", 2),
        ("files", "error", "20250103000000_nul.sql", 1),
    }
    assert {each.name for each in report.steps if each.skipped} == {
        *("apply", "twice", "rollback", "cycle", "target"),
    }


def test_no_migrations_is_no_fault(make_project: Callable[..., Settings]) -> None:
    """A project without migrations passes, and no server is started for it."""
    report = check_migrations(settings=make_project())
    assert report.ok
    assert report.findings == ()


def test_down_and_up_that_does_not_come_to_the_same(
    make_project: Callable[..., Settings],
) -> None:
    """What depends on something that is there only the first time is found by the whole cycle."""
    settings = make_project()
    write(
        settings,
        "20250101000000_moody",
        # The bucket's row is data, which no snapshot sees and this twin leaves.
        "do $$ begin\n"
        "if exists (select from auth.audit_log_entries) then\n"
        "  create table if not exists public.second (id bigint);\n"
        "else\n"
        "  create table if not exists public.first (id bigint);\n"
        "end if;\n"
        "end $$;",
        "drop table if exists public.first, public.second;\n"
        "insert into auth.audit_log_entries (id) values (gen_random_uuid());",
    )
    report = check_migrations(settings=settings)
    assert told(report) == {("cycle", "error", "", None)}
    assert set(report.findings[0].details) == {
        "only first: table public.first",
        "only second: table public.second",
    }


def test_roles_are_made_on_servers_of_their_own(make_project: Callable[..., Settings]) -> None:
    """A migration that makes a role can be checked, and a twin that forgets it is found."""
    settings = make_project()
    up = (
        "do $$ begin if not exists (select from pg_roles where rolname = 'app_{0}') "
        "then create role app_{0} nologin; end if; end $$;"
    )
    write(settings, "20250101000000_kept", up.format("kept"), "select 1;")
    write(settings, "20250102000000_good", up.format("good"), "drop role app_good;")
    report = check_migrations(settings=settings)
    assert told(report) == {("rollback", "error", "20250101000000_kept.sql", None)}
    assert report.findings[0].details == ("left: role app_kept",)


def test_extension_that_is_not_here_is_no_fault(make_project: Callable[..., Settings]) -> None:
    """A migration that needs an extension which the scratch PostgreSQL lacks gets a warning."""
    settings = make_project()
    write(settings, "20250101000000_ext", "create extension if not exists vector;", "select 1;")
    report = check_migrations(settings=settings)
    assert told(report) == {("apply", "warning", "20250101000000_ext.sql", 1)}
    assert report.ok


@pytest.fixture(scope="module")
def running(make_project: Callable[..., Settings]) -> Settings:
    """Give a project with two migrations, pushed to its running stack."""
    settings = make_project()
    write(
        settings,
        "20250101000000_one",
        "create table if not exists public.one (id bigint, name text);",
        "drop table public.one;",
    )
    write(
        settings,
        "20250102000000_two",
        "create table if not exists public.two (id bigint);",
        "drop table public.two;",
    )
    open_stack(settings).start()
    apply_migrations(settings=settings)
    return settings


# By hand, and back again.
DRIFT = {
    "a table": (
        "create table public.hand (id int)",
        "only there: table public.hand",
        "drop table public.hand",
    ),
    "a column gone": (
        "alter table public.one drop column name",
        "missing there: column public.one.name",
        "alter table public.one add column name text",
    ),
    "a grant": (
        "revoke select on public.one from anon",
        "changed: table public.one",
        "grant select on public.one to anon",
    ),
    "a policy's roles": (
        "create policy p on public.one for select to anon using (true)",
        "only there: policy public.one.p",
        "drop policy p on public.one",
    ),
}


def test_drift_of_the_database_is_listed(running: Settings) -> None:
    """What was changed by hand is told object by object, and nothing when it is undone."""
    only = {"files", "lint", "apply", "twice", "rollback", "cycle"}
    with psycopg.connect(running.local_db_url, autocommit=True) as connection, ExitStack() as undo:
        for change, _, back in DRIFT.values():
            connection.execute(change.encode())
            undo.callback(connection.execute, back.encode())
        report = check_migrations(settings=running, skip=only)
    assert told(report) == {("target", "error", "", None)}
    (found,) = report.findings
    for what, (_, line, _) in DRIFT.items():
        assert any(each.startswith(line) for each in found.details), what
    assert "migrate.diff" in found.next_step
    assert check_migrations(settings=running, skip=only).ok


def test_pending_files_are_no_drift(running: Settings) -> None:
    """A target is held to what it has applied; what is pending is not missed there."""
    path = write(
        running, "20250103000000_three", "create table if not exists public.three ();", None
    )
    try:
        report = check_migrations(settings=running, skip={"rollback", "cycle", "lint"})
    finally:
        path.unlink()
    assert report.findings == ()


def test_history_that_differs_from_the_files(running: Settings) -> None:
    """An edited and a missing file are told as such, and are not mistaken for drift."""
    one = running.migrations_dir / "20250101000000_one.sql"
    two = running.migrations_dir / "20250102000000_two.sql"
    kept = one.read_text(), two.read_text()
    try:
        one.write_text(kept[0].replace("name text", "name text not null"))
        two.unlink()
        report = check_migrations(settings=running, skip={"rollback", "cycle", "lint"})
    finally:
        one.write_text(kept[0])
        two.write_text(kept[1])
    assert {each[:3] for each in told(report)} >= {("target", "error", one.name)}
    words = [each.message for each in report.findings if each.check == "target"]
    assert sorted(words) == [
        "20250102000000_two is applied there, and this project has no file for it",
        "was edited after it was applied there",
    ]


def test_comments_and_white_space_are_no_edit(running: Settings) -> None:
    """A file in which only comments and layout changed is as it was applied."""
    one = running.migrations_dir / "20250101000000_one.sql"
    kept = one.read_text()
    try:
        one.write_text("-- a comment; new\n" + kept.replace(" (", "\n  (") + "\n")
        report = check_migrations(settings=running, skip={"rollback", "cycle", "lint"})
    finally:
        one.write_text(kept)
    assert report.findings == ()


def test_a_target_by_url(running: Settings) -> None:
    """A database named by its URL is looked at in the same way, whatever the local stack is."""
    from dataclasses import replace

    target = Target(kind="remote", url=running.local_db_url)
    remote = replace(running, target=target, backend="docker")
    report = check_migrations(settings=remote, skip={"apply", "twice", "rollback", "cycle"})
    assert report.findings == ()
    assert report.steps[-1].files[0].startswith("remote (127.0.0.1")


def test_a_target_that_has_to_be_there(make_project: Callable[..., Settings]) -> None:
    """A target that was asked for and cannot be reached is an error, and hides nothing else."""
    settings = make_project()
    write(settings, "20250101000000_once", "create table public.a ();", "drop table public.a;")
    report = check_migrations(settings=settings, against_target=True)
    assert ("target", "error", "", None) in told(report)
    assert ("twice", "error", "20250101000000_once.sql", 1) in told(report)
    assert (
        check_migrations(settings=settings, against_target=False, skip={"twice"}).steps[-1].skipped
        == "left out"
    )


def test_unknown_check_is_refused(make_project: Callable[..., Settings]) -> None:
    """A name in ``skip`` that is no check is told, with those that are."""
    with pytest.raises(ConfigError, match="no check 'lnt'") as caught:
        check_migrations(settings=make_project(), skip={"lnt"})
    assert "lint" in (caught.value.detail or "")


def test_task_exits_with_3_and_writes_its_reports(make_project: Callable[..., Settings]) -> None:
    """The task shows a table, writes JUnit and JSON, exits 3 on errors and 0 on warnings."""
    settings = make_project()
    write(settings, "20250101000000_once", "create table public.a ();", "drop table public.a;")
    running = inv(settings, "migrate.check", "--junit", "out/check.xml")
    shown = running.communicate()[0]
    assert running.returncode == 3
    assert "20250101000000_once.sql:1: cannot be applied a second time" in shown
    assert "Traceback" not in shown
    root = ET.parse(settings.root / "out" / "check.xml").getroot()
    cases = {
        (each.get("classname"), each.get("name")): [kind.tag for kind in each]
        for each in root.iter("testcase")
    }
    assert cases["migrate.check.twice", "20250101000000_once.sql"] == ["failure"]
    assert cases["migrate.check.apply", "20250101000000_once.sql"] == []
    assert cases["migrate.check.target", "target"] == ["skipped"]
    running = inv(settings, "migrate.check", "--json", "--skip", "twice,target")
    shown = running.communicate()[0]
    assert running.returncode == 0
    data = json.loads(shown[shown.index("{") :])
    assert data["files"] == ["20250101000000_once.sql"]
    assert Level.ERROR.value not in {each["level"] for each in data["findings"]}
