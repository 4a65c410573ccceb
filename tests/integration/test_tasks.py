"""The tasks as a person runs them: a real `inv`, what it prints and what it exits with."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from riptide import apply_migrations, open_stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = len(list((ROOT / "supabase" / "migrations").glob("*.sql")))
NEWEST = max(path.stem for path in (ROOT / "supabase" / "migrations").glob("*.sql"))
TASKS = "from riptide.tasks import namespace\n\nns = namespace()\n"


@dataclass(frozen=True)
class Ran:
    """What an `inv` came to."""

    code: int
    out: str
    err: str


class Inv:
    """Runs `inv` in a project's folder, as from a script: no terminal."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        (settings.root / "tasks.py").write_text(TASKS, encoding="utf-8")

    def start(self) -> None:
        """Start the stack, without a command's start."""
        open_stack(self.settings).start()

    def push(self) -> None:
        """Apply what is pending, likewise."""
        apply_migrations(settings=self.settings)

    def __call__(self, *words: str, cwd: Path | None = None, **environ: str) -> Ran:
        """Run it and wait; no traceback and no control codes may be in what it prints."""
        config = self.settings.config
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=cwd or self.settings.root,
            env={
                **os.environ,
                "RIPTIDE_STACK": "embedded",
                "SUPABASE_API_PORT": str(config.api_port),
                "SUPABASE_DB_PORT": str(config.db_port),
                **environ,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert "\x1b[" not in done.stdout + done.stderr, "control codes in what is piped"
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def inv(make_project: Callable[..., Settings]) -> Inv:
    """Give an `inv` for a project with RipTide's schema and a stack of its own."""
    return Inv(make_project(schema=True))


def test_the_whole_way(make_project: Callable[..., Settings]) -> None:
    """From `up` to `down`: what each task says and exits with."""
    inv = Inv(make_project(schema=True))
    first = inv("up")
    assert first.code == 0, first.err
    assert "20260101000000_create_profiles" in first.out
    assert "proved: " in first.out
    second = inv("up")
    assert second.code == 0
    assert "everything was up already; nothing was changed" in second.out
    assert "nothing: up to date" in second.out

    status = inv("migrate")
    assert status.code == 0
    assert f"{MIGRATIONS} applied" in status.out
    assert inv("migrate.list").out == status.out
    assert inv("migrate.status", "--check").code == 0

    matrix = inv("rls.verify")
    assert matrix.code == 0
    assert "public.api_tokens" in matrix.out

    back = inv("migrate.rollback")
    assert (back.code, f"took back {NEWEST}" in back.out) == (0, True)
    pending = inv("migrate.status", "--check")
    assert (pending.code, "1 pending" in pending.out) == (3, True)
    dry = inv("migrate.push", "--dry-run")
    assert f"would apply {NEWEST}.sql" in dry.out
    pushed = inv("migrate.push")
    assert (pushed.code, "applied 1 migration" in pushed.out) == (0, True)

    reset = inv("migrate.reset", "--yes")
    assert (reset.code, f"replayed {MIGRATIONS} migrations, ran 1 seed" in reset.out) == (
        0,
        True,
    ), reset.err
    down = inv("down")
    assert (down.code, "stopped" in down.out) == (0, True)
    assert not open_stack(inv.settings).status().pids


def test_new_project_from_nothing(make_project: Callable[..., Settings]) -> None:
    """An empty project comes up; its first undeclared table is named, and exits with 3."""
    inv = Inv(make_project())
    empty = inv("up")
    assert (empty.code, "so nothing was proved" in empty.out) == (0, True), empty.err
    verified = inv("rls.verify")
    assert (verified.code, "so nothing was proved" in verified.out) == (0, True), verified.err
    inv("migrate.new", "create_teams")
    (path,) = inv.settings.migrations_dir.glob("*_create_teams.sql")
    path.write_text(
        "create table public.teams (id uuid primary key default gen_random_uuid(), "
        "user_id uuid not null references auth.users on delete cascade);\n"
        "alter table public.teams enable row level security;\n",
        encoding="utf-8",
    )
    undeclared = inv("up")
    assert undeclared.code == 3
    assert "undeclared public.teams: not verified" in undeclared.out
    assert 'add [tables.teams] with owner = "<column>"' in undeclared.out


def test_json_is_one_object_on_stdout(inv: Inv) -> None:
    """--json prints exactly one JSON object, without any of the API's keys and secrets."""
    inv.start()
    status = open_stack(inv.settings).status()
    secrets = {each.name: getattr(status, each.name) for each in fields(status) if each.metadata}
    assert len(secrets) == 5
    assert all(secrets.values())
    for words in (("stack.start",), ("migrate.push",), ("migrate.status",), ("stack.status",)):
        ran = inv(*words, "--json")
        assert ran.code == 0, ran.err
        json.loads(ran.out)
        assert [name for name, value in secrets.items() if value in ran.out] == []
    printed = inv("rls.verify", "--json").out
    assert [name for name, value in secrets.items() if value in printed] == []
    report = json.loads(printed)
    assert report["ok"] is True
    assert {check["verdict"] for check in report["checks"]} == {"ok"}


def test_json_of_what_changes_migrations(make_project: Callable[..., Settings]) -> None:
    """--json prints one JSON object also of what writes files, history or the whole database."""
    inv = Inv(make_project())
    inv.start()

    def answer(*words: str) -> Any:
        ran = inv(*words, "--json")
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    assert answer("migrate.init")["root"] == str(inv.settings.root)
    made = answer("migrate.new", "create_notes")
    for path in (made["path"], made["rollback_path"]):
        Path(path).write_text("select 1;\n", encoding="utf-8")
    assert answer("migrate.reset", "--yes")["applied"] == [Path(made["path"]).name]
    assert answer("migrate.repair")["problems"] == []
    assert answer("migrate.diff", "by_hand")["path"] is None


def test_output_that_the_reader_s_encoding_lacks(inv: Inv) -> None:
    """A stream that cannot show a table's lines (cp1252 on Windows) still gets the table."""
    inv.start()
    for encoding in ("ascii", "cp1252"):
        ran = inv("migrate.status", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert (ran.code, "create_profiles" in ran.out) == (0, True), ran


def test_env_is_for_a_shell(inv: Inv) -> None:
    """`stack.status --env` prints NAME="value" lines; of a stopped stack it is an error."""
    inv.start()
    lines = dict(line.split("=", 1) for line in inv("stack.status", "--env").out.splitlines())
    assert lines["SUPABASE_URL"] == f'"http://127.0.0.1:{inv.settings.config.api_port}"'
    assert lines["SUPABASE_SECRET_KEY"].startswith('"sb_secret_')
    inv("down")
    stopped = inv("stack.status", "--env")
    assert (stopped.code, stopped.out) == (1, "")
    assert "next:  inv stack.start" in stopped.err


def test_failing_migration_in_the_error_s_form(inv: Inv) -> None:
    """A migration that fails is told in the one form, with exit code 1."""
    inv.start()
    inv.push()
    bad = inv.settings.migrations_dir / "20990101000000_bad.sql"
    bad.write_text("select 1;\nselect * from nope\n", encoding="utf-8")
    try:
        ran = inv("migrate.push")
    finally:
        bad.unlink()
    assert ran.code == 1
    assert ran.err.splitlines()[-5:] == [
        'error: 20990101000000_bad.sql:2: relation "nope" does not exist (42P01)',
        "   2 │ select * from nope",
        "     │               ^",
        "state: nothing of this file was applied; 0 of 1 migration applied",
        "next:  mend the file, then `inv migrate.push`",
    ]


def test_leak_exits_with_3(inv: Inv) -> None:
    """A table whose policy lets everybody in: the matrix names it, and the exit code is 3."""
    import psycopg

    inv.start()
    inv.push()
    with psycopg.connect(inv.settings.local_db_url, autocommit=True) as connection:
        connection.execute(
            "create policy hole on public.api_tokens for select to authenticated using (true)"
        )
        try:
            ran, up = inv("rls.verify"), inv("up")
        finally:
            connection.execute("drop policy hole on public.api_tokens")
    assert (ran.code, "LEAK" in ran.out) == (3, True)
    assert (up.code, "NOT PROVED: " in up.out) == (3, True)


def test_dry_changes_nothing(inv: Inv) -> None:
    """`inv --dry` prints the commands of each task that would change something, and runs none."""
    before = sorted(inv.settings.supabase_dir.rglob("*.sql"))
    inv("down")
    for words, expected in {
        ("up",): "supabase db push",
        ("stack.start",): "postgres -D",
        ("stack.stop", "--delete-data"): "end the gateway and PostgreSQL",
        ("stack.reset",): "delete what was put aside",
        ("migrate.init",): "write supabase/.gitignore",  # all else is there
        ("migrate.new", "add_teams"): "_add_teams.sql",
        ("migrate.push",): "supabase db push --yes",
        ("migrate.reset",): "supabase db push --yes --include-seed",
        ("rls.verify",): "make three users",
    }.items():
        ran = inv("--dry", *words)
        assert ran.code == 0, (words, ran.err)
        assert expected in ran.out, words
    assert not open_stack(inv.settings).status().pids
    assert sorted(inv.settings.supabase_dir.rglob("*.sql")) == before


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("migrate.new", ""), 2, "a migration needs a name"),
        (("migrate.new", "a/../x"), 2, "cannot be a migration's name"),
        (("migrate.new", "create_profiles"), 2, "is taken"),
        (("stack.start", "--backend", "podman"), 2, "no backend 'podman'"),
        (("migrate.status", "--target", "staging"), 2, "not a database URL"),
        (("migrate.push", "--target", "remote"), 2, "URL is not known"),
        (("migrate.reset",), 2, "no terminal to answer from"),
        (("stack.stop", "--delete-data"), 2, "no terminal to answer from"),
        (("migrate.rollback", "--steps", "0"), 2, "cannot be taken back"),
        (("migrate.rollback", "--steps", "x"), 2, "a whole number from 1 on, not 'x'"),
        (("migrate.status", "--target", "postgresql://u:pw@127.0.0.1:1/d"), 1, "cannot be reached"),
    ],
)
def test_bad_input(inv: Inv, words: tuple[str, ...], code: int, message: str) -> None:
    """Bad input gets an error in the one form, the right exit code, and changes nothing."""
    before = sorted(inv.settings.supabase_dir.rglob("*.sql"))
    ran = inv(*words)
    assert ran.code == code, ran
    assert ran.err.startswith("error: ")
    assert message in ran.err
    assert ":pw@" not in ran.err
    assert sorted(inv.settings.supabase_dir.rglob("*.sql")) == before


