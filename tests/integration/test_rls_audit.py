"""The audit finds each planted mistake, and says nothing of what is right, however odd."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from _inv import inv
from _rls import declare
from _rls_shapes import DECLARED, READ_ONLY, SHAPES, USUAL, VIEWS

from riptide import audit_rls
from riptide.errors import ConfigError, DatabaseError
from riptide.results import Level
from riptide.rls.audit.rules import RULES, UNUSED_EXCEPTION
from riptide.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _database import Database

    from riptide.results import AuditReport
    from riptide.settings import Settings

pytestmark = pytest.mark.integration

OWN = "(select auth.uid()) = user_id"
RIGHT = f"""
create table public.notes (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  body text,
  state text
);
create index on public.notes (user_id);
alter table public.notes enable row level security;
revoke all on public.notes from public, anon, authenticated;
grant select, insert, update, delete on public.notes to authenticated;
create policy see on public.notes for select to authenticated using ({OWN});
create policy make on public.notes for insert to authenticated with check ({OWN});
-- Without a check PostgreSQL holds the new row to `using`: no mistake.
create policy change on public.notes for update to authenticated using ({OWN});
create policy leave on public.notes for delete to authenticated using ({OWN});
"""
INTENT = '[tables.notes]\nowner = "user_id"\n'


FORGET = """
drop schema if exists hidden cascade;
alter role anon nobypassrls;
do $$
begin
  if exists (select from pg_roles where rolname = 'riptide_boss') then
    revoke create on schema public from riptide_boss;
    drop role riptide_boss;
  end if;
end
$$;
revoke select on auth.users from authenticated;
"""


@pytest.fixture
def notes(db: Database) -> Iterator[Database]:
    """Give the database with a table that is as it should be, declared in rls.toml."""
    given(db)
    declare(db.settings, INTENT)
    yield db
    (db.settings.supabase_dir / "rls.toml").unlink(missing_ok=True)
    db.clean()
    db.sql(FORGET)


def given(db: Database, more: str = "") -> None:
    """Make the table anew, and nothing else but ``more``."""
    db.clean()
    db.sql(FORGET)
    db.sql(RIGHT + more)


def told(report: AuditReport) -> set[str]:
    """Give the findings as ``level rule name``."""
    return {f"{each.level.value} {each.rule} {each.name}" for each in report.findings}


def audit(db: Database) -> AuditReport:
    """Audit the database's project."""
    return audit_rls(settings=db.settings)


def function(name: str, body: str = "select 1", options: str = "") -> str:
    """Give the SQL of a function."""
    return f"create function {name} returns int language sql {options} as '{body}';"


PATH = "set search_path = ''"
SHUT = "revoke execute on function public.helper() from public, anon, authenticated;"

