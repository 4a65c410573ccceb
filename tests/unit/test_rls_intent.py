"""What ``rls.toml`` may say, and how what it may not say is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from riptide.errors import ConfigError
from riptide.rls.intent import OPERATIONS, Intent, TableIntent, nearest, read_intent

PROJECT = Path(__file__).resolve().parents[2] / "supabase" / "rls.toml"


def read(folder: Path, text: str) -> Intent:
    """Write the text as rls.toml and read it."""
    path = folder / "rls.toml"
    path.write_text(text, encoding="utf-8")
    return read_intent(path)


def table(folder: Path, text: str) -> TableIntent:
    """Read a file that declares one table."""
    [only] = read(folder, text).tables
    return only


def refused(folder: Path, text: str) -> ConfigError:
    """Read a file that is refused; nothing else may be raised."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert caught.value.exit_code == 2
    assert caught.value.next_step
    return caught.value


def test_an_owner_is_enough(tmp_path: Path) -> None:
    """By default users have their own rows, anon nothing, the service role all."""
    notes = table(tmp_path, '[tables.notes]\nowner = "user_id"\n')
    assert notes.full_name == "public.notes"
    assert notes.owner == "user_id"
    for role, word in (("authenticated", "own"), ("anon", "none"), ("service_role", "all")):
        rules = notes.rules[role]  # type: ignore[index]
        assert dict(rules.words) == dict.fromkeys(OPERATIONS, word)
        assert rules.update_columns is None


def test_every_word_can_be_said_for_every_role(tmp_path: Path) -> None:
    """Words and columns beside the owner are for signed-in users, in a section for that role."""
    notes = table(
        tmp_path,
        '[tables."app.notes"]\nowner = "id"\nselect = "all"\ninsert = "none"\n'
        'update_columns = ["body"]\n'
        '[tables."app.notes".anon]\nselect = "all"\n'
        '[tables."app.notes".service_role]\ndelete = "none"\n'
        '[tables."app.notes".authenticated]\ndelete = "none"\n'
        '[tables."app.notes".row]\nkind = "a"\n',
    )
    assert notes.full_name == "app.notes"
    assert dict(notes.rules["authenticated"].words) == {
        "select": "all",
        "insert": "none",
        "update": "own",
        "delete": "none",
    }
    assert notes.rules["authenticated"].update_columns == ("body",)
    assert notes.rules["anon"].words["select"] == "all"
    assert notes.rules["service_role"].words["delete"] == "none"
    assert notes.row == {"kind": "a"}


def test_a_table_without_owners_needs_no_owner(tmp_path: Path) -> None:
    """Where no word is own there need not be an owner."""
    words = "".join(f'{each} = "none"\n' for each in OPERATIONS)
    assert table(tmp_path, f"[tables.countries]\n{words}").owner is None


