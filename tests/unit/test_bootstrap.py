"""The script that makes .venv: what it runs, when it runs nothing, and what it says."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from pytest_subprocess import FakeProcess

SCRIPT = Path(__file__).parents[2] / "scripts" / "bootstrap.py"
PYPROJECT = """
[dependency-groups]
run = ["nox>=2025.5.1", { include-group = "quick" }]
quick = ["uv>=0.5"]
"""
PIP = [
    *("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--prefer-binary"),
    *("--progress-bar=off", "--no-warn-script-location"),
]
DEBIAN = "on Debian and Ubuntu: `sudo apt-get install python3-venv`, then run this again"


def load() -> ModuleType:
    """Import the script, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load()
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the paths are POSIX's")


class Exec(Exception):  # noqa: N818 - stands for what becomes of the process
    """What the process would have become."""


class Project:
    """A project's folder, and the commands that make its .venv."""

    def __init__(self, root: Path, fp: FakeProcess) -> None:
        self.root = root
        self.fp = fp
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.stamp = self.venv / "riptide-bootstrap.json"
        self.path = root / "path"
        self.path.mkdir()
        (root / "pyproject.toml").write_text(PYPROJECT)

    def program(self, path: Path) -> Path:
        """Write a program."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("program")
        path.chmod(0o755)
        return path

    def node(self, version: str, npm: bool = True) -> None:
        """Put a Node.js on PATH, with npm beside it or not."""
        node = self.program(self.path / "node")
        if npm:
            self.program(self.path / "npm")
        self.fp.register([str(node), "--version"], stdout=f"v{version}\n", occurrences=9)

    def makes_venv(self, *options: str) -> list[str]:
        """Expect the virtual environment to be made."""
        command = [sys.executable, "-m", "venv", *options, str(self.venv)]
        self.fp.register(command, callback=lambda _: self.program(self.python))
        return command

    def has_pip(self, pip: bool = True, ensurepip: bool = False) -> None:
        """Answer whether .venv has pip or can be given one."""
        python = str(self.python)
        self.fp.register([python, "-m", "pip", "--version"], returncode=not pip, occurrences=9)
        self.fp.register([python, "-m", "ensurepip"], returncode=not ensurepip, occurrences=9)

    def works(self, answer: bool = True) -> None:
        """Answer whether .venv's Python runs and is new enough."""
        code = "import sys; sys.exit(sys.version_info < (3, 11))"
        self.fp.register([str(self.python), "-c", code], returncode=not answer, occurrences=9)

    def pip_installs(self, *what: str, extras: str = "binary", fails: str = "") -> list[str]:
        """Expect pip to install the project, or to fail with some words."""
        command = [str(self.python), *PIP, "--editable", f"{self.root}[{extras}]", *what]
        if fails:
            self.fp.register(command, stdout=fails.splitlines(), returncode=1)
        else:
            inv = self.venv / "bin" / "inv"
            self.fp.register(command, callback=lambda _: self.program(inv))
        return command

    def calls(self) -> list[list[str]]:
        """Give the commands that were run, questions about versions left out."""
        asking = ("--version", "-c", "ensurepip")
        commands = [[str(word) for word in each] for each in self.fp.calls]
        return [each for each in commands if not set(asking) & set(each)]


