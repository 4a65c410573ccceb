"""The Docker stack: ``supabase start`` and its siblings, behind the same protocol."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from riptide._oserror import told
from riptide.cli import Answer, SupabaseCLI, failure
from riptide.errors import CommandError, StackError, ToolNotFoundError
from riptide.results import Service, StackStatus
from riptide.runner import SubprocessRunner, stream
from riptide.stack import docker_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.runner import Runner
    from riptide.settings import Settings

# Seconds within which a Docker daemon has to answer to be taken by `auto`.
DAEMON_WAIT = 2.0

_NO_DAEMON = ("Cannot connect to the Docker daemon", "docker: command not found")
_NO_CLI = "no Supabase CLI is here to ask for the keys; inv stack.start installs one"
_NOT_RUNNING = ("No such container", "StatusDbNotRunningError")


def daemon_version(runner: Runner) -> str | None:
    """Give the version of the Docker daemon that answers, or ``None``."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    try:
        answer = runner.run([docker, "info", "--format", "{{.ServerVersion}}"], timeout=DAEMON_WAIT)
    except (CommandError, ToolNotFoundError):
        return None
    version = answer.stdout.strip()
    return version if answer.exit_code == 0 and version else None


def _no_daemon(state: str) -> StackError:
    return StackError(
        "Docker was asked for, and no Docker daemon answers",
        state=state,
        next_step="start Docker, or use `--backend embedded`, which needs none",
    )


