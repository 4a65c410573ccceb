"""A push tried on a scratch database first: the whole history, then what is pending."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from riptide.migrations.explain import explain
from riptide.migrations.run import Clock, session_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from riptide.errors import RiptideError
    from riptide.migrations.files import MigrationFile
    from riptide.runner import Runner
    from riptide.settings import Settings

# What hosted Supabase has and a plain PostgreSQL with Supabase's roles does not.
_NOT_THERE = re.compile(
    r'extension "\w+" is not available|schema "(?:cron|graphql|net|pgmq|pgsodium|realtime|storage'
    r'|supabase_functions|vault)" does not exist|relation "(?:storage|realtime|vault|cron)\.'
)
_LOCK_TIMEOUT = 5.0  # seconds; nobody else is there to hold a lock


def rehearse(
    settings: Settings,
    files: Mapping[str, MigrationFile],
    texts: Mapping[str, str],
    *,
    runner: Runner,
    progress: Callable[[str], None],
) -> float:
    """Apply every file of the project to a scratch database; give the seconds that it took.

    Args:
        settings: The project's.
        files: All its migrations, by file name.
        texts: The content of the pending ones, by file name.
        runner: Runs the commands.
        progress: Called with a phrase before something that takes time.

    Raises:
        MigrationError: A file failed. The target was not touched.
        StackError: There can be no scratch database here.
        CommandError: The CLI failed in some other way.
    """
    import sys

    from riptide.cli import SupabaseCLI
    from riptide.stack.embedded.scratch import scratch_server
    from riptide.toolchain import find_cli

    began = time.monotonic()
    progress("rehearsing on a scratch database")
    with scratch_server(settings, runner=runner, progress=progress) as server:
        there = replace(settings, target=server.database("rehearsal"))
        cli = SupabaseCLI(find_cli(settings, runner=runner), there, runner)
        clock = Clock(total=len(files))
        answer = cli.run(
            cli.push_argv(),
            session=session_settings(_LOCK_TIMEOUT, windows=sys.platform == "win32"),
            on_stderr=clock.hear,
        )
        if not answer.ok:
            raise _failed(answer.error_message, clock.last, settings, files, texts)
    return time.monotonic() - began


def _failed(
    words: str,
    name: str,
    settings: Settings,
    files: Mapping[str, MigrationFile],
    texts: Mapping[str, str],
) -> RiptideError:
    from riptide.errors import MigrationError
    from riptide.migrations.files import read_sql

    state = "this was the rehearsal on a scratch database; the target was not touched"
    file = files.get(name)
    if file is None:
        first, _, rest = words.partition("\n")
        return MigrationError(
            f"the rehearsal failed: {first}",
            detail="\n".join(f"  {line}" for line in rest.splitlines()[:8]) or None,
            state=state,
            next_step="mend it, or push with --no-rehearse",
        )
    next_step = f"mend the file, then `inv migrate.push{settings.target.flag}`"
    if _NOT_THERE.search(words):
        next_step = (
            "the scratch database lacks what this needs of hosted Supabase: "
            "push with --no-rehearse, if that is all"
        )
    elif name not in texts:
        next_step = (
            "the file is applied to the target and cannot be replayed from nothing: mend what it "
            "needs, or push with --no-rehearse"
        )
    text = texts.get(name) or read_sql(file.path, settings)
    return explain(words, text, file.path, settings, state=state, next_step=next_step)
