"""The audit's parts that need no database: expressions, exceptions, reports."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from riptide.errors import CommandError, ConfigError
from riptide.render.audit import junit, report, sarif
from riptide.results import AuditFinding, AuditReport, Level
from riptide.rls.audit.advisors import ask_advisors, merged, read_finding
from riptide.rls.audit.expressions import (
    asks_for_service_role,
    compared_with_user,
    is_always_true,
    per_row_calls,
    reads_user_metadata,
    wrapped,
)
from riptide.rls.audit.facts import Facts
from riptide.rls.audit.functions import check_functions, check_roles
from riptide.rls.audit.project import Project, Table, listed
from riptide.rls.audit.relations import check_relations
from riptide.rls.audit.rules import ADVISORS, RULES
from riptide.rls.catalog import Relation
from riptide.rls.intent import read_intent
from riptide.runner import Completed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from riptide.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "rls.md"

# --- expressions, as PostgreSQL 17 writes them out ------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "calls"),
    [
        ("(( SELECT auth.uid() AS uid) = user_id)", []),
        ("(auth.uid() = user_id)", ["auth.uid()"]),
        ("(( SELECT (auth.uid() = odd.user_id)) = true)", ["auth.uid()"]),
        ("((( SELECT auth.jwt() AS jwt) ->> 'sub'::text) = (user_id)::text)", []),
        (
            "(current_setting('a(b'::text, true) = 'auth.uid()'::text)",
            ["current_setting('a(b'::text, true)"],
        ),
        ("(( SELECT current_setting('a.b'::text) AS current_setting) = id)", []),
        (
            (
                "(EXISTS ( SELECT 1\n   FROM public.members\n"
                "  WHERE (members.user_id = auth.uid())))"
            ),
            ["auth.uid()"],
        ),
        (
            (
                "(id IN ( SELECT members.id\n   FROM public.members\n"
                "  WHERE (members.user_id = ( SELECT auth.uid() AS uid))))"
            ),
            [],
        ),
        ('("auth.uid()" = 1)', []),
        ("(private.auth.uid() = 1)", []),
    ],
)
def test_calls_for_each_row(expression: str, calls: list[str]) -> None:
    """A call counts as made once only in a sub-select that needs nothing of the row."""
    assert [expression[start:end] for start, end in per_row_calls(expression, "odd")] == calls
    if calls and "odd." not in expression:
        assert per_row_calls(wrapped(expression, "odd").replace("select", "SELECT"), "odd") == []


@pytest.mark.parametrize(
    ("expression", "role", "expected"),
    [
        ("true", "anon", True),
        ("(1 = 1)", "anon", True),
        (None, "anon", False),
        ("(( SELECT auth.uid() AS uid) IS NOT NULL)", "authenticated", True),
        ("(( SELECT auth.uid() AS uid) IS NOT NULL)", "anon", False),
        ("(auth.role() = 'authenticated'::text)", "authenticated", True),
        ("(is_public = true)", "anon", False),
    ],
)
def test_always_true(expression: str | None, role: str, expected: bool) -> None:
    """True for every row is what is written as true, or asks only whether one is signed in."""
    assert is_always_true(expression, role) is expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("((auth.jwt() -> 'user_metadata'::text) ->> 'role'::text)", True),
        ("(auth.jwt() #>> '{user_metadata,role}'::text[])", True),
        ("((auth.jwt() -> 'app_metadata'::text) ->> 'role'::text)", False),
        ("(user_metadata ->> 'role'::text)", False),
        ("(kind = 'user_metadata'::text)", False),
        ("(raw_user_meta_data IS NULL)", False),
    ],
)
def test_user_metadata(expression: str, expected: bool) -> None:
    """It is the claim that counts, not a column of that name."""
    assert reads_user_metadata(expression) is expected


def test_columns_that_are_compared_with_the_user() -> None:
    """Either side, quoted or not; not those of other tables in a sub-select."""
    assert compared_with_user("(( SELECT auth.uid() AS uid) = user_id)") == {"user_id"}
    assert compared_with_user('(("the user" = auth.uid()) OR (auth.uid() = b))') == {
        "the user",
        "b",
    }
    inner = "(EXISTS ( SELECT 1 FROM m WHERE (m.who = ( SELECT auth.uid() AS uid))))"
    assert compared_with_user(f"({inner} AND (auth.uid() = mine))") == {"mine"}


def test_asking_for_the_service_role() -> None:
    """By function, claim or role; a column with that value is something else."""
    assert asks_for_service_role("(auth.role() = 'service_role'::text)")
    assert asks_for_service_role("((auth.jwt() ->> 'role'::text) = 'service_role'::text)")
    assert not asks_for_service_role("(state = 'service_role'::text)")


# --- rls.toml -------------------------------------------------------------------------------------

EXCEPT = '[[audit.except]]\nrule = "no_primary_key"\nobject = "public.log"\nreason = "a log"\n'


def read(folder: Path, text: str) -> Any:
    """Write the text as rls.toml and read it."""
    (folder / "rls.toml").write_text(text, encoding="utf-8")
    return read_intent(folder / "rls.toml")


def test_exceptions_are_read(tmp_path: Path) -> None:
    """Each exception has its line; functions have their callers."""
    intent = read(tmp_path, f'[functions.f]\nexecute = ["anon"]\n\n{EXCEPT}')
    [exception] = intent.exceptions
    assert (exception.rule, exception.reason, exception.line) == ("no_primary_key", "a log", 4)
    assert [(each.full_name, each.execute) for each in intent.functions] == [
        ("public.f", ("anon",))
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (EXCEPT.replace('reason = "a log"\n', ""), "rls.toml:1: .*gives no reason"),
        (EXCEPT.replace('"a log"', '" "'), "rls.toml:4: .*gives no reason"),
        (
            EXCEPT + EXCEPT.replace("no_prim", "no_prin"),
            "rls.toml:6: .*did you mean no_primary_key",
        ),
        (EXCEPT.replace("object", "objekt"), "rls.toml:3: .*did you mean object"),
        (EXCEPT.replace('"public.log"', "7"), "rls.toml:3: .*must be a text, not 7"),
        ('[audit.except]\nrule = "x"\n', "two brackets"),
        ("[audit]\nexcepts = 1\n", "rls.toml:2: .*did you mean except"),
        ("audit = 1\n", r"\[audit\] takes"),
        ("[functions.f]\n", r"rls.toml:1: \[functions.f\] execute must be a list"),
        ('[functions.f]\nexecute = ["anom"]\n', "rls.toml:2: .*did you mean anon"),
        ('[functions."public.f"]\ncall = 1\n', "rls.toml:2: .*call is not known"),
        (
            '[functions.f]\nexecute = []\n[functions."public.f"]\nexecute = []\n',
            "a second time",
        ),
        ("functions = 1\n", "not a table of functions"),
        ("[table.x]\n", "did you mean tables"),
    ],
)
def test_what_rls_toml_may_not_say(text: str, words: str, tmp_path: Path) -> None:
    """What is wrong is refused with its line, its nearest name and what to do."""
    with pytest.raises(ConfigError, match=words) as caught:
        read(tmp_path, text)
    assert caught.value.exit_code == 2
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("pattern", "name", "policy", "covered"),
    [
        ("public.log", "public.log", "", True),
        ("public.log", "public.log", "see", True),
        ("public.log.see", "public.log", "see", True),
        ("public.log.make", "public.log", "see", False),
        ("public.*", "public.log", "", True),
        ("public.f", "public.f(integer[])", "", True),
        ("public.f(integer[])", "public.f(integer[])", "", True),
        ("public.f(text)", "public.f(integer[])", "", False),
    ],
)
def test_what_an_exception_covers(
    pattern: str, name: str, policy: str, covered: bool, tmp_path: Path
) -> None:
    """A table with all its policies or one of them, a function with or without its types."""
    [exception] = read(tmp_path, EXCEPT.replace("public.log", pattern)).exceptions
    found = replace(FOUND, rule="no_primary_key", object=name, policy=policy)
    assert exception.covers(found) is covered
    assert not exception.covers(replace(found, rule="auth_rls_initplan"))


# --- rules ----------------------------------------------------------------------------------------


def test_the_rules_stand_in_the_documentation() -> None:
    """docs/rls.md has a row for each rule with its level, and for none that is not there."""
    section = DOCS.read_text("utf-8").partition("\n## The audit's rules\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (\w+)[^|]*\|$", section, re.MULTILINE)
    assert dict(rows) == {name: rule.level.value for name, rule in RULES.items()}
    assert len(rows) == len(RULES)


def test_names_tell_whose_the_rules_are() -> None:
    """A rule of Supabase's has underscores and its page; RipTide's have hyphens."""
    for name, rule in RULES.items():
        assert ("lint=" in rule.docs) is ("_" in name)
    assert not set(ADVISORS) & set(RULES)


def test_a_foreign_table() -> None:
    """A foreign table within clients' reach is found; no FDW can be made without a superuser."""
    relation = Relation(
        schema="public", name="far", kind="f", privileges=frozenset({"anon select"}), columns=()
    )
    facts = Facts(quoted="public.far", bare="far", protected=False)
    project = Project(tables=(Table(relation=relation, facts=facts),), functions=(), roles=())
    assert [each.rule for each in check_relations(project)] == ["foreign_table_in_api"]
    shut = Project(
        tables=(Table(relation=replace(relation, privileges=frozenset()), facts=facts),),
        functions=(),
        roles=(),
    )
    assert list(check_relations(shut)) == []
    assert list(check_functions(shut)) == list(check_roles(shut)) == []