# For each: what is to be found, the mistake, and its twin that is right; what rls.toml says more.
PLANTED: dict[str, tuple[str, str, str, str]] = {
    "RLS off": (
        "error rls_disabled_in_public public.notes",
        (
            "drop policy see on public.notes; drop policy make on public.notes; drop policy change "
            "on public.notes; drop policy leave on public.notes;"
            "alter table public.notes disable row level security;"
        ),
        (
            "create table public.mine (id int primary key);"
            "revoke all on public.mine from public, anon, authenticated;"
        ),
        "",
    ),
    "RLS off in a partition within reach": (
        "error rls_disabled_in_public public.log_old",
        (
            "create table public.log (user_id uuid not null, id int, primary key (user_id, id))"
            " partition by list (id); alter table public.log enable row level security;"
            "create table public.log_old partition of public.log for values in (1);"
        ),
        (
            "create table public.log (user_id uuid not null, id int, primary key (user_id, id))"
            " partition by list (id); alter table public.log enable row level security;"
            "create table public.log_old partition of public.log for values in (1);"
            "revoke all on public.log, public.log_old from public, anon, authenticated;"
        ),
        "",
    ),
    "policies that do nothing": (
        "error policy_exists_rls_disabled public.notes",
        "alter table public.notes disable row level security;",
        "alter table public.notes disable row level security, enable row level security;",
        "",
    ),
    "RLS without a policy": (
        "note rls_enabled_no_policy public.mine",
        (
            "create table public.mine (id int primary key); alter table public.mine enable row "
            "level security; revoke all on public.mine from public, anon, authenticated;"
            "grant select on public.mine to authenticated;"
        ),
        (
            "create table public.mine (id int primary key); alter table public.mine enable row "
            "level security; revoke all on public.mine from public, anon, authenticated;"
        ),
        "",
    ),
    "a client with BYPASSRLS": (
        "error client-bypasses-rls anon",
        "alter role anon bypassrls;",
        "alter role anon nobypassrls;",
        "",
    ),
    "a client that is a member of one who bypasses": (
        "error client-bypasses-rls anon",
        "create role riptide_boss bypassrls; grant riptide_boss to anon;",
        "create role riptide_boss; grant riptide_boss to anon;",
        "",
    ),
    "a client that passes for a table's owner": (
        "error client-bypasses-rls public.notes",
        (
            "create role riptide_boss; grant riptide_boss to postgres, authenticated;"
            "grant create on schema public to riptide_boss;"
            "alter table public.notes owner to riptide_boss;"
        ),
        (
            "create role riptide_boss; grant riptide_boss to postgres;"
            "grant create on schema public to riptide_boss;"
            "alter table public.notes owner to riptide_boss;"
        ),
        "",
    ),
    "a view as its owner": (
        "error security_definer_view public.notes_view",
        (
            "create view public.notes_view as select * from public.notes;"
            "revoke all on public.notes_view from anon, authenticated;"
            "grant select on public.notes_view to authenticated;"
        ),
        "create view public.notes_view with (security_invoker = on) as select * from public.notes;",
        "",
    ),
    "a view as its owner that clients cannot reach, or that everybody may see": (
        "error security_definer_view public.notes_view",
        "create view public.notes_view as select * from public.notes;",
        (
            "create view public.notes_view as select count(*) as rows from public.notes;"
            "revoke all on public.notes_view from anon, authenticated;"
            "grant select on public.notes_view to authenticated;"
            "create view public.own_view as select * from public.notes;"
            "revoke all on public.own_view from anon, authenticated;"
            "create view public.tables_view as select relname from pg_catalog.pg_class;"
        ),
        f'[tables.notes_view]\nselect = "all"\n{READ_ONLY}',
    ),
    "users through a view": (
        "error auth_users_exposed public.users_view",
        (
            "create schema hidden; create view hidden.below as select id, email from auth.users;"
            "create view public.users_view as select * from hidden.below;"
        ),
        (
            "create schema hidden; create view hidden.below as select id, email from auth.users;"
            "create view public.users_view with (security_invoker) as select * from hidden.below;"
        ),
        "",
    ),
    "users through a view of the caller's that reads another's": (
        "error auth_users_exposed public.users_view",
        (
            "create schema hidden; create view hidden.below as select id, email from auth.users;"
            "grant usage on schema hidden to anon; grant select on hidden.below to anon;"
            "create view public.users_view with (security_invoker) as select * from hidden.below;"
        ),
        (
            "create view public.users_view with (security_invoker = 1)"
            " as select id, email from auth.users;"
        ),
        "",
    ),
    "a materialized view": (
        "warning materialized_view_in_api public.sums",
        "create materialized view public.sums as select count(*) from public.notes;",
        (
            "create materialized view public.sums as select count(*) from public.notes;"
            "revoke all on public.sums from anon, authenticated;"
        ),
        "",
    ),
    "a materialized view that is not for everybody": (
        "warning materialized_view_in_api public.sums",
        "create materialized view public.sums as select count(*) from public.notes;",
        (
            "create materialized view public.sums as select count(*) from public.notes;"
            "revoke all on public.sums from anon;"
        ),
        f'[tables.sums]\nselect = "all"\n{READ_ONLY}',
    ),
    "a function that anon can call as its owner": (
        "warning anon_security_definer_function_executable public.helper()",
        function("public.helper()", options=f"security definer {PATH}"),
        function("public.helper()", options=PATH),
        "",
    ),
    "a function that users can call as its owner": (
        "warning authenticated_security_definer_function_executable public.helper()",
        function("public.helper()", options=f"security definer {PATH}")
        + SHUT
        + "grant execute on function public.helper() to authenticated;",
        function("public.helper()", options=f"security definer {PATH}") + SHUT,
        "",
    ),
    "a function that rls.toml lets users call, and not anon": (
        "warning anon_security_definer_function_executable public.helper()",
        function("public.helper()", options=f"security definer {PATH}"),
        function("public.helper()", options=f"security definer {PATH}")
        + SHUT
        + "grant execute on function public.helper() to authenticated;",
        '[functions.helper]\nexecute = ["authenticated"]\n',
    ),
    "a function of a schema that the API does not expose": (
        "warning anon_security_definer_function_executable public.helper()",
        function("public.helper()", options=f"security definer {PATH}"),
        "create schema hidden; grant usage on schema hidden to anon;"
        + function("hidden.helper()", options=f"security definer {PATH}")
        + "create function public.on_change() returns trigger language plpgsql security definer"
        f" {PATH} as 'begin return new; end';",
        "",
    ),
    "a definer's function whose search_path is the caller's": (
        "error function_search_path_mutable hidden.helper()",
        "create schema hidden;" + function("hidden.helper()", options="security definer"),
        "create schema hidden;" + function("hidden.helper()", options=f"security definer {PATH}"),
        "",
    ),
    "a function whose search_path is the caller's": (
        "warning function_search_path_mutable public.helper(integer[])",
        function("public.helper(a int[])"),
        "create function public.helper(a int[]) returns int return 1;",
        "",
    ),
    "a policy that lets all insert": (
        "error rls_policy_always_true public.notes.make",
        "alter policy make on public.notes with check (true);",
        (
            "alter policy make on public.notes with check (true);"
            "create policy only_own on public.notes as restrictive for insert to authenticated"
            f" with check ({OWN});"
        ),
        "",
    ),
    "a policy that lets all update": (
        "error rls_policy_always_true public.notes.change",
        f"alter policy change on public.notes using ({OWN}) with check (true);",
        f"alter policy change on public.notes using ({OWN}) with check ({OWN});",
        "",
    ),
    "a policy that lets every signed-in user delete": (
        "error rls_policy_always_true public.notes.leave",
        "alter policy leave on public.notes using ((select auth.uid()) is not null);",
        "alter policy leave on public.notes using ((select auth.uid()) = user_id);",
        "",
    ),
    "a policy that lets all see what is one's own": (
        "error rls_policy_always_true public.notes.see",
        "alter policy see on public.notes using (true);",
        (
            "create table public.news (id int primary key); alter table public.news enable row "
            "level security; revoke all on public.news from public, anon, authenticated;"
            "grant select on public.news to anon, authenticated;"
            "create policy see on public.news for select to anon, authenticated using (true);"
        ),
        "",
    ),
    "a policy that lets all insert, of a table that nothing is said of": (
        "warning rls_policy_always_true public.box.write",
        (
            "create table public.box (id int primary key); alter table public.box enable row level "
            "security; revoke all on public.box from public, anon, authenticated;"
            "grant insert on public.box to anon;"
            "create policy write on public.box for insert to anon with check (true);"
        ),
        "",
        "",
    ),
    "a policy that trusts user_metadata": (
        "error rls_references_user_metadata public.notes.see",
        (
            "alter policy see on public.notes using"
            " ((select auth.jwt()) -> 'user_metadata' ->> 'role' = 'boss');"
        ),
        (
            "alter table public.notes add user_metadata jsonb;"
            "alter policy see on public.notes using"
            " ((select auth.jwt()) -> 'app_metadata' ->> 'role' = 'boss'"
            " or user_metadata ->> 'role' = 'boss');"
        ),
        "",
    ),
    "a policy that reads what users wrote into auth.users": (
        "error rls_references_user_metadata public.notes.see",
        (
            "grant select on auth.users to authenticated; alter policy see on public.notes using"
            " (exists (select from auth.users where raw_user_meta_data ->> 'role' = 'boss'));"
        ),
        f"alter policy see on public.notes using ({OWN});",
        "",
    ),
    "privileges that rls.toml denies, and a policy lets through": (
        "error grant-wider-than-intent public.notes",
        "",
        "revoke delete on public.notes from authenticated;",
        'delete = "none"\n',
    ),
    "privileges that rls.toml denies, and RLS holds": (
        "note grant-wider-than-intent public.notes",
        "grant insert on public.notes to anon;",
        "",
        "",
    ),
    "columns beyond those of rls.toml": (
        "error grant-wider-than-intent public.notes",
        "",
        (
            "revoke update on public.notes from authenticated;"
            "grant update (body) on public.notes to authenticated;"
        ),
        'update_columns = ["body"]\n',
    ),
    "columns of a new row beyond those of rls.toml": (
        "error grant-wider-than-intent public.notes",
        "",
        (
            "revoke insert on public.notes from authenticated;"
            "grant insert (user_id, body) on public.notes to authenticated;"
        ),
        'insert_columns = ["user_id", "body"]\n',
    ),
    "writes through a view": (
        "error grant-wider-than-intent public.notes_view",
        (
            "create view public.notes_view as select body from public.notes;"
            "revoke all on public.notes_view from anon, authenticated;"
            "grant select, update on public.notes_view to authenticated;"
        ),
        (
            "create view public.notes_view as select body from public.notes;"
            "revoke all on public.notes_view from anon, authenticated;"
            "grant select on public.notes_view to authenticated;"
        ),
        f'[tables.notes_view]\nselect = "all"\n{READ_ONLY}',
    ),
    "truncate": (
        "warning grant-beyond-rls public.notes",
        "grant truncate on public.notes to authenticated;",
        "grant truncate on public.notes to service_role;",
        "",
    ),
    "an owner that may be null": (
        "warning nullable-owner public.notes",
        "alter table public.notes alter user_id drop not null;",
        "alter table public.notes alter body drop not null;",
        "",
    ),
    "a policy for everybody": (
        "note policy-to-public public.notes.see",
        "alter policy see on public.notes to public;",
        "alter policy see on public.notes to authenticated;",
        "",
    ),
    "a policy for everybody, anon among them": (
        "warning policy-to-public public.notes.see",
        "alter policy see on public.notes to public; grant select on public.notes to anon;",
        "alter policy see on public.notes to authenticated;",
        "",
    ),
    "a policy that asks for service_role": (
        "warning policy-for-service-role public.notes.server",
        (
            "create policy server on public.notes for all to authenticated"
            " using ((select auth.role()) = 'service_role');"
        ),
        (
            "create policy server on public.notes as restrictive for all to authenticated"
            " using (state is distinct from 'service_role');"
        ),
        "",
    ),
    "a policy that asks for service_role beside something else": (
        "warning policy-for-service-role public.notes.see",
        (
            f"alter policy see on public.notes using ({OWN}"
            " or (select auth.jwt()) ->> 'role' = 'service_role');"
        ),
        (
            "create policy nobody on public.notes as restrictive for all to public"
            " using ((select auth.role()) = 'service_role');"
        ),
        "",
    ),
    "a policy for service_role": (
        "note policy-for-service-role public.notes.server",
        "create policy server on public.notes for all to service_role using (true);",
        "",
        "",
    ),
    "a call for each row": (
        "warning auth_rls_initplan public.notes.see",
        "alter policy see on public.notes using (auth.uid() = user_id);",
        (
            "alter policy see on public.notes using"
            " (user_id = (select (select auth.jwt()) ->> 'sub')::uuid);"
        ),
        "",
    ),
    "a setting for each row, in a sub-select of the row's": (
        "warning auth_rls_initplan public.notes.see",
        (
            "alter policy see on public.notes using"
            " ((select current_setting('app.user', true) = user_id::text));"
        ),
        (
            "alter policy see on public.notes using"
            " ((select nullif(current_setting('app.user', true), ''))::uuid = user_id);"
        ),
        "",
    ),
    "no index": (
        "warning policy-column-not-indexed public.notes",
        "drop index public.notes_user_id_idx;",
        "drop index public.notes_user_id_idx; create index on public.notes (user_id, state);",
        "",
    ),
    "several policies": (
        "note multiple_permissive_policies public.notes",
        "create policy more on public.notes for select to authenticated using (state = 'shared');",
        (
            "create policy shared on public.notes as restrictive for select to authenticated"
            " using (state = 'shared');"
        ),
        "",
    ),
    "no primary key": (
        "note no_primary_key public.notes",
        "alter table public.notes drop constraint notes_pkey;",
        "",
        "",
    ),
}


