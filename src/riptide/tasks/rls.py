"""``inv rls.*``: who may do what, proved through supabase-py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from riptide.tasks._task import JSON_HELP, TARGET_HELP, is_dry, settings_for, task

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
    if json:
        render.as_json(report)
    else:
        render.rls(report)
    if not report.ok:
        raise Exit(code=3)
