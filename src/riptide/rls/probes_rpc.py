"""Calls the functions of the exposed schemas as clients, or asks whether they might.

``[functions.…] execute`` says who may. Only what cannot write is called: PostgREST runs a stable or
immutable function in a read-only transaction
(https://docs.postgrest.org/en/stable/references/transactions.html#access-mode). A null stands for
each argument that has to be given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.results import RlsCheck, Verdict
from riptide.rls.agreement import check_functions
from riptide.rls.api import send
from riptide.rls.audit.facts import read_functions
from riptide.rls.verdict import ALLOW, DENY, Attempt, Outcome, Reply, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from psycopg import Connection

    from riptide.rls.actors import Actor, Actors
    from riptide.rls.audit.facts import Function
    from riptide.rls.intent import Intent

EXECUTE = "execute"
# How it is called: what has to be given, whether all of that has a name, whether it can write, and
# whether another function has the same name, between which arguments alone would choose.
_CALLED = """
select p.oid::regprocedure::text,
  coalesce(p.proargnames[1:p.pronargs - p.pronargdefaults], '{}'::text[]),
  p.pronargs - p.pronargdefaults, p.provolatile = 'v',
  (select count(*) from pg_proc as o where o.proname = p.proname
    and o.pronamespace = p.pronamespace) > 1
from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace where n.nspname = any(%s)
"""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A function that the API has.

    Attributes:
        function: It.
        arguments: The names of those arguments that have to be given.
        looked_up: Why it is not called; empty where it is.
    """

    function: Function
    arguments: tuple[str, ...]
    looked_up: str = ""


def read_served(
    connection: Connection[Any], intent: Intent, schemas: Sequence[str]
) -> list[Served]:
    """Read the functions that PostgREST serves: neither procedures nor what only triggers call.

    Raises:
        ConfigError: The intent names a function that does not exist.
    """
    # Names are written out whole, whatever the role's search_path is.
    with connection.transaction():
        connection.execute("set local search_path = ''")
        called = {row[0]: row[1:] for row in connection.execute(_CALLED, (list(schemas),))}
        found, functions = [], read_functions(connection)
    check_functions(intent, {each.full_name for each in functions})
    for each in functions:
        if each.schema not in schemas or each.trigger or each.kind != "function":
            continue
        names, required, writes, overloaded = called.get(each.signature, ((), 0, True, False))
        why = ""
        if overloaded:
            why = "another function has its name"
        elif writes:
            why = "it may write"
        elif len([name for name in names if name]) < required:
            why = "its arguments have no names"
        found.append(Served(function=each, arguments=tuple(names), looked_up=why))
    return found


def undeclared(intent: Intent, functions: Sequence[Served]) -> Iterator[RlsCheck]:
    """Give a check for each function that clients may call and the intent does not name."""
    declared = {each.full_name for each in intent.functions}
    for each in (one.function for one in functions):
        if each.full_name in declared or not each.callers:
            continue
        name = each.name if each.schema == "public" and each.name.isidentifier() else each.full_name
        section = name if name == each.name else f'"{name}"'
        callers = ", ".join(f'"{role}"' for role in each.callers)
        yield RlsCheck(
            table=each.signature,
            operation=EXECUTE,
            actor="*",
            expected="declared",
            verdict=Verdict.UNDECLARED,
            tried="nothing: supabase/rls.toml does not say who may call it",
            seen=f"{', '.join(each.callers)} can call it; "
            f"add [functions.{section}] with execute = [{callers}], if that is meant",
            mend=_revoke(each, each.callers),
        )


def call(
    intent: Intent, functions: Sequence[Served], actors: Actors, connection: Connection[Any]
) -> Iterator[RlsCheck]:
    """Call what the intent declares, as a user and as who is not signed in."""
    execute = {each.full_name: each.execute for each in intent.functions}
    for each in functions:
        allowed = execute.get(each.function.full_name)
        if allowed is None:
            continue
        for actor in (actors.owner, actors.anon):
            expected = ALLOW if actor.role in allowed else DENY
            attempt = _try(each, actor, connection)
            verdict, seen = judge(expected, [attempt], proven=True, otherwise="it did not run")
            mend = ""
            if verdict is not Verdict.OK:
                what = f"on function {each.function.signature}"
                mend = f"grant execute {what} to {actor.role};"
                if expected == DENY:
                    mend = _revoke(each.function, (actor.role,), allowed)
            yield RlsCheck(
                table=each.function.signature,
                operation=EXECUTE,
                actor=actor.name,
                expected=expected,
                verdict=verdict,
                tried=attempt.tried,
                seen=seen,
                mend=mend,
                attempts=(attempt.to_result(),),
            )


def _try(each: Served, actor: Actor, connection: Connection[Any]) -> Attempt:
    function = each.function
    if not each.looked_up and actor.client is not None:
        given: dict[str, Any] = dict.fromkeys(each.arguments)
        request = actor.client.schema(function.schema).rpc(function.name, given)
        reply = send(request, function.signature, sees=lambda _: 1)
        # What it made of the nulls is its own affair: it ran. It may itself lack a privilege.
        refused = reply.lacks_privilege and reply.message.endswith(
            (f"function {function.name}", f"schema {function.schema}")
        )
        if not reply.code.startswith("PGRST2"):
            words = "" if refused else "it ran"
            return Attempt(tried="call it", reply=reply, effect=words)
    found = connection.execute(
        "select has_schema_privilege(%(role)s, %(schema)s, 'usage') "
        "and has_function_privilege(%(role)s, %(function)s::regprocedure, 'execute')",
        {"role": actor.role, "schema": function.schema, "function": function.signature},
    ).fetchone()
    may = found == (True,)
    why = each.looked_up or "the API did not find it"
    return Attempt(
        tried=f"look up the privilege to call it: {why}",
        reply=Reply(outcome=Outcome.DONE if may else Outcome.REFUSED, message="no privilege"),
        effect="the privilege is there" if may else "",
    )


def _revoke(function: Function, roles: Sequence[str], allowed: Sequence[str] = ()) -> str:
    what = f"on function {function.signature}"
    grant = f"\ngrant execute {what} to {', '.join(allowed)};" if allowed else ""
    return f"revoke execute {what} from public, {', '.join(roles)};{grant}"
