"""The whole verification: target, intent, plan, actors, probes, report."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from riptide.errors import ConfigError, RlsError, RlsViolationError
from riptide.results import RlsCheck, RlsReport, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.rls.actors import Endpoint
    from riptide.rls.catalog import Relation
    from riptide.rls.plan import Plan, TablePlan
    from riptide.settings import Settings, Target


def verify_rls(
    *,
    settings: Settings | None = None,
    allow_remote: bool = False,
    progress: Callable[[str], None] | None = None,
    raise_on_violation: bool = False,
) -> RlsReport:
    """Hold the database to ``supabase/rls.toml``: try everything as everybody, and look.

    Two users are made through the Auth API, with a row for each declared table; nothing of it is
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
    from riptide._interrupts import as_exceptions, ignored
    from riptide.database import connect
    from riptide.rls.actors import open_actors
    from riptide.rls.agreement import check_schemas
    from riptide.rls.catalog import read_catalog
    from riptide.rls.intent import read_intent
    from riptide.rls.plan import make_plan
    from riptide.rls.probes_sql import Database
    from riptide.settings import Settings, Target

    began = time.monotonic()
    tell = progress or (lambda _: None)
    settings = settings or Settings.load()
    intent = read_intent(settings.supabase_dir / "rls.toml")
    endpoint = _endpoint(settings, allow_remote=allow_remote)
    target = Target(kind=settings.target.kind, url=endpoint.db_url)
    with connect(target) as connection, _database_errors(endpoint):
        check_schemas(connection, settings)
        plan = make_plan(connection, intent, read_catalog(connection, settings.config.schemas))
        checks: list[RlsCheck] = []
        if plan.tables:
            tell("making two users through the Auth API")
            with as_exceptions(), open_actors(endpoint, connection) as actors:
                database = Database(connection)
                try:
                    checks = _probe(plan, actors, database, tell)
                finally:
                    with ignored():
                        _clear(plan, database, target)
    checks += [_undeclared(each) for each in plan.undeclared]
    report = RlsReport(target=endpoint.name, checks=tuple(checks), seconds=time.monotonic() - began)
    if raise_on_violation and not report.ok:
        raise RlsViolationError(report, next_step="inv rls.verify")
    return report


def _probe(plan: Plan, actors: Any, database: Any, tell: Callable[[str], None]) -> list[RlsCheck]:
    from riptide.rls.probes_http import TableProbe
    from riptide.rls.probes_other import PartitionProbe, ViewProbe

    def probe_of(each: TablePlan) -> TableProbe:
        kind = PartitionProbe if each.parent else TableProbe
        return (kind if each.relation.is_table else ViewProbe)(each, actors, database, parents)

    parents: dict[str, dict[str, Any]] = {}
    probes = [probe_of(each) for each in plan.tables]
    for each in probes:
        if each.plan.relation.is_table:
            each.make_base()
    checks: dict[str, list[RlsCheck]] = {}
    # Views while the rows behind them are there, then each table before those it refers to.
    for each in reversed(probes):
        tell(f"verifying {each.plan.name}")
        checks[each.plan.name] = each.run()
    return [check for each in probes for check in checks[each.plan.name]]


def _clear(plan: Plan, database: Any, target: Target) -> None:
    """Delete the rows, children first.

    A connection on which an interruption has left a query under way is given up for a new one, as
    one that is lost is: its transaction holds locks that the deletion would wait for. Where the
    database is gone, so are the means to delete anything.
    """
    import psycopg

    from riptide.database import connect
    from riptide.errors import DatabaseError

    connection = database.connection
    if connection.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
        connection.cancel()
        connection.close()
    if not connection.closed:
        try:
            _clear_tables(plan, database)
        except psycopg.OperationalError:
            if not connection.closed:
                raise
        else:
            return
    with suppress(DatabaseError), connect(target) as another:
        database.connection = another
        _clear_tables(plan, database)


def _clear_tables(plan: Plan, database: Any) -> None:
    for each in reversed(plan.tables):
        if each.relation.is_table:
            database.clear(each)


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
    )


def _endpoint(settings: Settings, *, allow_remote: bool) -> Endpoint:
    from riptide.rls.actors import Endpoint
    from riptide.stack import open_stack

    if settings.target.is_local:
        status = open_stack(settings).status()
        if not status.running:
            raise RlsError(
                "the local stack is not running",
                state="nothing was tried",
                next_step="inv stack.start",
            )
        if not (status.api_url and status.publishable_key and status.secret_key):
            raise RlsError(
                "the local stack runs without its API or its Auth server",
                state="nothing was tried",
                next_step="inv stack.stop, then `inv stack.start`",
            )
        return Endpoint(
            name=f"local ({status.api_url})",
            api_url=status.api_url,
            db_url=status.db_url,
            publishable_key=status.publishable_key,
            secret_key=status.secret_key,
            remedy="inv stack.status",
        )
    if not allow_remote:
        raise ConfigError(
            f"the target is not this project's local stack: {settings.target.name}",
            detail="  Two users and their rows would be made there, and removed again.",
            state="nothing was tried",
            next_step="inv rls.verify --allow-remote, if that is meant",
        )
    needed = {
        "SUPABASE_DB_URL": settings.target.url,
        "SUPABASE_URL": settings.api_url,
        "SUPABASE_PUBLISHABLE_KEY": settings.publishable_key,
        "SUPABASE_SECRET_KEY": settings.secret_key,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ConfigError(
            f"the remote project is not known well enough: {', '.join(missing)}",
            state="nothing was tried",
            next_step="set that in the environment or in .env",
        )
    return Endpoint(
        name=f"{settings.target.name}, {settings.api_url}",
        api_url=settings.api_url,
        db_url=settings.target.url,
        publishable_key=settings.publishable_key,
        secret_key=settings.secret_key,
        remedy="check SUPABASE_URL and the network",
    )


@contextmanager
def _database_errors(endpoint: Endpoint) -> Iterator[None]:
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
