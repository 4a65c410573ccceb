"""The embedded stack: real PostgreSQL 17 and @supabase/lite, without Docker."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from riptide.errors import LockTimeoutError, StackError
from riptide.results import Service, StackStatus
from riptide.runner import SubprocessRunner
from riptide.stack.embedded.gateway import Gateway, legacy_key
from riptide.stack.embedded.postgres import Cluster
from riptide.stack.embedded.state import State
from riptide.stack.process import reachable_by, require_free_port, service_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.runner import Runner, ServiceUser
    from riptide.settings import Settings

# Seconds that a second start or stop waits for the first one.
LOCK_WAIT = 120.0


def _quiet(_: str) -> None:
    return


class EmbeddedStack:
    """See `riptide.stack.Stack`. All state is in files below ``supabase/.temp/riptide``."""

    backend = "embedded"

    def __init__(
        self, settings: Settings, *, reason: str = "", runner: Runner | None = None
    ) -> None:
        self.settings = settings
        self.reason = reason
        self.run_dir = settings.run_dir
        self._runner = runner or SubprocessRunner()

    # --- the protocol ----------------------------------------------------------------------------

    def start(self, *, progress: Callable[[str], None] | None = None) -> StackStatus:
        """See `Stack.start`."""
        began = time.monotonic()
        tell = progress or _quiet
        with self._locked(tell):
            found = self.status()
            if found.running:
                self._require_same_ports()
                return replace(found, seconds=time.monotonic() - began)
            self._stop_processes(immediate=False)  # what a crash or a killed start left
            self._start(tell)
        return replace(self.status(), started=True, seconds=time.monotonic() - began)

    def stop(self, *, delete_data: bool = False) -> StackStatus:
        """See `Stack.stop`."""
        began = time.monotonic()
        if self.run_dir.is_dir():
            with self._locked(_quiet):
                cluster = self._known_cluster()
                self._stop_processes(immediate=delete_data)
                if delete_data:
                    cluster.delete()
                    for name in ("gateway.json", "gateway.log", "gateway.log.1"):
                        (self.run_dir / name).unlink(missing_ok=True)
                    with suppress(OSError):  # not there, or somebody put something into it
                        cluster.home.rmdir()
                State.remove(self.run_dir)
        # Why it was chosen ("it runs here") may be true no more.
        return replace(self.status(), reason="", seconds=time.monotonic() - began)

    def status(self) -> StackStatus:
        """See `Stack.status`."""
        state = State.read(self.run_dir)
        config = self.settings.config
        if state is not None:
            config = config.with_ports(api_port=state.api_port, db_port=state.db_port)
        auth = config.auth
        pids: dict[str, int] = {}
        services = {Service.DATABASE.value: False, Service.API.value: False}
        if state is not None:
            postgres = self._cluster(state.home, state.db_port).find()
            gateway = self._gateway(state).find(state.gateway_pid)
            if postgres is not None:
                pids["postgres"] = postgres.pid
                services[Service.DATABASE.value] = True
            if gateway is not None:
                pids["gateway"] = gateway.pid
                services[Service.API.value] = self._gateway(state).healthy()
        return StackStatus(
            backend=self.backend,
            reason=self.reason,
            running=all(services.values()),
            api_url=f"http://127.0.0.1:{config.api_port}",
            db_url=f"postgresql://postgres:postgres@127.0.0.1:{config.db_port}/postgres",
            services=services,
            pids=pids,
            versions=state.versions if state is not None else {},
            data_dir=state.home / "data" if state is not None else None,
            note=self._note(state),
            publishable_key=auth.publishable_key,
            secret_key=auth.secret_key,
            anon_key=legacy_key("anon", auth.jwt_secret),
            service_role_key=legacy_key("service_role", auth.jwt_secret),
            jwt_secret=auth.jwt_secret,
        )

    def reset(self, *, progress: Callable[[str], None] | None = None) -> StackStatus:
        """See `Stack.reset`."""
        began = time.monotonic()
        tell = progress or _quiet
        with self._locked(tell):
            if self.status().running:
                self._require_same_ports()
            cluster = self._known_cluster()
            self._stop_processes(immediate=True)
            cluster.delete()
            self._start(tell)
        return replace(self.status(), started=True, seconds=time.monotonic() - began)

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """See `Stack.logs`. Lines are marked ``database │`` or ``api │``."""
        sources = {
            Service.DATABASE.value: self._known_cluster().log,
            Service.API.value: self.run_dir / "gateway.log",
        }
        if not any(path.exists() for path in sources.values()):
            raise StackError(
                "there are no logs: the stack was never started here", next_step="inv stack.start"
            )
        offsets = dict.fromkeys(sources, 0)
        while True:
            for service, path in sources.items():
                for line in _new_lines(path, offsets, service):
                    yield f"{service:>8} │ {line}"
            if not follow:
                return
            time.sleep(0.2)

    def preview(self, action: str) -> list[str]:
        """Say which commands ``start``, ``stop`` or ``reset`` would run, without running any."""
        cluster = Cluster(bin_dir=Path(), home=self._known_cluster().home, port=0)
        stop = [f"end the gateway and PostgreSQL of {self.run_dir}"]
        start = [
            f"copy a prepared PostgreSQL data directory to {cluster.data_dir} (unless it is there)",
            f"postgres -D {cluster.data_dir} -p {self.settings.config.db_port}",
            f"node gateway.mjs {self.run_dir}",
        ]
        if action == "reset":
            return [*stop, f"delete {cluster.data_dir}", *start]
        return start if action == "start" else stop

    # --- starting and stopping -------------------------------------------------------------------

    def _start(self, tell: Callable[[str], None]) -> None:
        from riptide.stack.embedded.template import ensure_template, template_key
        from riptide.toolchain import ensure_toolchain

        config = self.settings.config
        require_free_port(config.db_port, "SUPABASE_DB_PORT")
        require_free_port(config.api_port, "SUPABASE_API_PORT")
        toolchain = ensure_toolchain(self.settings, runner=self._runner, progress=tell)
        user = service_user(self.settings.run_as)
        cluster = Cluster(
            bin_dir=toolchain.postgres_bin,
            home=self._home(user),
            port=config.db_port,
            user=user,
        )
        template = None
        if cluster.exists:
            cluster.check_version()
        else:
            template = ensure_template(toolchain, config, user, self._runner, tell)
        state = State(
            instance=secrets.token_hex(8),
            api_port=config.api_port,
            db_port=config.db_port,
            home=cluster.home,
            toolchain=toolchain.root,
            template=template_key(toolchain),
            run_as=user.name if user else None,
            versions=dict(toolchain.versions),
            started_at=time.time(),
        )
        gateway = self._gateway(state)
        tell("starting PostgreSQL and the API")
        try:
            state.write(self.run_dir)
            # The gateway first: it loads its modules while PostgreSQL's data is copied.
            gateway_pid = gateway.spawn(toolchain)
            state = replace(state, gateway_pid=gateway_pid)
            state.write(self.run_dir)
            if template is not None:
                cluster.copy_from(template)
            state = replace(state, postgres_pid=cluster.start())
            state.write(self.run_dir)
            gateway.wait_ready(gateway_pid)
        except BaseException:  # Ctrl-C too: what this call started must not stay
            self._stop_processes(immediate=False)
            raise

    def _stop_processes(self, *, immediate: bool) -> None:
        state = State.read(self.run_dir)
        pid = state.gateway_pid if state else None
        self._gateway(state).stop(pid)
        self._known_cluster().stop(immediate=immediate)

    def _require_same_ports(self) -> None:
        state = State.read(self.run_dir)
        config = self.settings.config
        if state is None or (state.api_port, state.db_port) == (config.api_port, config.db_port):
            return
        raise StackError(
            f"this project's stack runs on ports {state.api_port} and {state.db_port}, "
            f"not on {config.api_port} and {config.db_port}",
            state="it goes on as it was",
            next_step="inv stack.stop, then inv stack.start",
        )

    @contextmanager
    def _locked(self, tell: Callable[[str], None]) -> Iterator[None]:
        from filelock import FileLock, Timeout

        self._make_run_dir()
        lock = FileLock(self.run_dir / "stack.lock")
        try:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                tell("waiting for another process that starts or stops this stack")
                lock.acquire(timeout=LOCK_WAIT)
        except Timeout:
            raise LockTimeoutError(
                f"another process has been starting or stopping this stack for {LOCK_WAIT:g} s",
                state="nothing was changed by this one",
                next_step="inv stack.status",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _make_run_dir(self) -> None:
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            ignore = self.run_dir / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="ascii")
        except OSError as error:
            raise StackError(
                f"{self.run_dir} cannot be written: {error.strerror}", state="nothing was started"
            ) from error

    # --- what belongs to this stack --------------------------------------------------------------

    def _home(self, user: ServiceUser | None) -> Path:
        """Give the folder for PostgreSQL's data and log.

        In the project; but where root has to step down to a user who cannot get to the project
        (a 0700 home), in ``/var/lib/riptide``.
        """
        if self.settings.data_dir is None and reachable_by(self.run_dir, user):
            return self.run_dir / "postgres"
        parent = self.settings.data_dir or Path("/var/lib/riptide")
        if not reachable_by(parent, user) and user is not None:
            raise StackError(
                f"user {user.name}, whom PostgreSQL has to run as, cannot get to {parent}",
                state="nothing was started",
                next_step="set RIPTIDE_DATA_DIR to a folder that every user may enter",
            )
        digest = hashlib.sha256(os.fsencode(self.settings.root)).hexdigest()[:8]
        # A folder of its own: what else is in the chosen one is never touched.
        name = re.sub(r"[^A-Za-z0-9_-]", "_", self.settings.config.project_id)[:40]
        return parent.absolute() / f"{name}-{digest}"

    def _known_cluster(self) -> Cluster:
        state = State.read(self.run_dir)
        if state is not None:
            return self._cluster(state.home, state.db_port)
        return self._cluster(self._home(service_user(self.settings.run_as)), 0)

    def _cluster(self, home: Path, port: int) -> Cluster:
        return Cluster(bin_dir=Path(), home=home, port=port)

    def _gateway(self, state: State | None) -> Gateway:
        config = self.settings.config
        if state is not None:
            config = config.with_ports(api_port=state.api_port, db_port=state.db_port)
        return Gateway(
            run_dir=self.run_dir,
            config=config,
            instance=state.instance if state is not None else "",
        )

    def _note(self, state: State | None) -> str:
        if state is None or state.run_as is None:
            return ""
        return f"PostgreSQL runs as user {state.run_as}; its data is in {state.home}"


def _new_lines(path: Path, offsets: dict[str, int], key: str) -> list[str]:
    """Give the whole lines that were added since the last call; a truncated file starts again."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < offsets[key]:
                offsets[key] = 0
            file.seek(offsets[key])
            data = file.read()
    except OSError:
        return []
    whole = data[: data.rfind(b"\n") + 1]
    offsets[key] += len(whole)
    return whole.decode("utf-8", "replace").splitlines()
