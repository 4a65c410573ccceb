"""Tries a table as those who should get nowhere: without rows, without a name, with a bad token.

What a request could do is tried in SQL, with the claims that its token would have; that the API
takes the token for what it is is tried with a select.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.rls.api import send_together
from riptide.rls.attempts import blind_attempt
from riptide.rls.intent import OPERATIONS
from riptide.rls.probe import UNDONE
from riptide.rls.probes_read import BY_KEY, Reader, came
from riptide.rls.verdict import BAD_TOKEN, DENY, Attempt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from riptide.rls.actors import Actor
    from riptide.rls.intent import Operation
    from riptide.rls.probe import Probe
    from riptide.rls.probes_sql import Row

_VERBS: Mapping[Operation, str] = {
    "select": "select the owner's row",
    "insert": "insert a row of the owner's",
    "update": "update the owner's row",
    "delete": "delete the owner's row",
}
# What `request.jwt.claims` can be where nobody is signed in, or the token does not say who.
_SILENT = ("", "{}")


class StrangerProbe:
    """Tries one table; its row of the owner's is there."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._reader = Reader(probe)

    def run(self, row: Row, new: Row) -> None:
        """Try everything that is denied.

        Args:
            row: The owner's, which is there.
            new: Another one of theirs, which is not.
        """
        probe, actors = self._probe, self._probe.actors
        key = {each: row[each] for each in probe.plan.key}
        strangers = (actors.empty, actors.claimant, actors.no_sub)
        asked = [
            (each, self._reader.by_key_query(each, key))
            for each in (*strangers, *actors.bad_tokens)
            if each.client is not None
            and (each not in strangers or probe.expected("select", each) == DENY)
        ]
        replies = send_together([(query, probe.plan.name, None) for _, query in asked])
        tokens: list[Attempt] = []
        http: dict[str, list[Attempt]] = {each.name: [] for each in strangers}
        for (actor, _), reply in zip(asked, replies, strict=True):
            if actor.name in http:
                http[actor.name] = [Attempt(tried=BY_KEY, reply=reply, effect=came(reply))]
                continue
            # Whatever else it says, who has looked at the token has taken it.
            taken = reply.code not in (*BAD_TOKEN, "401")
            effect = "the API took the token" if taken else ""
            tokens.append(Attempt(tried=f"{BY_KEY} with {actor.name}", reply=reply, effect=effect))
        for actor in (*strangers, actors.anon):
            found = self._in_sql(actor, row, new)
            for operation, attempts in found.items():
                if operation == "select":
                    attempts[:0] = http.get(actor.name, [])
                probe.add(operation, actor, DENY, attempts, proven=True)
        bad = replace(actors.no_sub, name="bad_token")
        probe.add("select", bad, DENY, tokens, proven=True, otherwise="the API refused it")

    def _in_sql(self, actor: Actor, row: Row, new: Row) -> dict[Operation, list[Attempt]]:
        denied = [each for each in OPERATIONS if self._probe.expected(each, actor) == DENY]
        found: dict[Operation, list[Attempt]] = {each: [] for each in denied}
        if not denied:
            return found
        for how, variant in self._variants(actor, row):
            replies = self._probe.blind.everything(self._probe.plan, variant, row, new, denied)
            for operation, reply in replies.items():
                found[operation].append(blind_attempt(f"{_VERBS[operation]}{how} {UNDONE}", reply))
        return found

    def _variants(self, actor: Actor, row: Row) -> Iterator[tuple[str, Actor]]:
        actors = self._probe.actors
        if actor is not actors.anon:
            yield "", actor
        if actor is actors.claimant:
            # What belongs to the row's tenant or team is claimed as well.
            texts = {name: value for name, value in row.items() if isinstance(value, str)}
            said = {**texts, **actor.claims.get("user_metadata", {})}
            claims = {**actor.claims, "user_metadata": said}
            yield " with its values in their metadata", replace(actor, claims=claims)
        if actor in (actors.anon, actors.no_sub):
            for text in _SILENT:
                how = f" with the claims {text}" if text else " without claims"
                yield how, replace(actor, silent=text)
