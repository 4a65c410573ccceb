"""The Docker backend and the choice between the two, with every command mocked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from riptide.errors import CommandError, ConfigError, StackError
from riptide.stack import docker_mark, open_stack
from riptide.stack.docker import DockerStack
from riptide.stack.embedded.parts import Parts
from riptide.stack.embedded.stack import EmbeddedStack
from riptide.stack.embedded.state import State

if TYPE_CHECKING:
    from pytest_subprocess import FakeProcess

    from riptide.settings import Settings

DOCKER = "/usr/bin/docker"
INFO = [DOCKER, "info", "--format", "{{.ServerVersion}}"]
KEYS = {
    "API_URL": "http://127.0.0.1:54321",
    "DB_URL": "postgresql://postgres:postgres@127.0.0.1:54322/postgres",
    "PUBLISHABLE_KEY": "sb_publishable_x",
    "SECRET_KEY": "sb_secret_x",
    "ANON_KEY": "anon",
    "SERVICE_ROLE_KEY": "service",
    "JWT_SECRET": "jwt",
}
NOT_RUNNING = {"error": {"code": "StatusDbInspectError", "message": "No such container: db"}}
NO_DAEMON = {
    "error": {
        "code": "StatusDbInspectError",
        "message": "failed to inspect: Cannot connect to the Docker daemon at unix:///…",
    }
}


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put docker and the CLI at places of the test's own."""
    monkeypatch.setattr("shutil.which", lambda name: DOCKER if name == "docker" else None)
    for name in ("find_cli", "present_cli"):
        monkeypatch.setattr(f"riptide.toolchain.{name}", lambda *_, **__: Path("/bin/supabase"))


@pytest.fixture
def stack(settings: Settings) -> DockerStack:
    """Give the Docker stack of an empty project."""
    return DockerStack(settings)


def command(settings: Settings, *words: str) -> list[str]:
    """Give the whole command line of a CLI command."""
    return ["/bin/supabase", *words, "--output-format=json", f"--workdir={settings.root}"]


def subcommands(fp: FakeProcess) -> list[str]:
    """Give the first word after the program of each command that was run."""
    return [str(list(call)[1]) for call in fp.calls]


def test_start_runs_supabase_start(stack: DockerStack, settings: Settings, fp: FakeProcess) -> None:
    """A start asks the daemon, asks the status, and runs `supabase start`: exactly these."""
    status, start = command(settings, "status"), command(settings, "start")
    fp.register(INFO, stdout="27.3.1\n")
    fp.register(status, stdout=json.dumps(NOT_RUNNING), returncode=1)
    fp.register(start, stdout=json.dumps({**KEYS, "message": "Started"}))
    found = stack.start()
    assert list(fp.calls) == [INFO, status, start]
    assert found.started
    assert found.running
    assert (found.backend, found.api_url) == ("docker", KEYS["API_URL"])
    assert (found.publishable_key, found.secret_key) == ("sb_publishable_x", "sb_secret_x")


def test_start_of_a_running_stack_starts_nothing(
    stack: DockerStack, settings: Settings, fp: FakeProcess
) -> None:
    """Where every service answers, a start runs nothing but the status."""
    fp.register(INFO, stdout="27.3.1")
    fp.register(command(settings, "status"), stdout=json.dumps(KEYS))
    assert not stack.start().started
    assert list(fp.calls) == [INFO, command(settings, "status")]


def test_start_mends_a_stack_without_its_gateway(
    stack: DockerStack, settings: Settings, fp: FakeProcess
) -> None:
    """The CLI takes a database without a gateway for a running stack: stop first, then start."""
    broken = {key: value for key, value in KEYS.items() if key != "API_URL"}
    fp.register(INFO, stdout="27.3.1")
    fp.register(command(settings, "status"), stdout=json.dumps(broken))
    fp.register(command(settings, "stop"), stdout="{}")
    fp.register(command(settings, "start"), stdout=json.dumps(KEYS))
    assert stack.start().running
    assert subcommands(fp) == ["info", "status", "stop", "start"]


def test_start_without_a_daemon(stack: DockerStack, fp: FakeProcess) -> None:
    """Docker asked for and no daemon: an error before the CLI is run, with the way without it."""
    fp.register(INFO, stderr="Cannot connect", returncode=1)
    with pytest.raises(StackError, match="no Docker daemon answers") as caught:
        stack.start()
    assert "--backend embedded" in str(caught.value.next_step)
    assert list(fp.calls) == [INFO]


def test_status_without_a_daemon(stack: DockerStack, settings: Settings, fp: FakeProcess) -> None:
    """The CLI's words about a missing daemon become the same error."""
    fp.register(command(settings, "status"), stdout=json.dumps(NO_DAEMON), returncode=1)
    with pytest.raises(StackError, match="no Docker daemon answers"):
        stack.status()


