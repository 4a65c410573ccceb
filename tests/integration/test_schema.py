"""The project's own tables: what their migrations make, take back, allow and refuse."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from _http import http_client
from postgrest.exceptions import APIError
from supabase import Client, create_client
from supabase.lib.client_options import SyncClientOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.results import StackStatus

pytestmark = pytest.mark.integration

SUPABASE = Path(__file__).resolve().parents[2] / "supabase"
MIGRATIONS = sorted((SUPABASE / "migrations").glob("*.sql"))
OWNERS = {"profiles": "id", "api_tokens": "user_id", "user_sessions": "user_id"}
OURS = tuple(OWNERS)
COMPLETED = ("complete_profiles", "complete_api_tokens", "complete_user_sessions")
NOW = "2030-01-01T00:00:00+00:00"

# Everything that a migration can make, as text: equal lists mean equal schemas.
CATALOG = """
select 'schema', nspname, nspacl::text, obj_description(oid, 'pg_namespace')
from pg_namespace where nspname = 'private'
union all
select 'relation', oid::regclass::text, concat_ws(' ', relkind, relrowsecurity,
  array(select unnest(relacl)::text order by 1)),
  obj_description(oid, 'pg_class')
from pg_class where relnamespace in (select oid from pg_namespace
  where nspname in ('public', 'private'))
union all
select case c.relkind when 'c' then 'attribute' else 'column' end,
  concat(c.oid::regclass, '.', a.attname), concat_ws(' ',
  format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
  array(select unnest(a.attacl)::text order by 1)),
  col_description(c.oid, a.attnum)
from pg_attribute as a join pg_class as c on c.oid = a.attrelid
left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace in (select oid from pg_namespace where nspname in ('public', 'private'))
  and c.relkind in ('r', 'c') and a.attnum > 0
  and not a.attisdropped
union all
select 'constraint', conname, pg_get_constraintdef(oid), null
from pg_constraint where connamespace in (select oid from pg_namespace
  where nspname in ('public', 'private'))
union all
select 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), null
from pg_index where indrelid in (select oid from pg_class
  where relnamespace in (select oid from pg_namespace where nspname in ('public', 'private')))
union all
select 'policy', polname, concat_ws(' ', polrelid::regclass, polcmd, polpermissive,
  (select string_agg(rolname, ',') from pg_roles where oid = any(polroles)),
  pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)),
  obj_description(oid, 'pg_policy')
from pg_policy
union all
select 'function', oid::regprocedure::text, concat_ws(' ', prosecdef, proconfig,
  array(select unnest(proacl)::text order by 1), prosrc),
  obj_description(oid, 'pg_proc')
from pg_proc where pronamespace in (select oid from pg_namespace
  where nspname in ('public', 'private'))
union all
select 'type', oid::regtype::text, (select string_agg(enumlabel, ',' order by enumsortorder)
  from pg_enum where enumtypid = t.oid), obj_description(oid, 'pg_type')
from pg_type as t where typtype = 'e'
  and typnamespace in (select oid from pg_namespace where nspname in ('public', 'private'))
