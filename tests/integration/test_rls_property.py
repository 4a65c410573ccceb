"""Any intent: policies that are right for it hold, and each that is widened turns its cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import psycopg
import pytest
from _rls import declare
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from riptide import verify_rls
from riptide.results import Verdict
from riptide.rls.intent import OPERATIONS

if TYPE_CHECKING:
    from riptide.settings import Settings

pytestmark = pytest.mark.integration

Word = Literal["none", "own", "all"]
WORDS: tuple[Word, ...] = ("none", "own", "all")
TABLES = 5  # verified together: most of a run's time is spent once
MINE = "(select auth.uid()) = user_id"


@dataclass(frozen=True)
class Table:
    """An intent for one table, and where its policies are then widened.

    Attributes:
        words: For each role and operation.
        widened: A role and an operation, not "all" by intent.
    """

    words: dict[tuple[str, str], Word]
    widened: tuple[str, str] | None

    def sql(self, name: str) -> str:
        """Give the table with policies that are right."""
        text = (
            f"create table public.{name} (id uuid primary key default gen_random_uuid(),"
            " user_id uuid not null references auth.users (id) on delete cascade, body text);"
            f"create index on public.{name} (user_id);"
            f"alter table public.{name} enable row level security;"
            f"revoke all on table public.{name} from anon, authenticated;"
        )
        for (role, operation), word in self.words.items():
            if word != "none":
                text += policy(name, role, operation, MINE if word == "own" else "true")
        return text

    def mistake(self, name: str) -> str:
        """Give what lets everybody do it."""
        if self.widened is None:
            return ""
        role, operation = self.widened
        return f"drop policy if exists {role}_{operation} on public.{name};" + policy(
            name, role, operation, "true"
        )

    def turned(self, name: str) -> set[tuple[str, str, str]]:
        """Give the cells in which somebody can then do what is denied."""
        if self.widened is None:
            return set()
        role, operation = self.widened
        who = {"anon": ["anon"], "authenticated": ["other"]}[role]
        if role == "authenticated" and self.words[self.widened] == "none":
            who.append("owner")
        return {(f"public.{name}", operation, each) for each in who}

    def intent(self, name: str) -> str:
        """Give its part of rls.toml."""
        lines = [f"[tables.{name}]", 'owner = "user_id"']
        for role in ("authenticated", "anon"):
            lines += [f"[tables.{name}.anon]"] if role == "anon" else []
            lines += [f'{each} = "{self.words[role, each]}"' for each in OPERATIONS]
        return "\n".join(lines) + "\n"


def policy(name: str, role: str, operation: str, condition: str) -> str:
    """Give a grant and a policy."""
    using = f" using ({condition})" if operation != "insert" else ""
    check = f" with check ({condition})" if operation in ("insert", "update") else ""
    return (
        f"grant {operation} on table public.{name} to {role};"
        f"create policy {role}_{operation} on public.{name} for {operation} to {role}"
        f"{using}{check};"
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Give an intent that a client can live with: who may write a row by a filter may see it."""
    words: dict[tuple[str, str], Word] = {}
    for role, known in (("authenticated", WORDS), ("anon", ("none", "all"))):
        select = draw(st.sampled_from(known))
        words[role, "select"] = select
        words[role, "insert"] = draw(st.sampled_from(known))
        visible = [each for each in known if WORDS.index(each) <= WORDS.index(select)]
        for operation in ("update", "delete"):
            words[role, operation] = draw(st.sampled_from(visible))
    narrow = sorted(cell for cell, word in words.items() if word != "all")
    return Table(words, draw(st.sampled_from(narrow)) if narrow else None)


@given(st.lists(tables(), min_size=TABLES, max_size=TABLES))
@settings(
    max_examples=2,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink one would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_is_right_holds_and_what_is_widened_does_not(
    own_stack: Settings, made: list[Table]
) -> None:
    """The verification is ok with the right policies; with a wide one its cell alone turns."""
    named = {f"t{number}": table for number, table in enumerate(made)}
    note(str(named))
    declare(own_stack, "".join(table.intent(name) for name, table in named.items()))
    with psycopg.connect(own_stack.local_db_url, autocommit=True) as connection:
        for name, table in named.items():
            connection.execute(f"drop table if exists public.{name}; {table.sql(name)}".encode())
        right = verify_rls(settings=own_stack)
        assert [(e.table, e.operation, e.actor, e.seen) for e in right.failures] == []
        for name, table in named.items():
            connection.execute(f"select; {table.mistake(name)}".encode())
        wrong = verify_rls(settings=own_stack)
    turned = {
        (each.table, each.operation, each.actor)
        for each in wrong.failures
        if each.verdict in (Verdict.LEAK, Verdict.MASKED)
    }
    expected = set().union(*(table.turned(name) for name, table in named.items()))
    assert expected <= turned
    assert {name for name, _, _ in turned} == {name for name, _, _ in expected}
