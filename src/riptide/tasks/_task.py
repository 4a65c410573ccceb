"""What every task shares: its decorator, its questions, its way out."""

from __future__ import annotations

import functools
import io
import os
import sys
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from riptide.errors import ConfigError, Interrupted, RiptideError

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context

    from riptide.settings import Settings

# The exit code of a program that SIGINT ended, as shells have it.
_INTERRUPTED = 130

_UNKNOWN = Interrupted(
    "the step under way was stopped; what was done before it stays",
    "the same command again; it goes on from there",
)

BACKEND_HELP = "auto, docker or embedded; by default RIPTIDE_STACK, else auto"
TARGET_HELP = "local (the default), linked, remote (SUPABASE_DB_URL) or a postgresql:// URL"
JSON_HELP = "print one JSON object instead"
YES_HELP = "do not ask"


def task(*arguments: str, **options: Any) -> Callable[[Callable[..., Any]], Task[Any]]:
    """Make a function an Invoke task without short flags, whose errors are its interface.

    Args:
        arguments: Names of positional arguments, in order.
        options: Invoke's own (``help``, ``default``, ``aliases``, …).
    """

    def decorate(body: Callable[..., Any]) -> Task[Any]:
        @functools.wraps(body)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            _never_fail_to_print()
            try:
                return body(*args, **kwargs)
            except RiptideError as error:
                from riptide import render

                render.error(error)
                raise Exit(code=error.exit_code) from None
            except KeyboardInterrupt as interruption:
                known = interruption if isinstance(interruption, Interrupted) else _UNKNOWN
                sys.stderr.write(
                    f"\nerror: interrupted\nstate: {known.state}\nnext:  {known.next_step}\n"
                )
                raise Exit(code=_INTERRUPTED) from None
            except BrokenPipeError:  # `inv … | head`: the reader has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise Exit(code=0) from None
            except (Exit, SystemExit):
                raise
            except Exception as error:  # a mistake of ours: say so without a traceback
                if os.environ.get("RIPTIDE_TRACEBACK"):
                    raise
                sys.stderr.write(
                    f"error: unexpected {type(error).__name__}: {_first_line(error)}\n"
                    "state: not known; this is a mistake in riptide\n"
                    "next:  RIPTIDE_TRACEBACK=1 shows where; please report it\n"
                )
                raise Exit(code=1) from None

        options.setdefault("auto_shortflags", False)
        made: Task[Any] = invoke_task(*(), positional=list(arguments), **options)(guarded)
        return made

    return decorate


def _never_fail_to_print() -> None:
    """Let a stream that has no box-drawing characters (cp1252, ASCII) show others instead."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def is_dry(context: Context) -> bool:
    """Whether ``inv --dry`` was said: print the commands, change nothing."""
    return bool(context.config.run.dry)


def settings_for(*, backend: str = "", target: str = "") -> Settings:
    """Resolve the current project's settings from a task's flags."""
    from riptide.settings import Settings

    return Settings.load(backend=backend or None, target=target or None)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless ``yes``; go on only where the answer is yes.

    Raises:
        ConfigError: There is nobody to ask.
        Exit: The answer was no (code 1).
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            f"{question} There is no terminal to answer from.",
            state="nothing was changed",
            next_step="the same command with --yes",
        )
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        sys.stderr.write("nothing was changed\n")
        raise Exit(code=1)


def _first_line(error: Exception) -> str:
    from riptide.runner import mask

    return mask(str(error).strip().splitlines()[0] if str(error).strip() else "no message")
