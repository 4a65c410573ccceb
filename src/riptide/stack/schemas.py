"""The schemas that config.toml exposes, held to those that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.errors import DatabaseError

if TYPE_CHECKING:
    from riptide.results import StackStatus
    from riptide.settings import Settings

_ALWAYS = frozenset({"public", "graphql_public"})  # there before any migration
_MISSING = """
select name from unnest(%s::text[]) with ordinality as given(name, number)
where not exists (select from pg_namespace where nspname = name) order by number
"""


def missing_schemas(status: StackStatus, settings: Settings) -> tuple[str, ...]:
    """Give the schemas of ``[api] schemas`` that the running stack's database has not.

    PostgREST answers no request while one of them is missing
    (https://docs.postgrest.org/en/stable/references/configuration.html#db-schemas,
    https://github.com/PostgREST/postgrest/issues/4102).

    Args:
        status: The stack's.
        settings: The project's.

    Returns:
        Their names, in the file's order; none where the database cannot be asked.
    """
    wanted = settings.config.schemas
    if not status.running or _ALWAYS.issuperset(wanted):
        return ()
    from riptide.database import connect
    from riptide.target import LOCAL, Target

    try:
        with connect(Target(kind=LOCAL, url=status.db_url)) as connection:
            rows = connection.execute(_MISSING, [list(wanted)]).fetchall()
    except DatabaseError:  # whether the stack runs is told elsewhere
        return ()
    return tuple(name for (name,) in rows)
