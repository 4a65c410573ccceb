"""migrate.check without a database: files that are read, and reports that are written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from riptide.errors import ConfigError
from riptide.migrations.against import Stored, applied, essence
from riptide.migrations.check_files import read_files
from riptide.migrations.guards import guarded
from riptide.migrations.listing import listed
from riptide.migrations.new_files import create_migration
from riptide.migrations.replay import batches
from riptide.migrations.snapshot import Difference
from riptide.render.check import junit
from riptide.results import CheckFinding, CheckReport, CheckStep, Level

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.settings import Settings


def test_junit(settings: Settings, tmp_path: Path) -> None:
    """A suite for each check and a case for each file; errors fail, warnings are output."""
    path = settings.migrations_dir / "1_a.sql"
    report = CheckReport(
        files=("1_a.sql", "2_b.sql"),
        steps=(
            CheckStep(name="twice", about="x", files=("1_a.sql", "2_b.sql"), seconds=2.0),
            CheckStep(name="cycle", about="x", skipped="because"),
            CheckStep(name="target", about="x", files=("local",)),
        ),
        findings=(
            CheckFinding(
                check="twice",
                level=Level.ERROR,
                message="it \x1b[1mbroke & <more>",
                file=path,
                line=3,
                details=("new: table t",),
                next_step="mend it",
            ),
            CheckFinding(check="twice", level=Level.WARNING, message="hm", file=path),
            CheckFinding(check="target", level=Level.ERROR, message="drift"),
        ),
    )
    out = tmp_path / "new" / "junit.xml"
    junit(report, settings, out)
    root = ET.parse(out).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("4", "2", "1")
    suites = {each.get("name"): each for each in root.iter("testsuite")}
    first, second = suites["twice"].iter("testcase")
    failure = first.find("failure")
    assert failure is not None
    assert failure.get("message") == "it \ufffd[1mbroke & <more>"
    assert (failure.text or "").splitlines() == [
        "error: supabase/migrations/1_a.sql:3: it \ufffd[1mbroke & <more>",
        "new: table t",
        "next: mend it",
    ]
    assert "warning: supabase/migrations/1_a.sql: hm" in (first.findtext("system-out") or "")
    assert len(second) == 0
    assert [each.get("message") for each in suites["cycle"].iter("skipped")] == ["because"]
    assert [each.get("name") for each in suites["target"].iter("testcase")] == ["local"]
    with pytest.raises(ConfigError, match="cannot be written"):
        junit(report, settings, tmp_path)
    outside = tmp_path.parent / "not there" / "x.xml"
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        junit(report, settings, outside)
    assert "mkdir -p" in (caught.value.next_step or "")
    assert not outside.parent.exists()


def test_report_counts() -> None:
    """A report's summary counts files, checks, and what was found."""
    finding = CheckFinding(check="lint", level=Level.WARNING, message="x")
    steps = (CheckStep(name="lint", about="x"), CheckStep(name="target", about="x", skipped="y"))
    report = CheckReport(files=("a",), steps=steps, findings=(finding,))
    assert report.ok
    assert report.summary == "1 migration, 1 check: 1 warning; 1 not carried out"
    assert report.warnings == (finding,)


def test_versions_that_are_no_time(settings: Settings) -> None:
    """A version is 14 digits of a real time that is not in the future."""
    for name in ("20250101000000_a", "202501_b", "20250230000000_c", "20260103000000_d"):
        (settings.migrations_dir / f"{name}.sql").write_text("select 1;")
    found = read_files(settings, datetime(2026, 1, 1, tzinfo=UTC)).findings
    assert [each.file.name[-5] for each in found if each.file] == ["b", "c", "d"]
    assert "future" in found[2].message


def test_what_is_still_the_template_is_an_error(settings: Settings) -> None:
    """A push refuses it; a file that somebody has emptied is only odd."""
    made = create_migration("later", settings=settings)
    levels = {each.file: each.level for each in read_files(settings).findings}
    assert levels == {made.path: Level.ERROR}
    made.path.write_text("-- nothing yet\n", encoding="utf-8")
    assert [each.level for each in read_files(settings).findings] == [Level.WARNING]


