"""The verification held to itself: each mistake made on purpose is noticed, or shown to be none."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest
from _inv import inv

from riptide import ConfigError, RlsError, mutate_rls
from riptide.results import Fate
from riptide.rls import mutate as mutate_module
from riptide.rls.mutants import mutants as mutants_of
from riptide.stack.embedded.temporary import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.results import AuditReport
    from riptide.rls.breakable import Table
    from riptide.rls.mutants import Mutant
    from riptide.settings import Settings

NOTES = """
create table public.notes (
  id bigint generated always as identity primary key,
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  body text not null,
  done_at timestamptz
);
create index notes_user_id_idx on public.notes (user_id);
alter table public.notes enable row level security;
revoke all on public.notes from public, anon, authenticated, service_role;
grant select, insert (user_id, body), update (body, done_at) on public.notes to authenticated;
grant all on public.notes to service_role;
create policy notes_select on public.notes for select to authenticated
  using ((select auth.uid()) = user_id);
create policy notes_insert on public.notes for insert to authenticated
  with check ((select auth.uid()) = user_id);
create policy notes_update on public.notes for update to authenticated
  using ((select auth.uid()) = user_id and done_at is null)
  with check ((select auth.uid()) = user_id);
"""
INTENT = """
[tables.notes]
owner = "user_id"
delete = "none"
insert_columns = ["user_id", "body"]
update_columns = ["body", "done_at"]
set_once = ["done_at"]
"""


@pytest.fixture(scope="module")
def notes(make_project: Callable[..., Settings]) -> Settings:
    """Give a project of one table; its own stack is never started."""
    settings = make_project()
    path = settings.migrations_dir / "20250101000000_create_notes.sql"
    path.write_text(NOTES, encoding="utf-8")
    (settings.supabase_dir / "rls.toml").write_text(INTENT, encoding="utf-8")
    return settings


@pytest.mark.timeout(300)
def test_every_mistake_is_noticed(notes: Settings) -> None:
    """Of a schema that holds every mutant is killed, or shown to be no mistake."""
    report = mutate_rls(settings=notes)
    assert report.ok, [each.sentence for each in report.survivors]
    assert report.score == 1.0
    kinds = {each.kind: each for each in report.mutants}
    assert {
        "policy-dropped",
        "using-true",
        "check-true",
        "role-public",
        "command-all",
        "rls-disabled",
        "policy-added",
        "granted",
        "granted-whole",
        "index-dropped",
        "owner-nullable",
        "definer-view",
        "definer-function",
        "call-unwrapped",
        "using-recursive",
    } <= set(kinds)
    assert all(each.why and each.sql for each in report.mutants)
    by_sentence = {each.sentence: each for each in report.mutants}
    # A tick that is taken back: what only `set_once` notices.
    loosened = by_sentence["policy notes_update: using (true)"]
    assert (loosened.fate, "update as owner: leak" in loosened.why) == (Fate.KILLED, True)
    for sentence in ("a policy for select to anon using (true)", "select granted to anon"):
        assert by_sentence[sentence].fate is Fate.EQUIVALENT
    assert "no privilege" in by_sentence["a policy for select to anon using (true)"].why
    assert "no policy" in by_sentence["select granted to anon"].why


def some(table: Table, owner: str | None) -> list[Mutant]:
    """Give two mutants: one that requests show, one that only the audit can see."""
    kinds = ("policy-dropped", "call-unwrapped")
    found = {each.kind: each for each in mutants_of(table, owner)}
    return [found[kind] for kind in kinds]


def test_a_blind_eye_is_told(
    notes: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody notices survives, with its SQL; nothing of the stack is left behind."""
    monkeypatch.setattr("riptide.rls.mutants.mutants", some)

    def blind(_audit: Callable[[], AuditReport], _known: object) -> str:
        return ""

    monkeypatch.setattr(mutate_module, "_audited", blind)
    monkeypatch.setattr(tempfile, "tempdir", str(notes.root))  # nobody else's are there
    report = mutate_rls(settings=notes)
    assert list(notes.root.glob(f"{PREFIX}*")) == []
    assert not report.ok
    assert report.score == 0.5
    (survivor,) = report.survivors
    assert survivor.kind == "call-unwrapped"

    from riptide.render import mutation as show

    show.report(report)
    out = capsys.readouterr().out
    assert "1 of 2 mutants killed, 1 survived: a score of 50 %" in out
    assert survivor.sql in out


def test_schema_that_does_not_hold_is_refused(make_project: Callable[..., Settings]) -> None:
    """With a hole in it already there is nothing to compare a mutant with."""
    settings = make_project()
    text = NOTES.replace("using ((select auth.uid()) = user_id);", "using (true);", 1)
    path = settings.migrations_dir / "20250101000000_create_notes.sql"
    path.write_text(text, encoding="utf-8")
    (settings.supabase_dir / "rls.toml").write_text(INTENT, encoding="utf-8")
    with pytest.raises(RlsError, match="does not hold as it is") as caught:
        mutate_rls(settings=settings)
    assert "public.notes, select as other: leak" in str(caught.value)
    assert caught.value.next_step == "inv rls.verify"


def test_table_that_is_not_declared(notes: Settings) -> None:
    """A table that rls.toml does not declare is named, with the nearest that it does."""
    with pytest.raises(ConfigError, match=r"declare public\.note; did you mean public\.notes\?"):
        mutate_rls(settings=notes, tables=["public.note"])


def test_the_task_says_what_it_would_do(notes: Settings) -> None:
    """With --dry nothing is started."""
    process = inv(notes, "--dry", "rls.mutate")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "start a stack of its own" in output
