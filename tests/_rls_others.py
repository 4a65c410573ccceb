"""Schemas of other people's shapes: each right, with what rls.toml says of it, and mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field

USER = "uuid not null references auth.users (id) on delete cascade"
KEY = "id uuid primary key default gen_random_uuid()"
ME = "(select auth.uid())"


@dataclass(frozen=True)
class Mistake:
    """Something that goes wrong in practice.

    Attributes:
        sql: What makes it.
        cells: What it turns, all of it: ``table: operation actor expected verdict``.
        rules: What the audit says of it, among other things.
        keys: What it turns in the column of what keys tell, likewise.
    """

    sql: str
    cells: frozenset[str]
    rules: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shape:
    """A schema that is right.

    Attributes:
        sql: What makes it.
        intent: Its part of rls.toml.
        mistakes: What could be wrong with it.
    """

    sql: str
    intent: str
    mistakes: tuple[Mistake, ...] = field(default=())


def table(name: str, columns: str, grants: str, *, index: str = "", rest: str = "") -> str:
    """Give the SQL of a table with RLS that only grants open."""
    schema, _, bare = name.rpartition(".")
    name = f"{schema or 'public'}.{bare}"
    indexes = f"create index on {name} ({index});" if index else ""
    granted = "".join(
        f"grant {what} on table {name} to {role};"
        for each in filter(None, grants.split(";"))
        for what, _, role in [each.strip().partition(" to ")]
    )
    return (
        f"create table {name} ({columns}) {rest};{indexes}"
        f"alter table {name} enable row level security;"
        f"revoke all on table {name} from public, anon, authenticated;{granted}"
        f"grant all on table {name} to service_role;"
    )


def policy(
    name: str, on: str, command: str, *, to: str = "authenticated", using: str = "", check: str = ""
) -> str:
    """Give the SQL of a policy."""
    on = on if "." in on else f"public.{on}"
    return (
        f"create policy {name} on {on} for {command} to {to}"
        + (f" using ({using})" if using else "")
        + (f" with check ({check})" if check else "")
        + ";"
    )


def own(name: str, column: str = "user_id", commands: str = "select insert update delete") -> str:
    """Give a policy for each command that lets users have their own rows."""
    mine = f"{ME} = {column}"
    parts = {
        "select": {"using": mine},
        "insert": {"check": mine},
        "update": {"using": mine, "check": mine},
        "delete": {"using": mine},
    }
    return "".join(policy(f"{each}_own", name, each, **parts[each]) for each in commands.split())


def excepted(name: str, reason: str) -> str:
    """Give rls.toml's section for privileges that policies give to some users by their claims."""
    return (
        f'[[audit.except]]\nrule = "grant-wider-than-intent"\nobject = "public.{name}"\n'
        f'reason = "{reason}"\n'
    )


def leaks(name: str, *cells: str) -> frozenset[str]:
    """Give cells in which somebody can do what is denied."""
    return frozenset(f"{name}: {each} deny leak" for each in cells)


MEMBER = f"team_id in (select m.team_id from public.members as m where m.user_id = {ME})"
ANY_MEMBER = f"exists (select from public.members as m where m.user_id = {ME})"
ROLE = "(select auth.jwt()) -> 'app_metadata' ->> 'role' = 'editor'"
TENANT = "tenant_id::text = ((select auth.jwt()) -> 'app_metadata' ->> 'tenant')"
IN_CLUB = "private.in_club({}, '{{owner,guest}}')"
OWN_CLUB = "private.in_club({}, '{{owner}}')"
ANY_CLUB, MY_CLUB = IN_CLUB.format("null"), OWN_CLUB.format("null")
ALL_GRANTS = "select, insert, update, delete to authenticated"

