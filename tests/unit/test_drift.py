"""Files held to what was applied of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from riptide.database import HistoryRow
from riptide.migrations.drift import Edit, difference, edit_of
from riptide.migrations.files import scan
from riptide.migrations.history import join, problems
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
    told = problems(found)
    assert [each.label for each in told] == ["1_m", "2_gone", "3_m", "5_m"]
    assert all(each.next_step for each in told)
    assert "inv migrate.push" in told[3].next_step


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
