"""Twenty-six mistakes in one schema that is right, as they are made in practice."""

from __future__ import annotations

from dataclasses import dataclass

from _rls_others import ANY_CLUB, ANY_MEMBER, KEY, ME, MEMBER, MY_CLUB, SHAPES, USER, policy, table

PARTS = (
    "team membership through a join table",
    "all through the team",
    "roles in app_metadata",
    "public read with owner write",
    "column-level grants",
    "paths as in storage",
    "tenants by claim",
    "restrictive policies",
    "partitions",
)
PEOPLE = (
    table(
        "people",
        f"{KEY}, user_id {USER}, handle text, born date",
        "select, insert, delete to authenticated; update (handle) to authenticated",
        index="user_id",
    )
    + "".join(
        policy(f"{each}_own", "people", each, **{how: f"{ME} = user_id"})
        for each, how in (
            ("select", "using"),
            ("insert", "check"),
            ("update", "using"),
            ("delete", "using"),
        )
    )
    + "create view public.handles with (security_invoker = true) as"
    " select user_id, handle from public.people;"
    "revoke all on public.handles from public, anon, authenticated;"
    "grant select on public.handles to authenticated;"
)
SQL = "".join(SHAPES[each].sql for each in PARTS) + PEOPLE
INTENT = "".join(SHAPES[each].intent for each in PARTS) + (
    '[tables.people]\nowner = "user_id"\nupdate_columns = ["handle"]\n'
    '[tables.handles]\nowner = "user_id"\nservice_role.select = "none"\n'
    + "".join(f'{each} = "none"\n' for each in ("insert", "update", "delete"))
)


@dataclass(frozen=True)
class Planted:
    """A mistake.

    Attributes:
        sql: What makes it.
        table: Where it shows.
        task: Which task says so: ``verify`` or, of what no request shows, ``audit``.
    """

    sql: str
    table: str
    task: str = "verify"


def alter(name: str, on: str, clause: str) -> str:
    """Give the SQL that changes a policy."""
    return f"alter policy {name} on public.{on} {clause};"


CLAIMED = "(select auth.jwt()) -> 'user_metadata' ->> 'role' = 'editor'"
MISTAKES = {
    "RLS is off": Planted("alter table public.people disable row level security;", "people"),
    "a new table without RLS": Planted(
        f"create table public.drafts ({KEY}, user_id {USER});"
        "grant all on public.drafts to anon, authenticated;",
        "drafts",
    ),
    "everybody reads": Planted(alter("select_own", "people", "using (true)"), "people"),
    "who is signed in reads": Planted(
        alter("select_own", "people", f"using ({ME} is not null)"), "people"
    ),
    "an or that swallows the rest": Planted(
        alter("read", "documents", f"using ({MEMBER} or author_id is not null)"), "documents"
    ),
    "everybody inserts for anybody": Planted(
        alter("insert_own", "people", "with check (true)"), "people"
    ),
    "everybody updates": Planted(
        alter("update_own", "posts", "using (true) with check (true)"), "posts"
    ),
    "a row can be given away": Planted(
        "grant update (user_id) on table public.people to authenticated;"
        + alter("update_own", "people", "with check (true)"),
        "people",
    ),
    "everybody deletes": Planted(alter("delete_own", "posts", "using (true)"), "posts"),
    "the folder is not the user's": Planted(
        alter("remove", "objects", "using (name like '%/%')"), "objects"
    ),
    "also for those who are not signed in": Planted(
        "grant select on table public.people to anon;"
        + policy("shown", "people", "select", to="anon", using="true"),
        "people",
    ),
    "nobody's null is everybody's": Planted(
        "grant select on table public.people to anon;"
        + alter(
            "select_own", "people", f"to anon, authenticated using (coalesce({ME} = user_id, true))"
        ),
        "people",
    ),
    "a member of some team reads": Planted(
        alter("read", "documents", f"using ({ANY_MEMBER})"), "documents"
    ),
    "a member of some team writes": Planted(
        alter("write", "documents", f"with check ({ME} = author_id and {ANY_MEMBER})"),
        "documents",
    ),
    "the owner of some club adds members": Planted(
        alter("write", "club_members", f"with check ({MY_CLUB})"), "club_members"
    ),
    "a member of some club reads its notes, asked in a function": Planted(
        alter("read", "club_notes", f"using ({ANY_CLUB})"), "club_notes"
    ),
    "a role that users give themselves": Planted(
        alter(
            "edit",
            "articles",
            f"using ({CLAIMED}) with check ({CLAIMED})",
        ),
        "articles",
    ),
    "who has no tenant has all": Planted(
        alter(
            "read",
            "invoices",
            "using (coalesce(tenant_id::text = (select auth.jwt()) -> 'app_metadata' ->> 'tenant',"
            " true))",
        ),
        "invoices",
    ),
    "a restrictive policy that is not": Planted(
        "drop policy shown on public.comments;"
        + policy("shown", "comments", "select", using="not hidden"),
        "comments",
    ),
    "a column that was not to be changed": Planted(
        "grant update (balance) on table public.accounts to authenticated;", "accounts"
    ),
    "a partition by its own name": Planted(
        "alter table public.events_2026 disable row level security;"
        "grant select on table public.events_2026 to authenticated;",
        "events_2026",
    ),
    "a view past the policies": Planted(
        "alter view public.handles reset (security_invoker);", "handles"
    ),
    "a function past the policies": Planted(
        "create function public.everybody() returns setof public.people language sql stable"
        " security definer set search_path = '' as 'select * from public.people';",
        "everybody",
    ),
    "the owner is shut out": Planted("drop policy update_own on public.posts;", "posts"),
    "a value that tells of others": Planted(
        "alter table public.people add unique (handle);", "people"
    ),
    "a definer function with a mutable path": Planted(
        "alter function private.in_club(uuid, text[]) reset search_path;", "in_club", "audit"
    ),
}
