"""``inv rls.*``: who may do what, proved through supabase-py, and looked for in the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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


@task(
    default=True,
    help={
        "target": TARGET_HELP,
        "allow_remote": "allow it on a target that is not local (it makes and deletes two users)",
        "json": JSON_HELP,
    },
)
def verify(
    c: Context, target: str | None = None, allow_remote: bool = False, json: bool = False
) -> None:
    """Prove each table's Row Level Security as two users, anon and the service role."""
    from riptide import render
    from riptide.rls import verify_rls

    settings = settings_for(target=target)
    if is_dry(c):
        render.lines(
            [f"make two users, try every operation as each, delete them: {settings.target.name}"]
        )
        return
    with render.progress() as progress:
        report = verify_rls(settings=settings, allow_remote=allow_remote, progress=progress)
    reported(report, json=json, show=lambda: render.rls(report))


@task(
    help={
        "target": TARGET_HELP + "; looked at, never changed",
        "advisors": "ask `supabase db advisors` as well, which takes some 2 s more",
        "junit": "write a JUnit XML report to this file, too",
        "sarif": "write a SARIF 2.1.0 report to this file, too",
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
    """Look for what weakens Row Level Security in the catalog; 3 on an error or a warning."""
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
    reported(report, json=json, show=lambda: show.report(report, settings))


@task(
    iterable=["tables"],
    help={
        "tables": "only this table (schema.table); may be given several times",
        "all": "list every mutant, not the survivors alone",
        "json": JSON_HELP,
    },
)
def mutate(
    c: Context,
    tables: list[str],
    all: bool = False,  # noqa: A002 - the flag's name
    json: bool = False,
) -> None:
    """Prove the verification: break a copy of the schema in every way, and see who notices."""
    from riptide import render
    from riptide.render.mutation import mutation
    from riptide.rls.mutate import mutate_rls

    settings = settings_for()
    if is_dry(c):
        render.lines(["start a stack of its own, push the migrations, break them one by one"])
        return
    with render.progress() as progress:
        report = mutate_rls(settings=settings, tables=tables or None, progress=progress)
    reported(report, json=json, show=lambda: mutation(report, every=all))


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
