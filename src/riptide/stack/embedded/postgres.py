"""The embedded PostgreSQL: a cluster's files, and the server that runs on them.

A new cluster is a copy of a prepared one (`template`), which is made once for each version of what
goes into it: `initdb`, ``roles.sql`` and the auth schema together take 1.5 s, a copy 0.1 s.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide._access import make_folder
from riptide.errors import StackError
from riptide.stack.process import HOST, end, find, find_all, spawn, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import psutil

    from riptide.runner import Runner, ServiceUser

SUPERUSER = "supabase_admin"
PASSWORD = "postgres"  # noqa: S105 - every local Supabase stack has this one
MAJOR = "17"

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
        options: Settings for the server beyond those of the data directory: ``fsync=off``.
    """

    bin_dir: Path
    home: Path
    port: int
    user: ServiceUser | None = None
    options: tuple[str, ...] = ()

    @property
    def data_dir(self) -> Path:
        """PGDATA."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home / "postgres.log"

    @property
    def exists(self) -> bool:
        """Whether there is a whole data directory."""
        return (self.data_dir / "PG_VERSION").is_file()

    def url(self, role: str = "postgres", database: str = "postgres") -> str:
        """Give its URL for a role; all local roles have the same well-known password."""
        return f"postgresql://{role}:{PASSWORD}@{HOST}:{self.port}/{database}"

    def program(self, name: str) -> str:
        """Give the path of one of PostgreSQL's programs."""
        return str(self.bin_dir / (f"{name}.exe" if sys.platform == "win32" else name))

    # --- files -----------------------------------------------------------------------------------

    def make_home(self) -> None:
        """Make the folder that the cluster is in, for the user that the server runs as."""
        make_folder(self.home.parent)
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.home.chmod(0o700)
        self._own(self.home)

    def initialize(self, runner: Runner) -> None:
        """Make a new data directory with `initdb`.

        Raises:
            CommandError: `initdb` failed.
        """
        self.make_home()
        password_file = self.home / "password"
        password_file.write_text(f"{PASSWORD}\n", encoding="ascii")
        self._own(password_file)
        try:
            runner.run(self.initdb_argv(), cwd=self.home, user=self.user).check(
                "initdb could not make a PostgreSQL data directory"
            )
        finally:
            password_file.unlink()

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

    def copy_from(self, template: Path) -> None:
        """Make the data directory a copy of ``template``, whole or not at all."""
        self.make_home()
        staging = self.home / "data.tmp"
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(template, staging, copy_function=shutil.copy)
        staging.chmod(0o700)  # PostgreSQL refuses a data directory that others may read
        if self.user is not None:
            for folder, _, files in os.walk(staging):
                os.chown(folder, self.user.uid, self.user.gid)
                for name in files:
                    os.chown(os.path.join(folder, name), self.user.uid, self.user.gid)  # noqa: PTH118 - a thousand files
        staging.rename(self.data_dir)

    def delete(self) -> None:
        """Delete the data directory and the log; the server must be stopped."""
        # Renamed first: a deletion cut short must not leave half a data directory behind.
        doomed = self.home / "data.old"
        shutil.rmtree(doomed, ignore_errors=True)
        with suppress(FileNotFoundError):
            self.data_dir.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
        shutil.rmtree(self.home / "data.tmp", ignore_errors=True)
        self.log.unlink(missing_ok=True)
        self.log.with_name(f"{self.log.name}.1").unlink(missing_ok=True)

    def check_version(self) -> None:
        """Refuse a data directory of another major version.

        Raises:
            StackError: It is of another one.
        """
        found = (self.data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != MAJOR:
            raise StackError(
                f"the data in {self.data_dir} is PostgreSQL {found}'s, this is {MAJOR}",
                state="nothing was started; the data is as it was",
                next_step="inv stack.stop --delete-data, then inv stack.start",
            )

    # --- server ----------------------------------------------------------------------------------

    def find(self) -> psutil.Process | None:
        """Give the server on this data directory if it runs, whoever started it."""
        return find(self._recorded_pid(), str(self.data_dir))

    def start(self, timeout: float = 30.0) -> int:
        """Start the server and wait until it accepts connections; give its pid.

        Args:
            timeout: Seconds to wait; recovery after a crash may take some.

        Raises:
            StackError: It ended or did not get ready; with the last lines of its log.
        """
        began_at = self.log.stat().st_size if self.log.exists() else 0
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)  # `find` said that it is stale
        if not self.log.exists():
            self.log.touch(mode=0o600)
            self._own(self.log)
        pid = spawn(self.server_argv(), log=self.log, cwd=self.home, user=self.user)
        deadline = time.monotonic() + timeout
        while not self._ready():
            if find(pid) is None and self.find() is None:
                raise StackError(
                    "PostgreSQL ended while it started",
                    detail=_tail(self.log, began_at),
                    state="the stack is stopped; the data is as it was",
                    next_step="inv stack.logs, or inv stack.reset for an empty stack",
                )
            if not wait_until(deadline):
                raise StackError(
                    f"PostgreSQL did not get ready within {timeout:g} s",
                    detail=_tail(self.log, began_at),
                    state="it is stopped again; the data is as it was",
                    next_step="inv stack.logs",
                )
        return self._recorded_pid() or pid

    def server_argv(self) -> list[str]:
        """Give the command that starts the server.

        On Windows it is started by `pg_ctl`, which gives up administrator rights as PostgreSQL
        demands; elsewhere directly, so that its pid is known from the first moment.
        """
        if sys.platform == "win32":
            return [
                self.program("pg_ctl"),
                *("start", "-W", "-D", str(self.data_dir), "-l", str(self.log)),
                *("-o", " ".join([f"-p {self.port}", *(f"-c {each}" for each in self.options)])),
            ]
        options = [word for each in self.options for word in ("-c", each)]
        return [self.program("postgres"), "-D", str(self.data_dir), "-p", str(self.port), *options]

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server if it runs.

        Args:
            immediate: Without a checkpoint, for data that is about to be deleted.
        """
        servers = [self.find()] if self._recorded_pid() else find_all("-D", str(self.data_dir))
        for server in servers:
            if server is not None:
                # SIGINT is a "fast", SIGQUIT an "immediate" shutdown:
                # https://www.postgresql.org/docs/17/server-shutdown.html
                fast = signal.SIGINT if sys.platform != "win32" else signal.SIGTERM
                end(server, first=getattr(signal, "SIGQUIT", fast) if immediate else fast)

    def _ready(self) -> bool:
        # The eighth line is the server's own word; pg_ctl --wait reads the same one.
        lines = self._pid_file()
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _recorded_pid(self) -> int | None:
        lines = self._pid_file()
        return int(lines[0]) if lines and lines[0].strip().isdigit() else None

    def _pid_file(self) -> list[str]:
        try:
            return (self.data_dir / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        except OSError:
            return []

    def _own(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user.uid, self.user.gid)


def _tail(log: Path, start: int, lines: int = 8) -> str | None:
    """Give the last lines that a log has got since ``start`` (bytes), indented."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or None
