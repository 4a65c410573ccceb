"""Proves the verification: breaks a copy of the schema in every way, and sees who notices."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from riptide.errors import ConfigError, RlsError
from riptide.results import Verdict
from riptide.results.mutation import Fate, MutantResult, MutationReport

Found = tuple[str, str]
"""A finding's rule and the name of its object."""

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from psycopg import Connection

    from riptide.results import AuditReport, RlsCheck
    from riptide.rls.breakable import Table
    from riptide.rls.mutants import Mutant
    from riptide.rls.verify import Run
    from riptide.runner import Runner
    from riptide.settings import Settings


def mutate_rls(
    *,
    settings: Settings | None = None,
    tables: Collection[str] | None = None,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> MutationReport:
    """Break the migrated schema in every way that the catalog suggests, one at a time.

    It is done on a stack of its own, made of the project's migrations and gone afterwards; the
    project's own is not touched. A mutant is killed where ``rls.verify`` or ``rls.audit`` reports
    anything that they do not report of the schema as it is. One that nobody notices is called
    equivalent only where that is shown: where no role has the privilege for anything that it
    opens, or where another policy says the same.

    Args:
        settings: The project's; by default those of the current folder.
        tables: The tables to break, as ``schema.table``; by default each that is declared.
        runner: Runs the commands; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: ``supabase/rls.toml`` cannot be used, or does not declare one of ``tables``.
        MigrationError: The migrations cannot be applied.
        RlsError: The schema as it is does not hold: there is nothing to compare with.
        StackError: The stack could not be started.
    """
    import psycopg

    from riptide.migrations.push import apply_migrations
    from riptide.rls.audit import audit_rls
    from riptide.rls.breakable import read_tables
    from riptide.rls.endpoint import endpoint_of
    from riptide.rls.intent import nearest, read_intent
    from riptide.rls.mutants import mutants
    from riptide.rls.verify import verification
    from riptide.settings import Settings
    from riptide.stack.embedded.temporary import temporary_stack

    began = time.monotonic()
    tell = progress or (lambda _: None)
    settings = settings or Settings.load()
    intent = read_intent(settings.supabase_dir / "rls.toml")
    owners = {each.full_name: each.owner for each in intent.tables}
    for each in tables or ():
        if each not in owners:
            raise ConfigError(
                f"supabase/rls.toml does not declare {each}{nearest(each, owners)}",
                state="nothing was tried",
                next_step="name a table as schema.table",
            )
    found: list[MutantResult] = []
    with temporary_stack(settings.root, progress=tell) as (there, _):
        apply_migrations(settings=there, runner=runner, progress=tell)
        endpoint = endpoint_of(there, allow_remote=False)
        with (
            verification(there, intent, endpoint, lambda _: None) as run,
            psycopg.connect(endpoint.db_url, autocommit=True) as connection,
        ):
            tell("verifying the schema as it is")
            _require_sound(run())
            known = _found(audit_rls(settings=there))
            read = read_tables(connection, list(owners if tables is None else tables))
            chosen = [(each, one) for each in read for one in mutants(each, owners[each.table])]
            for number, (table, mutant) in enumerate(chosen, start=1):
                tell(f"mutant {number} of {len(chosen)}: {table.table}: {mutant.sentence}")
                found.append(
                    _try(mutant, table, connection, run, lambda: audit_rls(settings=there), known)
                )
            tell("verifying that the schema is as it was")
            _require_sound(run())
    return MutationReport(mutants=tuple(found), seconds=time.monotonic() - began)


def _require_sound(checks: list[RlsCheck]) -> None:
    failures = [each for each in checks if each.verdict is not Verdict.OK]
    if failures:
        worst = failures[0]
        raise RlsError(
            "the schema does not hold as it is: there is nothing to compare a mutant with",
            detail=f"  {worst.table}, {worst.operation} as {worst.actor}: {worst.verdict.value}",
            state="nothing was changed: it was a copy",
            next_step="inv rls.verify",
        )


def _try(
    mutant: Mutant,
    table: Table,
    connection: Connection[Any],
    run: Run,
    audit: Callable[[], AuditReport],
    known: frozenset[Found],
) -> MutantResult:
    began = time.monotonic()
    connection.execute(mutant.apply.encode())
    try:
        why = _noticed(run, mutant) or _audited(audit, known)
    finally:
        connection.execute(mutant.undo.encode())
    fate = Fate.KILLED
    if not why:
        why = _equivalent(mutant, table)
        fate = Fate.EQUIVALENT if why else Fate.SURVIVED
    return MutantResult(
        kind=mutant.kind,
        table=mutant.table,
        sentence=mutant.sentence,
        fate=fate,
        why=why,
        sql=mutant.apply,
        seconds=time.monotonic() - began,
    )


def _noticed(run: Run, mutant: Mutant) -> str:
    """Say what notices a mutant; empty where nothing does."""
    try:
        checks = run(only=[mutant.table], until_wrong=True)
    except RlsError as error:
        return f"rls.verify: {error.message}"
    for each in checks:
        if each.verdict is not Verdict.OK:
            return f"rls.verify: {each.operation} as {each.actor}: {each.verdict.value}"
    return ""


def _audited(audit: Callable[[], AuditReport], known: frozenset[Found]) -> str:
    """Say what the audit warns of that it did not before; empty where that is nothing."""
    new = sorted(_found(audit()) - known)
    return f"rls.audit: {new[0][0]} on {new[0][1]}" if new else ""


def _found(report: AuditReport) -> frozenset[Found]:
    """Give what an audit exits with 3 for: notes alone stop nobody."""
    return frozenset((each.rule, each.name) for each in (*report.errors, *report.warnings))


def _equivalent(mutant: Mutant, table: Table) -> str:
    """Say why no request can tell a mutant from what was before; empty where that is not shown."""
    if mutant.implied:
        return mutant.implied
    if not mutant.reach:
        return ""
    open_to = sorted(mutant.reach & table.privileges)
    if not open_to:
        what = ", ".join(sorted(mutant.reach))
        return f"no privilege for any of what it opens: {what}"
    if mutant.same_as:
        return f"{', '.join(mutant.same_as)} says the same of {', '.join(open_to)}"
    return ""
