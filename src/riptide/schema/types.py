"""The database's tables as Pydantic models, by ``supabase gen types --lang=python``."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.errors import CommandError, ConfigError
from riptide.runner import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from riptide.results import GeneratedFile
    from riptide.runner import Runner
    from riptide.schema.outputs import Output
    from riptide.settings import Settings

USUAL = "database_types.py"
_LONGEST = 120  # seconds

# It holds nothing but functions of Supabase's own, on the stacks that have it.
_WITHOUT_TABLES = "graphql_public"


def generate_types(
    *,
    settings: Settings | None = None,
    output: Path | str | None = None,
    schemas: Sequence[str] = (),
    check: bool = False,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> GeneratedFile:
    """Write the Pydantic models that the Supabase CLI makes of the database.

    What the CLI prints is made usable where it is not: see `riptide.schema.mend`.

    Args:
        settings: The project's; by default those of the current folder.
        output: The file; else ``output`` in ``[tool.riptide.types]`` of ``pyproject.toml``; else
            ``database_types.py`` in the project's folder.
        schemas: Which schemas; else ``schemas`` there; else those that the API exposes.
        check: Only say whether the file is current.
        runner: Runs the CLI; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: A setting cannot be used, there is no such schema, there is a file of that name
            that was not made here, or it cannot be written.
        StackError: The target is local, and this project's own stack does not run.
        DatabaseError: The database cannot be reached.
        ToolNotFoundError: There is no supported Supabase CLI.
        CommandError: The CLI failed, or printed what is no Python.
    """
    from riptide.cli import SupabaseCLI
    from riptide.database import connect
    from riptide.migrations.push import require_local_stack
    from riptide.runner import SubprocessRunner
    from riptide.schema.described import require_schemas
    from riptide.schema.mend import mend
    from riptide.schema.outputs import hold_to, read_present
    from riptide.settings import Settings
    from riptide.toolchain import find_cli

    began = time.monotonic()
    settings = settings or Settings.load()
    runner = runner or SubprocessRunner()
    tell = progress or (lambda _: None)
    chosen = chosen_output(settings, output, schemas)
    wanted = chosen.schemas
    present = read_present(chosen.path)
    _refuse_foreign(chosen.path, present)
    require_local_stack(settings, runner)
    binary = find_cli(settings, runner=runner, progress=tell, state="nothing was written")
    if settings.target.url:  # the CLI takes a schema that is not there for an empty one
        with connect(settings.target) as connection:
            require_schemas(connection, wanted)
    tell("supabase gen types")
    cli = SupabaseCLI(binary, settings, runner)
    printed = cli.run_for_text(
        cli.types_argv(wanted), "supabase gen types", state="nothing was written", timeout=_LONGEST
    )
    try:
        text, notes = mend(printed, wanted)
    except SyntaxError as error:
        raise CommandError(
            "what supabase gen types printed is no Python",
            argv=[mask(each) for each in cli.types_argv(wanted)],
            exit_code_of_command=0,
            stdout=mask(printed),
            detail=f"  {(error.text or '').strip() or error.msg}",
            state="nothing was written",
            next_step="RIPTIDE_SUPABASE_CLI unset: the CLI that RipTide installs is known to work",
        ) from error
    return hold_to(
        text,
        present,
        chosen.path,
        settings,
        check=check,
        notes=notes,
        seconds=time.monotonic() - began,
    )


def chosen_output(settings: Settings, output: Path | str | None, schemas: Sequence[str]) -> Output:
    """Give the file and the schemas that are meant.

    Raises:
        ConfigError: A setting cannot be used.
    """
    from riptide.schema.outputs import choose_output

    chosen = choose_output("types", settings, output=output, schemas=schemas, usual=USUAL)
    exposed = tuple(each for each in settings.config.schemas if each != _WITHOUT_TABLES)
    return replace(chosen, schemas=chosen.schemas or exposed)


def _refuse_foreign(path: Path, present: str | None) -> None:
    """Refuse a file that somebody has written: its name may well be another module's.

    Raises:
        ConfigError: It is one.
    """
    from riptide.schema.mend import MARK

    if present is not None and present.strip() and MARK not in present:
        raise ConfigError(
            f"{path} is there, and was not written by db.types",
            next_step="move it away, or name another file: --output, or output in "
            "[tool.riptide.types] of pyproject.toml",
        )