union all
select 'trigger', tgname, pg_get_triggerdef(oid), obj_description(oid, 'pg_trigger')
from pg_trigger where not tgisinternal
order by 1, 2, 3, 4
"""


@pytest.fixture
def database(stack: StackStatus) -> Iterator[psycopg.Connection[Any]]:
    """Give a session as postgres, whose transaction is undone at the end."""
    with psycopg.connect(stack.db_url) as connection:
        connection.execute("set local client_min_messages = error")
        yield connection
        connection.rollback()


def run(connection: psycopg.Connection[Any], path: Path) -> None:
    """Run a file in the transaction at hand."""
    connection.execute(path.read_bytes())


def rows(connection: psycopg.Connection[Any], query: str, *values: object) -> list[Any]:
    """Give the rows of a query."""
    return connection.execute(query.encode(), values or None).fetchall()


# --- files ---------------------------------------------------------------------------------------


def test_each_migration_is_named_for_its_table_and_has_a_twin() -> None:
    """A table is made by one migration and completed by another, each with its rollback."""
    names = [path.name[15:-4] for path in MIGRATIONS]
    assert names == [*(f"create_{table}" for table in OURS), *COMPLETED]
    assert all(re.match(r"\d{14}_", path.name) for path in MIGRATIONS)
    twins = sorted(path.name for path in (SUPABASE / "rollbacks").iterdir())
    assert twins == [path.name for path in MIGRATIONS]
    for path in MIGRATIONS[: len(OURS)]:
        made = re.findall(r"create table if not exists (\S+)", path.read_text(encoding="utf-8"))
        assert made == [f"public.{path.name[22:-4]}"]


@pytest.mark.parametrize("folder", ["migrations", "rollbacks"])
def test_every_file_begins_with_what_it_is_for(folder: str) -> None:
    """A header says what the file does, what takes it back, and that it can run twice."""
    for path in (SUPABASE / folder).glob("*.sql"):
        header = path.read_text(encoding="utf-8").split("\n\n")[0]
        assert header.startswith("-- ")
        assert "Can run twice with no" in header
        other = "rollbacks" if folder == "migrations" else "migrations"
        assert f"supabase/{other}/{path.name}" in header


def test_twice_is_once(database: psycopg.Connection[Any]) -> None:
    """Running each migration again after itself, and each rollback, changes nothing."""
    before = rows(database, CATALOG)
    run(database, MIGRATIONS[-1])
    assert rows(database, CATALOG) == before
    for path in reversed(MIGRATIONS):
        run(database, SUPABASE / "rollbacks" / path.name)
        once = rows(database, CATALOG)
        run(database, SUPABASE / "rollbacks" / path.name)
        assert rows(database, CATALOG) == once, path.name
    for path in MIGRATIONS:
        run(database, path)
        once = rows(database, CATALOG)
        run(database, path)
        assert rows(database, CATALOG) == once, path.name
    assert rows(database, CATALOG) == before


def test_a_rollback_gives_back_what_was(database: psycopg.Connection[Any]) -> None:
    """After a migration and its rollback the catalog is as it was before the migration."""
    for path in reversed(MIGRATIONS):
        run(database, SUPABASE / "rollbacks" / path.name)
    for path in MIGRATIONS:
        before = rows(database, CATALOG)
        run(database, path)
        run(database, SUPABASE / "rollbacks" / path.name)
        assert rows(database, CATALOG) == before, path.name
        run(database, path)


def test_up_down_up_is_up(database: psycopg.Connection[Any]) -> None:
    """The rollbacks, newest first and each twice, leave nothing; the migrations bring all back."""
    before = rows(database, CATALOG)
    assert {row[0] for row in before} == {
        "schema", "relation", "column", "constraint", "index", "policy", "function", "trigger",
        "attribute", "type",
    }  # fmt: skip
    for path in reversed(MIGRATIONS):
        for _ in range(2):
            run(database, SUPABASE / "rollbacks" / path.name)
    assert rows(database, CATALOG) == []
    for path in MIGRATIONS:
        run(database, path)
    assert rows(database, CATALOG) == before


def test_a_rollback_keeps_what_others_put_into_private(database: psycopg.Connection[Any]) -> None:
    """Schema private stays where something else is in it, and the rollback does not fail."""
    database.execute("create function private.theirs() returns int language sql as 'select 1'")
    for path in reversed(MIGRATIONS):
        run(database, SUPABASE / "rollbacks" / path.name)
    assert rows(database, "select private.theirs()") == [(1,)]


def test_users_of_before_get_a_profile(database: psycopg.Connection[Any]) -> None:
    """The migration makes the profiles of users who had signed up before it."""
    for path in reversed(MIGRATIONS):
        run(database, SUPABASE / "rollbacks" / path.name)
    user = uuid.uuid4()
    database.execute(
        "insert into auth.users (id, email) values (%s, %s)", (user, f"{user}@example.com")
    )
    run(database, MIGRATIONS[0])
    assert rows(database, "select 1 from public.profiles where id = %s", user) == [(1,)]


# --- what the catalog must say -------------------------------------------------------------------


def test_everything_is_commented(database: psycopg.Connection[Any]) -> None:
    """Each table, column, policy and function, and schema private, has its sentence."""
    bare = [
        row[:2]
        for row in rows(database, CATALOG)
        if row[0] in ("schema", "column", "policy", "function", "type") and not row[3]
    ]
    assert bare == []
    for table in OURS:
        query = "select obj_description(%s::regclass, 'pg_class')"
        assert rows(database, query, f"public.{table}")[0][0]


def test_policies_are_of_one_form(database: psycopg.Connection[Any]) -> None:
    """Every policy is for one operation, to authenticated, permissive, and asks for the id once."""
    policies = rows(
        database,
        "select tablename, policyname, permissive, roles::text, cmd, qual, with_check"
        " from pg_policies where schemaname = 'public'",
    )
    assert len(policies) == 2 + 2 + 1
    for table, name, permissive, roles, operation, using, check in policies:
        assert name == f"{table}_{operation.lower()}_own"
        assert (permissive, roles) == ("PERMISSIVE", "{authenticated}")
        assert operation in ("SELECT", "INSERT", "UPDATE", "DELETE")
        assert (using is None) == (operation == "INSERT")
        assert (check is not None) == (operation in ("INSERT", "UPDATE"))
        for expression in filter(None, (using, check)):
            assert "( SELECT auth.uid() AS uid) = " in expression
    off = rows(
        database,
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind = 'r' and not relrowsecurity",
    )
    assert off == []


GRANTS = {
    "profiles": {
        "SELECT": "*",
        "UPDATE": "display_name avatar_url website timezone preferences",
    },
    "api_tokens": {
        "SELECT": "*",
        "UPDATE": "name",
    },
    "user_sessions": {"SELECT": "*"},
}


@pytest.mark.parametrize("table", OURS)
def test_grants_are_those_of_the_matrix(table: str, database: psycopg.Connection[Any]) -> None:
    """Signed-in users have these columns and no others, anon nothing, the service role all."""
    columns = [row[0] for row in rows(
        database,
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and not attisdropped",
        f"public.{table}",
    )]  # fmt: skip
    for operation in ("SELECT", "INSERT", "UPDATE"):
        wanted = GRANTS[table].get(operation, "")
        expected = set(columns) if wanted == "*" else set(wanted.split())
        for role, allowed in (
            ("anon", set()),
            ("authenticated", expected),
            ("service_role", set(columns)),
        ):
            found = rows(
                database,
                "select c from unnest(%s::text[]) as c where has_column_privilege(%s, %s, c, %s)",
                columns, role, f"public.{table}", operation,
            )  # fmt: skip
            assert {row[0] for row in found} == allowed, (role, operation)
    for operation in ("DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
        query = "select has_table_privilege(%s, %s, %s)"
        for role, expects in (
            ("anon", False),
            ("authenticated", operation in GRANTS[table]),
            ("service_role", True),
        ):
            assert rows(database, query, role, f"public.{table}", operation) == [(expects,)]


def test_schema_private_is_closed(database: psycopg.Connection[Any]) -> None:
    """Clients may neither use schema private nor run the functions in it."""
    for role in ("anon", "authenticated"):
        query = "select has_schema_privilege(%s, 'private', 'usage')"
        assert rows(database, query, role) == [(False,)]
        query = (
            "select proname, has_function_privilege(%s, oid, 'execute'), prosecdef, proconfig"
            " from pg_proc where pronamespace = 'private'::regnamespace"
        )
        found = rows(database, query, role)
        assert {"keep_revoked", "create_profile"} <= {name for name, *_ in found}
        for name, may_call, definer, config in found:
            # A caller's temporary types are looked up last, and only where that is said.
            safe = ["search_path=pg_catalog, pg_temp"]
            assert not may_call, name
            assert config == safe or (config == ['search_path=""'] and not definer), name


@pytest.mark.parametrize(("table", "owner"), list(OWNERS.items()))
def test_owner_columns_are_indexed_and_cascade(
    table: str, owner: str, database: psycopg.Connection[Any]
) -> None:
    """The owner is not null, leads an index, and takes the rows along when they go."""
    query = (
        "select a.attnotnull, k.confdeltype = 'c', k.confrelid::regclass::text,"
        " exists (select from pg_index as i where i.indrelid = a.attrelid"
        "   and i.indkey[0] = a.attnum)"
        " from pg_attribute as a"
        " join pg_constraint as k on k.conrelid = a.attrelid and k.conkey = array[a.attnum]"
        "   and k.contype = 'f'"
        " where a.attrelid = %s::regclass and a.attname = %s"
    )
    assert rows(database, query, f"public.{table}", owner) == [(True, True, "auth.users", True)]


# --- what they do --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "name", "picture"),
    [
        (None, None, None),
        ("null", None, None),
        ('"text"', None, None),
        ("[1, 2]", None, None),
        ("17", None, None),
        ('{"display_name": "  Ada  "}', "Ada", None),
        ('{"display_name": "   "}', None, None),
        ('{"full_name": "Ada L."}', "Ada L.", None),
        (json.dumps({"name": "x" * 500}), "x" * 80, None),
        (json.dumps({"name": "x" * 79 + " y"}), "x" * 79, None),
        ('{"avatar_url": "https://example.com/a.png"}', None, "https://example.com/a.png"),
        ('{"avatar_url": "javascript:alert(1)"}', None, None),
        ('{"avatar_url": "https://example.com/a b"}', None, None),
        (json.dumps({"picture": "https://example.com/" + "x" * 3000}), None, None),
    ],
)
def test_no_metadata_stops_a_sign_up(
    metadata: str | None, name: str | None, picture: str | None, stack: StackStatus
) -> None:
    """Whatever the metadata, the Auth server's insert works and a profile is there."""
    parts = urlsplit(stack.db_url)
    as_auth = urlunsplit(
        parts._replace(netloc=f"supabase_auth_admin:postgres@{parts.netloc.rpartition('@')[2]}")
    )
    user = uuid.uuid4()
    with psycopg.connect(as_auth) as auth, psycopg.connect(stack.db_url) as postgres:
        auth.execute(
            "insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
            (user, f"{user}@example.com", metadata),
        )
        auth.commit()
        try:
            query = "select display_name, avatar_url from public.profiles where id = %s"
            assert rows(postgres, query, user) == [(name, picture)]
        finally:
            auth.execute("delete from auth.users where id = %s", (user,))
            auth.commit()


