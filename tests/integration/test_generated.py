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

from riptide import generate_types
from riptide.errors import StackError
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
