"""Reads a table in every way that the API has: by key, all, counted, single, and embedded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from riptide.rls.api import matching, quoted, selected, send
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from riptide.rls.actors import Actor
    from riptide.rls.catalog import ForeignKey
    from riptide.rls.plan import TablePlan
    from riptide.rls.probe import Probe
    from riptide.rls.probes_sql import Row

    Sees = Callable[[Any], int]

# Rows that are asked for where all are meant: a table may have millions.
_SOME = 100
BY_KEY = "select the owner's row by its key"


class Reader:
    """Reads one table as whoever is asked for."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._plan = probe.plan

    def by_key_query(self, actor: Actor, key: Row) -> Any:
        """Give the request for one row by its key."""
        return matching(self._probe.table(actor).select(selected(tuple(key))), key)

    def single(self, actor: Actor, key: Row) -> Attempt:
        """Select one row by its key, as the single object that it is."""
        query = self.by_key_query(actor, key).single()
        reply = send(query, self._plan.name, sees=lambda answer: 1 if answer.data else 0)
        return Attempt(tried=BY_KEY, reply=reply, effect=came(reply))

    def every(self, actor: Actor, *, expected: str) -> list[Attempt]:
        """Select and count without a filter: with rows, and by a HEAD request without any.

        Args:
            actor: Who.
            expected: Whether they may see the owner's row. Who may is not told off for a column
                that they may not select, which the intent has no word for.
        """
        from postgrest.types import CountMethod

        owner = self._plan.intent.owner
        columns = (owner,) if owner else self._plan.key
        query = self._probe.table(actor).select(selected(columns), count=CountMethod.exact)
        mine = self._probe.others.get(self._plan.name) if actor.name == "other" else None
        sees = _others(owner, actor, expected, mine or {})
        reply = send(query.limit(_SOME), self._plan.name, sees=sees)
        if expected == ALLOW and reply.lacks_privilege:
            return []
        shown = Attempt(tried="select and count all", reply=reply, effect=came(reply))
        if reply.outcome is not Outcome.DONE:
            return [shown]
        return [shown, self._counted(actor, columns, expected=expected)]

    def _counted(self, actor: Actor, columns: Sequence[str], *, expected: str) -> Attempt:
        from postgrest.types import CountMethod

        query = self._probe.table(actor).select(
            selected(columns), count=CountMethod.exact, head=True
        )
        # All rows of these users are this run's, so how many are their own is known.
        own = 0 if expected == ALLOW else self._probe.number_of(actor)
        reply = send(query, self._plan.name, sees=lambda answer: (answer.count or 0) - own)
        effect = "it was counted" if reply.rows > 0 else ""
        return Attempt(tried="count all, and get no row", reply=reply, effect=effect)

    # --- embedded --------------------------------------------------------------------------------

    def embedded(
        self, key: ForeignKey, parent: TablePlan, actors: tuple[Actor, ...]
    ) -> Iterator[tuple[TablePlan, Actor, str, Attempt]]:
        """Select the row with the one that it refers to, and that one with it.

        Args:
            key: What ties them: https://docs.postgrest.org/en/stable/references/api/resource_embedding.html
            parent: The plan of what it refers to.
            actors: Who tries.

        Yields:
            Whose row would come along, who tried, whether it may, and what came of it.
        """
        child, rows = self._plan, self._probe.parents
        for source, target in ((child, parent), (parent, child)):
            picked = {each: rows[source.name][each] for each in source.key}
            columns = ",".join(map(quoted, target.key))
            embed = f"{quoted(target.relation.name)}!{quoted(key.name)}({columns})"
            asked = f"{selected(tuple(picked))},{embed}"
            for actor in actors:
                expected = self._probe.expected("select", actor, target)
                if self._probe.expected("select", actor, source) == DENY:
                    continue
                if expected == ALLOW and actor is not self._probe.actors.owner:
                    continue
                relation = source.relation
                table = actor.client.schema(relation.schema).table(relation.name)  # type: ignore[union-attr]
                query = matching(table.select(asked), picked)
                reply = send(query, source.name, sees=_embedded(target.relation.name))
                if reply.lacks_privilege and expected == ALLOW:
                    continue
                tried = f"select the owner's row of {source.name} with {target.name} embedded"
                yield (
                    target,
                    actor,
                    expected,
                    Attempt(tried=tried, reply=_embedding(reply), effect=came(reply)),
                )


def came(reply: Reply) -> str:
    """Say that the row came back; nothing where it did not."""
    return "the row came back" if reply.rows > 0 else ""


def _others(owner: str | None, actor: Actor, expected: str, mine: Row) -> Sees:
    """Count the rows that are somebody else's; for who may see the owner's, all of them."""

    def count(answer: Any) -> int:
        if expected == ALLOW or (owner is None and not mine):
            return max(len(answer.data), answer.count or 0)
        if owner is None:
            own = sum(all(mine[each] == row[each] for each in row) for row in answer.data)
        else:
            own = sum(str(row[owner]) == actor.user_id for row in answer.data)
        shown = len(answer.data) - own
        # What is counted and not shown is known to be there all the same.
        return max(shown, (answer.count or 0) - own if len(answer.data) < _SOME else 0)

    return count


def _embedded(name: str) -> Sees:
    def count(reply: Any) -> int:
        found = [row.get(name) for row in reply.data]
        return sum(len(each) if isinstance(each, list) else each is not None for each in found)

    return count


def _embedding(reply: Reply) -> Reply:
    # PGRST200: this API knows no such relation; it is the other way that then counts.
    return replace(reply, outcome=Outcome.REFUSED) if reply.code.startswith("PGRST20") else reply
