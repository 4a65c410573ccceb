"""The tasks at the top: the whole way up, down again, and the tests."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from riptide.errors import ToolNotFoundError
from riptide.tasks._task import BACKEND_HELP, JSON_HELP, is_dry, settings_for, task

if TYPE_CHECKING:
    from invoke.context import Context


@task(help={"backend": BACKEND_HELP, "json": JSON_HELP})
def up(c: Context, backend: str | None = None, json: bool = False) -> None:
    """Start the stack, push the migrations, prove Row Level Security."""
    from riptide import render
    from riptide.stack import open_stack
    from riptide.up import bring_up

    settings = settings_for(backend=backend)
    if is_dry(c):
        steps = open_stack(settings).preview("start")
        render.lines([*steps, "supabase db push --yes", "inv rls.verify"])
        return
    with render.progress() as progress:
        result = bring_up(settings=settings, progress=progress)
    if json:
        render.as_json(result)
    else:
        if result.rls.failures:
            from riptide.render import rls as show

            show.report(result.rls)
        render.up(result)
    if result.rls.failures:
        raise Exit(code=3)


@task(help={"backend": BACKEND_HELP})
def down(c: Context, backend: str | None = None) -> None:
    """Stop the local stack, keep its data (stack.stop can delete it)."""
    from riptide.tasks import stack

    stack.stop(c, backend=backend)


@task(
    unwinds=False,
    help={"sessions": "nox sessions, comma-separated; by default lint, types and all tests"},
)
def test(c: Context, sessions: str | None = None) -> None:
    """Run the tests as CI does, with nox."""
    from riptide import render
    from riptide.runner import foreground

    words = [sys.executable, "-m", "nox"]
    if sessions:
        words += ["--session", *sessions.split(",")]
    if is_dry(c):
        render.lines([" ".join(words)])
        return
    if find_spec("nox") is None:
        raise ToolNotFoundError(
            "nox is not installed where inv is",
            state="nothing was tested",
            next_step="python3 scripts/bootstrap.py test"
            if Path("scripts/bootstrap.py").is_file()
            else "pip install nox, and write a noxfile.py where there is none",
        )
    code = foreground(words)
    if code:
        raise Exit(code=code)
