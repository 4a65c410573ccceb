"""What `rls.verify` and `rls.mutate` show: in a terminal, to a CI server, on a page."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from _page import Page
from rich.cells import cell_len
from rich.console import Console

from riptide import render
from riptide.errors import ConfigError
from riptide.render import audit as show_audit
from riptide.render import mutation as show_mutation
from riptide.render import rls as show
from riptide.render.html import page, write_html
from riptide.results import (
    AuditFinding,
    AuditReport,
    Fate,
    Level,
    MutantResult,
    MutationReport,
    RlsAttempt,
    RlsCheck,
    RlsRemains,
    RlsReport,
    Verdict,
)
from riptide.results.mutation import read_mutation
from riptide.rls.breakable import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.settings import Settings

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
RLS_TOML = """[tables.notes]
owner = "user_id"
delete = "none"

[tables.notes.anon]
select = "all"
"""


def check(operation: str, actor: str, expected: str, verdict: Verdict, **more: Any) -> RlsCheck:
    """Make a check of a table."""
    given: dict[str, Any] = {"table": "public.notes", "seen": "1 row", **more}
    return RlsCheck(operation=operation, actor=actor, expected=expected, verdict=verdict, **given)


LEAK = check(
    "delete",
    "owner",
    "deny",
    Verdict.LEAK,
    tried="delete the owner's row",
    seen="1 row, 100 %\nand more",
    policies=("public.notes: open",),
    mend="drop policy open on public.notes;\n-- and think",
    attempts=(RlsAttempt(request="DELETE /notes?id=eq.1", reply="204", effect="1 row less"),),
)
CHECKS = (
    check("select", "owner", "allow", Verdict.OK),
    check("select", "anon", "allow", Verdict.LOCKOUT),
    check("update", "owner", "deny", Verdict.OK),
    check("update", "owner", "deny", Verdict.MASKED),
    LEAK,
    check("delete", "anon", "deny", Verdict.ERROR),
    check("*", "*", "declared", Verdict.UNDECLARED, table="public.teams"),
    check("execute", "anon", "deny", Verdict.OK, table="public.promote(uuid)"),
)
REPORT = RlsReport(target="local", checks=CHECKS, seconds=1.0)


@pytest.fixture
def declared(settings: Settings) -> Settings:
    """Give a project that declares the table."""
    (settings.supabase_dir / "rls.toml").write_text(RLS_TOML, encoding="utf-8")
    return settings


# --- a terminal ----------------------------------------------------------------------------------


def shown(monkeypatch: pytest.MonkeyPatch, report: RlsReport, width: int) -> list[str]:
    """Give the lines that a terminal of a width has."""
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)

    def console(**_: Any) -> Console:
        return Console(file=out, width=width, force_terminal=True, color_system=None)

    monkeypatch.setattr(render, "console", console)
    monkeypatch.setattr(show, "console", console)
    show.report(report)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 300])
def test_the_matrix_fits(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """However long a table's name is, the matrix has 100 columns at most, and no folded word."""
    name = "a_schema_of_its_own.a_table_whose_name_is_as_long_as_PostgreSQL_allows_it_to_be_63"
    checks = tuple(
        check(operation, actor, "deny", Verdict.LOCKOUT, table=name)
        for actor in ("owner", "service_role")
        for operation in ("select", "insert", "update", "delete")
    )
    lines = shown(monkeypatch, replace(REPORT, checks=checks), width)
    matrix = lines[: lines.index("")]
    assert max(cell_len(each.rstrip()) for each in matrix) <= min(width, 100)
    assert sum(each.count("LOCKOUT") for each in matrix) == 8
    assert any("service_role" in each for each in matrix)


