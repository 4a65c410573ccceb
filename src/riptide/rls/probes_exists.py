"""Tries to learn of rows that one may not see: by a unique key, and by a foreign key.

Constraints are checked past all policies, "so care must be taken … to avoid covert channel leaks"
(https://www.postgresql.org/docs/17/ddl-rowsecurity.html). What nobody can guess tells nothing: a
key that the database draws or counts up, and every uuid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from riptide._quote import quoted
from riptide.errors import RlsError
from riptide.rls.blame import Blame
from riptide.rls.probe import UNDONE
from riptide.rls.probes_sql import table_of
from riptide.rls.statements import picked, value_of
from riptide.rls.values import find_values
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from riptide.rls.actors import Actor
    from riptide.rls.catalog import Column, ForeignKey
    from riptide.rls.intent import Operation, Role
    from riptide.rls.probe import Probe
    from riptide.rls.probes_sql import Row

# Columns of expressions and predicates too: `unique (lower(email)) where deleted_at is null`.
_UNIQUE = """
select c.relname, (
  select json_agg(distinct a.attname)
  from pg_attribute as a
  where a.attrelid = i.indrelid and a.attnum > 0 and (
    a.attnum = any(i.indkey) or exists (
      select from pg_depend as d
      where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
        and d.refobjid = i.indrelid and d.refobjsubid = a.attnum
    )
  )
)
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
where i.indrelid = %s::regclass and i.indisunique and i.indislive
order by 1
"""
WRITES: tuple[Operation, ...] = ("insert", "update")


@dataclass(frozen=True, kw_only=True)
class _Learned:
    attempt: Attempt
    mend: str = ""


class ExistsProbe:
    """Tries one table; its row of the owner's is there."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._plan = probe.plan
        self._connection = probe.database.connection
        self._on = table_of(self._plan).as_string(self._connection)

    def run(self) -> None:
        """Try as everybody who may write rows and not see the owner's."""
        probe = self._probe
        for actor in (probe.actors.other, probe.actors.anon):
            found = [*self._by_unique(actor), *self._by_foreign_key(actor)]
            if not found:
                continue
            attempts = [each.attempt for each in found]
            mend = "\n".join(each.mend for each in found if each.attempt.effect)
            probe.add("exists", actor, DENY, attempts, proven=True, mend=mend)

    # --- unique keys -----------------------------------------------------------------------------

    def _by_unique(self, actor: Actor) -> Iterator[_Learned]:
        probe, intent = self._probe, self._plan.intent
        if probe.expected("select", actor) == ALLOW:
            return
        for name, columns in self._connection.execute(_UNIQUE, (self._on,)).fetchall():
            if intent.owner in columns or set(columns) & set(intent.reveals):
                continue
            known = [each for each in map(self._plan.relation.column, columns) if each is not None]
            if not known or not all(map(guessable, known)):
                continue
            words = ", ".join(columns)
            for how, reply in self._conflicts(actor, columns):
                hit = reply.code == "23505" and f'"{name}"' in reply.message
                effect = (
                    f"it learns that a row has this {words} which it may not see" if hit else ""
                )
                yield _Learned(
                    attempt=_attempt(f"{how} with the owner's {words} {UNDONE}", reply, effect),
                    mend=self._rekeyed(name, columns),
                )

    def _conflicts(self, actor: Actor, columns: list[str]) -> Iterator[tuple[str, Reply]]:
        probe, plan = self._probe, self._plan
        with probe.blind.undone():
            row = self._filled(columns)
            if row is None:
                return
            values = {name: row[name] for name in columns}
            if self._may(actor, "insert", columns):
                new = self._own_row(actor)
                yield "insert a row", probe.blind.insert(plan, actor, {**new, **values})
            if self._may(actor, "update", columns):
                own = self._own(actor)
                if own is not None:
                    yield "update a row", probe.blind.update(plan, actor, own, values)

    def _filled(self, columns: list[str]) -> Row | None:
        """Give the owner's row with a value in each of the columns; ``None`` where none fits."""
        import psycopg
        from psycopg import sql

        probe, plan = self._probe, self._plan
        row = dict(probe.base())
        for name in columns:
            column = plan.relation.column(name)
            if row[name] is not None or column is None:
                continue
            values = find_values(self._connection, plan.relation, column)
            if not values.values:
                return None
            row[name] = values.make()
            try:
                with self._connection.transaction():
                    self._connection.execute(
                        sql.SQL("update {} set {} = {} where {}").format(
                            table_of(plan),
                            sql.Identifier(name),
                            value_of(plan, name, row[name]),
                            picked(plan, {each: row[each] for each in plan.key}),
                        )
                    )
            except psycopg.Error:
                return None
        return row

    def _rekeyed(self, name: str, columns: list[str]) -> str:
        owner = self._plan.intent.owner
        if not owner:
            return ""
        listed = ", ".join(quoted(each) for each in (owner, *columns))
        return f"-- or [{self._plan.intent.section}.reveals]: unique {name} on ({listed})"

    # --- foreign keys ----------------------------------------------------------------------------

    def _by_foreign_key(self, actor: Actor) -> Iterator[_Learned]:
        probe, plan = self._probe, self._plan
        for key in plan.relation.foreign_keys:
            parent = probe.plans.get(key.target)
            if (
                parent is None
                or not parent.relation.is_table
                or not parent.intent.has_owners
                or parent.name not in probe.parents
                or set(key.columns) & {plan.intent.owner, *plan.intent.reveals}
                or probe.expected("select", actor, parent) == ALLOW
            ):
                continue
            theirs = probe.parents[parent.name]
            values = {
                name: theirs[there]
                for name, there in zip(key.columns, key.target_columns, strict=True)
            }
            words = ", ".join(key.columns)
            for how, reply in self._attached(actor, values):
                hit = reply.outcome is Outcome.DONE and reply.rows > 0
                effect = f"it hangs on a row of {parent.name} that they may not see" if hit else ""
                tried = f"{how} with {words} of the owner's row of {parent.name} {UNDONE}"
                yield _Learned(
                    attempt=_attempt(tried, reply, effect),
                    mend=self._checked(key, parent.name),
                )

    def _attached(self, actor: Actor, values: Row) -> Iterator[tuple[str, Reply]]:
        probe, plan, columns = self._probe, self._plan, list(values)
        with probe.blind.undone():
            if self._may(actor, "insert", columns):
                new = {**self._own_row(actor), **values}
                yield "insert a row", probe.blind.insert(plan, actor, new)
            if self._may(actor, "update", columns):
                own = self._own(actor)
                if own is not None:
                    yield "update a row", probe.blind.update(plan, actor, own, values)

    def _checked(self, key: ForeignKey, parent: str) -> str:
        plan = self._probe.plans[parent]
        on = table_of(plan).as_string(self._connection)
        blame = Blame(self._probe)
        ties = " and ".join(
            f"parent.{quoted(there)} = {quoted(plan_column)}"
            for plan_column, there in zip(key.columns, key.target_columns, strict=True)
        )
        if plan.intent.owner is None:
            return ""  # whose it is stands in a third table
        owner = quoted(plan.intent.owner)
        condition = (
            f"{blame.own()} and exists (select from {on} as parent "
            f"where {ties} and parent.{owner} = (select auth.uid()))"
        )
        policies = {
            each.quoted: each
            for operation in WRITES
            for each in blame.permissive(operation, self._probe.actors.other)
        }
        return "\n".join(
            f"alter policy {name} on {self._on} with check ({condition});" for name in policies
        )

    # --- whose row -------------------------------------------------------------------------------

    def _may(self, actor: Actor, operation: Operation, columns: list[str]) -> bool:
        rules = self._plan.intent.rules[cast("Role", actor.role)]
        if rules.words[operation] == "none":
            return False
        written = rules.columns(operation)
        return written is None or set(columns) <= set(written)

    def _own_row(self, actor: Actor) -> Row:
        if actor is self._probe.actors.other:
            return self._probe.others_row()
        return self._plan.new_row(self._probe.actors.other.user_id, self._probe.parents)

    def _own(self, actor: Actor) -> Row | None:
        """Give a row of the actor's own, made for the while where there is none."""
        owner = self._plan.intent.owner
        if not owner or not actor.user_id:
            return None
        rows = self._probe.database.rows(self._plan).values()
        found = [row for row in rows if str(row[owner]) == actor.user_id]
        try:
            return found[0] if found else self._probe.database.add(self._plan, self._own_row(actor))
        except RlsError:
            return None


def guessable(column: Column) -> bool:
    """Whether somebody could guess a value that another's row has."""
    default = column.default or ""
    drawn = column.automatic or "nextval(" in default or "gen_random" in default
    return column.base != "uuid" and not drawn


def _attempt(tried: str, reply: Reply, effect: str) -> Attempt:
    if effect:
        return Attempt(tried=tried, reply=reply, effect=effect)
    # Whatever else stood in the way says nothing of the row.
    if reply.outcome in (Outcome.CONFLICT, Outcome.DONE):
        reply = replace(reply, outcome=Outcome.INVALID)
    return Attempt(tried=tried, reply=reply)