def test_status_of_a_stopped_stack(stack: DockerStack, settings: Settings, fp: FakeProcess) -> None:
    """No container is no error: the stack is stopped."""
    fp.register(command(settings, "status"), stdout=json.dumps(NOT_RUNNING), returncode=1)
    found = stack.status()
    assert not found.running
    assert found.services == {"database": False, "api": False}


def test_stop_keeps_or_deletes_the_volumes(
    stack: DockerStack, settings: Settings, fp: FakeProcess
) -> None:
    """A stop keeps the data unless told otherwise; then it is `--no-backup`."""
    plain, deleting = command(settings, "stop"), command(settings, "stop", "--no-backup")
    fp.register(plain, stdout="{}")
    fp.register(deleting, stdout="{}")
    assert not stack.stop().running
    stack.stop(delete_data=True)
    assert list(fp.calls) == [plain, deleting]


def test_taken_port(stack: DockerStack, settings: Settings, fp: FakeProcess) -> None:
    """A port that is taken is told with the variables that choose another."""
    taken = {"error": {"code": "ContainerStartError", "message": "address already in use\nmore"}}
    fp.register(INFO, stdout="27.3.1")
    fp.register(command(settings, "status"), stdout=json.dumps(NOT_RUNNING), returncode=1)
    fp.register(command(settings, "start"), stdout=json.dumps(taken), returncode=1)
    with pytest.raises(StackError, match="address already in use") as caught:
        stack.start()
    assert "SUPABASE_API_PORT" in str(caught.value.next_step)


def test_images_that_cannot_be_pulled(
    stack: DockerStack, settings: Settings, fp: FakeProcess
) -> None:
    """Any other failure of the CLI is told in its own words with its exit code."""
    failed = {"error": {"code": "ImagePrepullError", "message": "failed to pull postgres"}}
    fp.register(INFO, stdout="27.3.1")
    fp.register(command(settings, "status"), stdout=json.dumps(NOT_RUNNING), returncode=1)
    fp.register(command(settings, "start"), stdout=json.dumps(failed), returncode=1)
    with pytest.raises(CommandError, match="failed to pull postgres") as caught:
        stack.start()
    assert caught.value.exit_code_of_command == 1


def test_reset_database(stack: DockerStack, settings: Settings, fp: FakeProcess) -> None:
    """On Docker the database is reset by `supabase db reset`."""
    argv = command(settings, "db", "reset", "--yes", "--no-seed")
    fp.register(argv, stdout="{}")
    stack.reset_database(seed=False)
    assert list(fp.calls) == [argv]


def test_reset_stops_without_backup_and_starts(
    stack: DockerStack, settings: Settings, fp: FakeProcess
) -> None:
    """The empty stack comes back by deleting the volumes and starting."""
    fp.register(command(settings, "stop", "--no-backup"), stdout="{}")
    fp.register(INFO, stdout="27.3.1", occurrences=2)
    fp.register(command(settings, "status"), stdout=json.dumps(NOT_RUNNING), returncode=1)
    fp.register(command(settings, "start"), stdout=json.dumps(KEYS))
    assert stack.reset().running
    assert subcommands(fp) == ["info", "stop", "info", "status", "start"]


def test_reset_without_a_daemon_deletes_nothing(stack: DockerStack, fp: FakeProcess) -> None:
    """Where no daemon answers the volumes are not asked to go."""
    fp.register(INFO, stderr="Cannot connect", returncode=1)
    with pytest.raises(StackError, match="no Docker daemon answers"):
        stack.reset()
    assert list(fp.calls) == [INFO]


def test_logs_read_every_container(stack: DockerStack, fp: FakeProcess) -> None:
    """The logs are those of the project's containers, each line with its container's name."""
    listing = [
        *(DOCKER, "ps", "--all"),
        *("--filter", "label=com.supabase.cli.project=demo"),
        *("--format", "{{.Names}}"),
    ]
    fp.register(listing, stdout="supabase_db_demo\nsupabase_auth_demo\n")
    fp.register([DOCKER, "logs", "--tail", "200", "supabase_db_demo"], stdout="ready\n")
    fp.register([DOCKER, "logs", "--tail", "200", "supabase_auth_demo"], stderr="listening\n")
    assert list(stack.logs()) == ["supabase_db_demo │ ready", "supabase_auth_demo │ listening"]


def test_followed_logs_come_from_every_container(stack: DockerStack, fp: FakeProcess) -> None:
    """With follow, each container's log is followed, and it ends when they all have ended."""
    listing = [
        *(DOCKER, "ps", "--all"),
        *("--filter", "label=com.supabase.cli.project=demo"),
        *("--format", "{{.Names}}"),
    ]
    follow = [DOCKER, "logs", "--follow", "--tail", "20"]
    fp.register(listing, stdout="db\nauth\n")
    fp.register([*follow, "db"], stdout=["ready", "still ready"])
    fp.register([*follow, "auth"], stdout=["listening"])
    assert sorted(stack.logs(follow=True)) == ["auth │ listening", "db │ ready", "db │ still ready"]