def test_a_check_of_later_does_not_stop_a_sign_up(database: psycopg.Connection[Any]) -> None:
    """Where the table refuses the name, the profile is made without it."""
    database.execute(
        "alter table public.profiles add constraint later check (display_name <> 'Root')"
    )
    user = uuid.uuid4()
    database.execute(
        "insert into auth.users (id, email, raw_user_meta_data) values (%s, %s, %s)",
        (user, f"{user}@example.com", '{"display_name": "Root"}'),
    )
    query = "select display_name from public.profiles where id = %s"
    assert rows(database, query, user) == [(None,)]


def test_a_profile_comes_and_goes_with_its_user(
    sign_up: Callable[..., tuple[Client, str]], stack: StackStatus
) -> None:
    """Signing up makes the profile, deleting the user takes all their rows along."""
    client, user_id = sign_up(display_name="Ada")
    assert client.table("profiles").select("id, display_name").execute().data == [
        {"id": user_id, "display_name": "Ada"}
    ]
    client.rpc("create_api_token", {"name": "one"}).execute()
    client.rpc("touch_session", {"device_name": "Laptop"}).execute()
    with psycopg.connect(stack.db_url) as postgres:
        postgres.execute("delete from auth.users where id = %s", (user_id,))
        for table, owner in OWNERS.items():
            query = f"select 1 from public.{table} where {owner} = %s"
            assert rows(postgres, query, user_id) == []
        postgres.rollback()


