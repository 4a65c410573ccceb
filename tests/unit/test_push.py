"""A push: what it runs, what it refuses, how it tells a failure."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from riptide.database import HistoryRow
from riptide.errors import (
    CommandError,
    ConfigError,
    DatabaseError,
    DriftError,
    Interrupted,
    MigrationError,
    RiptideError,
    StackError,
)
from riptide.migrations.durable import MANY
from riptide.migrations.explain import explain
from riptide.migrations.history import join
from riptide.migrations.lock import lockable
from riptide.migrations.plan import digest, identity
from riptide.migrations.push import apply_migrations, require_local_stack
from riptide.migrations.run import Clock
from riptide.results import (
    Migration,
    MigrationList,
    MigrationState,
    PlannedMigration,
    PushPlan,
    StackStatus,
)
from riptide.runner import Completed, SubprocessRunner
from riptide.stack.embedded.stack import EmbeddedStack
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_subprocess import FakeProcess

    from riptide.settings import Settings

APPLIED, PENDING = MigrationState.APPLIED, MigrationState.PENDING


@pytest.fixture(autouse=True)
def cli(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the CLI at a place of the test's own."""
    monkeypatch.setattr("riptide.toolchain.find_cli", lambda *_, **__: Path("/bin/supabase"))
    monkeypatch.setattr("riptide.migrations.push.push_lock", lambda *_, **__: nullcontext())


def files(settings: Settings, *versions: str) -> list[Path]:
    """Write a small migration for each version."""
    paths = []
    for version in versions:
        path = settings.migrations_dir / f"{version}_m{version}.sql"
        path.write_text("select 1;\n", encoding="utf-8")
        paths.append(path)
    return paths


def history(monkeypatch: pytest.MonkeyPatch, settings: Settings, *steps: list[str]) -> None:
    """Let the database's history be each of ``steps`` in turn."""
    from riptide.migrations.files import scan

    turns: Iterator[list[str]] = iter(steps)

    def listed(**_: object) -> MigrationList:
        rows = [HistoryRow(version, "") for version in next(turns)]
        return MigrationList(target="test", migrations=join(scan(settings), rows))

    monkeypatch.setattr("riptide.migrations.push.list_migrations", listed)
    monkeypatch.setattr("riptide.migrations.outcome.applied_versions", lambda *_: next(turns))
    monkeypatch.setattr("riptide.migrations.locked_push.applied_versions", lambda *_: next(turns))
    running = StackStatus(
        backend="embedded",
        running=True,
        services={"database": True},
        db_url=settings.target.url,
    )
    monkeypatch.setattr(EmbeddedStack, "status", lambda self: running)
    monkeypatch.setattr(EmbeddedStack, "kept", lambda self: "it runs in this project")


def argv(settings: Settings, *flags: str) -> list[str]:
    """Give the whole command line of a push."""
    end = ["--output-format=json", f"--workdir={settings.root}"]
    return ["/bin/supabase", "db", "push", "--yes", *flags, *end]


