"""Indexes that a failed ``create index concurrently`` has left behind.

Such an index is there, is not valid, and no query uses it
(https://www.postgresql.org/docs/17/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY). A second
try with ``if not exists`` passes over it and ends well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import DatabaseError, DriftError, Interrupted, RiptideError
from riptide.migrations.sql import split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from riptide.settings import Settings

# Not one that somebody is building at this moment.
_INVALID = """
select format('%I.%I', n.nspname, c.relname), c.relname::text
from pg_index as x
join pg_class as c on c.oid = x.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
where not x.indisvalid and c.relkind = 'i'
  and not exists (
    select from pg_stat_progress_create_index as p where p.index_relid = x.indexrelid
  )
order by 1
"""


def leaves_something(text: str) -> bool:
    """Whether a file has a statement that is no transaction: where it fails, something may stay."""
    return any(each.refuses_transaction for each in split(text))


@dataclass(frozen=True)
class Watch:
    """Looks after the indexes of a push; of a linked project nobody can.

    Attributes:
        settings: The project's.
        text: The pending files that are no transaction; empty where there is none.
        before: Indexes that were not valid before the push.
    """

    settings: Settings
    text: str
    before: frozenset[str]

    @classmethod
    def begin(cls, settings: Settings, texts: Mapping[str, str]) -> Watch:
        """Look at what is there before a push."""
        text = "\n".join(each for each in texts.values() if leaves_something(each))
        return cls(settings, text, frozenset(_invalid(settings)) if text else frozenset())

    def left(self) -> list[str]:
        """Give the indexes that are not valid, and are this push's, or that its files name."""
        if not self.text:
            return []
        return [
            full_name
            for full_name, name in _invalid(self.settings).items()
            if full_name not in self.before
            or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", self.text, re.IGNORECASE)
        ]

    def explain(self, error: RiptideError | Interrupted) -> None:
        """Say in the error of a push what it has left behind."""
        left = self.left()
        if not left:
            return
        several = "indexes are" if len(left) > 1 else "an index is"
        states = (error.state or "").split("; ")
        if states[0].startswith("nothing of this file"):
            del states[0]
        error.state = "; ".join(
            [f"{several} left that no query uses: {', '.join(left)}", *filter(None, states)]
        )
        error.next_step = f"drop index concurrently {', '.join(left)}; then {error.next_step}"

    def confirm(self) -> None:
        """Look whether every index came to be.

        Raises:
            DriftError: One is not valid, though the CLI recorded its file.
        """
        if left := self.left():
            several = len(left) > 1
            raise DriftError(
                f"{', '.join(left)} {'are' if several else 'is'} there and not valid: no query "
                f"uses {'them' if several else 'it'}",
                detail="  An earlier try left it, and `if not exists` passed over it.",
                state="all that was planned is applied and recorded",
                next_step="; ".join(f"reindex index concurrently {each}" for each in left),
            )


def _invalid(settings: Settings) -> dict[str, str]:
    import psycopg

    from riptide.database import connect

    if not settings.target.url:
        return {}
    try:
        with connect(settings.target) as connection:
            return dict(connection.execute(_INVALID).fetchall())
    except (DatabaseError, psycopg.Error):  # the push's own word is the one to tell
        return {}
