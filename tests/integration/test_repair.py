"""migrate.repair: a diagnosis for every way in which history and files come apart."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest
from _database import record
from _inv import inv

from riptide import (
    ConfigError,
    diagnose_history,
    list_migrations,
    open_stack,
    repair_history,
)
from riptide.results import Cause, Diagnosis, MigrationState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from riptide.settings import Settings

ONE, TWO, THREE = "20250101000000", "20250102000000", "20250103000000"


@pytest.fixture(scope="module")
def stack(make_project: Callable[..., Settings]) -> Settings:
    """Give a project of this module's own, its stack started."""
    settings = make_project()
    open_stack(settings).start()
    return settings


@pytest.fixture
def pushed(stack: Settings) -> Iterator[Settings]:
    """Give it with three migrations applied, and empty it afterwards."""
    record(stack, *(write(stack, each, f"t{each[7]}") for each in (ONE, TWO, THREE)))
    yield stack
    for path in stack.migrations_dir.iterdir():
        path.unlink()
    subprocess.run(["rm", "-rf", str(stack.root / ".git")], check=True)
    with psycopg.connect(stack.local_db_url, autocommit=True) as connection:
        connection.execute(
            "drop schema supabase_migrations cascade; drop table if exists "
            "public.t1, public.t2, public.t3"
        )


def write(settings: Settings, version: str, name: str, text: str | None = None) -> Path:
    """Write a migration that makes a table of its name."""
    path = settings.migrations_dir / f"{version}_{name}.sql"
    path.write_text(text or f"-- {name}\ncreate table if not exists public.{name} (id bigint);\n")
    return path


def file(settings: Settings, version: str) -> Path:
    """Give the file of a version."""
    return next(settings.migrations_dir.glob(f"{version}_*.sql"))


def only(settings: Settings) -> Diagnosis:
    """Give the one problem there is."""
    (found,) = diagnose_history(settings=settings).problems
    return found


def carry_out(settings: Settings, told: Diagnosis) -> None:
    """Run the repairs that a diagnosis proposes, as a person would."""
    for command in told.commands:
        words = command.split()
        assert words[:2] == ["inv", "migrate.repair"], command
        running = inv(settings, *words[1:], "--yes")
        shown = running.communicate()[0]
        assert running.returncode == 0, shown


def git(settings: Settings, *words: str) -> None:
    """Run git in the project."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=settings.root, check=True, capture_output=True)


def commit_all(settings: Settings, words: str) -> None:
    """Commit what the migrations' folder holds."""
    git(settings, "add", "-A", "supabase/migrations")
    git(settings, "commit", "-m", words, "--allow-empty")


def test_all_well(pushed: Settings) -> None:
    """What matches, and what is merely pending, is no problem."""
    write(pushed, "20250104000000", "t4")
    found = diagnose_history(settings=pushed)
    assert found.ok
    assert found.matching == 3
    assert found.summary == "3 versions match, all well"


def test_a_renamed_file(pushed: Settings) -> None:
    """The same statements under another version are a renamed file; its two commands mend it."""
    file(pushed, TWO).rename(pushed.migrations_dir / "20250102120000_renamed.sql")
    told = only(pushed)
    assert told.cause is Cause.RENAMED
    assert told.versions == (TWO, "20250102120000")
    carry_out(pushed, told)
    assert diagnose_history(settings=pushed).ok
    states = {each.state for each in list_migrations(settings=pushed).migrations}
    assert states == {MigrationState.APPLIED}


def test_a_squash(pushed: Settings) -> None:
    """Several versions whose statements are all in one new file are a squash."""
    paths = [file(pushed, each) for each in (ONE, TWO, THREE)]
    text = "".join(each.read_text() for each in paths)
    for each in paths:
        each.unlink()
    write(pushed, "20250105000000", "all", text)
    told = only(pushed)
    assert told.cause is Cause.SQUASHED
    assert told.versions == (ONE, TWO, THREE, "20250105000000")
    carry_out(pushed, told)
    assert diagnose_history(settings=pushed).ok


def test_a_squash_by_the_cli(pushed: Settings) -> None:
    """What `supabase migration squash` leaves (all in the newest file, in other words) is known."""
    for version in (ONE, TWO):
        file(pushed, version).unlink()
    file(pushed, THREE).write_text('CREATE TABLE "public"."t1" ("id" bigint); -- and so on')
    told = only(pushed)
    assert told.cause is Cause.SQUASHED
    assert told.versions == (ONE, TWO, THREE)
    carry_out(pushed, told)
    assert diagnose_history(settings=pushed).ok


