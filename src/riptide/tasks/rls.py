"""``inv rls.*``: who may do what, proved through supabase-py, and looked for in the catalog."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from riptide.errors import ConfigError
from riptide.tasks._task import (
    JSON_HELP,
    TARGET_HELP,
    command_line,
    is_dry,
    preview_cli,
    reported,
    settings_for,
    task,
)

if TYPE_CHECKING:
    from invoke.context import Context

    from riptide.results import MutationReport, RlsReport
    from riptide.settings import Settings


JUNIT_HELP = "write a JUnit XML report to this file, too"
SARIF_HELP = "write a SARIF 2.1.0 report to this file, too"


@task(
    default=True,
    help={
        "target": TARGET_HELP,
        "allow_remote": "allow it on a target that is not local (it makes and deletes three users)",
        "clean": "only remove what a verification that was killed has left behind",
        "html": "write a page with every request and reply to this file, too",
        "mutation": "with --html: show this result of `inv rls.mutate --json`, too",
        "junit": JUNIT_HELP,
        "sarif": SARIF_HELP,
        "json": JSON_HELP,
    },
)
def verify(
    c: Context,
    target: str | None = None,
    allow_remote: bool = False,
    clean: bool = False,
    html: str | None = None,
    mutation: str | None = None,
    junit: str | None = None,
    sarif: str | None = None,
    json: bool = False,
) -> None:
    """Prove each table's Row Level Security as users, anon and the service role."""
    from riptide import render
    from riptide.render import rls as show
    from riptide.rls import verify_rls

    settings = settings_for(target=target)
    if clean:
        _clean(c, settings, allow_remote=allow_remote, json=json, other=html or junit or sarif)
        return
    if is_dry(c):
        render.lines(
            [f"make three users, try every operation as each, delete them: {settings.target.name}"]
        )
        return
    mutants = _mutation_from(mutation, html)
    with render.progress() as progress:
        report = verify_rls(settings=settings, allow_remote=allow_remote, progress=progress)
        if html:
            progress("reading policies and audit for the page")
            _page(report, settings, Path(html), mutants, allow_remote=allow_remote)
    if junit:
        show.junit(report, settings, Path(junit))
    if sarif:
        show.sarif(report, settings, Path(sarif))
    show.to_github(report, settings)
    reported(report, json=json, show=lambda: show.report(report))


def _clean(
    c: Context, settings: Settings, *, allow_remote: bool, json: bool, other: str | None
) -> None:
    from riptide import render
    from riptide.render import rls as show
    from riptide.rls import clean_rls

    if other:
        raise ConfigError(
            "--clean verifies nothing, so there is nothing to report",
            state="nothing was removed",
            next_step="inv rls.verify --clean, and then the same command without it",
        )
    if is_dry(c):
        render.lines([f"remove what killed verifications have left: {settings.target.name}"])
        return
    with render.progress() as progress:
        found = clean_rls(settings=settings, allow_remote=allow_remote, progress=progress)
    if json:
        render.as_json(found)
    else:
        show.remains(found)


def _mutation_from(mutation: str | None, html: str | None) -> MutationReport | None:
    """Read the mutation that a page is to show, before anything is tried."""
    from riptide.results.mutation import read_mutation

    if mutation is None:
        return None
    if html is None:
        raise ConfigError(
            "--mutation is for a page: it says nothing without --html",
            state="nothing was tried",
            next_step="inv rls.verify --html FILE --mutation FILE",
        )
    return read_mutation(Path(mutation))


def _page(
    report: RlsReport,
    settings: Settings,
    path: Path,
    mutants: MutationReport | None,
    *,
    allow_remote: bool,
) -> None:
    from riptide.render.html import write_html
    from riptide.rls.audit import audit_rls
    from riptide.rls.breakable import policies_of
    from riptide.rls.endpoint import endpoint_of
    from riptide.target import Target

    # Of the database that was verified: a stack may have been started on other ports.
    endpoint = endpoint_of(settings, allow_remote=allow_remote)
    verified = Target(kind=settings.target.kind, url=endpoint.db_url)
    write_html(
        path,
        settings,
        report=report,
        policies=policies_of(settings, report.tables, allow_remote=allow_remote),
        audit=audit_rls(settings=replace(settings, target=verified)),
        mutation=mutants,
    )


@task(
    help={
        "target": TARGET_HELP + "; looked at, never changed",
        "advisors": "ask `supabase db advisors` as well, which takes some 2 s more",
        "junit": JUNIT_HELP,
        "sarif": SARIF_HELP,
        "json": JSON_HELP,
    }
)
def audit(
    c: Context,
    target: str | None = None,
    advisors: bool = False,
    junit: str | None = None,
    sarif: str | None = None,
    json: bool = False,
) -> None:
    """Find what weakens Row Level Security in the catalog; 3 on error or warning."""
    from riptide import render
    from riptide.render import audit as show
    from riptide.rls.audit import audit_rls

    settings = settings_for(target=target)
    if is_dry(c):
        asked = [command_line(preview_cli(settings).advisors_argv())] if advisors else []
        render.lines([f"read the catalog: {settings.target.name}", *asked])
        return
    with render.progress() as progress:
        report = audit_rls(settings=settings, advisors=advisors, progress=progress)
    if junit:
        show.junit(report, settings, Path(junit))
    if sarif:
        show.sarif(report, settings, Path(sarif))
    show.to_github(report, settings)
    reported(report, json=json, show=lambda: show.report(report, settings))


@task(
    iterable=["tables"],
    help={
        "tables": "only this table (schema.table); may be given several times",
        "all": "list every mutant, not the survivors alone",
        "html": "write a page with every mutant to this file, too",
        "junit": JUNIT_HELP,
        "json": JSON_HELP,
    },
)
def mutate(
    c: Context,
    tables: list[str],
    all: bool = False,  # noqa: A002 - the flag's name
    html: str | None = None,
    junit: str | None = None,
    json: bool = False,
) -> None:
    """Prove the verification: break a copy in every way, and see who notices."""
    from riptide import render
    from riptide.render import mutation as show
    from riptide.rls.mutate import mutate_rls

    settings = settings_for()
    if is_dry(c):
        render.lines(["start a stack of its own, push the migrations, break them one by one"])
        return
    with render.progress() as progress:
        report = mutate_rls(settings=settings, tables=tables or None, progress=progress)
    if html:
        from riptide.render.html import write_html

        write_html(Path(html), settings, mutation=report)
    if junit:
        show.junit(report, settings, Path(junit))
    reported(report, json=json, show=lambda: show.report(report, every=all))


@task(help={"target": TARGET_HELP + "; looked at, never changed", "json": JSON_HELP})
def init(c: Context, target: str | None = None, json: bool = False) -> None:
    """Draft supabase/rls.toml from the catalog, for what it does not declare yet."""
    from riptide import render
    from riptide.rls.draft import draft_rls

    settings = settings_for(target=target)
    draft = draft_rls(settings=settings, write=not is_dry(c))
    if json:
        render.as_json(draft)
        return
    if not draft.text:
        render.lines([f"{settings.relative(draft.path)} declares all that the API exposes"])
        return
    render.lines([draft.text, ""])
    if draft.written:
        where = settings.relative(draft.path)
        render.lines([f"added to {where}: what is so now. Read it, correct it: inv rls.verify"])
