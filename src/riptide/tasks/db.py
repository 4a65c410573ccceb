"""``inv db.*``: files that are made from the database's catalog."""

from __future__ import annotations

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

    from riptide.settings import Settings

READ_HELP = TARGET_HELP + "; looked at, never changed"
CHECK_HELP = "write nothing; exit with 3 where the file is not current"
SCHEMA_HELP = "only this schema; may be given several times (default: {})"


@task(
    iterable=["schema"],
    help={
        "output": "the file (default: [tool.riptide.types] of pyproject.toml, else "
        "database_types.py)",
        "schema": SCHEMA_HELP.format("those that the API exposes"),
        "check": CHECK_HELP,
        "target": READ_HELP,
        "json": JSON_HELP,
    },
)
def types(
    c: Context,
    schema: list[str],
    output: str | None = None,
    check: bool = False,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Write the tables as Pydantic models, made by supabase gen types."""
    from riptide import render
    from riptide.render import generated as show
    from riptide.schema.types import chosen_output, generate_types

    settings = settings_for(target=target)
    if is_dry(c):
        chosen = chosen_output(settings, output, schema)
        render.lines([command_line(preview_cli(settings).types_argv(chosen.schemas))])
        return
    with render.progress() as progress:
        made = generate_types(
            settings=settings, output=output, schemas=schema, check=check, progress=progress
        )
    again = _command("db.types", output, schema, settings)
    reported(made, json=json, show=lambda: show.generated(made, settings, command=again))


@task(
    iterable=["schema"],
    help={
        "output": "the file (default: [tool.riptide.docs] of pyproject.toml, else docs/schema.md)",
        "schema": SCHEMA_HELP.format("every one that is the project's own"),
        "check": CHECK_HELP,
        "target": READ_HELP,
        "json": JSON_HELP,
    },
)
def docs(
    c: Context,
    schema: list[str],
    output: str | None = None,
    check: bool = False,
    target: str | None = None,
    json: bool = False,
) -> None:
    """Write a diagram and a sentence on each table, column, policy and function."""
    from riptide import render
    from riptide.render import generated as show
    from riptide.schema.docs import generate_docs

    settings = settings_for(target=target)
    if is_dry(c):
        render.lines([f"read the catalog: {settings.target.name}"])
        return
    with render.progress() as progress:
        made = generate_docs(
            settings=settings, output=output, schemas=schema, check=check, progress=progress
        )
    again = _command("db.docs", output, schema, settings)
    reported(made, json=json, show=lambda: show.generated(made, settings, command=again))


def _command(name: str, output: str | None, schemas: list[str], settings: Settings) -> str:
    """Give the command that writes what was only looked at."""
    import shlex

    words = ["inv", name, *(f"--schema={each}" for each in schemas)]
    return shlex.join([*words, *([f"--output={output}"] if output else [])]) + settings.target.flag