def test_no_project_here(inv: Inv, tmp_path: Path) -> None:
    """Outside a project every task says so and names the next command."""
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    for words in (("up",), ("stack.status",), ("migrate.push",), ("rls.verify",)):
        ran = inv(*words, cwd=tmp_path)
        assert (ran.code, "no Supabase project" in ran.err) == (2, True)
        assert "next:  inv migrate.init" in ran.err


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (".env", "A=1\nnot a line\n", ".env:2: this line cannot be understood"),
        (".env", "A=1\nB='open\n", ".env:2: this line cannot be understood"),
        ("supabase/config.toml", "[api\n", "config.toml:1: not valid TOML"),
    ],
)
def test_bad_files(
    make_project: Callable[..., Settings], file: str, content: str, message: str
) -> None:
    """A .env or a config.toml that cannot be understood is told with its line."""
    own = Inv(make_project())
    (own.settings.root / file).write_text(content, encoding="utf-8")
    ran = own("stack.status")
    assert (ran.code, message in ran.err) == (2, True), ran


def test_docker_asked_for_without_a_daemon(inv: Inv) -> None:
    """Docker asked for where no daemon answers is an error that names the other backend."""
    ran = inv("stack.start", "--backend", "docker", DOCKER_HOST="tcp://127.0.0.1:1")
    assert ran.code == 1
    assert "no Docker daemon answers" in ran.err


