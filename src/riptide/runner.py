"""The one place that runs a command to its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypedDict

from riptide._interrupts import deferred
from riptide.errors import CommandError, ToolNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# On Windows what `start_new_session` is elsewhere: Ctrl-C does not reach the child by itself.
_OWN_GROUP = 0
if sys.platform == "win32":
    _OWN_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP

_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):([^\s@]+)@")
_KEY = re.compile(r"\b(sb_secret_|eyJ)[A-Za-z0-9_.-]{8,}")
_PASSWORD_PARAMETER = re.compile(r"(?i)(password=)[^\s&]+")


def mask(text: str) -> str:
    """Give ``text`` with the passwords of URLs, secret keys and JWTs replaced by ``***``."""
    text = _URL_PASSWORD.sub(r"\1:***@", text)
    text = _PASSWORD_PARAMETER.sub(r"\1***", text)
    return _KEY.sub(lambda match: f"{match[1]}***", text)


@dataclass(frozen=True)
class Completed:
    """A command that ran to its end.

    Attributes:
        argv: As it was run; may hold secrets, so `mask` it before it is shown.
        exit_code: 0 for success, negative for a signal.
        stdout: Decoded as UTF-8, what cannot be decoded replaced.
        stderr: Likewise.
        seconds: Wall time.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    seconds: float = 0.0

    def check(self, message: str, *, next_step: str | None = None) -> Completed:
        """Give itself back, or raise.

        Raises:
            CommandError: It did not exit with 0.
        """
        if self.exit_code == 0:
            return self
        words = mask((self.stderr.strip() or self.stdout.strip())[-2000:])
        raise self.error(
            message,
            detail="\n".join(f"  {line}" for line in words.splitlines()[-12:]) or None,
            next_step=next_step,
        )

    def error(
        self,
        message: str,
        *,
        detail: str | None = None,
        state: str | None = None,
        next_step: str | None = None,
    ) -> CommandError:
        """Give the error for it, whatever it exited with; what it printed is masked."""
        return CommandError(
            message,
            argv=[mask(each) for each in self.argv],
            exit_code_of_command=self.exit_code,
            stdout=mask(self.stdout),
            stderr=mask(self.stderr),
            detail=detail,
            state=state,
            next_step=next_step,
        )


@dataclass(frozen=True)
class ServiceUser:
    """The unprivileged user that PostgreSQL runs as when this process is root."""

    name: str
    uid: int
    gid: int


