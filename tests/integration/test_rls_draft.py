"""A first rls.toml, drafted from a database that has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from _inv import inv

from riptide import audit_rls, draft_rls, verify_rls
from riptide.rls.intent import read_intent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _database import Database

    from riptide.settings import Settings

OWN = "(select auth.uid()) = user_id"
TABLES = f"""
create table public.notes (
  id bigint generated always as identity primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  editor_id uuid references auth.users (id),
  body text not null,
  slug text unique,
  made_at timestamptz not null default now()
);
create index on public.notes (user_id);
create table public.news (id int primary key, title text not null, body text);
create table public.inner_ones (id int primary key);
alter table public.notes enable row level security;
alter table public.news enable row level security;
revoke all on public.notes, public.news, public.inner_ones from anon, authenticated, service_role;
grant all on public.notes, public.news to service_role;
grant select, insert (user_id, body, slug), update (body) on public.notes to authenticated;
grant select on public.news to anon, authenticated;
create policy s on public.notes for select to authenticated using ({OWN});
create policy i on public.notes for insert to authenticated with check ({OWN});
create policy u on public.notes for update to authenticated using ({OWN});
create policy s on public.news for select to anon, authenticated using (true);
create function public.count_news() returns bigint language sql security definer
  set search_path = '' as 'select count(*) from public.news';
revoke execute on function public.count_news() from public, anon;
grant execute on function public.count_news() to authenticated;
create function public.double_it(n int) returns int language sql immutable set search_path = ''
  as 'select 2 * n';
"""
DRAFT = """\
[tables.news]
select = "all"
insert = "none"
update = "none"
delete = "none"
[tables.news.anon]
select = "all"  # whoever is not signed in: is that meant?

[tables.notes]
owner = "user_id"
delete = "none"
insert_columns = ["user_id", "body", "slug"]
update_columns = ["body"]
[tables.notes.reveals]
slug = "it is unique over all users, who learn that a value is taken: is that meant?"

[functions."public.count_news"]
# security definer: it runs past all policies
execute = ["authenticated"]

[functions."public.double_it"]
execute = ["anon", "authenticated"]"""


@pytest.fixture
def drafted(db: Database) -> Iterator[Settings]:
    """Give a project whose database has tables and whose rls.toml is not there."""
    path = db.settings.supabase_dir / "rls.toml"
    path.unlink(missing_ok=True)
    db.sql(TABLES)
    yield db.settings
    path.unlink(missing_ok=True)


def test_draft_of_what_is_so(drafted: Settings) -> None:
    """It says what the database lets happen, and holds at once; a second one adds nothing."""
    draft = draft_rls(settings=drafted)
    assert draft.text == DRAFT
    assert (draft.tables, draft.functions) == (
        ("public.news", "public.notes"),
        ("public.count_news", "public.double_it"),
    )
    assert draft.path.read_text("utf-8") == f"{DRAFT}\n"
    report = verify_rls(settings=drafted)
    assert report.ok, report.failures
    assert audit_rls(settings=drafted).ok

    again = draft_rls(settings=drafted)
    assert (again.text, again.written) == ("", False)


def test_what_is_there_stays(drafted: Settings) -> None:
    """Sections and comments of a person are left as they are; what is missing comes after them."""
    path = drafted.supabase_dir / "rls.toml"
    mine = '# mine\n[tables.news]\nselect = "all"\n' + 'insert = "none"\nupdate = "none"\n'
    mine += 'delete = "none"\n'
    path.write_text(mine, encoding="utf-8")
    draft = draft_rls(settings=drafted)
    assert draft.tables == ("public.notes",)
    assert path.read_text("utf-8").startswith(mine)
    assert [each.full_name for each in read_intent(path).tables] == ["public.news", "public.notes"]


def test_open_tables_are_asked_about(db: Database) -> None:
    """A table without Row Level Security is drafted as it is, with a question at each line."""
    db.sql("create table public.open_ones (id int primary key)")
    path = db.settings.supabase_dir / "rls.toml"
    path.unlink(missing_ok=True)
    draft = draft_rls(settings=db.settings, write=False)
    assert 'delete = "all"  # Row Level Security is off: is that meant?' in draft.text
    assert not path.exists()


def test_the_task(drafted: Settings) -> None:
    """With --dry the sections are printed and nothing is written; without they are."""
    for words, written in ((("--dry", "rls.init"), False), (("rls.init",), True)):
        process = inv(drafted, *words)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        assert "[tables.notes]" in output
        assert ("added to supabase/rls.toml" in output) is written
        assert (drafted.supabase_dir / "rls.toml").exists() is written
    process = inv(drafted, "rls.init")
    output, _ = process.communicate(timeout=60)
    assert "supabase/rls.toml declares all that the API exposes" in output