def test_preview_runs_nothing(stack: DockerStack, fp: FakeProcess) -> None:
    """What a dry run prints are the CLI's commands; none of them is run."""
    assert stack.preview("start") == ["supabase start"]
    assert stack.preview("stop") == ["supabase stop"]
    assert stack.preview("reset") == ["supabase stop --no-backup", "supabase start"]
    assert list(fp.calls) == []


# --- without a CLI -------------------------------------------------------------------------------

PROJECT = ("--filter", "label=com.supabase.cli.project=demo")
RUNNING = [DOCKER, "ps", *PROJECT, "--format", "{{.Names}}"]
EVERY = [DOCKER, "ps", "--all", *PROJECT, "--format", "{{.Names}}"]
VOLUMES = [DOCKER, "volume", "ls", *PROJECT, "--format", "{{.Name}}"]


@pytest.fixture
def bare(stack: DockerStack, monkeypatch: pytest.MonkeyPatch) -> DockerStack:
    """Give the stack on a machine without a Supabase CLI, where none may be installed."""
    monkeypatch.setattr("riptide.toolchain.present_cli", lambda *_, **__: None)
    monkeypatch.setattr("riptide.toolchain.find_cli", lambda *_, **__: pytest.fail("installs"))
    return stack


@pytest.mark.parametrize(
    ("names", "database", "api"),
    [
        ("", False, False),
        ("supabase_db_demo\n", True, False),
        ("supabase_kong_demo\nsupabase_db_demo\n", True, True),
    ],
)
def test_status_without_a_cli_asks_docker(
    bare: DockerStack, fp: FakeProcess, names: str, database: bool, api: bool
) -> None:
    """Where there is no CLI the status installs none: it is told by the containers that run."""
    fp.register(RUNNING, stdout=names)
    found = bare.status()
    assert found.services == {"database": database, "api": api}
    assert found.running is (database and api)
    assert found.secret_key == ""
    assert ("inv stack.start" in found.note) is database
    assert list(fp.calls) == [RUNNING]


def test_status_without_a_cli_and_a_daemon(bare: DockerStack, fp: FakeProcess) -> None:
    """A daemon that does not answer is told as the CLI's words about it are."""
    fp.register(RUNNING, stderr="Cannot connect to the Docker daemon at unix:///…", returncode=1)
    with pytest.raises(StackError, match="no Docker daemon answers"):
        bare.status()


