"""Odd schemas that are right, which the verification and the audit are both held to."""

from __future__ import annotations

OWNER = "user_id uuid not null references auth.users (id) on delete cascade"
DECLARED = '[tables.odd]\nowner = "user_id"\n'
READ_ONLY = 'insert = "none"\nupdate = "none"\ndelete = "none"\n'


def table(columns: str, *, name: str = "public.odd", owner: str = "user_id", rest: str = "") -> str:
    """Give the SQL of a table that is as it should be."""
    return f"create table {name} ({columns}) {rest};" + guarded(name, owner)


def guarded(name: str, owner: str = "user_id") -> str:
    """Give the SQL that lets users have their own rows of a table."""
    return (
        f"alter table {name} enable row level security; revoke all on {name} from anon;"
        f"create index on {name} ({owner});"
        f"create policy own on {name} for all to authenticated"
        f" using ((select auth.uid()) = {owner}) with check ((select auth.uid()) = {owner});"
    )


def tied(name: str, column: str, parent: str) -> str:
    """Give the SQL that lets users tie their own rows to their own parents only."""
    mine = f"select from {parent} as p where p.id = {column} and p.user_id = (select auth.uid())"
    return (
        f"alter policy own on {name} with check ((select auth.uid()) = user_id"
        f" and ({column} is null or exists ({mine})));"
    )


def trigger(when: str, body: str) -> str:
    """Give the SQL of a trigger on the table."""
    return (
        f"create function public.odd() returns trigger language plpgsql as $$ begin {body} end $$;"
        f"create trigger odd before {when} on public.odd for each row execute function public.odd()"
    )


USUAL = table(f"id uuid primary key default gen_random_uuid(), {OWNER}, body text")

SHAPES = {
    "no primary key": (table(f"{OWNER}, body text"), DECLARED),
    "nothing but keys": (
        table(f"{OWNER}, place int not null, primary key (user_id, place)"),
        DECLARED,
    ),
    "nothing but the user": (
        table("user_id uuid primary key references auth.users (id) on delete cascade"),
        DECLARED,
    ),
    "two tables that refer to each other": (
        table(f"id uuid primary key default gen_random_uuid(), {OWNER}, other uuid")
        + table(
            f"id uuid primary key default gen_random_uuid(), {OWNER},"
            " odd uuid not null references public.odd (id) on delete cascade",
            name="public.odd_other",
        )
        + "alter table public.odd add foreign key (other) references public.odd_other (id);"
        + tied("public.odd", "other", "public.odd_other")
        + tied("public.odd_other", "odd", "public.odd"),
        DECLARED + '[tables.odd_other]\nowner = "user_id"\n',
    ),
    "values of rls.toml that JSON does not know": (
        table(
            f"id uuid primary key default gen_random_uuid(), {OWNER}, day date, data jsonb,"
            " days timestamptz[], share float8"
        ),
        DECLARED + "[tables.odd.row]\nday = 2020-01-01\ndata = {a = 2020-01-01}\n"
        "days = [2020-01-01T00:00:00Z]\nshare = nan\n",
    ),
    "an owner that a trigger sets": (
        USUAL + trigger("insert", "new.user_id = coalesce(auth.uid(), new.user_id); return new;"),
        DECLARED,
    ),
    "an owner that a trigger keeps": (
        table(f"id uuid primary key default gen_random_uuid(), {OWNER}, body text, at timestamptz")
        + "alter policy own on public.odd with check (true);"
        "create policy made on public.odd as restrictive for insert to authenticated"
        " with check (auth.uid() = user_id);"
        + trigger("update", "new.user_id = old.user_id; new.at = clock_timestamp(); return new;"),
        DECLARED,
    ),
    "rows that nobody may change or delete": (
        USUAL + trigger("update or delete", "raise exception 'for ever';"),
        DECLARED + 'update = "none"\ndelete = "none"\nservice_role.update = "none"\n'
        'service_role.delete = "none"\n',
    ),
    "a delete that a trigger passes over": (
        USUAL + trigger("delete", "return null;"),
        DECLARED + 'delete = "none"\nservice_role.delete = "none"\n',
    ),
    "a check over two columns": (
        table(
            f"id uuid primary key default gen_random_uuid(), {OWNER}, low int not null default 1,"
            " high int not null default 2, check (low < high and high < 10)"
        ),
        DECLARED,
    ),
}

VIEWS = {
    "of its owner, with everything granted": (
        (
            "create view public.odd_view as select user_id, body from public.odd"
            " where user_id = auth.uid()"
        ),
        'owner = "user_id"\nservice_role.select = "none"\n',
        {"insert other deny leak", "insert anon deny leak"},
    ),
    "of its owner, to be read only": (
        (
            "create view public.odd_view as select user_id, body from public.odd"
            " where user_id = auth.uid();"
            "revoke all on public.odd_view from anon, authenticated;"
            "grant select on public.odd_view to authenticated"
        ),
        'owner = "user_id"\nservice_role.select = "none"\n',
        set(),
    ),
    "of the caller, with everything granted": (
        (
            "create view public.odd_view with (security_invoker = true)"
            " as select user_id, body from public.odd"
        ),
        'owner = "user_id"\n',
        set(),
    ),
    "without owners, writable": (
        (
            "create view public.odd_view as select body from public.odd;"
            "revoke all on public.odd_view from anon"
        ),
        'select = "all"\n' + READ_ONLY,
        {
            f"{operation} {actor} deny leak"
            for operation in ("insert", "update", "delete")
            for actor in ("owner", "other")
        },
    ),
    "without owners, of sums": (
        (
            "create view public.odd_view as select count(*) as rows from public.odd;"
            "revoke all on public.odd_view from anon"
        ),
        'select = "all"\n' + READ_ONLY,
        set(),
    ),
    "without owners and rows": (
        (
            "create view public.odd_view as select body from public.odd where false;"
            "revoke all on public.odd_view from anon, authenticated;"
            "grant select on public.odd_view to authenticated"
        ),
        'select = "all"\n' + READ_ONLY,
        {"select anon deny error"},
    ),
    "materialized": (
        "create materialized view public.odd_view as select user_id, body from public.odd",
        'owner = "user_id"\n',
        {"select other deny leak", "select anon deny leak"},
    ),
}