def test_what_a_terminal_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells say what was proved or what is worst; failures say by what, and what mends them."""
    report = replace(REPORT, note="2 users are left")
    text = "\n".join(line.rstrip() for line in shown(monkeypatch, report, 100))
    assert re.search(r"^public\.notes +owner +allowed +MASKED +LEAK$", text, re.MULTILINE)
    assert re.search(r"^ +anon +LOCKOUT +– +ERROR$", text, re.MULTILINE)
    assert re.search(r"^public\.promote\(uuid\) +anon +denied$", text, re.MULTILINE)
    assert "  blame: public.notes: open" in text
    assert "  mend:  drop policy open on public.notes;\n         -- and think" in text
    assert text.endswith("note: 2 users are left")


def test_what_was_removed(capsys: pytest.CaptureFixture[str]) -> None:
    """Users by their address, rows by their table."""
    show.remains(RlsRemains(target="local", users=("a@example.com",), rows={"public.notes": 2}))
    assert capsys.readouterr().out == (
        "local: removed 1 user, rows: 2 of public.notes\n  a@example.com\n"
    )
    show.remains(RlsRemains(target="local"))
    assert capsys.readouterr().out == "local: nothing was left behind\n"


# --- CI ------------------------------------------------------------------------------------------


def test_junit(declared: Settings, tmp_path: Path) -> None:
    """A suite for each table; what could not be tried is an error; names are unique in a suite."""
    path = tmp_path / "new" / "j.xml"
    show.junit(REPORT, declared, path)
    root = ET.parse(path).getroot()
    assert [each.get("name") for each in root] == [
        "public.notes",
        "public.teams",
        "public.promote(uuid)",
    ]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("8", "4", "1")
    names = [each.get("name") for each in root[0]]
    assert len(set(names)) == len(names) == 6
    failure = root.find(".//failure[@type='leak']")
    assert failure is not None
    assert "mend:  drop policy open" in (failure.text or "")


def test_sarif(declared: Settings, tmp_path: Path) -> None:
    """A result for each failure, at the line of rls.toml that says what should be."""
    path = tmp_path / "s.sarif"
    show.sarif(REPORT, declared, path)
    [run] = json.loads(path.read_text("utf-8"))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert {each["id"] for each in rules} == {
        f"rls-{each.value}" for each in Verdict if each is not Verdict.OK
    }
    places = {}
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        place = each["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "supabase/rls.toml"
        places[each["ruleId"]] = place["region"]["startLine"]
    assert places == {
        "rls-lockout": 6,  # [tables.notes.anon] select
        "rls-masked": 1,  # the table's: update is not in the file
        "rls-leak": 3,  # delete
        "rls-error": 5,  # [tables.notes.anon]
        "rls-undeclared": 1,
    }
    assert len({json.dumps(each["partialFingerprints"]) for each in run["results"]}) == 5


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> Path:
    """Let this be GitHub Actions, with the project in a folder of the repository; its summary."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(settings.root.parent))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    return summary


