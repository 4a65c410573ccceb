"""The whole verification: target, intent, plan, actors, probes, report."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from riptide._quote import quoted
from riptide.errors import RlsError, RlsViolationError
from riptide.results import RlsCheck, RlsReport, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from psycopg import Connection

    from riptide.rls.actors import Actors
    from riptide.rls.catalog import Relation
    from riptide.rls.endpoint import Endpoint
    from riptide.rls.intent import Intent
    from riptide.rls.plan import Plan, TablePlan
    from riptide.rls.probes_sql import Database
    from riptide.rls.remains import Notes
    from riptide.settings import Settings
    from riptide.target import Target


def verify_rls(
    *,
    settings: Settings | None = None,
    allow_remote: bool = False,
    progress: Callable[[str], None] | None = None,
    raise_on_violation: bool = False,
) -> RlsReport:
    """Hold the database to ``supabase/rls.toml``: try everything as everybody, and look.

    Three users are made through the Auth API, with a row for each declared table; nothing of it is
    left, also after Ctrl-C and SIGTERM. Rows that it did not make are not touched.

    Args:
        settings: The project's; by default those of the current folder.
        allow_remote: Whether the target may be another than this project's local stack.
        progress: Called with a phrase before something that takes time.
        raise_on_violation: Raise where the verdict is not ok, instead of giving the report back.

    Raises:
        ConfigError: ``supabase/rls.toml`` cannot be used, or the target is remote and that is not
            allowed or its API is not known. Nothing was tried.
        DatabaseError: The database cannot be reached.
        RlsError: The stack is not running, the API does not answer or does not accept a key,
            users cannot be made, or rows of a table cannot be made.
        RlsViolationError: With ``raise_on_violation``: not everything is ok.
    """
    from riptide.rls.endpoint import endpoint_of
    from riptide.rls.intent import read_intent
    from riptide.settings import Settings

    began = time.monotonic()
    settings = settings or Settings.load()
    # Before anything is connected to: what it says may be wrong.
    intent = read_intent(settings.supabase_dir / "rls.toml")
    endpoint = endpoint_of(settings, allow_remote=allow_remote)
    tell = progress or (lambda _: None)
    with verification(settings, intent, endpoint, tell) as run:
        if note := run.note():
            tell(note)
        checks = run()
        not_tried = run.not_tried
    report = RlsReport(
        target=endpoint.name,
        checks=tuple(checks),
        not_tried=not_tried,
        note=note,
        seconds=time.monotonic() - began,
    )
    if raise_on_violation and not report.ok:
        raise RlsViolationError(report, next_step="inv rls.verify")
    return report


@contextmanager
def verification(
    settings: Settings, intent: Intent, endpoint: Endpoint, tell: Callable[[str], None]
) -> Iterator[Run]:
    """Give what verifies the database as often as it is called, with the same users.

    Args:
        settings: The project's.
        intent: What the database is held to.
        endpoint: Where the API and the database are.
        tell: Called with a phrase before something that takes time.

    Raises:
        ConfigError: The intent names what is not there.
        DatabaseError: The database cannot be reached.
        RlsError: Users or rows cannot be made.
    """
    from riptide.database import connect
    from riptide.rls.remains import new_run, notes_of, session_name
    from riptide.target import Target

    target = Target(kind=settings.target.kind, url=endpoint.db_url)
    run = new_run()
    with (
        connect(target, name=session_name(run)) as connection,
        database_errors(endpoint),
        ExitStack() as stack,
    ):
        notes = notes_of(settings, run, endpoint.name)
        yield Run(settings, intent, endpoint, target, connection, notes, stack, tell)


class Run:
    """A verification under way: the users are made when the first table is tried."""

    def __init__(
        self,
        settings: Settings,
        intent: Intent,
        endpoint: Endpoint,
        target: Target,
        connection: Connection[Any],
        notes: Notes,
        stack: ExitStack,
        tell: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._intent = intent
        self._endpoint = endpoint
        self._target = target
        self._connection = connection
        self._notes = notes
        self._stack = stack
        self._tell = tell
        self._actors: Actors | None = None
        self._lacks: tuple[str, ...] = ()

    def __call__(
        self, only: Collection[str] | None = None, *, until_wrong: bool = False
    ) -> list[RlsCheck]:
        """Try everything as everybody; the rows of this call are gone afterwards.

        Args:
            only: The tables to try, as ``schema.table``; by default each that is declared.
            until_wrong: Whether to leave off at the first check that is not ok, and to give that
                one alone, without whom to blame for it.
        """
        from riptide._interrupts import ignored
        from riptide.rls.agreement import check_schemas
        from riptide.rls.catalog import read_catalog
        from riptide.rls.clearing import clear
        from riptide.rls.plan import make_plan
        from riptide.rls.probes_rpc import call, read_served, undeclared
        from riptide.rls.probes_sql import Database

        check_schemas(self._connection, self._settings)
        catalog = read_catalog(self._connection, self._settings.config.schemas)
        plan = make_plan(self._connection, self._intent, catalog)
        functions = read_served(self._connection, self._intent, self._settings.config.schemas)
        checks: list[RlsCheck] = []
        if plan.tables:
            actors = self._open_actors()
            database = Database(self._connection, self._notes)
            try:
                checks, self._lacks = _probe(
                    plan, actors, database, self._tell, only, until_wrong=until_wrong
                )
            finally:
                with ignored():
                    if clear(plan, database, self._target):
                        self._notes.forget()
        if only is None and self._intent.functions:
            checks += call(self._intent, functions, self._open_actors(), self._connection)
        return [
            *checks,
            *(_undeclared(each) for each in plan.undeclared),
            *undeclared(self._intent, functions),
        ]

    @property
    def not_tried(self) -> tuple[str, ...]:
        """What cannot be tried there."""
        return (*(self._actors.not_tried if self._actors is not None else ()), *self._lacks)

    def note(self) -> str:
        """Say what verifications that were killed have left behind; empty for nothing."""
        from riptide.results._base import count
        from riptide.rls.remains import users_left

        found = users_left(self._connection)
        users = count(found, "user")
        words = f"a verification that was killed has left {users} behind: inv rls.verify --clean"
        return words if found else ""

    def _open_actors(self) -> Actors:
        from riptide._interrupts import as_exceptions
        from riptide.rls.actors import open_actors

        if self._actors is None:
            self._tell("making three users through the Auth API")
            self._stack.enter_context(as_exceptions())
            self._actors = self._stack.enter_context(
                open_actors(self._endpoint, self._connection, self._notes.run, self._texts())
            )
        return self._actors

    def _texts(self) -> list[str]:
        """Give the policies and functions that ask what users write into their own metadata."""
        found = self._connection.execute(
            "select concat(qual, ' ; ', with_check) as text from pg_policies union all "
            "select prosrc from pg_proc where pronamespace <> 'pg_catalog'::regnamespace"
        )
        return [text for (text,) in found if "meta" in text]


def _probe(
    plan: Plan,
    actors: Actors,
    database: Database,
    tell: Callable[[str], None],
    only: Collection[str] | None,
    *,
    until_wrong: bool,
) -> tuple[list[RlsCheck], tuple[str, ...]]:
    """Try everything; give what came of it, and what the other user could not be given."""
    from riptide.rls.probe import WrongError
    from riptide.rls.probes_http import TableProbe
    from riptide.rls.probes_other import PartitionProbe, ViewProbe
    from riptide.rls.rows import descendants

    def probe_of(each: TablePlan) -> TableProbe:
        kind = PartitionProbe if each.parent else TableProbe
        return (kind if each.relation.is_table else ViewProbe)(
            each, actors, database, parents, plans, others, until_wrong=until_wrong
        )

    parents: dict[str, dict[str, Any]] = {}
    others: dict[str, dict[str, Any]] = {}
    plans = {each.name: each for each in plan.tables}
    probes = [probe_of(each) for each in plan.tables]
    for each in probes:
        each.children = descendants(each, probes)
    for each in reversed(probes):
        if each.plan.relation.is_table:
            each.clear_empty()
    for each in probes:
        if each.plan.relation.is_table:
            each.make_base()
    if only is not None:
        probes = [each for each in probes if each.plan.name in only or each.plan.parent in only]
    checks: dict[str, list[RlsCheck]] = {}
    # Views while the rows behind them are there, then each table before those it refers to.
    for each in reversed(probes):
        tell(f"verifying {each.plan.name}")
        try:
            checks[each.plan.name] = each.run()
        except WrongError as wrong:
            return [wrong.check], ()
    lacks = [each.lacking for each in probes if each.lacks]
    return [check for each in probes for check in checks[each.plan.name]], tuple(lacks)


def _undeclared(relation: Relation) -> RlsCheck:
    full, name = relation.full_name, relation.name
    section = name if relation.schema == "public" and name.isidentifier() else f'"{full}"'
    remedy = f'add [tables.{section}] with owner = "<column>"'
    if not relation.columns:
        remedy = "it has no columns: drop it, or revoke all on it from anon, authenticated"
    return RlsCheck(
        table=full,
        operation="*",
        actor="*",
        expected="declared",
        verdict=Verdict.UNDECLARED,
        tried="nothing: supabase/rls.toml does not say who may do what with it",
        seen=f"the API exposes it; {remedy}",
        mend=f"revoke all on {quoted(relation.schema)}.{quoted(name)} from anon, authenticated;",
    )


@contextmanager
def database_errors(endpoint: Endpoint) -> Iterator[None]:
    """Tell what the database refused as a verification's error."""
    import psycopg

    from riptide.runner import mask

    try:
        yield
    except psycopg.Error as error:
        raise RlsError(
            f"the database of {endpoint.name} refused a step of the verification",
            detail=f"  {mask(str(error)).strip()} ({error.sqlstate or 'no SQLSTATE'})",
            state="the verification is not finished",
            next_step="connect as postgres, and try `inv rls.verify` again",
        ) from error