def test_status_without_a_cli_and_docker(
    bare: DockerStack, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no docker at all nothing is run, and the same is said."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(StackError, match="no Docker daemon answers"):
        bare.status()
    assert list(fp.calls) == []


def test_stop_without_a_cli(bare: DockerStack, fp: FakeProcess) -> None:
    """Without a CLI a stop removes the project's containers, and leaves its volumes alone."""
    fp.register(EVERY, stdout="supabase_db_demo\nsupabase_kong_demo\n")
    fp.register([DOCKER, fp.any()], occurrences=2)
    assert not bare.stop().running
    names = ["supabase_db_demo", "supabase_kong_demo"]
    assert list(fp.calls) == [EVERY, [DOCKER, "stop", *names], [DOCKER, "rm", *names]]


def test_stop_without_a_cli_deletes_the_volumes(bare: DockerStack, fp: FakeProcess) -> None:
    """Data that is to be deleted is deleted without a CLI too, the project's own alone."""
    fp.register(EVERY, stdout="")
    fp.register(VOLUMES, stdout="supabase_db_demo\n")
    fp.register([DOCKER, "volume", "rm", "supabase_db_demo"])
    bare.stop(delete_data=True)
    assert list(fp.calls) == [EVERY, VOLUMES, [DOCKER, "volume", "rm", "supabase_db_demo"]]


def test_stop_of_nothing_without_a_cli(bare: DockerStack, fp: FakeProcess) -> None:
    """Where nothing runs a stop has nothing to do, and says that it is stopped."""
    fp.register(EVERY, stdout="")
    assert not bare.stop().running
    assert list(fp.calls) == [EVERY]


def test_stop_without_a_cli_that_fails(bare: DockerStack, fp: FakeProcess) -> None:
    """What docker cannot stop is an error with docker's words."""
    fp.register(EVERY, stdout="supabase_db_demo\n")
    fp.register([DOCKER, "stop", "supabase_db_demo"], stderr="permission denied", returncode=1)
    with pytest.raises(CommandError, match="could not be stopped") as caught:
        bare.stop()
    assert "permission denied" in str(caught.value)


def test_start_finds_a_cli_before_it_asks(
    bare: DockerStack, settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start installs the CLI where there is none, and asks that for the keys."""
    monkeypatch.setattr("riptide.toolchain.find_cli", lambda *_, **__: Path("/bin/supabase"))
    fp.register(INFO, stdout="27.3.1")
    fp.register(command(settings, "status"), stdout=json.dumps(KEYS))
    assert bare.start().secret_key == "sb_secret_x"


# --- the choice ----------------------------------------------------------------------------------


def test_auto_takes_docker_where_a_daemon_answers(settings: Settings, fp: FakeProcess) -> None:
    """With a daemon, auto is Docker, and the reason names its version."""
    fp.register(INFO, stdout="27.3.1\n")
    stack = open_stack(settings)
    assert isinstance(stack, DockerStack)
    assert stack.reason == "Docker 27.3.1 answers"


@pytest.mark.parametrize("code", [0, 1])
def test_auto_is_embedded_without_a_daemon(settings: Settings, fp: FakeProcess, code: int) -> None:
    """A client without a daemon is no Docker: embedded, and the reason says so."""
    fp.register(INFO, stdout="", returncode=code)
    stack = open_stack(settings)
    assert isinstance(stack, EmbeddedStack)
    assert stack.reason == "no Docker daemon answers within 2 s"


def test_auto_is_embedded_without_docker(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no docker at all, nothing is run to find that out."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert isinstance(open_stack(settings), EmbeddedStack)
    assert list(fp.calls) == []


def test_auto_keeps_to_the_stack_that_runs(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An embedded stack of which a part runs here is kept to, without asking for Docker."""
    monkeypatch.setattr(Parts, "running", lambda self: {"postgres": object()})  # no gateway
    stack = open_stack(settings)
    assert isinstance(stack, EmbeddedStack)
    assert stack.reason == "it runs in this project"
    assert list(fp.calls) == []


def test_what_is_asked_for_is_taken(settings: Settings, fp: FakeProcess) -> None:
    """A backend asked for is taken without looking for the other; a wrong word is refused."""
    assert isinstance(open_stack(settings, backend="docker"), DockerStack)
    assert isinstance(open_stack(replace(settings, backend="embedded")), EmbeddedStack)
    with pytest.raises(ConfigError, match="no backend 'podman'"):
        open_stack(settings, backend="podman")
    assert list(fp.calls) == []


@pytest.mark.parametrize("what", ["data", "state"])
def test_auto_keeps_to_a_stopped_embedded_stack(
    settings: Settings, fp: FakeProcess, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data or a state of an embedded stack keeps auto from Docker, which answers; asked for it is.

    Docker Desktop that comes up must not move a project to an empty database.
    """
    monkeypatch.setattr("riptide.stack.embedded.parts.find_all", lambda *_: [])
    if what == "data":
        (settings.run_dir / "postgres" / "data").mkdir(parents=True)
    else:
        settings.run_dir.mkdir(parents=True)
        State(
            instance="0123",
            api_port=54321,
            db_port=54322,
            run_dir=settings.run_dir,
            home=settings.run_dir / "postgres",
            gateway_mark=settings.run_dir,
            postgres_mark=settings.run_dir / "postgres" / "data",
            toolchain=settings.root,
            template="abc",
        ).write()
    fp.register(INFO, stdout="27.3.1\n", occurrences=2)
    stack = open_stack(settings)
    assert isinstance(stack, EmbeddedStack)
    assert "in this project" in stack.reason
    assert list(fp.calls) == []
    assert isinstance(open_stack(settings, backend="docker"), DockerStack)


def test_auto_keeps_to_what_was_started_with_docker(
    settings: Settings, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a start with Docker to its stop, auto is Docker also beside an embedded stack's data."""
    monkeypatch.setattr("riptide.stack.embedded.parts.find_all", lambda *_: [])
    (settings.run_dir / "postgres" / "data").mkdir(parents=True)
    asked_for = open_stack(settings, backend="docker")
    assert isinstance(asked_for, DockerStack)
    fp.register(INFO, stdout="27.3.1")
    fp.register(command(settings, "status"), stdout=json.dumps(KEYS))
    assert asked_for.start().running
    found = open_stack(settings)
    assert isinstance(found, DockerStack)
    assert found.reason == "it was started with Docker in this project"
    fp.register(command(settings, "stop"), stdout="{}")
    assert asked_for.stop().stopped
    assert isinstance(open_stack(settings), EmbeddedStack)


def test_what_runs_embedded_goes_before_a_mark_of_docker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack that runs here is the one that tasks work on, whatever was started before."""
    settings.run_dir.mkdir(parents=True)
    docker_mark(settings).touch()
    monkeypatch.setattr(Parts, "running", lambda self: {"postgres": object()})
    assert isinstance(open_stack(settings), EmbeddedStack)