def test_the_project_declares_its_three_tables() -> None:
    """The project's own file is read, and says whose rows they are."""
    found = {each.full_name: each.owner for each in read_intent(PROJECT).tables}
    assert found == {
        "public.profiles": "id",
        "public.api_tokens": "user_id",
        "public.user_sessions": "user_id",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tables = 3\n", "is not a table of tables"),
        ("x = 1\n", "rls.toml:1: [x] is not known"),
        ("[table.notes]\n", "rls.toml:1: [table] is not known; did you mean tables?"),
        ("x = 1\n[tables.notes\n", "rls.toml:2: not valid TOML"),
        ('[tables.notes]\nowner = "id\n', "rls.toml:2: not valid TOML"),
        ("[tables]\nnotes = 1\n", "is not a table of settings"),
        ("[tables.notes]\n\nowner = 7\n", "rls.toml:3: [tables.notes] owner must be a column"),
        ('[tables.notes]\nowner = ""\n', "must be a column's name"),
        ('[tables.notes]\nownr = "id"\n', "rls.toml:2: [tables.notes] ownr is not known; did you"),
        (
            '[tables.notes]\nowner = "id"\nselect = "owner"\n',
            "rls.toml:3: [tables.notes] select is 'owner'; it must be own, all or none; did you",
        ),
        ('[tables.notes]\nowner = "id"\nselect = true\n', "select is True; it must be own"),
        ('[tables.notes]\nselect = "all"\n', 'say owner = "<column>"'),
        (
            '[tables.notes]\nowner = "id"\n[tables.notes.anon]\nselect = "own"\n',
            'rls.toml:4: [tables.notes.anon] select is "own", but anon owns no row',
        ),
        ('[tables.notes]\nowner = "id"\nanon = "none"\n', "must be a section [tables.notes.anon]"),
        ('[tables.notes]\nowner = "id"\nrow = 1\n', "must be a section of column = value"),
        (
            '[tables.notes]\nowner = "id"\n[tables.notes.anon]\nowner = "id"\n',
            "[tables.notes.anon] owner is not known",
        ),
        (
            '[tables.notes]\nowner = "id"\nselect = "all"\nauthenticated.select = "own"\n',
            "stands in [tables.notes] as well",
        ),
        ('[tables.notes]\nowner = "id"\nupdate_columns = []\n', 'for none say update = "none"'),
        ('[tables.notes]\nowner = "id"\nupdate_columns = "body"\n', "must be a list of columns"),
        ('[tables.notes]\nowner = "id"\ninsert_columns = []\n', 'for none say insert = "none"'),
        ('[tables.notes]\nowner = "id"\nset_once = "done_at"\n', "must be a list of columns"),
        (
            '[tables.notes]\nowner = "id"\n[tables."public.notes"]\nowner = "id"\n',
            "declares public.notes a second time",
        ),
    ],
)
def test_what_it_may_not_say_is_named(text: str, words: str, tmp_path: Path) -> None:
    """A wrong file is refused in words that say where and what, before anything is tried."""
    assert words in str(refused(tmp_path, text))


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "[tables]\n"])
def test_no_file_or_no_section_declares_nothing(tmp_path: Path, text: str | None) -> None:
    """A project that has not said anything yet declares no table, and that is no error."""
    if text is not None:
        (tmp_path / "rls.toml").write_text(text, encoding="utf-8")
    assert read_intent(tmp_path / "rls.toml").tables == ()


def test_a_byte_order_mark_and_windows_lines_are_read_over(tmp_path: Path) -> None:
    """What an editor on Windows writes is read, and lines are counted as ever."""
    path = tmp_path / "rls.toml"
    path.write_bytes(b'\xef\xbb\xbf[tables.notes]\r\nowner = "id"\r\n')
    intent = read_intent(path)
    assert [each.full_name for each in intent.tables] == ["public.notes"]
    assert "rls.toml:2: " in str(intent.error("tables.notes", "owner", "is wrong"))


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the place of the first wrong byte."""
    (tmp_path / "rls.toml").write_bytes(b'[tables.notes]\nowner = "\xe9"\n')
    with pytest.raises(ConfigError, match=r"not UTF-8 \(byte 24\)"):
        read_intent(tmp_path / "rls.toml")


def test_nearest_offers_nothing_where_nothing_is_near() -> None:
    """Only a similar name is offered."""
    assert nearest("profile", ["profiles", "teams"]) == "; did you mean profiles?"
    assert nearest("xyz", ["profiles", "teams"]) == ""


def test_what_a_key_may_reveal_has_a_reason(tmp_path: Path) -> None:
    """Columns under reveals each say why it does no harm; without that it is refused."""
    people = '[tables.people]\nowner = "id"\n'
    assert table(tmp_path, people).reveals == {}
    told = table(tmp_path, people + '[tables.people.reveals]\nhandle = "names are public"\n')
    assert told.reveals == {"handle": "names are public"}
    for wrong in ('handle = " "', "handle = true"):
        error = refused(tmp_path, people + f"[tables.people.reveals]\n{wrong}\n")
        assert "why it does no harm" in error.message
    assert "[tables.people] reveals" in refused(tmp_path, people + "reveals = 1\n").message