# Mistakes of which nobody can tell from outside how they are mended.
NO_REMEDY = {
    "several policies",
    "a policy that asks for service_role beside something else",
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_mistake_is_found_and_its_twin_is_not(what: str, notes: Database) -> None:
    """Each rule finds its mistake, and the SQL that it gives mends it; of what is right nothing."""
    expected, wrong, right, intent = PLANTED[what]
    given(notes, wrong)
    declare(notes.settings, INTENT + intent)
    report = audit(notes)
    assert expected in told(report)
    [found] = [each for each in report.findings if expected.endswith(f" {each.rule} {each.name}")]
    assert found.docs.startswith("https://")
    assert found.sql or what in NO_REMEDY
    assert report.ok is not bool(report.errors or report.warnings)
    if found.sql:
        notes.sql(found.sql)
        assert expected not in told(audit(notes))
    given(notes, right)
    assert told(audit(notes)) == set()


def test_every_rule_has_its_mistake() -> None:
    """No rule goes untried; one that wants a foreign server is tried without a database."""
    tried = {expected.split(" ")[1] for expected, *_ in PLANTED.values()}
    assert set(RULES) - tried == {"foreign_table_in_api", UNUSED_EXCEPTION.name}


# --- no false alarm -------------------------------------------------------------------------------


def test_the_project_s_own_schema_is_clean(project: Settings) -> None:
    """RipTide's own three tables have no finding and need no exception."""
    report = audit_rls(settings=project)
    assert (report.findings, report.excepted) == ((), ())
    assert len(report.tables) == 3
    assert report.ok
    assert report.summary.startswith("3 tables, ")
    assert report.summary.endswith(" functions: nothing found")


# What Supabase grants on a new table, and what these shapes leave to it or are odd in, truly so.
TRUE_OF_SHAPES = {
    "grant-beyond-rls",
    "policy-column-not-indexed",
    "function_search_path_mutable",
    "no_primary_key",
}
TRUE_OF_ONE = {
    "an owner that a trigger keeps": {
        # A trigger cannot be seen to keep the owner.
        "rls_policy_always_true",
        "auth_rls_initplan",
    },
    "rows that nobody may change or delete": {"grant-wider-than-intent"},
    "a delete that a trigger passes over": {"grant-wider-than-intent"},
}


@pytest.mark.parametrize("what", SHAPES)
def test_an_odd_table_that_is_right_has_no_other_finding(what: str, db: Database) -> None:
    """Shapes that rls.verify passes have no finding but those that are true of them."""
    sql, intent = SHAPES[what]
    db.sql(sql)
    declare(db.settings, intent)
    try:
        rules = {each.rule for each in audit(db).findings}
        assert rules - TRUE_OF_SHAPES == TRUE_OF_ONE.get(what, set())
    finally:
        (db.settings.supabase_dir / "rls.toml").unlink()


RULES_OF_VIEWS = {
    "of its owner, with everything granted": {"security_definer_view", "grant-wider-than-intent"},
    "of its owner, to be read only": {"security_definer_view"},
    "of the caller, with everything granted": set(),
    "without owners, writable": {"grant-wider-than-intent"},
    "without owners, of sums": set(),
    "without owners and rows": set(),
    "materialized": {"materialized_view_in_api", "grant-wider-than-intent"},
}


@pytest.mark.parametrize("what", VIEWS)
def test_views(what: str, db: Database) -> None:
    """A view's finding is that it passes policies by, and not where everybody may see its rows."""
    sql, intent, _ = VIEWS[what]
    db.sql(USUAL + sql)
    declare(db.settings, f"{DECLARED}[tables.odd_view]\n{intent}")
    try:
        found = {
            each.rule
            for each in audit(db).findings
            if each.object == "public.odd_view" and each.level is not Level.NOTE
        }
        assert found == RULES_OF_VIEWS[what]
    finally:
        (db.settings.supabase_dir / "rls.toml").unlink()


def test_odd_names_are_quoted(notes: Database) -> None:
    """The SQL that mends a table with odd names runs, too."""
    notes.sql(
        """
        create table public."Odd one" ("The user" uuid, "a%sb" int);
        create policy "see's" on public."Odd one" using (auth.uid() = "The user");
        alter table public."Odd one" enable row level security;
        create function public."Odd %f"(int[]) returns int language sql as 'select 1';
        """
    )
    declare(notes.settings, f'{INTENT}[tables."Odd one"]\nowner = "The user"\n')
    for _ in range(3):
        for each in audit(notes).findings:
            if each.rule != "rls_disabled_in_public":
                notes.sql(each.sql or "select 1")
    assert told(audit(notes)) == set()


# --- exceptions, target, output -------------------------------------------------------------------


def test_exceptions(notes: Database) -> None:
    """What is excepted does not count and is told with its reason; an idle exception is a note."""
    given(notes, "grant truncate on public.notes to authenticated; drop index notes_user_id_idx;")
    exception = '[[audit.except]]\nrule = "{}"\nobject = "{}"\nreason = "because"\n'
    declare(
        notes.settings,
        INTENT
        + exception.format("grant-beyond-rls", "public.*")
        + exception.format("policy-column-not-indexed", "public.notes")
        + exception.format("no_primary_key", "public.notes")
        # Nobody has asked the advisors: it may be of use.
        + exception.format("unused_index", "public.notes"),
    )
    report = audit(notes)
    assert report.ok
    assert {each.rule for each in report.excepted} == {
        "grant-beyond-rls",
        "policy-column-not-indexed",
    }
    assert {each.reason for each in report.excepted} == {"because"}
    assert told(report) == {"note unused-exception public.notes"}
    assert report.findings[0].line == 11


def test_a_function_that_is_not_there_is_refused(notes: Database) -> None:
    """What rls.toml declares is held against the database, with the nearest name."""
    given(notes, function("public.helper()", options=PATH))
    declare(notes.settings, INTENT + '[functions.helpr]\nexecute = ["anon"]\n')
    with pytest.raises(ConfigError, match=r"rls.toml:3: .*did you mean public\.helper\?"):
        audit(notes)


def test_a_finding_names_the_migration(notes: Database) -> None:
    """File and line are those of the newest migration that makes the table or the policy."""
    notes.migration(1, RIGHT)
    notes.migration(2, 'create policy "see" on notes\n  for select using (true);\n', name="n")
    notes.sql("alter policy see on public.notes to public; drop index public.notes_user_id_idx")
    places = {
        each.rule: (each.file.name if each.file else "", each.line)
        for each in audit(notes).findings
    }
    assert places["policy-column-not-indexed"] == ("20250101000000_m.sql", 2)
    assert places["policy-to-public"] == ("20250102000000_n.sql", 1)


def test_the_advisors_add_what_only_they_find(notes: Database) -> None:
    """Of what both find there is one finding, in RipTide's words; the rest is Supabase's."""
    given(
        notes,
        "alter policy see on public.notes to public using (auth.uid() = user_id);"
        "create table public.cards (id int, cvv text);"
        "create index twin on public.notes (user_id);" + function("public.helper()"),
    )
    report = audit_rls(settings=notes.settings, advisors=True)
    names = [(each.rule, each.name) for each in report.findings]
    assert len(names) == len(set(names))
    by_source = {each.rule: each.source for each in report.findings}
    assert by_source["auth_rls_initplan"] == "riptide"
    assert by_source["rls_disabled_in_public"] == "riptide"
    assert by_source["function_search_path_mutable"] == "riptide"
    assert by_source["sensitive_columns_exposed"] == "supabase"
    assert by_source["duplicate_index"] == "supabase"


def test_the_task(project: Settings, tmp_path: Path) -> None:
    """It exits with 0 on a clean schema, writes both reports and one JSON object."""
    folder = project.root / "reports"
    words = ("--json", f"--junit={folder}/j.xml", f"--sarif={tmp_path}/s.json")
    run = inv(project, "rls.audit", *words)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 0, out
    assert json.loads(out)["ok"] is True
    suites = ET.parse(folder / "j.xml").getroot()
    assert suites.get("failures") == "0"
    assert len(suites) == len(RULES)
    assert json.loads((tmp_path / "s.json").read_text("utf-8"))["runs"][0]["results"] == []


def test_the_task_exits_with_3(notes: Database) -> None:
    """Warnings exit with 3; no line but the SQL and the pages is wider than 100 columns."""
    given(notes, "grant truncate, references, trigger on public.notes to anon, authenticated;")
    run = inv(notes.settings, "rls.audit")
    out, _ = run.communicate(timeout=60)
    (notes.settings.root / "tasks.py").unlink()
    assert run.returncode == 3, out
    assert "grant-beyond-rls" in out
    assert "1 warning" in out
    lines = [each for each in out.splitlines() if not each.startswith(("  docs:", "  mend:"))]
    assert max(map(len, lines)) <= 100


def test_a_database_that_does_not_answer(make_project: Callable[..., Settings]) -> None:
    """Without a stack the error says how to start one; the linked project's URL is not known."""
    settings = make_project()
    with pytest.raises(DatabaseError, match=r"inv stack\.start"):
        audit_rls(settings=settings)
    with pytest.raises(ConfigError, match="SUPABASE_DB_URL"):
        audit_rls(settings=replace(settings, target=Target(kind="linked")))
