"""The Supabase CLI's command lines and answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from riptide.cli import SupabaseCLI, failure, parse, target_flags
from riptide.errors import CommandError, DatabaseError
from riptide.runner import Completed, SubprocessRunner
from riptide.target import Target

if TYPE_CHECKING:
    from pytest_subprocess import FakeProcess

    from riptide.settings import Settings

REMOTE = Target(kind="remote", url="postgresql://postgres:s3cret@db.example.com:5432/postgres")


@pytest.fixture
def cli(settings: Settings) -> SupabaseCLI:
    """Give a CLI whose processes are mocked."""
    return SupabaseCLI(Path("/bin/supabase"), settings, SubprocessRunner())


def tail(settings: Settings) -> list[str]:
    """Give the flags that every command ends with."""
    return ["--output-format=json", f"--workdir={settings.root}"]


def test_push_argv_for_each_flag(cli: SupabaseCLI, settings: Settings) -> None:
    """Each option of a push is the CLI's own flag, and nothing else."""
    push = ["/bin/supabase", "db", "push", "--yes"]
    assert cli.push_argv() == [*push, *tail(settings)]
    assert cli.push_argv(dry_run=True) == [*push, "--dry-run", *tail(settings)]
    assert cli.push_argv(include_all=True) == [*push, "--include-all", *tail(settings)]
    assert cli.push_argv(include_seed=True) == [*push, "--include-seed", *tail(settings)]


def test_other_argv(cli: SupabaseCLI, settings: Settings) -> None:
    """Every other command has exactly the words that CLI 3 documents."""
    program, end = "/bin/supabase", tail(settings)
    assert cli.init_argv() == [program, "init", f"--workdir={settings.root}"]
    assert cli.list_argv() == [program, "migration", "list", *end]
    advisors = ["--type=all", "--level=info", "--fail-on=none"]
    assert cli.advisors_argv() == [program, "db", "advisors", *advisors, *end]
    gen = [program, "gen", "types", "--lang=python", "--schema=public", "--schema=other"]
    local = f"--remote={settings.local_db_url}"
    assert cli.types_argv(["public", "other"]) == [*gen, local, *end]
    assert cli.start_argv() == [program, "start", *end]
    assert cli.status_argv() == [program, "status", *end]
    assert cli.stop_argv() == [program, "stop", *end]
    assert cli.stop_argv(delete_data=True) == [program, "stop", "--no-backup", *end]
    assert cli.reset_argv() == [program, "db", "reset", "--yes", *end]
    assert cli.reset_argv(seed=False) == [program, "db", "reset", "--yes", "--no-seed", *end]


@pytest.mark.parametrize(
    ("target", "flags"),
    [
        (Target(), []),
        (Target(kind="linked"), ["--remote"]),
        (REMOTE, ["--remote=postgresql://postgres@db.example.com:5432/postgres"]),
    ],
)
def test_target_flags(target: Target, flags: list[str]) -> None:
    """Local is the default and has no flag; all else is --remote, and shows no password."""
    assert target_flags(target) == flags


def test_password_goes_by_the_environment(settings: Settings) -> None:
    """The CLI is given a remote database's password where other users cannot read it."""
    remote = SupabaseCLI(Path("s"), replace(settings, target=REMOTE), SubprocessRunner())
    assert remote.environment()["PGPASSWORD"] == "s3cret"
    assert "s3cret" not in " ".join(remote.push_argv())
    local = SupabaseCLI(Path("s"), settings, SubprocessRunner())
    assert "PGPASSWORD" not in local.environment()


