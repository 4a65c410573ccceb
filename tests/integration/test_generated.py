"""The files that are made from the database are current, and are made of any schema."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _inv import inv
from pydantic import BaseModel, TypeAdapter

from riptide import generate_docs, generate_types
from riptide.errors import ConfigError, StackError
from riptide.target import Target

if TYPE_CHECKING:
    from types import ModuleType

    from _database import Database

    from riptide.results import StackStatus
    from riptide.settings import Settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

ODD = """
create schema if not exists other;
create type public.mood as enum ('sad', 'it''s', 'ha"ha', 'back\\slash', '');
create type public.pair as (a int, b inet);
create domain public.email as text check (value ~ '@');
create table public."Odd Table-1" (
  id int generated always as identity primary key,
  "class" text, "1st" text, "_under" int, "with space" text, "quo""te" text,
  "uuid" uuid, "datetime" timestamptz, "str" text, "copy" int, "model_config" int,
  m public.mood, ms public.mood[], p public.pair, e public.email,
  ip inet, net cidr, r int4range, j json, jb jsonb[], n numeric, tv tsvector, oi oid
);
create table other.things (id int primary key, level auth.aal_level);
create view public.seen as select id, ip from public."Odd Table-1";
grant usage on schema public to service_role;
grant all on all tables in schema public to service_role;
"""
ROW = """
insert into public."Odd Table-1"
  ("class", "1st", _under, uuid, datetime, m, ms, p, e, ip, net, r, j, jb, n, tv, oi)
values (
  'c', 'f', 1, gen_random_uuid(), now(), 'sad', array['sad', 'it''s']::public.mood[],
  (1, '10.0.0.1'), 'a@b', '10.0.0.1', '10.0.0.0/8', '[1,2)', '{"a": 1}', array['[1]'::jsonb],
  1.5, 'a b', 1
);
"""


def test_models_of_this_project_are_current(project: Settings, stack: StackStatus) -> None:
    """`riptide.models` is what the CLI makes of the migrations."""
    made = generate_types(settings=project, output=ROOT / "src/riptide/models.py", check=True)
    assert made.ok, f"inv db.types\n{made.diff}"


def test_models_of_an_odd_schema_take_its_rows(db: Database, tmp_path: Path) -> None:
    """Whatever tables and columns are named and made of, each model takes what the API sends."""
    db.sql(ODD)
    db.sql(ROW)
    path = tmp_path / "rows.py"
    made = generate_types(settings=db.settings, output=path, schemas=["public", "other"])
    assert made.written
    module = imported(path)
    models = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, BaseModel) and each is not BaseModel
    ]
    assert {each.__name__ for each in models} >= {"PublicOddTable1", "PublicSeen", "OtherThings"}
    for each in models:
        each.model_rebuild()
    for name in ("PublicOddTable1Insert", "PublicOddTable1Update", "OtherThingsInsert"):
        TypeAdapter(getattr(module, name))
    row = module.PublicOddTable1.model_validate(sent(db, "Odd Table-1"))
    assert (row.class_, row.field_1st, row.ip, row.r) == ("c", "f", "10.0.0.1", "[1,2)")
    assert (row.p.b, row.ms, row.jb) == ("10.0.0.1", ["sad", "it's"], [[1]])
    assert module.PublicSeen.model_validate(sent(db, "seen")).id == 1


ADD = "public.add(a integer, b integer DEFAULT 1)"
DESCRIBED = """
create table public.teams (id int primary key, name text not null unique);
comment on table public.teams is 'Who works together: a | b, <b>bold</b>
and a second line.';
comment on column public.teams.name is 'What it is called.';
create table public."Odd | one" (
  team int not null references public.teams on delete cascade,
  boss int references public.teams,
  "a""b" timestamp(3) with time zone default now(),
  number int generated always as (1) stored,
  primary key (team)
);
alter table public.teams enable row level security;
create policy see on public.teams for select to authenticated using (true);
comment on policy see on public.teams is 'Everybody sees all teams.';
create view public.names as select name from public.teams;
create type public.mood as enum ('good', '');
create function public.add(a int, b int default 1) returns int language sql security definer
  set search_path = '' as 'select a + b';