def test_listing() -> None:
    """Words are listed as one writes them."""
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


# --- the advisors ---------------------------------------------------------------------------------

THEIRS = {
    "name": "auth_rls_initplan",
    "level": "WARN",
    "detail": "Table `public.odd` has a row level security policy `own` that re-evaluates. More.",
    "remediation": "https://supabase.com/docs/x",
    "metadata": {"name": "odd", "type": "table", "schema": "public"},
}


def test_an_advisor_s_finding_is_read() -> None:
    """Its object, policy, level and first sentence; a rule of ours weighs what it does here."""
    found = read_finding(THEIRS)
    assert (found.object, found.policy, found.source) == ("public.odd", "own", "supabase")
    assert found.message == (
        "Table public.odd has a row level security policy own that re-evaluates"
    )
    assert found.level is Level.WARNING
    other = read_finding({"name": "extension_in_public", "level": "INFO", "metadata": None})
    assert (other.level, other.object) == (Level.NOTE, "the database")
    several = read_finding({**THEIRS, "name": "multiple_permissive_policies"})
    assert several.level is Level.NOTE


def test_what_both_find_is_told_once() -> None:
    """By rule, object and policy; a function's types are not in what the advisors say."""
    ours = [
        replace(FOUND, rule="auth_rls_initplan", object="public.odd", policy="own"),
        replace(FOUND, rule="function_search_path_mutable", object="public.f(integer)"),
    ]
    function = {
        **THEIRS,
        "name": "function_search_path_mutable",
        "metadata": {"schema": "public", "name": "f"},
    }
    another = {**THEIRS, "detail": "has a row level security policy `two` that"}
    theirs = [read_finding(each) for each in (THEIRS, function, another)]
    assert merged(ours, theirs) == (*ours, theirs[2])


