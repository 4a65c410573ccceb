"""Files held to what was applied of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from riptide.database import HistoryRow
from riptide.migrations.drift import Edit, difference, edit_of
from riptide.migrations.files import scan
from riptide.migrations.history import join
from riptide.migrations.problems import problems
from riptide.results import MigrationList, MigrationState

if TYPE_CHECKING:
    from riptide.settings import Settings

STORED = ["-- teams\ncreate table public.teams (\n  id int\n)", "select 'a;  b'"]
FILE = "-- teams\ncreate table public.teams (\n  id int\n);\n\nselect 'a;  b';\n"


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        (FILE, Edit.NONE),
        (FILE.rstrip().rstrip(";"), Edit.NONE),
        (FILE + "\n-- a last word\n", Edit.NONE),
        (FILE.replace("\n", "\r\n"), Edit.COSMETIC),
        (FILE.replace("-- teams", "-- all teams"), Edit.COSMETIC),
        (FILE.replace("(\n  id int\n)", "( id  int )"), Edit.COSMETIC),
        ("/* new */" + FILE, Edit.COSMETIC),
        (FILE.replace("id int", "id bigint"), Edit.REAL),
        (FILE.replace("a;  b", "a; b"), Edit.REAL),
        (FILE + "select 2;\n", Edit.REAL),
        (FILE.split("select")[0], Edit.REAL),
        ("", Edit.REAL),
    ],
)
def test_edits_are_told_apart(text: str, edit: Edit) -> None:
    """White space and comments are cosmetic, anything else is an edit; what is quoted counts."""
    assert edit_of(STORED, text) is edit


def test_white_space_in_a_function_s_body_is_an_edit() -> None:
    """What stands between dollar quotes is the function, white space and comments included."""
    stored = ["create function f() returns int language sql as $$ select 1 $$"]
    assert edit_of(stored, "create function f() returns int language sql as $$ select  1 $$;") is (
        Edit.REAL
    )


@pytest.mark.parametrize("stored", ["\r\n", "\n"])
def test_line_ends_that_git_has_changed_are_no_edit(stored: str) -> None:
    """A function's body with other line ends is what git makes of it; it is noted, no more."""
    body = "create function f() returns int language sql as $$\n select 1\n$$"
    other = "\n" if stored == "\r\n" else "\r\n"
    edit = edit_of([body.replace("\n", stored)], f"{body};\n".replace("\n", other))
    assert edit is Edit.LINE_ENDS


def test_difference_that_is_not_seen_is_shown() -> None:
    """White space at a line's end, within quotes, is made visible where nothing else differs."""
    shown = difference(["select 'a \nb'"], "select 'a\nb';", "1_a.sql").splitlines()
    assert "-select 'a·" in shown
    assert "+select 'a" in shown


def test_difference_shows_the_line() -> None:
    """The diff goes from what was applied to what the file says now."""
    shown = difference(STORED, FILE.replace("id int", "id bigint"), "1_teams.sql").splitlines()
    assert shown[:2] == ["--- applied/1_teams.sql", "+++ now/1_teams.sql"]
    assert "-  id int" in shown
    assert "+  id bigint" in shown


def listed(settings: Settings, *rows: HistoryRow) -> MigrationList:
    """Join a project's files with a history."""
    return MigrationList(target="t", migrations=join(scan(settings), rows))


def test_each_state_has_its_way_out(settings: Settings) -> None:
    """What a push would stumble over is told with the command that resolves it."""
    for version in ("1", "3", "5"):
        (settings.migrations_dir / f"{version}_m.sql").write_text(FILE, encoding="utf-8")
    found = listed(
        settings,
        HistoryRow("2", "gone", ("select 1",)),
        HistoryRow("3", "m", ("select 2",)),
    )
    assert [(each.version, each.state) for each in found.migrations] == [
        ("1", MigrationState.OUT_OF_ORDER),
        ("2", MigrationState.MISSING),
        ("3", MigrationState.DRIFTED),
        ("5", MigrationState.PENDING),
    ]
    assert found.needs_a_look
    told = problems(found, settings)
    assert [each.label for each in told] == ["1_m", "2_gone", "3_m", "5_m"]
    assert all(each.next_step for each in told)
    assert "inv migrate.push" in told[3].next_step


@pytest.mark.parametrize(
    ("text", "what", "way_out"),
    [
        (b"select 1;\n\0", "2: a NUL character", "remove it"),
        (b"select '\xff';", "1: not UTF-8", "as UTF-8"),
        (
            b"select 1;\ncreate index concurrently i on t (a);",
            "2: `create index concurrently` has to be in a file of its own",
            "inv migrate.new",
        ),
    ],
)
@pytest.mark.parametrize("version", ["1", "3"])
def test_file_that_a_push_would_refuse_is_told_as_that(
    settings: Settings, version: str, text: bytes, what: str, way_out: str
) -> None:
    """A pending file that cannot be pushed is told with its line, not with the advice to push."""
    path = settings.migrations_dir / f"{version}_m.sql"
    path.write_bytes(text)
    (settings.migrations_dir / "2_m.sql").write_text("select 1", encoding="utf-8")
    found = listed(settings, HistoryRow("2", "m", ("select 1",)))
    (told,) = problems(found, settings)
    assert told.label == f"{version}_m"
    assert told.what.startswith(f"supabase/migrations/{path.name}:{what}")
    assert way_out in told.next_step


def test_unedited_and_cosmetic_are_applied(settings: Settings) -> None:
    """A cosmetic edit is applied with a note; a history without statements says nothing."""
    for version in ("1", "2", "3"):
        (settings.migrations_dir / f"{version}_m.sql").write_text(FILE, encoding="utf-8")
    found = listed(
        settings,
        HistoryRow("1", "m", tuple(STORED)),
        HistoryRow("2", "other", ("create table public.teams ( id int )", "select 'a;  b'")),
        HistoryRow("3", "", None),
    )
    assert {each.state for each in found.migrations} == {MigrationState.APPLIED}
    assert [each.note for each in found.migrations] == [
        "",
        "edited since, in comments and white space only; applied as other",
        "",
    ]
    assert not found.needs_a_look
