"""Makes attempts of replies, and fewer of many."""

from __future__ import annotations

from dataclasses import replace

from riptide.rls.verdict import Attempt, Outcome, Reply


def blind_attempt(tried: str, reply: Reply) -> Attempt:
    """Give the attempt for a write that was undone: a row that it hit is an effect."""
    hit = reply.outcome is Outcome.DONE and reply.rows > 0
    return Attempt(
        tried=tried, reply=reply, effect="the database would have done it" if hit else ""
    )


def no_privilege(tried: str) -> Attempt:
    """Give the attempt at an update for which no column is granted."""
    reply = Reply(outcome=Outcome.REFUSED, message="no column may be updated")
    return Attempt(tried=tried, reply=reply)


def shortened(attempts: list[Attempt]) -> list[Attempt]:
    """Leave out tries that were answered as one before them, but for what was tried."""
    kept: dict[Reply, Attempt] = {}
    for each in attempts:
        first = kept.get(each.reply)
        if first is None or each.effect:
            kept[each.reply] = each
        elif not first.effect:
            kept[each.reply] = replace(first, tried=f"{first.tried}, {each.tried}")
    return list(kept.values())