class _StepDown(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def step_down(user: ServiceUser | None) -> _StepDown:
    """Give the arguments of `subprocess.Popen` that start a child as ``user``."""
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


class Runner(Protocol):
    """Runs a command to its end."""

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        user: ServiceUser | None = None,
        on_stderr: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run ``argv`` (never through a shell) and wait for it.

        Args:
            argv: The program and its arguments.
            cwd: Where to run it; this process's own folder by default.
            env: Variables to add to this process's own.
            timeout: Seconds after which it is ended.
            user: Whom to run it as, where root has to step down; this process's user by default.
            on_stderr: Called with each line of stderr as it comes, from another thread; what it
                raises is dropped.

        Raises:
            ToolNotFoundError: There is no such program, or it cannot be run.
            CommandError: It did not end in time.
        """
        ...


class SubprocessRunner:
    """Runs commands with `subprocess`, without a terminal, in a process group of their own.

    A group of its own, so that Ctrl-C reaches this process alone, which then ends the child and
    says what state things are in.
    """

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        user: ServiceUser | None = None,
        on_stderr: Callable[[str], None] | None = None,
    ) -> Completed:
        """See `Runner.run`."""
        began = time.monotonic()
        process: subprocess.Popen[str] | None = None
        try:
            with deferred():  # a signal while it is being started would leave it behind, unknown
                process = _popen(argv, cwd, env, user)
            if on_stderr is None:
                stdout, stderr = process.communicate(timeout=timeout)
            else:
                stdout, stderr = _follow(process, on_stderr)
        except BaseException as error:  # Ctrl-C above all: no child may outlive it
            if process is None:
                raise
            _end(process, process.communicate if on_stderr is None else process.wait)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise CommandError(
                f"{Path(argv[0]).name} did not end within {timeout:g} s and was stopped",
                argv=[mask(each) for each in argv],
                exit_code_of_command=process.returncode or -signal.SIGTERM,
            ) from error
        return Completed(tuple(argv), process.returncode, stdout, stderr, time.monotonic() - began)


def _popen(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, user: ServiceUser | None
) -> subprocess.Popen[str]:
    name = Path(argv[0]).name
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            creationflags=_OWN_GROUP,
            **step_down(user),
        )
    except FileNotFoundError as error:
        raise ToolNotFoundError(
            f"{name} cannot be run: {argv[0]} is not there", state="nothing was started"
        ) from error
    except OSError as error:
        raise ToolNotFoundError(
            f"{name} cannot be run: {error.strerror or error} ({argv[0]})",
            state="nothing was started",
        ) from error


def _follow(process: subprocess.Popen[str], on_stderr: Callable[[str], None]) -> tuple[str, str]:
    """Collect what a child prints until it ends, and pass its stderr on line by line."""
    import threading

    printed: dict[str, list[str]] = {"stdout": [], "stderr": []}

    def read(name: str, pipe: IO[str] | None) -> None:
        if pipe is None:
            return
        with pipe:
            for line in pipe:
                printed[name].append(line)
                if name == "stderr":
                    # Who is told must not end the reading: the child would find its pipe closed.
                    with suppress(Exception):
                        on_stderr(line.rstrip("\r\n"))

    pipes = {"stdout": process.stdout, "stderr": process.stderr}
    readers = [
        threading.Thread(target=read, args=each, daemon=True, name=f"riptide {each[0]}")
        for each in pipes.items()
    ]
    for reader in readers:
        reader.start()
    process.wait()
    for reader in readers:
        reader.join()
    return "".join(printed["stdout"]), "".join(printed["stderr"])


def _end(process: subprocess.Popen[str], wait: Callable[..., Any], grace: float = 5.0) -> None:
    """End a child and its group: asked first, then by force.

    Args:
        process: The child.
        wait: Its ``communicate``, or its ``wait`` where other threads read what it prints.
        grace: Seconds between the two.
    """
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            if os.name == "posix":
                os.killpg(process.pid, number)
            else:
                _terminate_tree(process.pid)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            wait(timeout=grace)
        except subprocess.TimeoutExpired:
            continue
        return


def _terminate_tree(pid: int) -> None:
    """End a process and what it has started, where there are no process groups to be signalled."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                each.terminate()


def foreground(argv: Sequence[str]) -> int:
    """Run a command on this process's own terminal, wait for it, and give its exit code.

    Ctrl-C reaches it too, as it is of the same process group: it ends in its own way. Where it
    does not within 10 s, or at a second Ctrl-C, it is ended.

    Args:
        argv: The program and its arguments; no shell reads them.

    Raises:
        ToolNotFoundError: It cannot be run.
    """
    try:
        process = subprocess.Popen(list(argv))
    except OSError as error:
        raise ToolNotFoundError(
            f"{Path(argv[0]).name} cannot be run: {error.strerror or error} ({argv[0]})",
            state="nothing was started",
        ) from error
    timeout: float | None = None
    while True:
        try:
            code = process.wait(timeout)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            if timeout is not None:
                process.terminate()
            timeout = 10.0
            continue
        return code if code >= 0 else 128 - code


def stream(commands: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Run several commands at once and give the lines that they print, as they come.

    Ends when all have ended; ends them when the caller stops reading.

    Args:
        commands: For each a name, which is put before its lines, and its argv.
    """
    import queue
    import threading

    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read(name: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            lines.put(f"{name} │ {line.rstrip()}")

    running: list[tuple[subprocess.Popen[str], threading.Thread]] = []
    try:
        for name, argv in commands.items():
            with deferred():
                process = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    encoding="utf-8",
                    errors="replace",
                )
                reader = threading.Thread(target=read, args=(name, process), daemon=True)
                running.append((process, reader))
                reader.start()
        while any(reader.is_alive() for _, reader in running) or not lines.empty():
            try:
                yield lines.get(timeout=0.2)
            except queue.Empty:
                continue
    finally:
        for process, reader in running:
            if process.poll() is None:
                process.terminate()
            process.wait()
            reader.join()
            if process.stdout is not None:
                process.stdout.close()
