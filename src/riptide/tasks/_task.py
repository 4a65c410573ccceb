"""What every task shares: its decorator, its questions, its way out."""

from __future__ import annotations

import functools
import gc
import inspect
import os
import re
import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from riptide.errors import ConfigError, Interrupted, RiptideError
from riptide.render import tell
from riptide.tasks import _streams
from riptide.tasks._signals import Ended, unwinding

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoke.context import Context

    from riptide.cli import SupabaseCLI
    from riptide.results import AuditReport, CheckReport, GeneratedFile, MutationReport, RlsReport
    from riptide.settings import Settings

    Report = AuditReport | CheckReport | GeneratedFile | MutationReport | RlsReport

# The exit code of a program that SIGINT ended, as shells have it.
_INTERRUPTED = 130
_BY_SIGNAL = (129, 143)

_UNKNOWN = Interrupted(
    "the step under way was stopped; what was done before it stays",
    "the same command again; it goes on from there",
)

# psycopg.pq's words, which several parts may meet first.
_NO_LIBPQ = re.compile(r"no pq wrapper available|requested psycopg")

BACKEND_HELP = "auto, docker or embedded; by default RIPTIDE_STACK, else auto"
TARGET_HELP = "local (the default), linked, remote (SUPABASE_DB_URL) or a postgresql:// URL"
JSON_HELP = "print one JSON object instead"
YES_HELP = "do not ask"


def task(
    *arguments: str, unwinds: bool = True, **options: Any
) -> Callable[[Callable[..., Any]], Task[Any]]:
    """Make a function an Invoke task without short flags, whose errors are its interface.

    Args:
        arguments: Names of positional arguments, in order.
        unwinds: Whether SIGTERM and SIGHUP clean up as Ctrl-C does. Not where Invoke runs a command
            of its own: it would wait for its end.
        options: Invoke's own (``help``, ``default``, ``aliases``, …).
    """

    def decorate(body: Callable[..., Any]) -> Task[Any]:
        known = inspect.signature(body).parameters.values()
        unset = [each.name for each in known if each.default is None]

        @functools.wraps(body)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            _collect_seldom()
            _streams.prepare()
            with unwinding() if unwinds else nullcontext(Ended()) as ended:
                try:
                    _refuse_empty({name: kwargs.get(name) for name in unset})
                    result = body(*args, **kwargs)
                    _streams.flush()
                except BaseException as error:  # noqa: BLE001 - all are told, none is kept
                    way_out = _way_out(error, ended.number)
                    _streams.settle()
                    raise way_out from None
                return result

        options.setdefault("auto_shortflags", False)
        made: Task[Any] = invoke_task(*(), positional=list(arguments), **options)(guarded)
        return made

    return decorate


def _collect_seldom() -> None:
    """Look for garbage every 50,000 objects.

    A task loads some hundred modules and ends: every 700, Python's own number, is a tenth of its
    CPU time. What works for long still has its garbage collected.
    """
    gc.set_threshold(50_000, 20, 20)


def _refuse_empty(flags: dict[str, object]) -> None:
    """Refuse a flag that was given an empty text: most likely a variable that is not set.

    Raises:
        ConfigError: There is one.
    """
    for name, given in flags.items():
        if given == "":
            raise ConfigError(
                f"--{name.replace('_', '-')} was given an empty text",
                state="nothing was changed",
                next_step="leave it out, or say what is meant (is a variable not set?)",
            )


