"""The whole audit: intent, catalog, checks, exceptions, report."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from riptide.results import AuditFinding, AuditReport, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from psycopg import Connection

    from riptide.rls.audit.project import Project
    from riptide.rls.intent import Intent
    from riptide.runner import Runner
    from riptide.settings import Settings

_ORDER = (Level.ERROR, Level.WARNING, Level.NOTE)


def audit_rls(
    *,
    settings: Settings | None = None,
    advisors: bool = False,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> AuditReport:
    """Look for what weakens Row Level Security, or slows it down, in the catalog alone.

    Nothing is tried and nothing is changed: the catalog is read in one read-only transaction, of
    whatever database the target is.

    Args:
        settings: The project's; by default those of the current folder.
        advisors: Whether ``supabase db advisors`` is asked as well, which takes some 2 s more.
        runner: Runs the CLI; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: ``supabase/rls.toml`` cannot be used, or the target is the linked project,
            whose password only the CLI has.
        DatabaseError: The database cannot be reached.
        ToolNotFoundError: With ``advisors``: there is no Supabase CLI.
        CommandError: With ``advisors``: it failed.
    """
    from riptide.database import connect
    from riptide.rls.audit.where import located
    from riptide.rls.intent import read_intent
    from riptide.settings import Settings
    from riptide.target import require_url

    began = time.monotonic()
    tell = progress or (lambda _: None)
    settings = settings or Settings.load()
    require_url(settings.target)
    intent = read_intent(settings.supabase_dir / "rls.toml")
    with connect(settings.target) as connection:
        project = read_project(connection, settings, intent)
    found = tuple(_check(project))
    if advisors:
        from riptide.rls.audit.advisors import ask_advisors, merged

        found = merged(found, ask_advisors(settings, runner, tell))
    looked_at = _rules(found, advisors=advisors)
    found = tuple(sorted(located(found, settings), key=_key))
    kept, excepted, unused = _sift(found, intent, looked_at)
    return AuditReport(
        target=settings.target.name,
        tables=tuple(each.name for each in project.tables),
        functions=len(project.functions),
        findings=(*kept, *unused),
        excepted=excepted,
        rules=looked_at,
        seconds=time.monotonic() - began,
    )


def read_project(connection: Connection[Any], settings: Settings, intent: Intent) -> Project:
    """Read what the catalog says, in one read-only transaction, and join it with the intent.

    Raises:
        ConfigError: The intent names what is not there.
    """
    from riptide.rls.agreement import check_functions, check_schemas, declared_tables
    from riptide.rls.audit.facts import read_facts, read_functions, read_policies, read_roles
    from riptide.rls.audit.project import Project, join
    from riptide.rls.catalog import read_catalog
    from riptide.rls.partitions import inherited

    schemas = settings.config.schemas
    check_schemas(connection, settings)
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        # Names and expressions are written out whole, whatever the role's search_path is.
        connection.execute("set local search_path = ''")
        catalog = read_catalog(connection, schemas)
        facts = read_facts(connection, schemas)
        policies = read_policies(connection, schemas)
        functions = tuple(read_functions(connection))
        roles = tuple(read_roles(connection))
    # Afterwards: it tries casts, and one that fails would end the transaction.
    intents = declared_tables(connection, intent, catalog)
    intents |= {name: each for name, (_, each) in inherited(catalog, intents).items()}
    project = Project(
        tables=join(catalog, facts, policies, intents),
        functions=functions,
        roles=roles,
        declared=intent.functions,
        schemas=frozenset(schemas),
    )
    check_functions(intent, {each.full_name for each in functions})
    return project


def _check(project: Project) -> Iterable[AuditFinding]:
    from riptide.rls.audit.functions import check_functions, check_roles
    from riptide.rls.audit.policies import check_policies
    from riptide.rls.audit.relations import check_relations

    yield from check_roles(project)
    yield from check_relations(project)
    yield from check_policies(project)
    yield from check_functions(project)


def _rules(found: Iterable[AuditFinding], *, advisors: bool) -> tuple[str, ...]:
    """Give the rules that were looked at, those that a newer CLI has and we do not know last."""
    from riptide.rls.audit.rules import ADVISORS, RULES

    known = (*RULES, *ADVISORS) if advisors else tuple(RULES)
    return tuple(dict.fromkeys((*known, *(each.rule for each in found))))


def _key(finding: AuditFinding) -> tuple[int, str, str]:
    return _ORDER.index(finding.level), finding.rule, finding.name


def _sift(
    found: Iterable[AuditFinding], intent: Intent, looked_at: tuple[str, ...]
) -> tuple[list[AuditFinding], tuple[AuditFinding, ...], list[AuditFinding]]:
    """Part what is excepted from what is not; say which exceptions excepted nothing."""
    from riptide.rls.audit.rules import UNUSED_EXCEPTION

    kept: list[AuditFinding] = []
    excepted: list[AuditFinding] = []
    used = set()
    for each in found:
        meant = [one for one in intent.exceptions if one.covers(each)]
        used.update(meant)
        if meant:
            excepted.append(replace(each, reason=meant[0].reason))
        else:
            kept.append(each)
    unused = [
        replace(
            UNUSED_EXCEPTION.finding(
                each.object, f"supabase/rls.toml excepts {each.rule} here, and nothing is found"
            ),
            file=intent.path,
            line=each.line,
        )
        for each in intent.exceptions
        # What nobody looked for may be there all the same.
        if each not in used and each.rule in looked_at
    ]
    return kept, tuple(excepted), unused