def test_psycopg_without_libpq(inv: Inv) -> None:
    """Where psycopg has no libpq to use, it is said what brings one along."""
    inv.start()
    for words in (
        ("migrate.status",),
        ("migrate.status", "--target", "postgresql://u@127.0.0.1:1/d"),
    ):
        ran = inv(*words, PSYCOPG_IMPL="c")  # as if only that one were there, which it is not
        assert ran.code == 1
        assert ran.err.startswith("error: psycopg finds no libpq")
        assert 'pip install "riptide-supabase[binary]"' in ran.err


def test_unsupported_cli_is_named(inv: Inv, tmp_path: Path) -> None:
    """A CLI of another major version is refused by name before anything is started or emptied."""
    old = tmp_path / "supabase"
    old.write_text("#!/bin/sh\necho 1.200.3\n", encoding="ascii")
    old.chmod(0o755)
    inv.start()
    inv.push()
    assert inv("migrate.rollback").code == 0
    ran = inv("migrate.push", RIPTIDE_SUPABASE_CLI=str(old))
    assert ran.code == 1
    assert "1.200.3" in ran.err
    assert str(old) in ran.err
    assert "state: nothing was applied" in ran.err
    emptied = inv("migrate.reset", "--yes", RIPTIDE_SUPABASE_CLI=str(old))
    assert (emptied.code, "state: nothing was changed" in emptied.err) == (1, True), emptied.err
    left = len(list(inv.settings.migrations_dir.glob("*.sql"))) - 1
    assert f"{left} applied, 1 pending" in inv("migrate.status").out
    inv("down")
    up = inv("up", RIPTIDE_SUPABASE_CLI=str(old))
    assert (up.code, "state: nothing was started" in up.err) == (1, True), up.err
    assert not open_stack(inv.settings).status().pids


def test_taken_port(make_project: Callable[..., Settings]) -> None:
    """A taken port is named with the program that takes it."""
    own = Inv(make_project())
    with socket.create_server(("127.0.0.1", own.settings.config.db_port)):
        ran = own("up")
    assert ran.code == 1
    assert f"port {own.settings.config.db_port} is taken by" in ran.err
    assert f"pid {os.getpid()}" in ran.err