SHAPES = {
    "team membership through a join table": Shape(
        table("teams", f"{KEY}, created_by {USER}", "select to authenticated", index="created_by")
        + table(
            "members",
            f"team_id uuid references public.teams (id) on delete cascade, user_id {USER},"
            " primary key (team_id, user_id)",
            "select to authenticated",
            index="user_id",
        )
        + table(
            "documents",
            f"{KEY}, team_id uuid not null references public.teams (id) on delete cascade,"
            f" author_id {USER}, body text",
            "select, insert, delete to authenticated; update (body) to authenticated",
            index="author_id",
        )
        + own("teams", "created_by", "select")
        + own("members", commands="select")
        + policy("read", "documents", "select", using=MEMBER)
        + policy("write", "documents", "insert", check=f"{ME} = author_id and {MEMBER}")
        + policy(
            "edit", "documents", "update", using=f"{ME} = author_id", check=f"{ME} = author_id"
        )
        + policy("remove", "documents", "delete", using=f"{ME} = author_id"),
        '[tables.teams]\nowner = "created_by"\ninsert = "none"\nupdate = "none"\ndelete = "none"\n'
        '[tables.members]\nowner = "user_id"\ninsert = "none"\nupdate = "none"\n'
        'delete = "none"\n'
        '[tables.documents]\nowner = "author_id"\nupdate_columns = ["body"]\n',
        (
            Mistake(
                f"alter policy read on public.documents using ({MEMBER} or true);",
                leaks("documents", "select other"),
            ),
            Mistake(
                f"alter policy write on public.documents with check ({ME} is not null);",
                leaks("documents", "insert other"),
            ),
            # Which team is forgotten: whoever is in one is in.
            Mistake(
                f"alter policy read on public.documents using ({ANY_MEMBER});",
                leaks("documents", "select other"),
            ),
            Mistake(
                "alter policy write on public.documents"
                f" with check ({ME} = author_id and {ANY_MEMBER});",
                frozenset(),
                keys=leaks("documents", "exists other"),
            ),
        ),
    ),
    "all through the team": Shape(
        "create schema if not exists private; grant usage on schema private to authenticated;"
        + table("clubs", f"{KEY}, name text not null", ALL_GRANTS)
        + table(
            "club_members",
            f"club_id uuid references public.clubs (id) on delete cascade, user_id {USER},"
            " role text not null check (role in ('owner', 'guest')),"
            " primary key (club_id, user_id)",
            "select, insert to authenticated; update (role) to authenticated",
            index="user_id",
        )
        + table(
            "club_notes",
            f"{KEY}, club_id uuid not null references public.clubs (id), body text",
            "select, insert, delete to authenticated; update (body) to authenticated",
            index="club_id",
        )
        + "create function private.in_club(club uuid, roles text[]) returns boolean language sql"
        " stable security definer set search_path = '' as $$ select exists (select from"
        " public.club_members as m where (m.club_id = club or club is null)"
        f" and m.role = any(roles) and m.user_id = {ME}) $$;"
        + policy("read", "clubs", "select", using=IN_CLUB.format("id"))
        + policy("write", "clubs", "insert", check="true")
        + policy("edit", "clubs", "update", using=OWN_CLUB.format("id"))
        + policy("remove", "clubs", "delete", using=OWN_CLUB.format("id"))
        + policy("read", "club_members", "select", using=IN_CLUB.format("club_id"))
        + policy("write", "club_members", "insert", check=OWN_CLUB.format("club_id"))
        + policy("edit", "club_members", "update", using=OWN_CLUB.format("club_id"))
        + policy("read", "club_notes", "select", using=IN_CLUB.format("club_id"))
        + policy("write", "club_notes", "insert", check=IN_CLUB.format("club_id"))
        + policy("edit", "club_notes", "update", using=IN_CLUB.format("club_id"))
        + policy("remove", "club_notes", "delete", using=OWN_CLUB.format("club_id")),
        '[tables.club_notes]\nthrough = "clubs"\nupdate_columns = ["body"]\n'
        '[tables.clubs]\nthrough = "club_members"\ninsert = "all"\n'
        '[tables.club_members]\nowner = "user_id"\ninsert = "none"\ndelete = "none"\n'
        'update_columns = ["role"]\n'
        + excepted("club_members", "who owns a club adds its members, nobody themselves")
        + '[[audit.except]]\nrule = "rls_policy_always_true"\nobject = "public.clubs.write"\n'
        'reason = "everybody may make a club"\n',
        (
            Mistake(
                f"alter policy read on public.club_notes using ({ANY_CLUB});",
                leaks("club_notes", "select other"),
            ),
            Mistake(
                f"alter policy write on public.club_notes with check ({ANY_CLUB});",
                leaks("club_notes", "insert other"),
            ),
            Mistake(
                f"alter policy write on public.club_members with check ({MY_CLUB});",
                leaks("club_members", "insert other"),
            ),
            Mistake(
                f"alter policy edit on public.clubs using ({MY_CLUB});"
                f"alter policy remove on public.clubs using ({MY_CLUB});",
                leaks("clubs", "update other", "delete other"),
            ),
        ),
    ),
    "roles in app_metadata": Shape(
        table("articles", f"{KEY}, title text not null default ''", ALL_GRANTS)
        + policy("read", "articles", "select", using="true")
        + policy("write", "articles", "insert", check=ROLE)
        + policy("edit", "articles", "update", using=ROLE, check=ROLE)
        + policy("remove", "articles", "delete", using=ROLE),
        '[tables.articles]\nselect = "all"\ninsert = "none"\nupdate = "none"\ndelete = "none"\n'
        + excepted("articles", "editors write; rls.toml knows no claims"),
        (
            Mistake(
                "alter policy remove on public.articles using "
                "(coalesce((select auth.jwt()) -> 'app_metadata' ->> 'role', 'editor')"
                " = 'editor');",
                leaks("articles", "delete owner", "delete other"),
            ),
        ),
    ),
    "public read with owner write": Shape(
        table(
            "posts",
            f"{KEY}, author_id {USER}, body text",
            "select to anon; select, insert, delete to authenticated;"
            " update (body) to authenticated",
            index="author_id",
        )
        + policy("read", "posts", "select", to="anon, authenticated", using="true")
        + own("posts", "author_id", "insert update delete"),
        '[tables.posts]\nowner = "author_id"\nselect = "all"\nupdate_columns = ["body"]\n'
        '[tables.posts.anon]\nselect = "all"\n',
        (
            Mistake(
                "alter policy update_own on public.posts using (true) with check (true);",
                leaks("posts", "update other"),
                frozenset({"rls_policy_always_true"}),
            ),
            Mistake(
                "alter policy read on public.posts to authenticated;",
                frozenset({"posts: select anon allow lockout"}),
            ),
        ),
    ),
    "soft delete": Shape(
        table(
            "letters",
            f"{KEY}, user_id {USER}, body text, deleted_at timestamptz",
            "select, insert to authenticated; update (body, deleted_at) to authenticated",
            index="user_id",
        )
        + own("letters", commands="select insert update"),
        '[tables.letters]\nowner = "user_id"\ndelete = "none"\n'
        'update_columns = ["body", "deleted_at"]\n',
        (
            # The row that an update leaves must be visible, too: nobody can delete any more.
            Mistake(
                f"alter policy select_own on public.letters using ({ME} = user_id"
                " and deleted_at is null);",
                frozenset({"letters: update owner allow lockout"}),
            ),
            Mistake(
                "grant delete on table public.letters to authenticated;"
                + policy("purge", "letters", "delete", using=f"{ME} = user_id"),
                leaks("letters", "delete owner"),
                frozenset({"grant-wider-than-intent"}),
            ),
        ),
    ),
    "column-level grants": Shape(
        table(
            "accounts",
            f"{KEY}, user_id {USER}, name text, balance int not null default 0",
            "select (id, user_id, name), insert (user_id, name), update (name), delete"
            " to authenticated",
            index="user_id",
        )
        + own("accounts"),
        '[tables.accounts]\nowner = "user_id"\ninsert_columns = ["user_id", "name"]\n'
        'update_columns = ["name"]\n',
        (
            Mistake(
                "grant update on table public.accounts to authenticated;",
                leaks("accounts", "update owner"),
                frozenset({"grant-wider-than-intent"}),
            ),
            Mistake(
                "grant insert on table public.accounts to authenticated;",
                frozenset(),  # what else a new row is given is for the audit to see
                frozenset({"grant-wider-than-intent"}),
            ),
        ),
    ),
    "paths as in storage": Shape(
        table(
            "objects",
            f"{KEY}, owner_id {USER}, name text not null unique",
            "select, insert, delete to authenticated",
            index="owner_id",
        )
        + policy("read", "objects", "select", using=f"split_part(name, '/', 1) = {ME}::text")
        + policy(
            "write",
            "objects",
            "insert",
            check=f"{ME} = owner_id and split_part(name, '/', 1) = {ME}::text",
        )
        + policy("remove", "objects", "delete", using=f"split_part(name, '/', 1) = {ME}::text"),
        '[tables.objects]\nowner = "owner_id"\nupdate = "none"\n'
        '[tables.objects.row]\nname = "{owner}/{random}"\n',
        (
            Mistake(
                "alter policy read on public.objects using (split_part(name, '/', 2) <> '');",
                leaks("objects", "select other"),
            ),
            Mistake(
                "alter policy remove on public.objects using (name like '%/%');",
                leaks("objects", "delete other"),
            ),
        ),
    ),
    "tenants by claim": Shape(
        table(
            "invoices",
            f"{KEY}, tenant_id uuid not null default gen_random_uuid(), total int",
            "select, insert to authenticated",
        )
        + policy("read", "invoices", "select", using=TENANT)
        + policy("write", "invoices", "insert", check=TENANT),
        '[tables.invoices]\nselect = "none"\ninsert = "none"\nupdate = "none"\ndelete = "none"\n'
        + excepted("invoices", "those of a tenant have its invoices; rls.toml knows no claims"),
        (
            # Who has no tenant is let in to all of them.
            Mistake(
                f"alter policy read on public.invoices using (coalesce({TENANT}, true));",
                leaks("invoices", "select owner", "select other"),
            ),
            Mistake(
                f"alter policy write on public.invoices with check (({TENANT}) is not false);",
                leaks("invoices", "insert owner", "insert other"),
            ),
        ),
    ),
    "restrictive policies": Shape(
        table(
            "comments",
            f"{KEY}, user_id {USER}, body text, hidden boolean not null default false",
            "select, insert (user_id, body), delete to authenticated; update (body) to"
            " authenticated",
            index="user_id",
        )
        + own("comments")
        + "create policy shown on public.comments as restrictive for select to authenticated"
        " using (not hidden);",
        '[tables.comments]\nowner = "user_id"\ninsert_columns = ["user_id", "body"]\n'
        'update_columns = ["body"]\n',
        (
            # Permissive, it opens what it was meant to close.
            Mistake(
                "drop policy shown on public.comments;"
                + policy("shown", "comments", "select", using="not hidden"),
                leaks("comments", "select other"),
            ),
            Mistake(
                "create policy kept on public.comments as restrictive for delete to authenticated"
                " using (hidden);",
                frozenset({"comments: delete owner allow lockout"}),
            ),
        ),
    ),
    "for all": Shape(
        table("tasks", f"{KEY}, user_id {USER}, body text", ALL_GRANTS, index="user_id")
        + policy("everything", "tasks", "all", using=f"{ME} = user_id", check=f"{ME} = user_id"),
        '[tables.tasks]\nowner = "user_id"\n',
        (
            Mistake(
                "alter policy everything on public.tasks with check (true);",
                leaks("tasks", "insert other", "update owner"),
                frozenset({"rls_policy_always_true"}),
            ),
        ),
    ),
    "a second exposed schema": Shape(
        "create schema app; grant usage on schema app to anon, authenticated, service_role;"
        + table(
            "app.settings",
            f"user_id uuid primary key {USER.removeprefix('uuid not null')}, theme text",
            "select, insert, delete to authenticated; update (theme) to authenticated",
        )
        + own("app.settings"),
        '[tables."app.settings"]\nowner = "user_id"\nupdate_columns = ["theme"]\n',
        (
            Mistake(
                "alter policy select_own on app.settings using (true);",
                leaks("app.settings", "select other"),
                frozenset({"rls_policy_always_true"}),
            ),
            Mistake(
                "alter table app.settings disable row level security;",
                leaks(
                    "app.settings", "select other", "insert other", "update other", "delete other"
                ),
                frozenset({"policy_exists_rls_disabled"}),
            ),
        ),
    ),
    "partitions": Shape(
        table(
            "events",
            f"id uuid default gen_random_uuid(), user_id {USER}, at date not null, body text,"
            " primary key (id, at)",
            "select, insert to authenticated",
            index="user_id",
            rest="partition by range (at)",
        )
        + "create table public.events_2026 partition of public.events"
        " for values from ('2026-01-01') to ('2027-01-01');"
        "alter table public.events_2026 enable row level security;"
        "revoke all on public.events_2026 from public, anon, authenticated;"
        + own("events", commands="select insert"),
        '[tables.events]\nowner = "user_id"\nupdate = "none"\ndelete = "none"\n'
        "[tables.events.row]\nat = 2026-05-01\n",
        (
            # Asked by its own name a partition has no policies but its own.
            Mistake(
                "grant select on public.events_2026 to authenticated;"
                "alter table public.events_2026 disable row level security;",
                leaks("events_2026", "select other"),
                frozenset({"rls_disabled_in_public"}),
            ),
        ),
    ),
    "a composite key": Shape(
        table(
            "pages",
            f"user_id {USER}, slug text, body text, primary key (user_id, slug)",
            "select, insert, delete to authenticated; update (body) to authenticated",
        )
        + own("pages"),
        '[tables.pages]\nowner = "user_id"\nupdate_columns = ["body"]\n',
        (
            Mistake(
                "alter policy delete_own on public.pages using (slug is not null);",
                leaks("pages", "delete other"),
            ),
        ),
    ),
    "identity and generated columns": Shape(
        table(
            "orders",
            f"id bigint generated always as identity primary key, user_id {USER},"
            " price int not null default 1, amount int not null,"
            " total int generated always as (price * amount) stored",
            "select, insert, delete to authenticated; update (price, amount) to authenticated",
            index="user_id",
        )
        + own("orders"),
        '[tables.orders]\nowner = "user_id"\nupdate_columns = ["price", "amount"]\n',
        (
            Mistake(
                "alter policy update_own on public.orders using (true) with check (true);",
                leaks("orders", "update other"),
                frozenset({"rls_policy_always_true"}),
            ),
        ),
    ),
    "enums, domains, arrays and jsonb": Shape(
        "create type public.mood as enum ('glad', 'sad');"
        "create domain public.code as text check (value ~ '^[a-z0-9-]+$');"
        + table(
            "diaries",
            f"{KEY}, user_id {USER}, mood public.mood not null, code public.code not null,"
            " tags text[] not null, data jsonb not null check (jsonb_typeof(data) = 'object')",
            "select, insert, delete to authenticated; update (mood, tags, data) to authenticated",
            index="user_id",
        )
        + own("diaries"),
        '[tables.diaries]\nowner = "user_id"\nupdate_columns = ["mood", "tags", "data"]\n',
        (
            Mistake(
                "alter policy insert_own on public.diaries with check (mood is not null);",
                leaks("diaries", "insert other"),
            ),
        ),
    ),
}
