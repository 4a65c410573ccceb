"""`inv migrate.rollback` and `inv migrate.restore` as a person runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from _inv import inv

if TYPE_CHECKING:
    from _database import Database

ONE = "create table public.one (id int primary key, name text);"


def run(db: Database, *words: str) -> tuple[int, str]:
    """Run `inv`; give its exit code and all that it printed."""
    process = inv(db.settings, *words)
    output, _ = process.communicate(timeout=120)
    assert "Traceback" not in output
    assert "\x1b[" not in output
    return process.returncode, output


def test_the_whole_way(db: Database) -> None:
    """From a refusal through --dry to a rollback, a push by the CLI, and the rows being back."""
    db.migration(1, ONE, "drop table public.one;")
    assert run(db, "migrate.push")[0] == 0
    db.sql("insert into public.one values (1, 'x'), (2, null)")

    code, output = run(db, "migrate.rollback")
    assert code == 3
    assert "error: 2 rows would be lost\n  public.one: 2 rows in a table that goes\n" in output
    assert "next:  inv migrate.rollback --allow-data-loss" in output
    for words in (("--dry", "migrate.rollback"), ("migrate.rollback", "--dry-run", "--to", "0")):
        code, output = run(db, *words)
        assert code == 3
        assert "would take back 20250101000000_m\n  drops table public.one with 2 rows\n" in output
        assert "without --dry-run this is refused: 2 rows would be lost" in output
    code, output = run(db, "migrate.rollback", "--dry-run", "--allow-data-loss", "--json")
    assert code == 0
    told = json.loads(output[output.index("{\n") :])
    assert (told["dry_run"], told["saved_to"]) == (True, None)
    assert told["migrations"][0]["lost"] == [
        {"table": "public.one", "kind": "table", "rows": 2, "columns": [], "last_value": None}
    ]
    lost = told["migrations"][0]["lost"]
    code, output = run(db, "migrate.rollback", "--json")
    told, _ = json.JSONDecoder().raw_decode(output[output.index("{\n") :])
    assert (code, told["rolled_back"], told["refused"]) == (3, [], "2 rows would be lost")
    assert told["migrations"][0]["lost"] == lost
    assert "error: 2 rows would be lost\n" in output
    assert db.tables() == {"one"}

    code, output = run(db, "migrate.rollback", "--allow-data-loss")
    assert code == 0
    folder = output.partition("inv migrate.restore ")[2].split()[0]
    assert "rows saved in supabase/.temp/rollback/" in output
    code, output = run(db, "migrate.restore", folder)
    assert (code, "table public.one is not there" in output) == (1, True)
    assert run(db, "migrate.push")[0] == 0
    assert "put the rows of" in run(db, "--dry", "migrate.restore", folder)[1]
    code, output = run(db, "migrate.restore", folder)
    assert (code, "public.one: 2 put back (of 2 saved)" in output) == (0, True)
    assert db.sql("select * from public.one order by 1") == [(1, "x"), (2, None)]
    code, output = run(db, "migrate.restore", folder, "--json")
    assert json.loads(output[output.index("{\n") :])["tables"][0]["present"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("migrate.rollback", "--steps", "1", "--to", "0"), "--steps and --to cannot both"),
        (
            ("migrate.rollback", "--lock-wait", "soon"),
            "--lock-wait takes seconds, more than 0, not 'soon'",
        ),
        (("migrate.rollback", "--lock-timeout", "0"), "--lock-timeout takes seconds, more than 0"),
        (("migrate.rollback", "--to", "x"), "--to takes a version"),
        (("migrate.rollback", "--to", ""), "--to was given an empty text"),
        (("migrate.rollback", "--steps", ""), "--steps was given an empty text"),
        (("migrate.rollback", "--target", ""), "--target was given an empty text"),
        (("migrate.rollback", "--target", "linked"), "needs its URL"),
        (("migrate.restore", "nowhere"), "there is no folder 'nowhere'"),
        (("migrate.restore", "x", "--existing", "merge"), "--existing takes refuse, keep"),
    ],
)
def test_bad_input(db: Database, words: tuple[str, ...], message: str) -> None:
    """Bad input is used wrongly, in the one form."""
    code, output = run(db, *words)
    assert code == 2, output
    assert message in output


def test_remote_is_asked_about(db: Database) -> None:
    """A database that is not local is not touched where nobody can be asked."""
    db.given(1, ONE, "drop table public.one;")
    code, output = run(db, "migrate.rollback", "--target", db.settings.local_db_url)
    assert (code, "There is no terminal to answer from" in output) == (2, True)
    code, output = run(db, "migrate.rollback", "--target", db.settings.local_db_url, "--yes")
    assert code == 0, output
    assert db.applied() == []