def test_updated_at_follows_real_changes(sign_up: Callable[..., tuple[Client, str]]) -> None:
    """A change moves updated_at, the same value again does not, a client cannot set it."""
    client, user_id = sign_up()

    def update(**values: object) -> str:
        done = client.table("profiles").update(values).eq("id", user_id).execute()
        return str(done.data[0]["updated_at"])  # type: ignore[call-overload, index]

    first = update(display_name="Ada")
    assert update(display_name="Ada") == first
    second = update(display_name="Ada L.")
    assert second > first
    with pytest.raises(APIError, match="permission denied"):
        update(updated_at=NOW)


def test_the_demo_users_can_sign_in(stack: StackStatus) -> None:
    """The seed runs twice with no effect, and its users sign in and see their own rows."""
    seed = (SUPABASE / "seed.sql").read_bytes()
    counted = (
        "select (select count(*) from auth.users), (select count(*) from auth.identities),"
        " (select count(*) from public.profiles), (select count(*) from public.api_tokens),"
        " (select count(*) from public.user_sessions)"
    )
    with psycopg.connect(stack.db_url, autocommit=True) as postgres, http_client() as http:
        there = rows(postgres, "select 1 from auth.users where email = 'alice@example.com'")
        postgres.execute(seed)
        try:
            once = rows(postgres, counted)
            postgres.execute(seed)
            assert rows(postgres, counted) == once
            ours = "select count(*) from auth.users where instance_id = %s and email = any(%s)"
            assert rows(
                postgres, ours, uuid.UUID(int=0), ["alice@example.com", "bob@example.com"]
            ) == [(2,)]
            for name, tokens, devices in (("Alice", 2, 2), ("Bob", 1, 1)):
                options = SyncClientOptions(
                    auto_refresh_token=False, persist_session=False, httpx_client=http
                )
                client = create_client(stack.api_url, stack.publishable_key, options)
                client.auth.sign_in_with_password(
                    {"email": f"{name.lower()}@example.com", "password": "riptide-demo"}
                )
                profiles = client.table("profiles").select("display_name").execute().data
                assert profiles == [{"display_name": name}]
                assert len(client.table("api_tokens").select("id").execute().data) == tokens
                assert len(client.table("user_sessions").select("id").execute().data) == devices
        finally:
            if not there:
                postgres.execute(
                    "delete from auth.users where email in ('alice@example.com', 'bob@example.com')"
                )
