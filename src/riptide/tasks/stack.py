"""``inv stack.*``: the local Supabase, in Docker or embedded."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from riptide.errors import Interrupted, RiptideError, StackError
from riptide.tasks._task import (
    BACKEND_HELP,
    JSON_HELP,
    YES_HELP,
    confirm,
    is_dry,
    settings_for,
    task,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoke.context import Context

    from riptide.stack import Stack


@contextmanager
def _told_if_it_runs(stack: Stack) -> Iterator[None]:
    """Say of an interruption that it came too late to stop a start."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
        runs = False
        with suppress(RiptideError):
            # Docker's goes on by itself, and would not answer at once.
            runs = stack.backend == "embedded" and stack.status().running
        if runs:
            raise Interrupted("the stack runs", "inv stack.stop, or go on") from None
        raise


@task(help={"backend": BACKEND_HELP, "json": JSON_HELP})
def start(c: Context, backend: str | None = None, json: bool = False) -> None:
    """Start the local stack; a running one takes over what config.toml changed."""
    from riptide import render
    from riptide.render.schemas import missing_schema
    from riptide.stack import open_stack
    from riptide.stack.schemas import missing_schemas

    settings = settings_for(backend=backend)
    stack = open_stack(settings)
    if is_dry(c):
        render.lines(stack.preview("start"))
        return
    with _told_if_it_runs(stack):
        with render.progress() as progress:
            status = stack.start(progress=progress)
        missing = missing_schemas(status, settings)
        if json:
            render.as_json(status, missing_schemas=missing)
            return
        render.stack(status, verb="started" if status.started else "")
        if status.renewed:
            render.lines(["the API was restarted; the database ran already and went on"])
        elif not status.started:
            render.lines(["it ran already; nothing was changed"])
        for schema in missing:
            missing_schema(schema)


@task(
    help={
        "delete_data": "delete the database's data too (asks first)",
        "yes": YES_HELP,
        "backend": BACKEND_HELP,
        "json": JSON_HELP,
    }
)
def stop(
    c: Context,
    delete_data: bool = False,
    yes: bool = False,
    backend: str | None = None,
    json: bool = False,
) -> None:
    """Stop the local stack and keep its data."""
    from riptide import render
    from riptide.stack import open_stack

    settings = settings_for(backend=backend)
    stack = open_stack(settings)
    if is_dry(c):
        render.lines(stack.preview("stop and delete" if delete_data else "stop"))
        return
    if delete_data:
        confirm(f"Delete all data of {settings.target.name}?", yes=yes)
    status = stack.stop(delete_data=delete_data)
    if json:
        render.as_json(status)
    else:
        render.stack(status, verb="stopped" if status.stopped else "")
        if not status.stopped:
            render.lines(["it did not run; nothing was stopped"])
        if delete_data:
            render.lines(
                ["its data is deleted" if status.deleted else "there was no data to delete"]
            )


@task(
    default=True,
    help={
        "env": 'print SUPABASE_URL="…" and the keys as lines for a shell or a .env file',
        "backend": BACKEND_HELP,
        "json": JSON_HELP + " (without the keys)",
    },
)
def status(c: Context, env: bool = False, backend: str | None = None, json: bool = False) -> None:  # noqa: ARG001
    """Show whether the local stack runs, and where."""
    from riptide import render
    from riptide.stack import open_stack

    found = open_stack(settings_for(backend=backend)).status()
    if json:
        render.as_json(found)
    elif env:
        if not found.running:
            raise StackError("the local stack is not running", next_step="inv stack.start")
        if not found.secret_key:
            raise StackError(
                "the local stack runs, and its keys are not known",
                detail=f"  {found.note}" if found.note else None,
                next_step="inv stack.start",
            )
        render.environment(found.to_env())
    else:
        render.stack(found)


@task(help={"yes": YES_HELP, "backend": BACKEND_HELP, "json": JSON_HELP})
def reset(c: Context, yes: bool = False, backend: str | None = None, json: bool = False) -> None:
    """Give the stack back empty: no user, no table, no history. Asks first."""
    from riptide import render
    from riptide.stack import open_stack

    settings = settings_for(backend=backend)
    stack = open_stack(settings)
    if is_dry(c):
        render.lines(stack.preview("reset"))
        return
    confirm(f"Delete all data of {settings.target.name}?", yes=yes)
    with render.progress() as progress:
        status = stack.reset(progress=progress)
    if json:
        render.as_json(status)
    else:
        render.stack(status, verb="reset")
        render.lines(["next:  inv migrate.push; migrate.reset does both, with the seed"])


@task(help={"follow": "go on until Ctrl-C", "backend": BACKEND_HELP})
def logs(c: Context, follow: bool = False, backend: str | None = None) -> None:  # noqa: ARG001
    """Print the logs of the database and the API."""
    from riptide import render
    from riptide.stack import open_stack

    entries = open_stack(settings_for(backend=backend)).logs(follow=follow)
    try:
        render.log(entries)
    except KeyboardInterrupt:
        if not follow:  # with --follow it is the way to end it
            raise
