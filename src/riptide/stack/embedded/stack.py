"""The embedded stack: real PostgreSQL 17 and @supabase/lite, without Docker."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from riptide._oserror import told
from riptide.errors import StackError
from riptide.results import Service, StackStatus
from riptide.runner import SubprocessRunner
from riptide.stack.embedded import logs
from riptide.stack.embedded.gateway import Gateway
from riptide.stack.embedded.parts import Parts
from riptide.stack.embedded.places import locked
from riptide.stack.embedded.prepare import Prepared, ensure, install, prepare
from riptide.stack.embedded.preview import preview
from riptide.stack.embedded.renew import api_files, note, outdated, renewable, restart_api, trouble
from riptide.stack.embedded.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.runner import Runner
    from riptide.settings import Settings
    from riptide.stack.embedded.postgres import Cluster

_STARTED = "nothing was started; the data is as it was"
_STOPPED_AGAIN = "what was started is stopped again; the data is as it was"


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
        # What may take minutes comes before the lock: other commands of this stack wait for that.
        install(self._parts(), self._runner, tell)
        with locked(self.run_dir, tell, state="nothing was started"):
            found, parts = self.status(), self._parts()
            if found.running and not outdated(parts):
                self._require_same_ports()
                self._know_moved()
                return replace(found, seconds=time.monotonic() - began)
            if found.services[Service.DATABASE.value]:
                self._require_same_ports(database=True)
            state = renewable(parts) if found.services[Service.DATABASE.value] else None
            if state is not None:
                renewed = self._renew(parts, state, tell)
                found = replace(self.status(), renewed=renewed)
                return replace(found, seconds=time.monotonic() - began)
            home = parts.cluster.home
            with told(home, state=_STARTED, variable="RIPTIDE_DATA_DIR"):
                prepared = prepare(parts, self._runner, tell, empty=False)
            home = prepared.cluster.home
            with told(home, state=_STOPPED_AGAIN, variable="RIPTIDE_DATA_DIR"):
                parts.end()  # what a crash or a killed start left
                parts.take_over_data()
                if prepared.template is None:
                    self._run(prepared, tell)
                else:
                    with prepared.cluster.files.replaced(prepared.template) as fill:
                        self._run(prepared, tell, fill)
                prepared.cluster.files.tidy()
        return replace(self.status(), started=True, seconds=time.monotonic() - began)

    def stop(self, *, delete_data: bool = False) -> StackStatus:
        """See `Stack.stop`."""
        began = time.monotonic()
        state = "what could be ended is; the data is as it was"
        deleted = False
        if delete_data:
            state = "the stack is stopped; some of its data may be left"
        with told(self.run_dir, state="nothing was changed"):
            running = self.runs()
        if running or self.run_dir.is_dir():
            with (
                locked(self.run_dir, _quiet, state="nothing was changed"),
                told(self.run_dir, state=state),
            ):
                parts = self._parts()
                parts.end(immediate=delete_data)
                if delete_data:
                    deleted = not parts.cluster.files.is_gone
                    self._delete(parts.cluster)
                parts.take_over_data()
                State.remove(self.run_dir)
        # Why it was chosen ("it runs here") may be true no more.
        seconds = time.monotonic() - began
        status = replace(self.status(), reason="", stopped=running, deleted=deleted)
        return replace(status, seconds=seconds)

    def status(self) -> StackStatus:
        """See `Stack.status`."""
        parts = self._parts()
        state, config, keys = parts.state, parts.gateway.config, parts.gateway.keys()
        pids = {name: each.pid for name, each in parts.running().items()}
        services = {Service.DATABASE.value: False, Service.API.value: False}
        if state is not None:  # without one nobody knows the ports, nor whose answer it is
            services[Service.DATABASE.value] = (
                "postgres" in pids and not parts.cluster.files.is_gone
            )
            services[Service.API.value] = "gateway" in pids and parts.gateway.healthy()
        return StackStatus(
            backend=self.backend,
            reason=self.reason,
            running=all(services.values()),
            api_url=f"http://127.0.0.1:{config.api_port}",
            db_url=f"postgresql://postgres:postgres@127.0.0.1:{config.db_port}/postgres",
            services=services,
            pids=pids,
            versions=state.versions if state is not None else {},
            data_dir=parts.cluster.data_dir if state is not None else None,
            note=note(parts, pids),
            publishable_key=keys["publishable_key"],
            secret_key=keys["secret_key"],
            anon_key=keys["anon_key"],
            service_role_key=keys["service_role_key"],
            jwt_secret=keys["jwt_secret"],
        )

    def runs(self) -> bool:
        """Whether a process of it runs in this project, answering or not."""
        return bool(self._parts().running())

    def kept(self) -> str | None:
        """Say what this project has of an embedded stack, for a person; `None` where nothing."""
        parts = self._parts()
        if parts.running():
            return "it runs in this project"
        # A folder that this user may not look into counts: there is something in it.
        if any(not each.files.is_gone for each in parts.clusters):
            return "its data is in this project"
        return "it was started in this project" if parts.state is not None else None

    def reset(self, *, progress: Callable[[str], None] | None = None) -> StackStatus:
        """See `Stack.reset`. The old data goes when the new stack runs, and comes back if not."""
        began = time.monotonic()
        tell = progress or _quiet
        install(self._parts(), self._runner, tell)
        with locked(self.run_dir, tell, state="nothing was changed"):
            if self.status().running:
                self._require_same_ports()
            parts = self._parts()
            home = parts.cluster.home
            with told(home, state="nothing was changed", variable="RIPTIDE_DATA_DIR"):
                prepared = prepare(parts, self._runner, tell, empty=True)
                files, template = prepared.cluster.files, prepared.template
                assert template is not None  # noqa: S101 - what `empty` asks for
                files.require_room(template)
            state = "the stack is stopped; the data is as it was"
            with told(home, state=state, variable="RIPTIDE_DATA_DIR"):
                parts.end(immediate=True)
                with files.replaced(template) as fill:
                    self._run(prepared, tell, fill)
            with told(files.home, state="the stack is empty and runs; some old data may be left"):
                files.tidy()
                if parts.cluster.home != files.home:
                    parts.cluster.files.delete()
        return replace(self.status(), started=True, seconds=time.monotonic() - began)

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """See `Stack.logs`. Lines are marked ``database │`` or ``api │``."""
        with told(self.run_dir, state="nothing was changed"):
            sources = {
                Service.DATABASE.value: self._parts().cluster.log,
                Service.API.value: self.run_dir / "gateway.log",
            }
            if any(path.exists() for path in sources.values()):
                yield from logs.read(sources, follow=follow)
                return
        raise StackError(
            "there are no logs: the stack was never started here", next_step="inv stack.start"
        )

    def preview(self, action: str) -> list[str]:
        """See `Stack.preview`."""
        parts = self._parts()
        if action == "start" and self.status().running and not outdated(parts):
            return ["nothing: it runs"]
        return preview(action, self.settings, parts.cluster)

    # --- starting and stopping -------------------------------------------------------------------

    def _run(
        self,
        prepared: Prepared,
        tell: Callable[[str], None],
        fill: Callable[[], None] | None = None,
    ) -> None:
        from riptide.stack.embedded.template import template_key

        config, cluster = self.settings.config, prepared.cluster
        state = State(
            instance=secrets.token_hex(8),
            api_port=config.api_port,
            db_port=config.db_port,
            run_dir=self.run_dir,
            home=cluster.home,
            gateway_mark=self.run_dir,
            postgres_mark=cluster.data_dir,
            toolchain=prepared.toolchain.root,
            template=template_key(prepared.toolchain),
            run_as=cluster.user.name if cluster.user else None,
            versions=prepared.toolchain.versions,
            started_at=time.time(),
        )
        gateway = Gateway(run_dir=self.run_dir, config=config, instance=state.instance)
        state = replace(
            state, api_config=gateway.config_digest(), api_files=api_files(self.settings)
        )
        tell("starting PostgreSQL and the API")
        try:
            state.write()
            # The gateway first: it loads its modules while PostgreSQL's data is copied.
            gateway_pid = gateway.spawn(prepared.toolchain)
            state = replace(state, gateway_pid=gateway_pid)
            state.write()
            if fill is not None:
                fill()
            cluster.files.make_home()
            state = replace(state, postgres_pid=cluster.start())
            state.write()
            gateway.wait_ready(gateway_pid)
        except BaseException:  # Ctrl-C too: what this call started must not stay
            self._parts().end()
            raise

    def _renew(self, parts: Parts, state: State, tell: Callable[[str], None]) -> bool:
        """Start the API of a running stack anew if it has to be; PostgreSQL goes on."""
        reason = trouble(parts, tell)
        if reason:
            tell(f"restarting the API: {reason}")
            with told(self.run_dir, state="the database runs as before"):
                toolchain = ensure(parts.settings, self._runner, tell)
                restart_api(parts, state, toolchain, tell)
        return bool(reason)

    def _parts(self) -> Parts:
        with told(self.run_dir, state="nothing was changed"):
            return Parts.of(self.settings)

    def _delete(self, cluster: Cluster) -> None:
        cluster.files.delete()
        for name in ("gateway.json", "gateway.log", "gateway.log.1"):
            (self.run_dir / name).unlink(missing_ok=True)
        with suppress(OSError):  # not there, or somebody put something into it
            cluster.home.rmdir()

    def _know_moved(self) -> None:
        """Write down that a running stack was moved: from now on its old place may be another's."""
        state = State.read(self.run_dir)
        if state is not None and state.moved_from is not None:
            with suppress(OSError):  # it is as good as before
                state.write()

    # --- checks ----------------------------------------------------------------------------------

    def _require_same_ports(self, *, database: bool = False) -> None:
        """Refuse other ports than a running stack has; or another one than its database has."""
        state = State.read(self.run_dir)
        config = self.settings.config
        if state is None or (
            state.db_port == config.db_port and (database or state.api_port == config.api_port)
        ):
            return
        raise StackError(
            f"this project's stack runs on ports {state.api_port} and {state.db_port}, "
            f"not on {config.api_port} and {config.db_port}",
            state="it goes on as it was",
            next_step="inv stack.stop, then inv stack.start",
        )