def _way_out(error: BaseException, signal_number: int | None) -> BaseException:
    """Tell how a task failed; give what ends the program with the right code."""
    if isinstance(error, SystemExit) and error.code in _BY_SIGNAL:  # from within _interrupts
        signal_number = int(error.code) - 128
    if signal_number is not None:  # whatever else came of it
        _interrupted(f"ended by {signal.Signals(signal_number).name}", error)
        return Exit(code=128 + signal_number)
    if isinstance(error, KeyboardInterrupt):
        _interrupted("interrupted", error)
        # `python -m invoke` ends itself by SIGINT, whatever its code, where Ctrl-C came during an
        # exec() as dataclasses and pydantic have it; the next exec() makes CPython forget that
        # (run_eval_code_obj in https://github.com/python/cpython/blob/3.11/Python/pythonrun.c).
        exec("")  # noqa: S102
        return Exit(code=_INTERRUPTED)
    if isinstance(error, OSError) and not os.environ.get("RIPTIDE_TRACEBACK"):
        error = _refused(error)
    if isinstance(error, ImportError) and _NO_LIBPQ.search(str(error)):
        from riptide.database import without_libpq

        error = without_libpq(error)
    if isinstance(error, RiptideError):
        from riptide import render

        try:
            render.error(error)
        except OSError:  # nobody reads it: the code tells
            render.discard(sys.stderr)
        return Exit(code=error.exit_code)
    if isinstance(error, Exit) or not isinstance(error, Exception):
        return error
    if os.environ.get("RIPTIDE_TRACEBACK"):
        return error
    tell(  # a mistake of ours: say so without a traceback
        f"error: unexpected {type(error).__name__}: {_first_line(error)}\n"
        "state: not known; this is a mistake in riptide\n"
        "next:  RIPTIDE_TRACEBACK=1 shows where; please report it"
    )
    return Exit(code=1)


def _interrupted(what: str, error: BaseException) -> None:
    known = error if isinstance(error, Interrupted) else _UNKNOWN
    tell(f"\nerror: {what}\nstate: {known.state}\nnext:  {known.next_step}")


def _refused(error: OSError) -> RiptideError:
    try:
        _streams.flush()  # fails once more where it was a print that failed
    except RiptideError as unprinted:
        return unprinted
    from riptide._oserror import as_error

    return as_error(error)


def is_dry(context: Context) -> bool:
    """Whether ``inv --dry`` was said: print the commands, change nothing."""
    return bool(context.config.run.dry)


def settings_for(*, backend: str | None = None, target: str | None = None) -> Settings:
    """Resolve the current project's settings from a task's flags."""
    from riptide.settings import Settings

    return Settings.load(backend=backend, target=target)


def seconds_of(given: str, flag: str) -> float:
    """Read a flag's number of seconds; Invoke's own way ends a wrong one with a traceback.

    Raises:
        ConfigError: It is none, or not more than 0.
    """
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not 0 < number < 86_400:
        raise ConfigError(f"{flag} takes seconds, more than 0, not {given!r}")
    return number


def preview_cli(settings: Settings) -> SupabaseCLI:
    """Give a CLI whose command lines are only looked at."""
    from pathlib import Path

    from riptide.cli import SupabaseCLI
    from riptide.runner import SubprocessRunner

    return SupabaseCLI(Path("supabase"), settings, SubprocessRunner())


def command_line(argv: list[str]) -> str:
    """Give a command as one could type it, its secrets masked."""
    import shlex

    from riptide.runner import mask

    return shlex.join(mask(each) for each in argv)


def reported(report: Report, *, json: bool, show: Callable[[], None]) -> None:
    """Print what a check found, and exit with 3 where it found something.

    Args:
        report: What it gives back.
        json: Whether as one JSON object.
        show: What prints it for a person.
    """
    from riptide import render

    if json:
        render.as_json(report)
    else:
        show()
    if not report.ok:
        raise Exit(code=3)


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
    try:
        answer = sys.stdin.readline().strip().lower()
    except (KeyboardInterrupt, SystemExit):  # SIGTERM raises the second
        raise Interrupted("nothing was changed", "the same command again") from None
    if answer not in ("y", "yes"):
        sys.stderr.write("nothing was changed\n")
        raise Exit(code=1)


def _first_line(error: Exception) -> str:
    from riptide.runner import mask

    return mask(str(error).strip().splitlines()[0] if str(error).strip() else "no message")