def test_batches_are_the_clis() -> None:
    """A file is one batch, unless a statement of it has to be alone or it says otherwise."""
    one = "create table a ();\ncreate table b ();"
    assert [each.text for each in batches(one)] == [one]
    mixed = "create table a ();\ncreate table b ();\nvacuum a;\ndrop table b;"
    assert [(each.text, each.offset) for each in batches(mixed)] == [
        ("create table a ();\ncreate table b ()", 0),
        ("vacuum a", 38),
        ("drop table b", 48),
    ]
    own = "begin;\ncreate table a ();\ncommit;"
    assert [each.text for each in batches(own)] == ["begin", "create table a ()", "commit"]
    marked = "-- pg-delta: transaction=false\nselect 1;\nselect 2;"
    assert len(batches(marked)) == 2
    assert batches("-- nothing\n") == []


def test_essence_is_what_postgresql_reads() -> None:
    """Comments, white space and the last semicolon are no difference; anything else is."""
    assert essence("-- a\nselect  1 ;\nselect 2") == essence("select 1;\n/* b */ select 2;\n")
    assert essence("select 1") != essence("select 2")
    assert essence("select 1; select 2") != essence("select 1 select 2")
    assert essence("select '-- a'") != essence("select '-- b'")
    assert essence("do $$  $$") != essence("do $$ $$")


def test_what_a_history_is_replayed_from(settings: Settings) -> None:
    """Of an edited or missing file it is what the history keeps; without that, nobody knows."""
    for version, text in (("20250101000000", "select 1;"), ("20250102000000", "select 2;")):
        (settings.migrations_dir / f"{version}_a.sql").write_text(text)
    read = read_files(settings)
    rows = [
        Stored("20250101000000", "a", ("select 0",)),
        Stored("20250102000000", "a"),
        Stored("20250103000000", "gone", ("select 3",)),
        Stored("20250104000000", "lost"),
    ]
    history = applied(rows, read)
    assert history.texts == {
        "20250101000000": "select 0;\n",
        "20250102000000": "select 2;",
        "20250103000000": "select 3;\n",
        "20250104000000": "",
    }
    assert history.unknown == ("20250104000000",)
    assert [each.message.split()[0] for each in history.findings] == [
        *("was", "20250103000000_gone", "20250104000000_lost"),
    ]


def test_only_what_differs_is_shown() -> None:
    """Of two definitions only the words around the difference are shown; many are counted."""
    before = "owner postgres rls true grants a=r/postgres,b=r/postgres,z=r/postgres comment x"
    after = before.replace("b=r/", "b=rw/")
    difference = Difference("table", "public.t", before, after)
    assert listed([difference], "changed", "gone", "new") == (
        "changed: table public.t: … a=r/postgres,b=r/postgres,z=r/postgres, …".replace(
            ",z=r/postgres, …", ",z=r/postgres …"
        )
        + "  →  … a=r/postgres,b=rw/postgres,z=r/postgres …",
    )
    many = [Difference("table", f"public.t{number}", None, "x") for number in range(20)]
    lines = listed(many, "changed", "gone", "new")
    assert lines[0] == "new: table public.t0"
    assert lines[-1] == "… and 8 more"


GUARDS = {
    'CREATE TABLE "a"."b" (\n  "c" int\n)': 'CREATE TABLE IF NOT EXISTS "a"."b" (\n  "c" int\n)',
    "CREATE UNIQUE INDEX i ON t (a)": "CREATE UNIQUE INDEX IF NOT EXISTS i ON t (a)",
    "ALTER TABLE a\n  ADD COLUMN b int": "ALTER TABLE a\n  ADD COLUMN IF NOT EXISTS b int",
    'ALTER TABLE "a"\n  DROP CONSTRAINT "b"': 'ALTER TABLE "a"\n  DROP CONSTRAINT IF EXISTS "b"',
    'DROP POLICY "p" ON "t"': 'DROP POLICY IF EXISTS "p" ON "t"',
    "CREATE OR REPLACE FUNCTION f() AS $$x$$": "CREATE OR REPLACE FUNCTION f() AS $$x$$",
    "CREATE TRIGGER t BEFORE": "CREATE OR REPLACE TRIGGER t BEFORE",
    'CREATE POLICY "p" ON "a"."t" FOR ALL': (
        'DROP POLICY IF EXISTS "p" ON "a"."t";\nCREATE POLICY "p" ON "a"."t" FOR ALL'
    ),
    "COMMENT ON TABLE a IS 'create table'": "COMMENT ON TABLE a IS 'create table'",
    'ALTER TYPE "a"."b" DROP ATTRIBUTE "c" CASCADE': (
        'ALTER TYPE "a"."b" DROP ATTRIBUTE IF EXISTS "c" CASCADE'
    ),
    'ALTER DOMAIN "a"."b"\n  DROP CONSTRAINT "c"': (
        'ALTER DOMAIN "a"."b"\n  DROP CONSTRAINT IF EXISTS "c"'
    ),
    'DROP TEXT SEARCH CONFIGURATION "a"."b"': 'DROP TEXT SEARCH CONFIGURATION IF EXISTS "a"."b"',
    "ALTER TYPE a.b ADD VALUE 'c'": "ALTER TYPE a.b ADD VALUE IF NOT EXISTS 'c'",
}