class Fixed:
    """A runner that gives the same answer to everything."""

    def __init__(self, exit_code: int, body: object) -> None:
        self.exit_code, self.body, self.argv = exit_code, body, [""]

    def run(self, argv: Sequence[str], **_: Any) -> Completed:
        """Give it."""
        self.argv = list(argv)
        return Completed(tuple(argv), self.exit_code, json.dumps(self.body), "", 0.1)


def test_asking_the_advisors(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What says nothing of a local database is left out; a failure names the way without them."""
    monkeypatch.setattr("riptide.toolchain.find_cli", lambda *_, **__: Path("supabase"))
    told: list[str] = []
    runner = Fixed(0, {"results": [THEIRS, {**THEIRS, "name": "unused_index"}]})
    assert [each.rule for each in ask_advisors(settings, runner, told.append)] == [THEIRS["name"]]
    assert runner.argv[1:3] == ["db", "advisors"]
    assert told == ["asking supabase db advisors"]
    failing = Fixed(1, {"_tag": "Error", "error": {"code": "DbAdvisorsError", "message": "no"}})
    with pytest.raises(CommandError, match=r"advisors: no[\s\S]*inv rls\.audit, without"):
        ask_advisors(settings, failing, told.append)


# --- reports --------------------------------------------------------------------------------------

FOUND = AuditFinding(
    rule="rls_disabled_in_public",
    level=Level.ERROR,
    object="public.odd",
    message="RLS is off, \x01 and so on",
    sql="alter table public.odd enable row level security;",
    docs="https://example.com",
)


def made(settings: Settings) -> AuditReport:
    """Make a report with one of each."""
    migration = settings.migrations_dir / "20250101000000_a b.sql"
    migration.write_text("--\n", encoding="utf-8")
    return AuditReport(
        target="local",
        tables=("public.odd",),
        functions=1,
        findings=(
            replace(FOUND, file=migration, line=3),
            replace(FOUND, rule="no_primary_key", level=Level.NOTE),
        ),
        excepted=(replace(FOUND, rule="policy-to-public", policy="see", reason="meant"),),
        rules=tuple(RULES),
    )


def test_junit(settings: Settings, tmp_path: Path) -> None:
    """A suite a rule; errors fail, notes do not, exceptions are skipped; all is XML."""
    path = tmp_path / "new" / "j.xml"
    junit(made(settings), settings, path)
    root = ET.parse(path).getroot()
    assert [each.get("name") for each in root] == list(RULES)
    assert (root.get("failures"), root.get("skipped"), root.get("tests")) == (
        "1",
        "1",
        str(len(RULES)),
    )
    failure = root.find(".//failure")
    assert failure is not None
    assert "mend: alter table" in (failure.text or "")
    assert "20250101000000_a b.sql:3" in (failure.text or "")


def test_sarif(settings: Settings, tmp_path: Path) -> None:
    """It has what SARIF 2.1.0 requires, and what GitHub shows; exceptions are suppressed."""
    path = tmp_path / "new" / "s.sarif"
    sarif(made(settings), settings, path)
    document = json.loads(path.read_text("utf-8"))
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-2.1.0.json")
    [run] = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({each["id"] for each in rules}) == len(rules)
    assert all(each["shortDescription"]["text"] for each in rules)
    assert all(each.get("helpUri", "https://").startswith("https://") for each in rules)
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        assert each["level"] in {"error", "warning", "note", "none"}
        [location] = each["locations"]
        place = location["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert re.fullmatch(r"[\w./%-]+", place["artifactLocation"]["uri"])
    first, note, excepted = run["results"]
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "supabase/migrations/20250101000000_a%20b.sql"},
        "region": {"startLine": 3},
    }
    assert "suppressions" not in note
    assert excepted["suppressions"] == [{"kind": "external", "justification": "meant"}]
    fingerprints = {json.dumps(each["partialFingerprints"]) for each in run["results"]}
    assert len(fingerprints) == 3


@pytest.mark.parametrize("write", [junit, sarif])
def test_a_report_that_cannot_be_written(write: Any, settings: Settings, tmp_path: Path) -> None:
    """Where the file cannot be written the error names it."""
    with pytest.raises(ConfigError, match="cannot be written"):
        write(made(settings), settings, tmp_path)


def test_what_a_person_sees(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """A table, each finding with what mends it and a page, what is excepted, and the sum."""
    report(made(settings), settings)
    out = capsys.readouterr().out
    assert "mend: alter table public.odd enable row level security;" in out
    assert "excepted: policy-to-public on public.odd.see: meant" in out
    assert "local: 1 table, 1 function: 1 error, 1 note; 1 excepted in" in out


def test_the_result(settings: Settings) -> None:
    """Warnings are not ok, notes are; ``to_dict()`` tells both."""
    found = made(settings)
    assert found.to_dict()["ok"] is False
    assert found.to_dict()["findings"][0]["level"] == "error"
    assert replace(found, findings=found.findings[1:]).ok
    warned = replace(found, findings=(replace(FOUND, level=Level.WARNING),))
    assert not warned.ok
    assert len(warned.warnings) == 1
