"""The embedded PostgreSQL: a cluster's files, and the server that runs on them.

A new cluster is a copy of a prepared one (`template`), which is made once for each version of what
goes into it: `initdb`, ``roles.sql`` and the auth schema together take 1.5 s, a copy 0.1 s.

Every local user can reach the port, and the roles' passwords are the well-known ones. A superuser
could run any program as the user that the server runs as (`copy … to program`), so nobody can log
in as one: `initdb` gives it a random password, which is taken away again once all is prepared.
"""

from __future__ import annotations

import re
import secrets
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import RiptideError, StackError
from riptide.runner import SubprocessRunner
from riptide.stack.embedded.data import DataDirectory, own
from riptide.stack.ports import HOST, require_free_port
from riptide.stack.process import (
    Mark,
    end,
    exit_code,
    find,
    find_all,
    folder_of,
    spawn,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path

    import psutil

    from riptide.runner import Runner, ServiceUser

# Windows has no service user to step down to: pg_ctl gives administrator rights up for the server.
BY_PG_CTL = sys.platform == "win32"

SUPERUSER = "supabase_admin"
PASSWORD = "postgres"  # noqa: S105 - of every other role, as on every local Supabase stack

# What differs from PostgreSQL's own defaults, and why.
_CONFIGURATION = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a project's path may be longer than a socket's may be
    "timezone": "UTC",  # as on Supabase, whatever this machine's zone is
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "wal_level": "logical",  # as on Supabase: publications are for it
    "shared_buffers": "64MB",
    "jit": "off",  # as on Supabase; it would cost each short query more than it gives
}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A PostgreSQL data directory, and the server on it.

    Attributes:
        bin_dir: Where ``postgres``, ``initdb`` and ``pg_ctl`` are.
        home: The folder that holds ``data`` and ``postgres.log``; belongs to ``user``, 0700.
        port: Where it listens, on 127.0.0.1 only.
        user: Whom it runs as where this process is root, else ``None``.
        port_variable: What a person sets to choose another port; empty where it is chosen here.
        options: Settings for the server beyond those of the data directory: ``fsync=off``.
        started_in: The data directory as the command line of the server has it that runs, where
            that is another: the folder was moved since.
        known_pid: The pid that the server had at its start.
    """

    bin_dir: Path
    home: Path
    port: int
    user: ServiceUser | None = None
    port_variable: str = ""
    options: tuple[str, ...] = ()
    started_in: Path | None = None
    known_pid: int | None = None

    @property
    def data_dir(self) -> Path:
        """PGDATA."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home / "postgres.log"

    @property
    def mark(self) -> Mark:
        """What a server on this data directory carries."""
        # With forward slashes: pg_ctl writes them into the server's command line on Windows too.
        folder = self.started_in or self.data_dir
        return Mark(arguments=("-D", folder.as_posix()), place=self.home)

    def url(self, role: str = "postgres", database: str = "postgres") -> str:
        """Give its URL for a role that can log in: all have the same well-known password."""
        return f"postgresql://{role}:{PASSWORD}@{HOST}:{self.port}/{database}"

    def program(self, name: str) -> str:
        """Give the path of one of PostgreSQL's programs."""
        return str(self.bin_dir / (f"{name}.exe" if sys.platform == "win32" else name))

    @property
    def files(self) -> DataDirectory:
        """Its files: what is done to them while no server runs."""
        return DataDirectory(home=self.home, user=self.user)

    # --- making a new one ------------------------------------------------------------------------

    def initialize(self, runner: Runner) -> str:
        """Make a new data directory with `initdb`; give the superuser's password.

        It is random, and kept nowhere.

        Raises:
            CommandError: `initdb` failed.
        """
        self.files.make_home()
        password = secrets.token_urlsafe(24)
        password_file = self.home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(f"{password}\n", encoding="utf-8")
        own(password_file, self.user)
        try:
            runner.run(self.initdb_argv(), cwd=self.home, user=self.user).check(
                "initdb could not make a PostgreSQL data directory"
            )
        finally:
            password_file.unlink()
        return password

    def initdb_argv(self) -> list[str]:
        """Give the command that makes a data directory.

        The collation is PostgreSQL 17's own C.UTF-8: the same on every system, and nothing of the
        system's locales is needed.
        """
        return [
            self.program("initdb"),
            f"--pgdata={self.data_dir}",
            f"--username={SUPERUSER}",
            f"--pwfile={self.home / 'password'}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--wal-segsize=4",  # MB; the smallest useful, as every copy carries two of them
            "--no-sync",
            "--no-instructions",
            *(f"--set={name}={value}" for name, value in _CONFIGURATION.items()),
        ]

    # --- server ----------------------------------------------------------------------------------

    def find(self) -> psutil.Process | None:
        """Give the server on this data directory if it runs, whoever started it."""
        recorded = self._recorded_pid()
        return find(recorded, self.mark) or self._moved(recorded) or find(self.known_pid, self.mark)

    def find_all(self) -> list[psutil.Process]:
        """Give that server and every other that was started on a folder of the same name.

        Another one is left where the folder was deleted and made again. Where the folder was moved
        its old name may be another project's by now: then none is looked for.
        """
        server = self.find()
        others = find_all(self.mark) if self.started_in in (None, self.data_dir) else []
        return list({each.pid: each for each in (server, *others) if each is not None}.values())

    def _moved(self, pid: int | None) -> psutil.Process | None:
        """Give the server that works in this very folder and was started under another path."""
        process = find(pid)
        folder = folder_of(process) if process is not None and _is_postgres(process) else None
        try:
            return process if folder is not None and folder.samefile(self.data_dir) else None
        except OSError:
            return None

    def start(self, timeout: float = 30.0) -> int:
        """Start the server and wait until it accepts connections; give its pid.

        Args:
            timeout: Seconds to wait; recovery after a crash may take some.

        Raises:
            StackError: It ended or did not get ready; with the last lines of its log.
        """
        began_at = self.log.stat().st_size if self.log.exists() else 0
        self._forget_stale_pid()
        if not self.log.exists():
            self.log.touch(mode=0o600)
            own(self.log, self.user)
        # On Windows the log is pg_ctl's to write; no other process may have it open there.
        output = self.home / "pg_ctl.log" if BY_PG_CTL else self.log
        pid = spawn(self.server_argv(), log=output, cwd=self.home, user=self.user)
        deadline = time.monotonic() + timeout
        while not self._ready():
            if self._has_ended(pid):
                # Somebody may have taken it since it was looked at.
                require_free_port(self.port, self.port_variable)
                raise StackError(
                    "PostgreSQL ended while it started",
                    detail=_tail(self.log, began_at),
                    state="the stack is stopped; the data is as it was",
                    next_step="mend what the log says (inv stack.logs has all of it), "
                    "then inv stack.start",
                )
            if not wait_until(deadline):
                raise StackError(
                    f"PostgreSQL did not get ready within {timeout:g} s",
                    detail=_tail(self.log, began_at),
                    state="it is stopped again; the data is as it was",
                    next_step="inv stack.logs",
                )
        return self._recorded_pid() or pid

    def _has_ended(self, pid: int) -> bool:
        """Whether what was started is no more; pg_ctl itself ends before the server is there."""
        if find(pid) is not None or self.find() is not None:
            return False
        return not BY_PG_CTL or exit_code(pid) != 0 or self._recorded_pid() is not None

    def server_argv(self) -> list[str]:
        """Give the command that starts the server.

        On Windows it is started by `pg_ctl`, which gives up administrator rights as PostgreSQL
        demands; elsewhere directly, so that its pid is known from the first moment.
        """
        if BY_PG_CTL:
            return [
                self.program("pg_ctl"),
                *("start", "-W", "-D", self.data_dir.as_posix(), "-l", str(self.log)),
                *("-o", " ".join([f"-p {self.port}", *(f"-c {each}" for each in self.options)])),
            ]
        options = [word for each in self.options for word in ("-c", each)]
        return [
            self.program("postgres"),
            "-D",
            self.data_dir.as_posix(),
            "-p",
            str(self.port),
            *options,
        ]

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server if it runs.

        Args:
            immediate: Without a checkpoint, for data that is about to be deleted.
        """
        if BY_PG_CTL and self.find() is not None:
            self._stop_by_pg_ctl(immediate=immediate)  # there are no such signals there
        for server in self.find_all():
            # SIGINT is a "fast", SIGQUIT an "immediate" shutdown:
            # https://www.postgresql.org/docs/17/server-shutdown.html
            fast = signal.SIGINT if sys.platform != "win32" else signal.SIGTERM
            end(server, first=getattr(signal, "SIGQUIT", fast) if immediate else fast)

    def _stop_by_pg_ctl(self, *, immediate: bool) -> None:
        mode = "immediate" if immediate else "fast"
        argv = [self.program("pg_ctl"), "stop", "-w", "-m", mode, "-D", self.data_dir.as_posix()]
        # Where this does not do it (no such program any more, say) the processes are ended.
        with suppress(RiptideError):
            SubprocessRunner().run(argv, cwd=self.home, timeout=60, user=self.user)

    def _forget_stale_pid(self) -> None:
        """Remove the pid file of a server that is no more.

        PostgreSQL takes any process for a server that was given the pid since. Where it may be one
        in truth (another user's, or one that was started under another name of this folder), the
        file stays and PostgreSQL decides: a server whose pid file is removed ends within a minute.
        """
        process = find(self._recorded_pid())
        if process is None or not _is_postgres(process) or self._works_elsewhere(process):
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _works_elsewhere(self, process: psutil.Process) -> bool:
        folder = folder_of(process)
        try:
            return folder is not None and not folder.samefile(self.data_dir)
        except FileNotFoundError:
            return True  # its folder is deleted
        except OSError:
            return False

    def _ready(self) -> bool:
        # The eighth line is the server's own word; pg_ctl --wait reads the same one.
        lines = self._pid_file()
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _recorded_pid(self) -> int | None:
        lines = self._pid_file()
        return int(lines[0]) if lines and re.fullmatch(r"\s*[0-9]{1,9}\s*", lines[0]) else None

    def _pid_file(self) -> list[str]:
        try:
            return (self.data_dir / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        except OSError:
            return []


def _is_postgres(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.name().startswith("postgres")
    except psutil.Error:
        return False


def _tail(log: Path, start: int, lines: int = 8) -> str | None:
    """Give the last lines that a log has got since ``start`` (bytes), indented."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or None