comment on function public.add is 'Adds two numbers.';
revoke execute on function public.add from public, anon, service_role;
grant execute on function public.add to authenticated;
create schema other;
create table other.hidden (id int);
"""


def test_documentation_of_this_project_is_current(project: Settings, stack: StackStatus) -> None:
    """docs/schema.md says what the catalog says, and nothing there is without a comment."""
    made = generate_docs(settings=project, output=ROOT / "docs/schema.md", check=True)
    assert made.ok, f"inv db.docs\n{made.diff}"
    assert made.notes == ()


def test_documentation_of_an_odd_schema(db: Database, tmp_path: Path) -> None:
    """Keys, defaults, policies, functions and comments are told, whatever is in their names."""
    db.sql(DESCRIBED)
    made = generate_docs(settings=db.settings, output=tmp_path / "schema.md")
    text = made.path.read_text()
    for line in (
        '    "teams" ||--o| "Odd | one" : "team, on delete cascade"',
        '    "teams" |o--o{ "Odd | one" : "boss"',
        "        integer team PK, FK",
        "        text name UK",
        "        timestamptz(3) a_b",
        "Who works together: a | b, &lt;b>bold&lt;/b> and a second line.",
        "| `name` | `text` | unique, not null | What it is called. |",
        '| `a"b` | `timestamptz(3)` | default `now()` | |',
        "| `team` | `integer` | refers to `public.teams` on delete cascade, primary key | |",
        "| `number` | `integer` | generated | |",
        "| `see` | select | `authenticated` | Everybody sees all teams. |",
        f"| `{ADD}` | `integer` | `authenticated` | Runs as its owner. Adds two numbers. |",
        "| `public.mood` | enum: `good`, `''` | |",
        "### other.hidden",
        "### public.names",
        "Row Level Security is off.",
    ):
        assert line in text.splitlines(), line
    assert "policy" not in made.notes[0]
    assert made.notes[0].startswith("without a comment: table public.Odd | one, column public.Odd")
    only = generate_docs(settings=db.settings, output=tmp_path / "other.md", schemas=["other"])
    assert "teams" not in only.path.read_text()
    with pytest.raises(ConfigError, match="no schema 'pubic'"):
        generate_docs(settings=db.settings, output=tmp_path / "x.md", schemas=["pubic"])
    with pytest.raises(ConfigError, match="no schema 'pubic'"):
        generate_types(settings=db.settings, output=tmp_path / "x.py", schemas=["pubic"])


def test_documentation_keeps_what_was_written_by_hand(db: Database, tmp_path: Path) -> None:
    """What stands around the generated part stays; a file that has no place for it stays whole."""
    path = tmp_path / "schema.md"
    empty = generate_docs(settings=db.settings, output=path)
    assert "There are no tables" in path.read_text()
    assert empty.written
    generated = path.read_text().partition("\n\n")[2]
    path.write_text(f"# Ours\n\nWhy.\n\n{generated}\nMore.\n")
    db.sql("create table public.teams (id int primary key)")
    assert not generate_docs(settings=db.settings, output=path, check=True).ok
    assert generate_docs(settings=db.settings, output=path).written
    text = path.read_text()
    assert text.startswith("# Ours\n\nWhy.\n\n<!-- begin")
    assert text.endswith("\nMore.\n")
    assert "### public.teams" in text
    assert generate_docs(settings=db.settings, output=path).current
    for other in ("# By hand\n", text.replace("<!-- end", "<!--end"), text + text):
        path.write_text(other)
        with pytest.raises(ConfigError, match="where the generated part goes"):
            generate_docs(settings=db.settings, output=path)
        assert path.read_text() == other


def test_documentation_as_a_task(db: Database) -> None:
    """`db.docs` writes docs/schema.md; `--check` exits with 3 where a comment was changed."""
    db.sql("create table public.teams (id int primary key)")
    path = db.settings.root / "docs" / "schema.md"
    path.unlink(missing_ok=True)
    code, said = run(db.settings, "db.docs")
    assert (code, "wrote docs/schema.md" in said) == (0, True), said
    assert "note: without a comment: table public.teams, column public.teams.id" in said
    assert run(db.settings, "db.docs", "--check")[0] == 0
    db.sql("comment on table public.teams is 'Who works together.'")
    code, said = run(db.settings, "db.docs", "--check")
    assert (code, "+Who works together." in said, "next:  inv db.docs" in said) == (3, True, True)
    code, said = run(db.settings, "db.docs", "--target", "linked")
    assert (code, "the linked project's database is not known" in said) == (2, True)


def imported(path: Path) -> ModuleType:
    """Import a file."""
    spec = importlib.util.spec_from_file_location("rows_made", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where Pydantic looks for what an annotation names
    spec.loader.exec_module(module)
    return module


def sent(db: Database, table: str) -> Any:
    """Give the one row of a table as the database makes JSON of it, as the API does."""
    rows = db.sql(f'select to_json(t)::text from public."{table}" as t')
    return json.loads(rows[0][0])


def test_task_writes_checks_and_refuses(db: Database) -> None:
    """`db.types` writes, `--check` exits with 0 and then with 3; a stopped stack is told."""
    settings = db.settings
    db.sql("create table public.notes (id int primary key)")
    assert run(settings, "db.types")[0] == 0
    code, said = run(settings, "db.types", "--check")
    assert (code, "database_types.py is current" in said) == (0, True)
    db.sql("alter table public.notes add body text")
    code, said = run(settings, "db.types", "--check")
    assert (code, "+    body: Optional[str]" in said, "next:  inv db.types" in said) == (
        3,
        True,
        True,
    )
    code, said = run(settings, "db.types", "--json", "--check")
    assert (code, '"ok": false' in said) == (3, True)
    assert run(settings, "--dry", "db.types")[1].startswith("supabase gen types --lang=python")


def run(settings: Settings, *words: str) -> tuple[int, str]:
    """Run `inv`; give its exit code and what it printed."""
    process = inv(settings, *words)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


def test_another_project_s_database_is_not_looked_at(make_project: Any) -> None:
    """A local target whose stack does not run is told, whoever may listen on the port."""
    with pytest.raises(StackError, match="not running"):
        generate_types(settings=make_project())


def test_a_remote_target_by_its_url(project: Settings, stack: StackStatus, tmp_path: Path) -> None:
    """A target's password is not on the CLI's command line, and the models are the same."""
    remote = replace(project, target=Target(kind="remote", url=stack.db_url))
    made = generate_types(settings=remote, output=tmp_path / "rows.py")
    assert made.path.read_text() == (ROOT / "src/riptide/models.py").read_text()
