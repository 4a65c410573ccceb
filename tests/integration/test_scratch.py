"""Scratch databases, and the snapshots that they are compared by."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import psycopg
import pytest

from riptide.migrations.snapshot import Difference, compare, take
from riptide.runner import SubprocessRunner
from riptide.stack.embedded.scratch import Scratch, scratch_server
from riptide.stack.process import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.settings import Settings


@pytest.fixture(scope="module")
def scratch(make_project: Callable[..., Settings]) -> Iterator[Scratch]:
    """Give a running scratch server."""
    with scratch_server(
        make_project(), runner=SubprocessRunner(), progress=lambda _: None
    ) as server:
        yield server


def test_nothing_is_left(
    make_project: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scratch server and its folder are gone when it is done, and when it ends in an error."""
    settings, seen = make_project(), []
    monkeypatch.setattr(tempfile, "tempdir", str(settings.root))  # nobody else's are there

    def fail() -> None:
        with scratch_server(settings, runner=SubprocessRunner(), progress=lambda _: None) as server:
            seen.append(server.cluster.find())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen[0] is not None
    assert find(seen[0].pid) is None
    assert list(settings.root.glob("riptide-scratch-*")) == []


def test_databases_are_empty_and_apart(scratch: Scratch) -> None:
    """Each database is a new project's; a copy has what its source has."""
    one, two = scratch.database("one"), scratch.database("two")
    with psycopg.connect(one.url, autocommit=True) as connection:
        connection.execute("create table public.t (id int)")
        in_one = take(connection)
    with psycopg.connect(two.url) as connection:
        assert [str(each) for each in compare(take(connection), in_one)] == [
            "table public.t: only after"
        ]
    with psycopg.connect(scratch.copy(one, "three").url) as connection:
        assert compare(in_one, take(connection)) == []


CHANGES = {
    "grant": "grant select on public.t to anon",
    "column grant": "grant update (name) on public.t to authenticated",
    "owner": "alter function public.f() owner to other",
    "comment": "comment on column public.t.name is 'x'",
    "rls": "alter table public.t enable row level security",
    "policy": "create policy p on public.t for select to anon using (true)",
    "default": "alter table public.t alter name set default 'x'",
    "not null": "alter table public.t alter name set not null",
    "index": "create index i on public.t (name)",
    "check": "alter table public.t add check (name <> '')",
    "trigger": (
        "create trigger g before update on public.t for each row execute function public.f()"
    ),
    "trigger on auth": (
        "create trigger g after insert on auth.users for each row execute function public.f()"
    ),
    "function body": (
        "create or replace function public.f() returns trigger language plpgsql as "
        "$$begin return null; end$$"
    ),
    "execute": "revoke execute on function public.f() from public",
    "enum": "alter type public.e add value 'b'",
    "default privileges": (
        "alter default privileges in schema public grant select on tables to anon"
    ),
    "view": "create view public.v as select 1 as one",
    "view option": "alter view public.w set (security_invoker = on)",
    "sequence": "create sequence public.s",
    "schema": "create schema other",
    "publication": "create publication pub for table public.t",
}


@pytest.fixture
def made(scratch: Scratch, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """Give a transaction in a database with one object of each kind, and a role to give them to."""
    with psycopg.connect(scratch.cluster.url()) as connection:
        connection.execute(
            "create role other; grant other to postgres; grant create on schema public to other;"
            "create table public.t (id int, name text);"
            "revoke all on public.t from anon, authenticated;"
            "alter default privileges in schema public revoke all on tables from anon;"
            "create function public.f() returns trigger language plpgsql as "
            "$$begin return new; end$$;"
            "create type public.e as enum ('a'); create view public.w as select 1 as one"
        )
        yield connection
        connection.rollback()


@pytest.mark.parametrize("change", CHANGES)
def test_every_kind_of_change_is_seen(made: psycopg.Connection, change: str) -> None:
    """Whatever a migration may change, a comparison tells."""
    before = take(made)
    assert compare(before, take(made)) == []
    made.execute(CHANGES[change].encode())
    assert compare(before, take(made)), change


def test_difference_reads_as_a_line() -> None:
    """A difference says what is where."""
    key = ("column", "public.t.a")
    assert [str(each) for each in compare({key: "text"}, {key: "text not null"})] == [
        "column public.t.a: text  →  text not null"
    ]
    table = ("table", "public.t")
    assert compare({table: "x", key: "text"}, {}) == [Difference("table", "public.t", "x", None)]


def test_search_path_is_left_as_it_was(made: psycopg.Connection) -> None:
    """Taking a snapshot does not change what an unqualified name means afterwards."""
    made.execute("set search_path = extensions, public")
    take(made)
    assert made.execute("show search_path").fetchone() == ("extensions, public",)