def test_a_file_on_another_branch(pushed: Settings) -> None:
    """A file that git has on a branch is told with the branch's name and how to get it."""
    kept = file(pushed, THREE)
    text = kept.read_text()
    kept.unlink()
    git(pushed, "init", "-b", "main")
    commit_all(pushed, "two")
    git(pushed, "checkout", "-b", "feature/three")
    kept.write_text(text)
    commit_all(pushed, "three")
    git(pushed, "checkout", "main")
    told = only(pushed)
    assert told.cause is Cause.BRANCH
    assert "feature/three" in told.message
    assert told.commands == (f"git checkout feature/three -- supabase/migrations/{kept.name}",)
    git(pushed, *told.commands[0].split()[1:])
    assert diagnose_history(settings=pushed).ok


def test_a_deleted_file(pushed: Settings) -> None:
    """A file that was deleted here comes back from the commit that had it."""
    git(pushed, "init", "-b", "main")
    commit_all(pushed, "all")
    file(pushed, TWO).unlink()
    commit_all(pushed, "less")
    told = only(pushed)
    assert told.cause is Cause.DELETED
    git(pushed, *told.commands[0].split()[1:])
    assert diagnose_history(settings=pushed).ok


def test_a_teammates_migration(pushed: Settings) -> None:
    """A version newer than every file, which git does not know, is a teammate's."""
    file(pushed, THREE).unlink()
    told = only(pushed)
    assert told.cause is Cause.BRANCH
    assert told.commands[0] == "git fetch --all"
    assert told.commands[1].endswith(f"--versions {THREE} --status reverted")


def test_a_file_that_nobody_knows(pushed: Settings) -> None:
    """An older version without a file, which git does not know, gets no story."""
    file(pushed, TWO).unlink()
    told = only(pushed)
    assert told.cause is Cause.UNKNOWN
    carry_out(pushed, told)
    assert diagnose_history(settings=pushed).ok


def test_another_projects_database(pushed: Settings) -> None:
    """No version in common is another project's database; nothing is proposed to be recorded."""
    for version in (ONE, TWO, THREE):
        file(pushed, version).unlink()
    write(pushed, "20240101000000", "other")
    told = only(pushed)
    assert told.cause is Cause.ANOTHER_PROJECT
    assert not any("repair" in each for each in told.commands)


def test_an_edited_file(pushed: Settings) -> None:
    """An edited file is told, with the commit that has it as it was applied, where there is one."""
    path = file(pushed, TWO)
    kept = path.read_text()
    path.write_text(kept.replace("bigint", "text"))
    told = only(pushed)
    assert told.cause is Cause.EDITED
    assert told.versions == (TWO,)
    assert told.commands[0] == "inv migrate.status --diff"
    path.write_text(kept)
    git(pushed, "init", "-b", "main")
    commit_all(pushed, "as applied")
    path.write_text(kept.replace("bigint", "text"))
    commit_all(pushed, "edited")
    told = only(pushed)
    assert "has it as applied" in told.message
    git(pushed, *told.commands[0].split()[1:])
    assert diagnose_history(settings=pushed).ok
    path.write_text(kept.replace("bigint", "text"))
    repair_history([TWO], status="applied", settings=pushed)
    assert diagnose_history(settings=pushed).ok


def test_a_file_that_was_merged_late(pushed: Settings) -> None:
    """A file that is older than what is applied is told with the flag that applies it."""
    write(pushed, "20250101120000", "late")
    told = only(pushed)
    assert told.cause is Cause.LATE
    assert told.commands == ("inv migrate.push --include-all",)


def test_requests_that_cannot_be_meant(pushed: Settings) -> None:
    """A repair names versions that are there, and what to record them as."""
    for versions, status, words in (
        ([], "applied", "needs the versions"),
        ([ONE], "", "needs --status"),
        ([ONE], "done", "takes applied or reverted"),
        (["abc"], "applied", "is no version"),
        (["20990101000000"], "applied", "no file for 20990101000000"),
        (["20990101000000"], "reverted", "does not have 20990101000000"),
    ):
        with pytest.raises(ConfigError, match=words):
            repair_history(versions, status=status, settings=pushed)
    assert diagnose_history(settings=pushed).ok


def test_task_asks_and_exits(pushed: Settings) -> None:
    """The diagnosis exits with 3 on a problem; a repair without a yes changes nothing."""
    file(pushed, THREE).unlink()
    running = inv(pushed, "migrate.repair")
    shown = running.communicate()[0]
    assert running.returncode == 3
    assert "on a branch" in shown
    assert "1 problem" in shown
    running = inv(pushed, "migrate.repair", "--versions", THREE, "--status", "reverted")
    assert "no terminal to answer from" in running.communicate()[0]
    assert running.returncode == 2
    assert only(pushed).versions == (THREE,)