@pytest.fixture
def project(tmp_path: Path, fp: FakeProcess, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give a project without .venv, on a machine with nothing on PATH."""
    made = Project(tmp_path, fp)
    monkeypatch.setenv("PATH", str(made.path))
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "has_module", lambda _name: True)

    def become(path: str, argv: list[str]) -> None:
        assert path == argv[0]
        raise Exec(argv)

    monkeypatch.setattr(os, "execv", become)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIRTUAL_ENV", "")
    return made


def ready(project: Project) -> None:
    """Make .venv with Node.js there and forget what was run for it."""
    project.node("22.1.0")
    project.makes_venv()
    project.has_pip()
    project.pip_installs()
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    project.fp.calls.clear()


def test_first_run_makes_installs_and_hands_over(project: Project) -> None:
    """The first run makes .venv, installs with pip, and becomes inv with all arguments."""
    project.node("20.0.0")
    venv = project.makes_venv()
    project.has_pip()
    pip = project.pip_installs()
    with pytest.raises(Exec) as caught:
        bootstrap.main(["migrate.push", "--yes"])
    assert caught.value.args[0] == [str(project.venv / "bin" / "inv"), "migrate.push", "--yes"]
    assert project.calls() == [venv, pip]


def test_second_run_starts_no_process(project: Project) -> None:
    """Once .venv is made nothing is run before the task."""
    ready(project)
    with pytest.raises(Exec) as caught:
        bootstrap.main(["up"])
    assert caught.value.args[0] == [str(project.venv / "bin" / "inv"), "up"]
    assert not project.fp.calls


def test_test_runs_nox_with_what_it_needs(project: Project) -> None:
    """`test` adds the group run, groups in it included, and becomes nox."""
    project.node("22.1.0")
    project.makes_venv()
    project.has_pip()
    pip = project.pip_installs("nox>=2025.5.1", "uv>=0.5")
    with pytest.raises(Exec) as caught:
        bootstrap.main(["test", "-s", "unit"])
    assert caught.value.args[0] == [str(project.venv / "bin" / "nox"), "-s", "unit"]
    assert project.calls()[-1] == pip


def test_up_after_test_installs_nothing(project: Project) -> None:
    """What is there for the tests is enough for a task; the other way round nox is added."""
    ready(project)
    project.works()
    pip = project.pip_installs("nox>=2025.5.1", "uv>=0.5")
    with pytest.raises(Exec):
        bootstrap.main(["test"])
    assert project.calls() == [pip]
    project.fp.calls.clear()
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert not project.fp.calls


def test_without_a_task_the_tasks_are_listed(project: Project) -> None:
    """Without arguments .venv is made and the tasks are listed."""
    ready(project)
    with pytest.raises(Exec) as caught:
        bootstrap.main([])
    assert caught.value.args[0][1:] == ["--list"]


@pytest.mark.parametrize("version", ["", "18.19.1"])
def test_node_comes_along_where_there_is_none(version: str, project: Project) -> None:
    """Without a Node.js 20 or newer the extra node is installed too."""
    if version:
        project.node(version)
    project.makes_venv()
    project.has_pip()
    pip = project.pip_installs(extras="binary,node")
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls()[-1] == pip


def test_npm_comes_along_where_node_is_alone(project: Project) -> None:
    """Debian's nodejs has no npm: the extra, which has one, is installed, and once is enough."""
    project.node("22.1.0", npm=False)
    project.makes_venv()
    project.has_pip()
    pip = project.pip_installs(extras="binary,node")
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls()[-1] == pip
    project.fp.calls.clear()
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert not project.fp.calls


def test_node_that_went_away_is_replaced(project: Project) -> None:
    """When the system's Node.js is gone the next run brings one along."""
    ready(project)
    project.works()
    (project.path / "node").unlink()
    pip = project.pip_installs(extras="binary,node")
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls() == [pip]


def test_changed_requirements_are_installed(project: Project) -> None:
    """When pyproject.toml changes pip runs again in the .venv that is there."""
    ready(project)
    project.works()
    (project.root / "pyproject.toml").write_text(PYPROJECT + "# changed")
    pip = project.pip_installs()
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls() == [pip]


@pytest.mark.parametrize("damage", ["half made", "python gone", "moved", "does not run"])
def test_own_venv_that_is_not_whole_is_made_again(damage: str, project: Project) -> None:
    """A .venv of this script that was interrupted, lost its Python or was moved is made anew."""
    ready(project)
    stamp = json.loads(project.stamp.read_text())
    if damage == "half made":
        stamp["ready"] = False
    elif damage == "python gone":
        project.python.unlink()
        project.works(answer=False)
    elif damage == "moved":
        stamp["root"] = "/elsewhere"
    else:
        project.python.write_text("another program")
        project.works(answer=False)
    project.stamp.write_text(json.dumps(stamp))
    left_over = project.program(project.venv / "left-over")
    venv = project.makes_venv()
    project.has_pip()
    project.pip_installs()
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert venv in project.calls()
    assert not left_over.exists()


def test_foreign_venv_that_works_is_used(project: Project) -> None:
    """A .venv that somebody else made is installed into and nothing of it is removed."""
    project.node("22.1.0")
    project.program(project.python)
    theirs = project.program(project.venv / "theirs")
    project.works()
    project.has_pip()
    pip = project.pip_installs()
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls() == [pip]
    assert theirs.exists()
    assert json.loads(project.stamp.read_text())["made_here"] is False


def test_foreign_venv_that_does_not_work_is_left_alone(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken .venv that somebody else made is named, not removed."""
    project.node("22.1.0")
    theirs = project.program(project.venv / "theirs")
    project.works(answer=False)
    assert bootstrap.main(["up"]) == 1
    assert theirs.exists()
    assert capsys.readouterr().err.splitlines() == [
        f"error: {project.venv} is there and has no Python 3.11 that works",
        "state: nothing was changed: .venv was not made by this script",
        "next:  move it out of the way (rm -r .venv), then run this again",
    ]


def test_failing_pip_is_shown_and_done_again(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """What pip said last is shown without passwords; the next run starts over."""
    project.node("22.1.0")
    project.makes_venv()
    project.has_pip()
    words = "Looking in indexes: https://me:hunter2@mirror.example/simple\nERROR: No match"
    project.pip_installs(fails=words)
    assert bootstrap.main(["up"]) == 1
    error = capsys.readouterr().err
    assert "error: pip could not install what riptide-supabase needs (exit 1)" in error
    assert "  ERROR: No match" in error
    assert "next:  check the network and `pip config list`, then run this again" in error
    assert "hunter2" not in error
    venv = project.makes_venv()
    project.pip_installs()
    project.fp.calls.clear()
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls()[0] == venv


def test_two_at_once_do_not_undo_one_another(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While another one makes .venv this one waits, and then has nothing to do."""
    import fcntl

    ready(project)
    stamp = project.stamp.read_text()
    half = {"made_here": True, "ready": False, "has": ["run"]}
    project.stamp.write_text(json.dumps(half))
    other = (project.root / "pyproject.toml").open()
    fcntl.flock(other, fcntl.LOCK_EX)

    def let_the_other_end(_seconds: float) -> None:
        project.stamp.write_text(stamp)
        other.close()

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap.time, "sleep", let_the_other_end)
        with pytest.raises(Exec):
            bootstrap.main(["up"])
    assert project.calls() == []
    assert "bootstrap: another one is making .venv: waiting for it" in capsys.readouterr().err


def test_lock_is_let_go(project: Project) -> None:
    """When this one is done, or has failed, nobody has to wait for it."""
    import fcntl

    ready(project)
    with (project.root / "pyproject.toml").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_where_nothing_can_be_locked_it_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without locks is no reason to do nothing."""
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    ready(project)


def test_venv_that_cannot_be_made_is_told_in_its_own_words(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Python says is shown; Debian's package is named only where that one is missing."""
    project.node("22.1.0")
    command = [sys.executable, "-m", "venv", str(project.venv)]
    project.fp.register(command, stdout=["Error: no room"], returncode=1)
    assert bootstrap.main(["up"]) == 1
    error = capsys.readouterr().err
    assert "  Error: no room" in error
    assert "apt-get" not in error
    assert error.splitlines()[-1].startswith("next:  mend that")


def test_pip_is_kept_in_the_venv(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that lead pip or Python out of .venv do not reach them."""
    for name in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    given = bootstrap.clean_environment()
    assert given["PIP_USER"] == "0"
    assert given["PIP_INDEX_URL"] == "https://mirror.example/simple"
    assert not {"PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME"} & set(given)


def test_without_ensurepip_the_systems_pip_fills_the_venv(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Debian without python3-venv .venv is made without pip, and filled from outside."""
    monkeypatch.setattr(bootstrap, "has_module", lambda name: name != "ensurepip")
    project.node("22.1.0")
    venv = project.makes_venv("--without-pip")
    project.has_pip(pip=False)
    outside = [sys.executable, "-m", "pip", "--python", str(project.python)]
    project.fp.register([*outside, "--version"])
    pip = [*outside, *PIP[2:], "--editable", f"{project.root}[binary]"]
    project.fp.register(pip, callback=lambda _: project.program(project.venv / "bin" / "inv"))
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls() == [venv, pip]


def test_without_any_pip_uv_fills_the_venv(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no pip can be had a uv on PATH does it."""
    monkeypatch.setattr(bootstrap, "has_module", lambda name: name != "ensurepip")
    project.node("22.1.0")
    project.makes_venv("--without-pip")
    project.has_pip(pip=False)
    outside = [sys.executable, "-m", "pip", "--python", str(project.python), "--version"]
    project.fp.register(outside, returncode=1)
    uv = str(project.program(project.path / "uv"))
    command = [uv, "pip", "install", "--compile-bytecode", "--python", str(project.python)]
    command += ["--editable", f"{project.root}[binary]"]
    project.fp.register(command, callback=lambda _: project.program(project.venv / "bin" / "inv"))
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls()[-1] == command


def test_without_pip_and_uv_debians_package_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing can fill .venv the error names Debian's package, and a later run works."""
    monkeypatch.setattr(bootstrap, "has_module", lambda name: name != "ensurepip")
    project.node("22.1.0")
    project.makes_venv("--without-pip")
    project.has_pip(pip=False)
    outside = [sys.executable, "-m", "pip", "--python", str(project.python), "--version"]
    project.fp.register(outside, returncode=1)
    assert bootstrap.main(["up"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"next:  {DEBIAN}"
    assert json.loads(project.stamp.read_text())["ready"] is False


@pytest.mark.parametrize("tool", ["virtualenv", "uv"])
def test_without_venv_another_tool_makes_it(
    tool: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python without the module venv is helped by virtualenv or uv."""
    monkeypatch.setattr(bootstrap, "has_module", lambda name: name != "venv")
    project.node("22.1.0")
    path = str(project.program(project.path / tool))
    command = {
        "virtualenv": [path, "--python", sys.executable, str(project.venv)],
        "uv": [path, "venv", "--allow-existing", "--python", sys.executable, str(project.venv)],
    }[tool]
    project.fp.register(command, callback=lambda _: project.program(project.python))
    project.has_pip()
    project.pip_installs()
    with pytest.raises(Exec):
        bootstrap.main(["up"])
    assert project.calls()[0] == command


def test_without_venv_or_another_tool_debians_package_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Python without the module venv, and nothing in its place, is said with what helps."""
    monkeypatch.setattr(bootstrap, "has_module", lambda name: name != "venv")
    assert bootstrap.main(["up"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"next:  {DEBIAN}"


def test_folder_that_cannot_be_written_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A project in a read-only folder gives one error and no traceback."""

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert bootstrap.main(["up"]) == 1
    assert f"error: Read-only file system: {project.venv}" in capsys.readouterr().err


def test_interrupted_command_is_ended(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while pip works ends pip, and what pip has started, before this process ends."""
    ended: list[object] = []

    class Child:
        pid = 4321

        def __init__(self, *_: object, **options: object) -> None:
            assert options["start_new_session"] is True
            self.stdout = self

        def close(self) -> None:
            return None

        def __iter__(self) -> Child:
            raise KeyboardInterrupt

        def wait(self, timeout: float) -> None:
            ended.append(timeout)

    # A context, as it must be undone before the fixture fp puts the real Popen back.
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", Child)
        patch.setattr(os, "killpg", lambda pid, number: ended.append((pid, number)))
        with pytest.raises(KeyboardInterrupt):
            bootstrap.run(["pip"])
    assert ended == [(4321, signal.SIGTERM), 5, (4321, signal.SIGKILL), 5]


def test_help_changes_nothing(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """--help tells the ways to call it and does nothing else."""
    assert bootstrap.main(["--help"]) == 0
    assert "python3 scripts/bootstrap.py up" in capsys.readouterr().out
    assert not project.venv.exists()


def test_old_python_can_read_the_script() -> None:
    """Python 3.6 can parse the script, so that it can say what is needed."""
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))
    check = next(
        number
        for number, each in enumerate(tree.body)
        if isinstance(each, ast.Expr) and ast.unparse(each) == "refuse_old_python()"
    )
    before = [each for each in tree.body[:check] if isinstance(each, ast.Import | ast.ImportFrom)]
    assert all(isinstance(each, ast.Import) for each in before)


def test_old_python_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Python that is too old, and no newer one on PATH, gives an error with exit 1."""
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit) as caught:
        bootstrap.refuse_old_python()
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("error: Python 3.11 is needed, and this is ")


def test_newer_python_on_path_takes_over(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is too old hands over to the newest one on PATH that really runs."""
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "up"])
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    shim = str(project.program(project.path / "python3.13"))
    real = str(project.program(project.path / "python3.12"))
    project.fp.register([shim, "-c", check], returncode=127)
    project.fp.register([real, "-c", check], returncode=0)
    with pytest.raises(Exec) as caught:
        bootstrap.refuse_old_python()
    assert caught.value.args[0] == [real, "bootstrap.py", "up"]