def test_session_settings_are_pgoptions(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's settings reach PostgreSQL, after the caller's own; a pooler gets none."""
    wanted = {"lock_timeout": "5s", "x.y": "1"}

    def options(target: Target) -> str | None:
        cli = SupabaseCLI(Path("s"), replace(settings, target=target), SubprocessRunner())
        return cli.environment(wanted).get("PGOPTIONS")

    monkeypatch.delenv("PGOPTIONS", raising=False)
    assert options(settings.target) == "-c lock_timeout=5s -c x.y=1"
    monkeypatch.setenv("PGOPTIONS", "-c a.b=2")
    assert options(REMOTE) == "-c a.b=2 -c lock_timeout=5s -c x.y=1"
    assert options(Target(kind="linked")) is None
    assert options(Target(kind="remote", url="postgresql://u:p@pooler.example.com:6543/db")) is None


def test_run_gives_the_cli_its_ports_and_silences_it(
    cli: SupabaseCLI, settings: Settings, fp: FakeProcess
) -> None:
    """A command gets exactly its argv, the project's ports, and no telemetry."""
    seen: dict[str, Any] = {}
    fp.register(
        cli.list_argv(),
        stdout=json.dumps({"migrations": []}),
        callback=lambda process: seen.update(process.__dict__),
    )
    assert cli.run(cli.list_argv()).data == {"migrations": []}
    assert list(fp.calls) == [cli.list_argv()]
    assert cli.environment() == {
        "SUPABASE_API_PORT": "54321",
        "SUPABASE_DB_PORT": "54322",
        "SUPABASE_TELEMETRY_DISABLED": "1",
        "DO_NOT_TRACK": "1",
    }


def completed(stdout: str = "", stderr: str = "", code: int = 0) -> Completed:
    """Give a push that ran to its end."""
    return Completed(("supabase", "db", "push"), code, stdout, stderr)


@pytest.mark.parametrize(
    "stdout",
    ['{"a": 1}', 'A new version is there\n{"a": 1}', 'warning\n{\n  "a": 1\n}\n'],
)
def test_parse_finds_the_object(stdout: str) -> None:
    """The JSON object is found behind whatever the CLI says before it."""
    assert parse(completed(stdout)).data == {"a": 1}


@pytest.mark.parametrize("stdout", ["", "Finished.", "[1]", '"text"'])
def test_parse_refuses_success_without_an_object(stdout: str) -> None:
    """Success without a JSON object is an error that shows what was said."""
    with pytest.raises(CommandError, match="not JSON"):
        parse(completed(stdout))


def test_parse_reads_an_error() -> None:
    """The CLI's error object gives code, message without colour, and suggestion."""
    body = {
        "_tag": "Error",
        "error": {"code": "DbPushApplyError", "message": "\x1b[31mno\x1b[0m", "suggestion": "try"},
    }
    answer = parse(completed(json.dumps(body), code=1))
    assert not answer.ok
    assert (answer.error_code, answer.error_message, answer.suggestion) == (
        "DbPushApplyError",
        "no",
        "try",
    )


def test_parse_reads_an_error_that_is_not_json() -> None:
    """A crash of the CLI, told on stderr in words, is kept as the message."""
    assert parse(completed("", "panic: boom", 2)).error_message == "panic: boom"


def test_failure_to_connect_is_a_database_error() -> None:
    """DbConnectError becomes the error that names the stack's start as the next command."""
    body = {"error": {"code": "DbConnectError", "message": "dial error\nmore"}}
    error = failure(parse(completed(json.dumps(body), code=1)), "the push failed")
    assert isinstance(error, DatabaseError)
    assert error.next_step == "inv stack.start"


def test_failure_masks_secrets() -> None:
    """No password of a URL in argv or output gets into the error."""
    done = Completed(
        ("supabase", f"--remote={REMOTE.url}"), 1, "", f"cannot use {REMOTE.url} sb_secret_abcdefgh"
    )
    error = failure(parse(done), "the push failed")
    assert isinstance(error, CommandError)
    for text in (str(error), error.command, error.stderr, error.stdout):
        assert "s3cret" not in text
        assert "abcdefgh" not in text


def test_failure_carries_exit_code_and_suggestion() -> None:
    """Any other failure has the CLI's first line, exit code and advice."""
    body = {"error": {"code": "Odd", "message": "first\nsecond", "suggestion": "do this"}}
    error = failure(parse(completed(json.dumps(body), code=7)), "the push failed")
    assert isinstance(error, CommandError)
    assert error.exit_code_of_command == 7
    assert error.message == "the push failed: first"
    assert error.detail == "  second"
    assert error.next_step == "do this"


def test_remote_target_s_name_has_no_password(settings: Settings) -> None:
    """Neither a target's name nor its repr shows the user's password."""
    remote = replace(settings, target=REMOTE)
    assert remote.target.name == "remote (db.example.com:5432/postgres)"
    assert "s3cret" not in repr(remote)


def test_diff_and_repair_argv(cli: SupabaseCLI, settings: Settings) -> None:
    """A remote password is in no argv, a scratch one is; a repair always names its versions."""
    scratch = Target(kind="scratch", url="postgresql://postgres:postgres@127.0.0.1:5/a")
    end = tail(settings)
    assert cli.diff_argv(scratch, REMOTE) == [
        *("/bin/supabase", "db", "diff", f"--from={scratch.url}"),
        *("--to=postgresql://postgres@db.example.com:5432/postgres", *end),
    ]
    repair = ["/bin/supabase", "migration", "repair", "--status=reverted", "--yes"]
    assert cli.repair_argv("reverted", ["1", "2"]) == [*repair, "1", "2", *end]
    with pytest.raises(ValueError, match="without a version"):
        cli.repair_argv("applied", [])