@pytest.mark.parametrize("statement", GUARDS)
def test_guards(statement: str) -> None:
    """What pg-delta writes gets the words that let it run twice."""
    assert guarded(f"{statement};") == f"{GUARDS[statement]};\n\n"


ALL = "GRANT DELETE, INSERT, MAINTAIN, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        # all of it is the owner's in any case
        (
            (
                f'CREATE TABLE "a"."t" (); REVOKE ALL ON TABLE "a"."t" FROM "postgres"; '
                f'{ALL} ON TABLE "a"."t" TO "postgres"'
            ),
            ["CREATE"],
        ),
        # not what the text makes, or not its owner's, or given away
        (
            f'REVOKE ALL ON TABLE "a"."t" FROM "postgres"; {ALL} ON TABLE "a"."t" TO "postgres"',
            ["GRANT"],
        ),
        (
            (
                'CREATE TABLE "a"."t" (); ALTER TABLE "a"."t" OWNER TO "me"; '
                f'REVOKE ALL ON TABLE "a"."t" FROM "postgres"; {ALL} ON TABLE "a"."t" TO "postgres"'
            ),
            ["CREATE", "ALTER", "GRANT"],
        ),
        (
            (
                'CREATE FUNCTION a.f () returns int; REVOKE ALL ON FUNCTION "a"."f"() FROM "anon"; '
                'GRANT EXECUTE ON FUNCTION "a"."f"() TO "anon"'
            ),
            ["CREATE", "GRANT"],
        ),
        # fewer than all, or of another object or role
        (
            'REVOKE ALL ON TABLE "a"."t" FROM "anon"; GRANT SELECT ON TABLE "a"."t" TO "anon"',
            ["REVOKE", "GRANT"],
        ),
        (
            f'REVOKE ALL ON TABLE "a"."t" FROM "anon"; {ALL} ON TABLE "a"."u" TO "anon"',
            ["REVOKE", "GRANT"],
        ),
        (
            (
                'REVOKE ALL ("x") ON TABLE "a"."t" FROM "anon"; '
                'GRANT SELECT ("x") ON TABLE "a"."t" TO "anon"'
            ),
            ["REVOKE", "GRANT"],
        ),
        # the comment that comes with an extension, and one that somebody has written
        (
            'CREATE EXTENSION "x" SCHEMA e; COMMENT ON EXTENSION "x" IS \'a; b\'',
            ["CREATE"],
        ),
        ("COMMENT ON EXTENSION \"x\" IS 'a; b'", ["COMMENT"]),
    ],
)
def test_statements_that_change_nothing(text: str, kept: list[str]) -> None:
    """A revoke of all is left out where a grant of all follows, and both where the owner has it."""
    found = [each.split()[0] for each in guarded(text).split(";\n\n") if each]
    assert found == kept


def test_guards_of_what_has_no_words_for_it() -> None:
    """A type and a constraint are made where they are not there yet."""
    made = guarded('CREATE TYPE "a"."it\'s" AS ENUM (\'x\')')
    assert made.startswith("do $guard$ begin\n")
    assert """to_regtype('"a"."it''s"')""" in made
    made = guarded('ALTER TABLE "a"."b"\n  ADD CONSTRAINT "c""d" CHECK (x)')
    assert "conname = 'c\"d'" in made
    assert """'"a"."b"'::regclass""" in made
    made = guarded('ALTER DOMAIN "a"."b"\n  ADD CONSTRAINT "c""d" CHECK (x)')
    assert "conname = 'c\"d'" in made
    assert """contypid = '"a"."b"'::regtype""" in made
    made = guarded('ALTER TYPE "a"."b" ADD ATTRIBUTE "c""d" int CASCADE')
    assert "attname = 'c\"d'" in made
    assert """reltype = '"a"."b"'::regtype""" in made
    assert "check_function_bodies" not in guarded("SET local check_function_bodies = off; select 1")