def test_push_runs_exactly_one_command(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push of pending files is one `supabase db push`."""
    files(settings, "1", "2")
    history(monkeypatch, settings, ["1"], ["1"], ["1", "2"])
    fp.register(argv(settings), stdout=json.dumps({"migrations": ["2_m2.sql"], "seeds": []}))
    result = apply_migrations(settings=settings)
    assert list(fp.calls) == [argv(settings)]
    assert result.applied == ("2_m2.sql",)


def test_what_was_planned_is_looked_at_under_the_lock_alone(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a plan of a moment ago has history and files read once more, and not twice."""
    files(settings, "1", "2")
    history(monkeypatch, settings, ["1"], ["1", "2"])
    fp.register(argv(settings), stdout=json.dumps({"migrations": ["2_m2.sql"], "seeds": []}))
    planned = PlannedMigration(file="2_m2.sql", statements=1, sha256=digest("select 1;\n"))
    result = apply_migrations(settings=settings, plan=PushPlan(target="test", files=(planned,)))
    assert result.applied == ("2_m2.sql",)


def test_nothing_to_apply_needs_no_lock(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all is applied nobody is waited for: neither a push nor a CLI that is at work."""
    files(settings, "1")
    history(monkeypatch, settings, ["1"])
    monkeypatch.setattr("riptide.migrations.push.push_lock", lambda *_, **__: pytest.fail("locked"))
    assert apply_migrations(settings=settings).up_to_date
    assert list(fp.calls) == []


def test_a_dry_run_can_be_rehearsed(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rehearsal that is asked for takes place also where nothing is to be applied."""
    files(settings, "1")
    history(monkeypatch, settings, [], [])
    monkeypatch.setattr("riptide.migrations.push._rehearse", lambda *_: 1.5)
    fp.register(argv(settings, "--dry-run"), stdout=json.dumps({"migrations": ["1_m1.sql"]}))
    assert apply_migrations(settings=settings, dry_run=True, rehearse=True).rehearsed == 1.5


def test_push_passes_every_flag(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dry_run, include_all and include_seed are the CLI's own flags."""
    files(settings, "1")
    history(monkeypatch, settings, [], [])
    expected = argv(settings, "--dry-run", "--include-all", "--include-seed")
    fp.register(expected, stdout=json.dumps({"migrations": ["1_m1.sql"], "seeds": ["seed.sql"]}))
    result = apply_migrations(settings=settings, dry_run=True, include_all=True, include_seed=True)
    assert list(fp.calls) == [expected]
    assert result.seeded == ("seed.sql",)


def test_push_with_nothing_pending_runs_nothing(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is pending the CLI is not even started."""
    files(settings, "1")
    history(monkeypatch, settings, ["1"])
    assert apply_migrations(settings=settings).up_to_date
    assert list(fp.calls) == []


@pytest.mark.parametrize(
    ("applied", "message"),
    [(["1", "2", "9"], "no file for"), (["2"], "applied after newer ones")],
)
def test_push_refuses_contradictions_before_the_cli(
    settings: Settings,
    fp: FakeProcess,
    monkeypatch: pytest.MonkeyPatch,
    applied: list[str],
    message: str,
) -> None:
    """History without file, or a file out of order: refused before the CLI is started."""
    files(settings, "1", "2")
    history(monkeypatch, settings, applied, applied)
    with pytest.raises(DriftError, match=message) as caught:
        apply_migrations(settings=settings)
    assert caught.value.state == "nothing was applied to test"
    assert list(fp.calls) == []


def test_push_that_waited_for_another_one_runs_nothing(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another push applied while this one waited is not pushed again."""
    files(settings, "1")
    history(monkeypatch, settings, [], ["1"])
    assert apply_migrations(settings=settings).up_to_date
    assert list(fp.calls) == []


def test_push_that_left_something_out_is_told(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Success is believed only when the history holds what was planned."""
    files(settings, "1")
    history(monkeypatch, settings, [], [], [])
    fp.register(argv(settings), stdout=json.dumps({"migrations": ["1_m1.sql"]}))
    with pytest.raises(DriftError, match="the history lacks 1 migration"):
        apply_migrations(settings=settings)


def test_failure_names_the_file_that_failed(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which file failed is what the CLI was applying, and the state counts what was applied."""
    paths = files(settings, "1", "2", "3")
    history(monkeypatch, settings, [], [], ["1"])
    message = "ERROR: no (SQLSTATE 42P01)\nAt statement: 0\nselect 1"
    fp.register(
        argv(settings),
        stdout=json.dumps({"error": {"code": "DbPushApplyError", "message": message}}),
        stderr="Applying migration 1_m1.sql...\nApplying migration 2_m2.sql...\n",
        returncode=1,
    )
    with pytest.raises(MigrationError) as caught:
        apply_migrations(settings=settings)
    assert (caught.value.file, caught.value.line) == (paths[1], 1)
    assert caught.value.state == (
        "nothing of this file was applied; 1 of 3 migrations applied, nothing of the others"
    )


def test_failure_of_another_kind_is_told_in_the_cli_s_words(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure that is no file's keeps the CLI's message and says what was applied."""
    files(settings, "1")
    history(monkeypatch, settings, [], [], [])
    fp.register(
        argv(settings),
        stdout=json.dumps({"error": {"code": "Other", "message": "disk on fire"}}),
        returncode=1,
    )
    with pytest.raises(CommandError, match="the push failed: disk on fire") as caught:
        apply_migrations(settings=settings)
    assert "0 of 1 migration applied" in (caught.value.state or "")


FILE = """\
create table public.b (id int);

/* block ; */
insert into public.b
values (1),
       (nope);
"""


def error(settings: Settings, message: str, text: str = FILE) -> MigrationError:
    """Explain the CLI's words about a file."""
    path = settings.migrations_dir / "1_b.sql"
    return explain(message, text, path, settings, state="s", next_step="n")


def test_explain_places_the_caret(settings: Settings) -> None:
    """The caret's line is counted from where the statement begins in the file."""
    found = error(
        settings,
        'ERROR: column "nope" does not exist (SQLSTATE 42703)\nAt statement: 1\n'
        "/* block ; */\ninsert into public.b\nvalues (1),\n       (nope)\n        ^",
    )
    assert (found.line, found.sqlstate) == (6, "42703")
    assert found.message == '1_b.sql:6: column "nope" does not exist (42703)'
    assert found.detail == "   6 │        (nope);\n     │         ^"


def test_explain_places_the_caret_in_the_second_statement_of_a_line(settings: Settings) -> None:
    """The CLI counts the column from where the statement begins."""
    words = 'ERROR: syntax error at or near "selec" (SQLSTATE 42601)\nAt statement: 1\nselec 2\n^'
    found = error(settings, words, "select 1; selec 2;\n")
    assert found.detail == "   1 │ select 1; selec 2;\n     │           ^"


def test_explain_keeps_the_caret_below_its_place_after_a_tab(settings: Settings) -> None:
    """A tab is shown one column wide, as the CLI counts it."""
    words = "ERROR: no (SQLSTATE 42703)\nAt statement: 0\nselect\tx\n       ^"
    found = error(settings, words, "\tselect\tx;\n")
    assert found.detail == "   1 │  select x;\n     │         ^"


def test_explain_without_a_caret(settings: Settings) -> None:
    """Without a position the statement's first word is where to look; the details follow."""
    found = error(
        settings,
        "ERROR: new row violates check (SQLSTATE 23514)\nFailing row contains (-1).\n"
        "At statement: 1\n/* block ; */\ninsert into public.b\nvalues (1),\n       (nope)",
    )
    assert found.line == 4
    assert found.detail == "   4 │ insert into public.b\n     Failing row contains (-1)."


def test_explain_tells_the_cli_s_own_record_from_the_file(settings: Settings) -> None:
    """Where the history row is refused, no statement of the file is blamed."""
    found = error(
        settings,
        "ERROR: permission denied for schema supabase_migrations (SQLSTATE 42501)\n"
        "At statement: 2\nINSERT INTO supabase_migrations.schema_migrations(version) VALUES($1)",
    )
    assert (found.line, found.sqlstate, found.detail) == (None, "42501", None)
    assert "could not record it" in found.message
    assert "reset role" in (found.next_step or "")


def test_explain_tells_the_commit_from_the_cli_s_own_record(settings: Settings) -> None:
    """What a deferred constraint refuses at the commit is no matter of the history."""
    record = "INSERT INTO supabase_migrations.schema_migrations(version) VALUES($1)"
    found = error(
        settings,
        'ERROR: insert on "b" violates foreign key constraint "b_fkey" (SQLSTATE 23503)\n'
        f'Key (b)=(2) is not present in table "a".\nAt statement: 2\n{record}',
    )
    assert (found.line, found.sqlstate, found.next_step) == (None, "23503", "n")
    assert found.message.startswith('when 1_b.sql was committed: insert on "b" violates')
    assert found.detail == '     Key (b)=(2) is not present in table "a".'
    found = error(
        settings,
        'ERROR: duplicate key value violates unique constraint "schema_migrations_pkey" '
        f"(SQLSTATE 23505)\nAt statement: 2\n{record}",
    )
    assert "could not record it" in found.message


def test_explain_without_a_statement(settings: Settings) -> None:
    """Words without a statement are told without a line."""
    found = error(settings, "connection lost")
    assert (found.line, found.sqlstate, found.message) == (None, None, "1_b.sql: connection lost")


def test_join_gives_each_state(settings: Settings) -> None:
    """A version is applied, pending, out of order or missing by where it is known."""
    files(settings, "1", "3", "5")
    from riptide.migrations.files import scan

    joined = join(scan(settings), [HistoryRow("2", "gone"), HistoryRow("3", "x")])
    assert [(each.version, each.state) for each in joined] == [
        ("1", MigrationState.OUT_OF_ORDER),
        ("2", MigrationState.MISSING),
        ("3", APPLIED),
        ("5", PENDING),
    ]
    assert joined[1] == Migration(version="2", name="gone", state=MigrationState.MISSING)


def test_local_database_that_is_not_ours_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever listens on the port, a stopped stack is not this project's database."""
    stopped = StackStatus(backend="embedded", running=False, services={"database": False})
    monkeypatch.setattr(EmbeddedStack, "status", lambda self: stopped)
    monkeypatch.setattr("riptide.stack.docker.daemon_version", lambda runner: None)
    with pytest.raises(StackError, match="not running") as caught:
        require_local_stack(settings)
    assert caught.value.next_step == "inv stack.start"


BLOCKED = "ERROR: lock timeout (SQLSTATE 55P03)\nAt statement: 0\nselect 1"


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no retry wait; give what each would have waited."""
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    return slept


def refused(message: str) -> dict[str, Any]:
    """Give what the CLI prints when the database refuses the first file."""
    return {
        "stdout": json.dumps({"error": {"code": "DbPushApplyError", "message": message}}),
        "stderr": "Applying migration 1_m1.sql...\n",
        "returncode": 1,
    }


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        ("57P01", "`inv migrate.push` again; it goes on from there"),
        ("40P01", "`inv migrate.push` again; it goes on from there"),
        ("53100", "`inv migrate.push` again; it goes on from there"),
        ("42P01", "mend the file, then `inv migrate.push`"),
        ("57014", "mend the file, then `inv migrate.push`"),
    ],
)
def test_failure_that_is_not_the_file_s(
    settings: Settings,
    fp: FakeProcess,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    next_step: str,
) -> None:
    """Where the server ended, or two stood in each other's way, no file has to be mended."""
    files(settings, "1")
    history(monkeypatch, settings, [], [], [], [])
    message = f"FATAL: no (SQLSTATE {code})\nAt statement: 0\nselect 1"
    fp.register(argv(settings), **refused(message))
    with pytest.raises(MigrationError) as caught:
        apply_migrations(settings=settings)
    assert (caught.value.sqlstate, caught.value.next_step) == (code, next_step)


def test_file_that_did_not_get_a_lock_is_tried_again(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch, no_sleep: list[float]
) -> None:
    """A file that failed only on a lock, and so left nothing, is pushed again after a while."""
    files(settings, "1")
    history(monkeypatch, settings, [], [], ["1"])
    fp.register(argv(settings), **refused(BLOCKED))
    fp.register(argv(settings), stdout=json.dumps({"migrations": ["1_m1.sql"]}))
    said: list[str] = []
    result = apply_migrations(settings=settings, progress=said.append)
    assert result.applied == ("1_m1.sql",)
    assert len(fp.calls) == 2
    assert 0.5 <= no_sleep[0] <= 1.0
    assert any("1_m1.sql did not get a lock" in each for each in said)


def test_retries_end(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch, no_sleep: list[float]
) -> None:
    """A lock that never comes free ends the push, and the error says what to do about it."""
    files(settings, "1")
    history(monkeypatch, settings, [], [], [])
    fp.register(argv(settings), occurrences=4, **refused(BLOCKED))
    with pytest.raises(MigrationError, match="lock timeout") as caught:
        apply_migrations(settings=settings)
    assert len(fp.calls) == 4
    assert all(
        least <= slept <= least + 0.5 for least, slept in zip((0.5, 1, 2), no_sleep, strict=True)
    )
    assert "nothing of this file was applied" in (caught.value.state or "")
    assert "holds the lock" in (caught.value.next_step or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("select 1;\n", "ERROR: no (SQLSTATE 42P01)\nAt statement: 0\nselect 1"),
        ("begin; select 1; commit;\n", BLOCKED),
    ],
)
def test_what_may_have_left_something_is_not_tried_again(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    """Another error, or a file that is not one transaction, is never run a second time."""
    files(settings, "1")[0].write_text(text, encoding="utf-8")
    history(monkeypatch, settings, [], [], [])
    fp.register(argv(settings), **refused(message))
    with pytest.raises(MigrationError):
        apply_migrations(settings=settings)
    assert len(fp.calls) == 1


def test_push_tells_the_session_how_long_to_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CLI's session gets lock_timeout, and looks for its client."""
    files(settings, "1")
    history(monkeypatch, settings, [], [], ["1"])
    monkeypatch.delenv("PGOPTIONS", raising=False)
    seen: list[dict[str, str]] = []

    class Recorder(SubprocessRunner):
        def run(self, argv: Sequence[str], **options: Any) -> Completed:
            seen.append(options["env"])
            return Completed(tuple(argv), 0, "{}", "")

    apply_migrations(settings=settings, lock_timeout=0.25, runner=Recorder())
    assert [each["PGOPTIONS"] for each in seen] == [
        "-c lock_timeout=250ms -c client_connection_check_interval=1s"
    ]


class LockSession:
    """The lock's session, as far as a push asks it anything."""

    def __init__(self, *, may_flush: bool) -> None:
        self.may_flush = may_flush

    def execute(self, *_: object) -> LockSession:
        """Take a question."""
        return self

    def fetchone(self) -> tuple[bool]:
        """Say whether everything can be flushed at the end."""
        return (self.may_flush,)

    def fetchall(self) -> list[tuple[object, ...]]:
        """Say that no other CLI is at work."""
        return []


@pytest.fixture
def many(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Give a function that pushes many files with a lock; it gives what happened, in order."""

    def run(
        *,
        number: int = MANY,
        may_flush: bool = True,
        text: str = "select 1;",
        fails: bool = False,
        gone: bool = False,
        **flags: Any,
    ) -> list[str]:
        versions = [f"{each:03}" for each in range(number)]
        files(settings, *versions)[-1].write_text(text, encoding="utf-8")
        looks: list[list[str]] = [[]] if "plan" in flags else [[], []]
        history(monkeypatch, settings, *looks, [] if fails else versions, [])
        done: list[str] = []

        def flush(*_: object) -> None:
            done.append("flush")
            if gone:
                raise DatabaseError("the connection to the database was lost")

        class Recorder(SubprocessRunner):
            def run(self, argv: Sequence[str], **options: Any) -> Completed:
                settings_ = options["env"]["PGOPTIONS"].split(" -c ")
                done.append("asynchronous" if "synchronous_commit=off" in settings_ else "")
                said = {"error": {"code": "DbPushApplyError", "message": "no"}} if fails else {}
                return Completed(tuple(argv), int(fails), json.dumps(said), "")

        session = LockSession(may_flush=may_flush)
        monkeypatch.setattr(
            "riptide.migrations.push.push_lock", lambda *_, **__: nullcontext(session)
        )
        for module in ("push", "locked_push"):
            monkeypatch.setattr(f"riptide.migrations.{module}.flush", flush)
        monkeypatch.setattr("riptide.migrations.concurrent._invalid", lambda _: {})
        monkeypatch.delenv("PGOPTIONS", raising=False)
        try:
            apply_migrations(settings=settings, runner=Recorder(), **flags)
        except RiptideError as error:
            done.append(error.state or "")
        return done

    return run


UNSURE = "; whether it is on the server's disk is not known"
FAILED = f"nothing of this file was applied; 0 of {MANY} migrations applied"


def test_many_files_wait_for_the_disk_together(many: Callable[..., list[str]]) -> None:
    """Of many files none waits for the disk; all are flushed before they are said to be applied."""
    assert many() == ["asynchronous", "flush"]
    assert many(fails=True) == ["asynchronous", "flush", FAILED]


def test_what_could_not_be_flushed_is_told(many: Callable[..., list[str]]) -> None:
    """Where the server cannot be asked to flush, it is not claimed that all is on its disk."""
    assert many(gone=True) == [
        *("asynchronous", "flush"),
        f"the CLI says that it applied {MANY} migrations{UNSURE}",
    ]
    assert many(gone=True, fails=True) == ["asynchronous", "flush", FAILED + UNSURE]


@pytest.mark.parametrize(
    "otherwise",
    [
        {"number": MANY - 1},
        {"may_flush": False},
        {"text": "create table t (); commit;"},
        {"text": "create index concurrently i on t (id);"},
        {"dry_run": True},
        {"include_seed": True},
    ],
)
def test_each_file_waits_for_the_disk(
    many: Callable[..., list[str]], otherwise: dict[str, Any]
) -> None:
    """Not where it is not worth it, or a file and its row in the history could be torn apart."""
    assert many(**otherwise) == [""]


@pytest.mark.parametrize(
    ("planned", "dry_run", "flushes"), [(MANY, False, True), (MANY, True, False), (3, False, False)]
)
def test_what_another_push_has_applied_is_flushed(
    many: Callable[..., list[str]], planned: int, *, dry_run: bool, flushes: bool
) -> None:
    """Whoever applied some of many files while this one waited may have been killed since."""
    text = "select 1;\n"
    names = [f"{each:03}" for each in range(planned)]
    files_ = tuple(
        PlannedMigration(file=f"{name}_m{name}.sql", statements=1, sha256=digest(text))
        for name in names
    )
    plan = PushPlan(target="local", files=files_)
    done = many(number=2, text=text, plan=plan, dry_run=dry_run)
    assert done == (["flush", ""] if flushes else [""])


def test_history_that_cannot_be_read_afterwards_is_no_failure_of_the_push(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that changed the role's own password is applied, and is said to be."""

    def shut_out(*_: object) -> list[str]:
        raise DatabaseError("no", state="nothing was changed", next_step="inv stack.start")

    files(settings, "1")
    history(monkeypatch, settings, [], [])
    monkeypatch.setattr("riptide.migrations.locked_push.applied_versions", shut_out)
    fp.register(argv(settings), stdout="{}")
    with pytest.raises(DatabaseError) as caught:
        apply_migrations(settings=settings)
    assert "applied 1 migration" in (caught.value.state or "")
    assert "migrate.status" in (caught.value.next_step or "")


def test_somebody_else_s_migration_is_noticed(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history that holds more than was planned is told: somebody pushed without the lock."""
    files(settings, "1", "2")
    history(monkeypatch, settings, ["1"], ["1"], ["1", "2", "3"])
    fp.register(argv(settings), stdout="{}")
    with pytest.raises(DriftError, match="the history holds 3 too"):
        apply_migrations(settings=settings)


def test_timings_are_taken_file_by_file() -> None:
    """The CLI's own lines say when a file begins; the next one, or the end, is its end."""
    said: list[str] = []
    clock = Clock(2, said.append)
    for line in ("Target: x", "Applying migration 1_a.sql...", "Applying migration 2_b.sql..."):
        clock.hear(line)
    clock.hear("Seeding data from supabase/seed.sql...")
    clock.stop()
    assert list(clock.seconds) == ["1_a.sql", "2_b.sql"]
    assert all(each >= 0 for each in clock.seconds.values())
    assert (clock.last, clock.seed) == ("2_b.sql", "supabase/seed.sql")
    assert said == [
        "applying 1_a.sql (1 of 2)",
        "applying 2_b.sql (2 of 2)",
        "seeding from supabase/seed.sql",
    ]


POOLER = "postgresql://postgres.abcdefghijklmnopqrst:p@aws-0-eu-1.pooler.supabase.com:6543/postgres"


def test_supabase_s_pooler_is_left_aside_for_whole_sessions(settings: Settings) -> None:
    """Where transactions are pooled nothing can be locked: the same host's port 5432 is taken."""
    pooled = replace(settings, target=Target(kind="remote", url=POOLER))
    told: list[str] = []
    direct = lockable(pooled, progress=told.append).target
    assert [each.rpartition(": ")[2] for each in told] == ["taking port 5432"]
    assert direct.url == POOLER.replace(":6543", ":5432")
    assert direct.kind == "remote"
    assert lockable(pooled, no_lock=True).target.url == POOLER
    assert identity(pooled) == "abcdefghijklmnopqrst"


def test_unknown_pooler_is_refused(settings: Settings) -> None:
    """Of another pooler nothing is known but that it cannot be locked; it takes a word to go on."""
    url = "postgresql://u:s3cret@pool.example.com:6543/postgres"
    pooled = replace(settings, target=Target(kind="remote", url=url))
    with pytest.raises(ConfigError, match="pools transactions") as caught:
        apply_migrations(settings=pooled)
    assert "--no-lock" in (caught.value.next_step or "")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("what", ["edited", "new"])
def test_files_that_changed_while_it_waited_are_not_pushed(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What was looked at before the lock is what is pushed under it, or nothing is."""
    files(settings, "1")
    history(monkeypatch, settings, [], [])

    @contextmanager
    def lock(*_: object, **__: object) -> Iterator[None]:
        if what == "new":
            files(settings, "2")
        else:
            (settings.migrations_dir / "1_m1.sql").write_text("drop table x;\n", encoding="utf-8")
        yield None

    monkeypatch.setattr("riptide.migrations.push.push_lock", lock)
    with pytest.raises(DriftError, match="changed while this push was on its way") as caught:
        apply_migrations(settings=settings)
    named = "2_m2.sql (new)" if what == "new" else "1_m1.sql"
    assert caught.value.detail == f"  {named}"
    assert caught.value.state == "nothing was applied"
    assert list(fp.calls) == []


def test_what_was_planned_is_what_is_rehearsed(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was edited after it was planned and confirmed is not even rehearsed."""
    files(settings, "1")
    history(monkeypatch, settings, [])
    monkeypatch.setattr("riptide.migrations.push._rehearse", lambda *_: pytest.fail("rehearsed"))
    planned = PlannedMigration(file="1_m1.sql", statements=1, sha256=digest("select 2;\n"))
    with pytest.raises(DriftError, match="changed while"):
        apply_migrations(
            settings=settings, rehearse=True, plan=PushPlan(target="test", files=(planned,))
        )
    assert list(fp.calls) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interruption_before_the_cli_says_that_nothing_was_applied(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """While it waits for the lock, or rehearses, all that is known is that nothing was applied."""

    def interrupted(*_: object, **__: object) -> None:
        raise error

    files(settings, "1")
    history(monkeypatch, settings, [])
    monkeypatch.setattr("riptide.migrations.push.push_lock", interrupted)
    with pytest.raises(Interrupted) as caught:
        apply_migrations(settings=settings)
    assert (caught.value.state, caught.value.next_step) == (
        "nothing was applied",
        "inv migrate.push",
    )