class DockerStack:
    """See `riptide.stack.Stack`."""

    backend = "docker"

    def __init__(
        self, settings: Settings, *, reason: str = "", runner: Runner | None = None
    ) -> None:
        self.settings = settings
        self.reason = reason
        self._runner = runner or SubprocessRunner()
        self._found_cli: SupabaseCLI | None = None

    def start(self, *, progress: Callable[[str], None] | None = None) -> StackStatus:
        """See `Stack.start`. The first start pulls images, which takes minutes."""
        began = time.monotonic()
        self._require_daemon()
        cli = self._cli(progress)
        before = self.status()
        if before.running:
            self._remember()
            return replace(before, seconds=time.monotonic() - began)
        if before.services.get(Service.DATABASE.value):
            # The CLI takes a stack without its gateway for a running one and mends nothing.
            self._run(cli, cli.stop_argv(), "the half-started stack could not be stopped")
        if progress is not None:
            progress("supabase start (the first time pulls images)")
        answer = self._run(cli, cli.start_argv(), "supabase start failed")
        status = self._from(answer.data)
        if not status.running:
            status = self.status()
        self._remember()
        return replace(status, started=True, seconds=time.monotonic() - began)

    def stop(self, *, delete_data: bool = False) -> StackStatus:
        """See `Stack.stop`. Installs no CLI: where there is none, `docker` itself does it."""
        began = time.monotonic()
        cli = self._present_cli()
        if cli is None:
            self._remove_containers(delete_data=delete_data)
        else:
            self._run(cli, cli.stop_argv(delete_data=delete_data), "supabase stop failed")
        docker_mark(self.settings).unlink(missing_ok=True)
        # Nobody asked whether it ran: that would take as long again.
        status = replace(self._from({}), stopped=True, deleted=delete_data)
        return replace(status, seconds=time.monotonic() - began)

    def status(self) -> StackStatus:
        """See `Stack.status`. Installs no CLI: where there is none, `docker ps` is asked."""
        cli = self._present_cli()
        if cli is None:
            return self._from_containers()
        answer = cli.run(cli.status_argv())
        if answer.ok:
            return self._from(answer.data)
        words = f"{answer.error_code} {answer.error_message}"
        if any(each in words for each in _NOT_RUNNING):
            return self._from({})
        raise self._error(answer, "supabase status failed")

    def reset(self, *, progress: Callable[[str], None] | None = None) -> StackStatus:
        """See `Stack.reset`: stops, deletes the volumes, starts."""
        began = time.monotonic()
        self._require_daemon()
        self._cli(progress)  # the start needs it, and by then the data would be gone
        self.stop(delete_data=True)
        return replace(self.start(progress=progress), seconds=time.monotonic() - began)

    def reset_database(self, *, seed: bool, progress: Callable[[str], None] | None = None) -> None:
        """Empty the database and replay the migrations: ``supabase db reset``.

        Raises:
            StackError: The stack does not run.
            CommandError: The CLI failed.
        """
        cli = self._cli(progress)
        if progress is not None:
            progress("supabase db reset")
        self._run(cli, cli.reset_argv(seed=seed), "supabase db reset failed")

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """See `Stack.logs`. Read from the project's containers by ``docker logs``."""
        docker, names = self._docker(), self._containers("--all")
        if not names:
            raise StackError("there are no logs: no container of this project")
        if not follow:
            for name in names:
                answer = self._runner.run([docker, "logs", "--tail", "200", name])
                for line in (answer.stdout + answer.stderr).splitlines():
                    yield f"{name} │ {line}"
            return
        follow_argv = [docker, "logs", "--follow", "--tail", "20"]
        yield from stream({name: [*follow_argv, name] for name in names})

    def preview(self, action: str) -> list[str]:
        """See `Stack.preview`."""
        words = {
            "start": ["supabase start"],
            "stop": ["supabase stop"],
            "stop and delete": ["supabase stop --no-backup"],
            "reset": ["supabase stop --no-backup", "supabase start"],
        }
        return words[action]

    def _cli(self, progress: Callable[[str], None] | None = None) -> SupabaseCLI:
        if self._found_cli is None:
            from riptide.toolchain import find_cli

            binary = find_cli(
                self.settings, runner=self._runner, progress=progress, state="nothing was changed"
            )
            self._found_cli = SupabaseCLI(binary, self.settings, self._runner)
        return self._found_cli

    def _present_cli(self) -> SupabaseCLI | None:
        if self._found_cli is None:
            from riptide.toolchain import present_cli

            binary = present_cli(self.settings, runner=self._runner, state="nothing was changed")
            if binary is not None:
                self._found_cli = SupabaseCLI(binary, self.settings, self._runner)
        return self._found_cli

    def _remember(self) -> None:
        """Note that it is Docker's: `auto` finds it beside an embedded stack's data."""
        mark = docker_mark(self.settings)
        with told(mark, state="the stack runs in Docker"):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def _require_daemon(self) -> None:
        if daemon_version(self._runner) is None:
            raise _no_daemon("nothing was started")

    # --- without a CLI: the project's containers and volumes are known by their label -------------

    @property
    def _label(self) -> str:
        # https://github.com/supabase/cli/blob/develop/internal/utils/docker.go
        return f"label=com.supabase.cli.project={self.settings.config.project_id}"

    def _docker(self) -> str:
        docker = shutil.which("docker")
        if docker is None:
            raise _no_daemon("nothing was changed")
        return docker

    def _containers(self, *options: str) -> list[str]:
        listed = self._runner.run(
            [self._docker(), "ps", *options, "--filter", self._label, "--format", "{{.Names}}"]
        )
        if any(each in listed.stderr for each in _NO_DAEMON):
            raise _no_daemon("nothing was changed")
        return listed.check("the stack's containers could not be listed").stdout.split()

    def _from_containers(self) -> StackStatus:
        names = self._containers()
        project = self.settings.config.project_id
        database, api = (f"supabase_{each}_{project}" in names for each in ("db", "kong"))
        return replace(
            self._from({}),
            running=database and api,
            services={Service.DATABASE.value: database, Service.API.value: api},
            note="" if not names else _NO_CLI,
        )

    def _remove_containers(self, *, delete_data: bool) -> None:
        """Do what ``supabase stop`` does: its containers go, its volumes stay unless told."""
        docker, names = self._docker(), self._containers("--all")
        run = self._runner.run
        if names:
            run([docker, "stop", *names]).check("the stack's containers could not be stopped")
            run([docker, "rm", *names]).check("the stack's containers could not be removed")
        if delete_data:
            listed = run(
                [docker, "volume", "ls", "--filter", self._label, "--format", "{{.Name}}"]
            ).check("the stack's volumes could not be listed")
            if listed.stdout.split():
                run([docker, "volume", "rm", *listed.stdout.split()]).check(
                    "the stack's data could not be deleted"
                )

    def _run(self, cli: SupabaseCLI, argv: list[str], what: str) -> Answer:
        answer = cli.run(argv)
        if not answer.ok:
            raise self._error(answer, what)
        return answer

    def _error(self, answer: Answer, what: str) -> Exception:
        if any(each in answer.error_message for each in _NO_DAEMON):
            return _no_daemon("nothing was started")
        if answer.error_code == "ContainerStartError":
            return StackError(
                f"{what}: {answer.error_message.splitlines()[0]}",
                state="the CLI has removed what it had started",
                next_step="free the port, or set SUPABASE_API_PORT or SUPABASE_DB_PORT",
            )
        return failure(answer, what)

    def _from(self, data: dict[str, Any]) -> StackStatus:
        config = self.settings.config
        # With Auth or the gateway dead the CLI still exits 0, but leaves their keys out.
        database, api = "DB_URL" in data, "API_URL" in data and "PUBLISHABLE_KEY" in data
        return StackStatus(
            backend=self.backend,
            reason=self.reason,
            running=database and api,
            api_url=data.get("API_URL", f"http://127.0.0.1:{config.api_port}"),
            db_url=data.get("DB_URL", self.settings.local_db_url),
            services={Service.DATABASE.value: database, Service.API.value: api},
            publishable_key=data.get("PUBLISHABLE_KEY", ""),
            secret_key=data.get("SECRET_KEY", ""),
            anon_key=data.get("ANON_KEY", ""),
            service_role_key=data.get("SERVICE_ROLE_KEY", ""),
            jwt_secret=data.get("JWT_SECRET", ""),
        )