def test_annotations(declared: Settings, actions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A workflow command for each failure, escaped; stdout stays the result's alone."""
    show.to_github(REPORT, declared)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 5
    assert all(
        re.fullmatch(r"::error file=[^,:]+,line=\d+,title=[^,:]+::[^\r\n]+", each) for each in lines
    )
    [leak] = [each for each in lines if "rls-leak" in each]
    assert leak == (
        f"::error file={declared.root.name}/supabase/rls.toml,line=3,"
        "title=rls-leak%3A public.notes::public.notes: delete as owner should be denied; "
        "leak: 1 row, 100 %25%0Aand more; by public.notes: open."
        "%0AMend: drop policy open on public.notes;%0A-- and think"
    )
    text = actions.read_text("utf-8")
    assert "| table | actor | select | update | delete |" in text
    assert "| public.notes | owner | allowed | MASKED | LEAK |" in text


def test_annotations_of_the_audit(
    declared: Settings, actions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gravest first, each with its level; what is excepted is passed over."""
    found = AuditFinding(rule="r", level=Level.NOTE, object="public.a", message="m | <b>")
    report = AuditReport(
        target="local",
        findings=(
            found,
            replace(found, level=Level.WARNING),
            replace(found, level=Level.ERROR, file=declared.supabase_dir / "config.toml", line=7),
        ),
        excepted=(replace(found, reason="meant"),),
        rules=("r",),
    )
    show_audit.to_github(report, declared)
    out, err = capsys.readouterr()
    assert out == ""
    assert [each.partition(" ")[0] for each in err.splitlines()] == [
        "::error",
        "::warning",
        "::notice",
    ]
    assert "supabase/config.toml,line=7," in err
    assert r"m \| \<b\>" in actions.read_text("utf-8")


def test_elsewhere_nothing_is_annotated(
    declared: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of GitHub Actions there are no workflow commands."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    show.to_github(REPORT, declared)
    assert capsys.readouterr() == ("", "")


# --- mutation ------------------------------------------------------------------------------------

MUTATION = MutationReport(
    mutants=(
        MutantResult(
            kind="using-true", table="public.notes", sentence="open", fate=Fate.KILLED, why="leak"
        ),
        MutantResult(
            kind="granted",
            table="public.notes",
            sentence="granted",
            fate=Fate.EQUIVALENT,
            why="no privilege",
        ),
        MutantResult(
            kind="granted",
            table="public.notes",
            sentence="granted <all>",
            fate=Fate.SURVIVED,
            sql="grant all on public.notes to anon",
        ),
    ),
    seconds=2.0,
)


def test_junit_of_a_mutation(settings: Settings, tmp_path: Path) -> None:
    """A survivor is a failure with its SQL; why a mutant is equivalent stands in its output."""
    path = tmp_path / "m.xml"
    show_mutation.junit(MUTATION, settings, path)
    root = ET.parse(path).getroot()
    assert (root.get("tests"), root.get("failures")) == ("3", "1")
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.text == "grant all on public.notes to anon;"
    assert [each.text for each in root.iter("system-out")] == [
        "killed: leak",
        "equivalent: no privilege",
    ]


def test_a_mutation_is_read_again(tmp_path: Path) -> None:
    """What `--json` prints gives the same result again."""
    path = tmp_path / "m.json"
    path.write_text(json.dumps(MUTATION.to_dict()), encoding="utf-8")
    assert read_mutation(path) == MUTATION


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file"),
        ("", "is not what `inv rls.mutate --json` prints"),
        ("[]", "is not what"),
        ('{"mutants": [{"fate": "eaten"}], "seconds": 1}', "is not what"),
        ('{"mutants": [{"fate": "killed", "odd": 1}], "seconds": 1}', "is not what"),
    ],
)
def test_what_is_no_mutation(text: str | None, words: str, tmp_path: Path) -> None:
    """Another file is refused, and the command that makes the right one is named."""
    path = tmp_path / "m.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        read_mutation(path)
    assert caught.value.next_step == "inv rls.mutate --json > m.json"


# --- the page ------------------------------------------------------------------------------------

EVIL = "<script>alert(1)</script>\"'><img src=https://example.com/x>&amp;"
POLICY = Policy(
    relation="public.notes",
    table="public.notes",
    name="open",
    command="select",
    permissive=True,
    roles=("anon",),
    using="(a < b) and name <> 'x'",
    check=None,
    comment="Everybody reads.",
)


def whole(settings: Settings, **more: Any) -> str:
    """Give a page with everything on it."""
    finding = AuditFinding(
        rule="no_primary_key",
        level=Level.WARNING,
        object="public.notes",
        message="no key",
        docs="https://supabase.com/docs",
    )
    audit = AuditReport(
        target="local",
        findings=(finding, replace(finding, docs="javascript:alert(1)")),
        excepted=(replace(finding, reason="meant"),),
    )
    given: dict[str, Any] = {
        "report": REPORT,
        "policies": (POLICY,),
        "audit": audit,
        "mutation": MUTATION,
        **more,
    }
    return page(settings, **given)


def test_the_page_is_whole(settings: Settings) -> None:
    """It is valid, runs no script, loads nothing, and each of its links leads somewhere."""
    found = Page(whole(settings))
    assert found.faults == []
    assert "script" not in found.tags
    assert [each for each in found.links if not each.startswith("#")] == [
        "https://supabase.com/docs"
    ]
    assert found.tags.count("h1") == found.tags.count("main") == 1
    for words in (
        "It does not hold",
        "DELETE /notes?id=eq.1",
        "1 row less",
        "drop policy open on public.notes;",
        "using ((a < b) and name <> 'x')",
        "Everybody reads.",
        "no key",
        "public.notes: meant",
        "50 %",
        "granted <all>",
        "no privilege",
    ):
        assert words in found.text


@pytest.mark.parametrize(
    "more",
    [
        {"report": None, "policies": (), "audit": None},
        {"report": RlsReport(target="local")},
        {"mutation": MutationReport(), "audit": None, "policies": ()},
    ],
    ids=["of a mutation alone", "of an empty project", "without mutants"],
)
def test_a_page_with_less(more: dict[str, Any], settings: Settings) -> None:
    """Parts that there is nothing for are left out, and so are the links to them."""
    assert Page(whole(settings, **more)).faults == []


def test_nothing_on_the_page_is_markup(settings: Settings) -> None:
    """Whatever a name, a reply or a policy holds is shown as it is."""
    odd = RlsCheck(
        table=EVIL,
        operation="select",
        actor="other",
        expected="deny",
        verdict=Verdict.LEAK,
        tried=EVIL,
        seen=EVIL,
        policies=(EVIL,),
        mend=EVIL,
        attempts=(RlsAttempt(request=EVIL, reply=EVIL, effect=EVIL),),
    )
    policy = replace(POLICY, table=EVIL, relation=EVIL, name=EVIL, using=EVIL, comment=EVIL)
    mutants = tuple(replace(each, sentence=EVIL, sql=EVIL) for each in MUTATION.mutants)
    text = whole(
        settings,
        report=RlsReport(target=EVIL, checks=(odd,)),
        policies=(policy,),
        mutation=MutationReport(mutants=mutants),
    )
    found = Page(text)
    assert found.faults == []
    assert not {"script", "img"} & set(found.tags)
    assert "<script>alert(1)</script>\"'><img src=https://example.com/x>&amp;" in found.text


def test_no_secret_is_on_the_page(settings: Settings) -> None:
    """Keys, tokens and passwords are masked, whoever has put them there."""
    known = replace(settings, secret_key="a-key-of-no-known-form")
    secrets = (JWT, "sb_secret_N7UND0UgjKTVK-Uodkm0Hg", "postgresql://me:hunter2@db/x")
    words = " ".join((*secrets, "a-key-of-no-known-form"))
    attempt = RlsAttempt(request=words, reply=words, effect=words)
    report = RlsReport(target=words, checks=(replace(LEAK, seen=words, attempts=(attempt,)),))
    text = whole(known, report=report)
    for secret in (JWT, "N7UND0UgjKTVK", "hunter2", "a-key-of-no-known-form"):
        assert secret not in text
    assert "***" in text


def test_a_page_that_cannot_be_written(settings: Settings, tmp_path: Path) -> None:
    """Where the file cannot be written the error names it."""
    with pytest.raises(ConfigError, match="cannot be written"):
        write_html(tmp_path, settings, report=REPORT)
