#!/usr/bin/env python3
"""Make .venv, install this project into it, and run a task there.

    python3 scripts/bootstrap.py up                  the local Supabase, migrated and proved
    python3 scripts/bootstrap.py test [nox options]  nox's default sessions
    python3 scripts/bootstrap.py TASK [options]      any task, as `inv TASK [options]`
    python3 scripts/bootstrap.py                     only make .venv, then list the tasks

Needs Python 3.11 or newer and nothing else; Node.js comes along where there is none. Nothing is
installed outside the project's folder but caches. The second time there is nothing to install
and it costs less than a second; `inv` and `nox` in .venv are then the ordinary way.
"""

# Python 3.6 must be able to read this file as far as it runs there: to say that it is too old.
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

MINIMUM = (3, 11)


def refuse_old_python() -> None:
    """Go on under a newer Python where there is one, else say what to do."""
    if sys.version_info >= MINIMUM:
        return
    check = f"import sys; sys.exit(sys.version_info < {MINIMUM})"
    for minor in range(15, MINIMUM[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        # A version manager's shim may be there without its Python.
        if found and subprocess.call([found, "-c", check], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, *sys.argv])
    needed = ".".join(map(str, MINIMUM))
    sys.stderr.write(
        f"error: Python {needed} is needed, and this is {sys.version.split()[0]}"
        f" ({sys.executable})\n"
        "state: nothing was changed\n"
        f"next:  install Python {needed} or newer (https://www.python.org/downloads/), then run"
        " this script with it\n"
    )
    sys.exit(1)


refuse_old_python()

from collections.abc import Iterator  # noqa: E402 - from here on it is Python 3.11
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import IO, Any, NoReturn, TypedDict, cast  # noqa: E402

WINDOWS = os.name == "nt"
ROOT = Path(__file__).resolve().parent.parent
MINIMUM_NODE = 20
QUIET = 10.0  # seconds that a command may work without a word of it being passed on
DEBIAN = "on Debian and Ubuntu: `sudo apt-get install python3-venv`, then run this again"


class BootstrapError(Exception):
    """What went wrong, what state things are in, and what to do next."""

    def __init__(self, message: str, next_step: str, *, detail: str = "", state: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.state = state or "nothing outside .venv was changed"
        self.next_step = next_step

    def __str__(self) -> str:
        """Give the lines that a person reads."""
        detail = "".join(f"\n  {line}" for line in self.detail.splitlines())
        return f"error: {self.message}{detail}\nstate: {self.state}\nnext:  {self.next_step}"


class Stamp(TypedDict, total=False):
    """What .venv holds, as written after the last success.

    Attributes:
        made_here: Whether this script made .venv, and so may make it anew.
        ready: Whether everything in ``has`` was installed to the end.
        root: The project's folder: scripts in .venv hold it.
        pyproject: The hash of pyproject.toml.
        python: Which file the interpreter is, with its size and time of change.
        has: Of ``run``, ``test`` and ``node`` what is installed.
        node: The Node.js on PATH that is new enough, or an empty string.
    """

    made_here: bool
    ready: bool
    root: str
    pyproject: str
    python: str
    has: list[str]
    node: str


class Bootstrap:
    """One project's .venv."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.bin = self.venv / ("Scripts" if WINDOWS else "bin")
        self.python = self.program("python")
        self.stamp_file = self.venv / "riptide-bootstrap.json"

    def program(self, name: str) -> Path:
        """Give a program's path in .venv."""
        return self.bin / (f"{name}.exe" if WINDOWS else name)

    def prepare(self, wanted: set[str]) -> None:
        """Make .venv and install what is not there yet.

        Args:
            wanted: ``run`` for the tasks, ``test`` for nox too.

        Raises:
            BootstrapError: It could not be done.
        """
        stamp = self.read_stamp()
        # Debian's and Ubuntu's nodejs comes without npm; the extra has one, for that node too.
        node = (shutil.which("npm") and shutil.which("node")) or ""
        if not node or node != stamp.get("node"):
            node = node if node_is_new_enough(node) else ""
        if not node:
            wanted = wanted | {"node"}
        if self.has_all(wanted, stamp):
            return
        with self.alone():
            # Whoever had the lock before may have done it all.
            stamp = self.read_stamp()
            if not self.has_all(wanted, stamp):
                self.fill(wanted, stamp, node)

    def has_all(self, wanted: set[str], stamp: Stamp) -> bool:
        """Tell, without starting a process, whether there is nothing to do."""
        return self.is_current(stamp) and wanted <= set(stamp.get("has", []))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a lock that ends with this process; wait while another one has it.

        It is on pyproject.toml, which this script does not write: no file is left anywhere.
        """
        with (self.root / "pyproject.toml").open("rb") as file:
            told = False
            while not try_lock(file):
                if not told:
                    say("another one is making .venv: waiting for it")
                    told = True
                time.sleep(0.2)
            yield

    def fill(self, wanted: set[str], stamp: Stamp, node: str) -> None:
        """Make .venv where there is none that works, and install into it."""
        began = time.monotonic()
        has = set(stamp.get("has", []))
        self.make_venv(stamp)
        stamp = self.read_stamp()
        wanted |= has
        made_here = stamp.get("made_here", False)
        if made_here:
            # An interrupted pip leaves packages that it takes for whole the next time.
            self.write_stamp({"made_here": True, "ready": False, "has": sorted(wanted)})
        self.install(wanted)
        stamp = {
            "made_here": made_here,
            "ready": True,
            "root": str(self.root),
            "pyproject": self.pyproject_hash(),
            "python": identity(self.python),
            "has": sorted(wanted),
            "node": node,
        }
        self.write_stamp(stamp)
        say(f"ready in {time.monotonic() - began:.1f} s")

    def is_current(self, stamp: Stamp) -> bool:
        """Tell, without starting a process, whether .venv is as it was left and still fits."""
        return (
            bool(stamp.get("ready"))
            and stamp.get("root") == str(self.root)
            and stamp.get("pyproject") == self.pyproject_hash()
            and stamp.get("python") == identity(self.python)
            and self.program("inv").is_file()
        )

    def make_venv(self, stamp: Stamp) -> None:
        """Make .venv unless one is there that works."""
        if self.venv.is_symlink() or self.venv.exists():
            moved = stamp.get("root", str(self.root)) != str(self.root)
            empty = self.venv.is_dir() and not any(self.venv.iterdir())
            if not empty and not moved and stamp.get("ready", True) and self.works():
                return
            if not empty and not stamp.get("made_here"):
                raise BootstrapError(
                    f"{self.venv} is there and has no Python {MINIMUM[0]}.{MINIMUM[1]} that works",
                    f"move it out of the way ({'rmdir /s' if WINDOWS else 'rm -r'} .venv), "
                    "then run this again",
                    state="nothing was changed: .venv was not made by this script",
                )
            say("removing a .venv that was not finished, or does not work any more")
            remove(self.venv)
        say(f"making .venv with Python {sys.version.split()[0]}")
        self.venv.mkdir()
        # First of all, so that a half-made folder is known for this script's own.
        self.write_stamp({"made_here": True, "ready": False})
        self.create()

    def create(self) -> None:
        """Fill .venv with an interpreter, with pip if that can be had."""
        command = [sys.executable, "-m", "venv", str(self.venv)]
        if not has_module("venv"):
            uv, virtualenv = shutil.which("uv"), shutil.which("virtualenv")
            if virtualenv:
                command = [virtualenv, "--python", sys.executable, str(self.venv)]
            elif uv:
                command = [uv, "venv", "--allow-existing", "--python", sys.executable]
                command.append(str(self.venv))
            else:
                raise BootstrapError("this Python has no module venv", DEBIAN)
        elif not has_module("ensurepip"):
            command.insert(3, "--without-pip")
        code, lines = run(command)
        if code:
            raise BootstrapError(
                "the virtual environment could not be made",
                "mend that, then run this again" if has_module("ensurepip") else DEBIAN,
                detail=tail(lines),
            )

    def works(self) -> bool:
        """Tell whether .venv has a Python that is new enough and does run."""
        code = f"import sys; sys.exit(sys.version_info < {MINIMUM})"
        return quiet([str(self.python), "-c", code])

    def install(self, wanted: set[str]) -> None:
        """Install this project, editable, and what ``wanted`` names."""
        extras = "binary,node" if "node" in wanted else "binary"
        requirements = ["--editable", f"{self.root}[{extras}]"]
        if "test" in wanted:
            requirements += self.group("run")
        brings = "".join(
            text
            for name, text in (("node", ", Node.js"), ("test", ", nox and uv"))
            if name in wanted
        )
        say(f"installing riptide-supabase and what it needs{brings}")
        code, lines = run([*self.installer(), *requirements], cwd=self.root)
        if code:
            raise BootstrapError(
                f"pip could not install what riptide-supabase needs (exit {code})",
                "check the network and `pip config list`, then run this again",
                detail=tail(lines),
                state=".venv is not whole and will be made anew; nothing outside it was changed",
            )
        if not self.program("inv").is_file():
            raise BootstrapError(
                f"pip installed invoke without {self.program('inv')}",
                "remove .venv, then run this again",
            )

    def installer(self) -> list[str]:
        """Give the start of the command that installs into .venv.

        pip, because it takes the index, proxy and certificates that a machine is set up with;
        uv only where no pip can be had.
        """
        options = ["install", "--disable-pip-version-check", "--no-input", "--prefer-binary"]
        options += ["--progress-bar=off", "--no-warn-script-location"]
        python = str(self.python)
        if quiet([python, "-m", "pip", "--version"]) or quiet([python, "-m", "ensurepip"]):
            return [python, "-m", "pip", *options]
        outside = [sys.executable, "-m", "pip", "--python", python]
        if quiet([*outside, "--version"]):
            return [*outside, *options]
        uv = shutil.which("uv")
        if uv:
            return [uv, "pip", "install", "--compile-bytecode", "--python", python]
        raise BootstrapError(
            "there is no pip to fill .venv with: this Python has no ensurepip", DEBIAN
        )

    def group(self, name: str) -> list[str]:
        """Give the requirements of one of pyproject.toml's dependency groups (PEP 735)."""
        import tomllib

        with (self.root / "pyproject.toml").open("rb") as stream:
            groups: dict[str, list[Any]] = tomllib.load(stream)["dependency-groups"]
        found: list[str] = []
        for each in groups[name]:
            found += [each] if isinstance(each, str) else self.group(each["include-group"])
        return found

    def pyproject_hash(self) -> str:
        """Give the hash of pyproject.toml: another one may need other packages."""
        return hashlib.sha256((self.root / "pyproject.toml").read_bytes()).hexdigest()

    def read_stamp(self) -> Stamp:
        """Give what was written last; empty where .venv is not there or not this script's."""
        try:
            written: Any = json.loads(self.stamp_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return cast("Stamp", written) if isinstance(written, dict) else {}

    def write_stamp(self, stamp: Stamp) -> None:
        """Write it in one step, so that a half-written one cannot be."""
        beside = self.stamp_file.with_suffix(".tmp")
        beside.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
        beside.replace(self.stamp_file)

    def hand_over(self, name: str, arguments: list[str]) -> int:
        """Become a program of .venv, so that Ctrl-C and the exit code are its own."""
        os.chdir(self.root)
        os.environ["VIRTUAL_ENV"] = str(self.venv)
        os.environ["PATH"] = f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}"
        os.environ.pop("PYTHONHOME", None)
        command = [str(self.program(name)), *arguments]
        sys.stdout.flush()
        sys.stderr.flush()
        if os.name != "nt":
            os.execv(command[0], command)
        # Windows has no exec: wait, and leave Ctrl-C to the program, which gets it too.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return subprocess.call(command)


def say(text: str) -> None:
    """Tell a step; on stderr, as stdout belongs to the task."""
    print(f"bootstrap: {text}", file=sys.stderr, flush=True)


def run(command: list[str], cwd: Path | None = None) -> tuple[int, list[str]]:
    """Run a command to its end; give its exit code and the lines it printed.

    On a terminal its last line is shown while it works; elsewhere one every some seconds.
    """
    began = told = time.monotonic()
    live = sys.stderr.isatty()
    lines: list[str] = []
    process: subprocess.Popen[str] | None = None
    try:
        with signals_held():  # while it is being started nobody could end it
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                # A group of its own, so that Ctrl-C can end pip together with what it has started.
                start_new_session=True,
            )
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if live:
                width = min(shutil.get_terminal_size().columns - 1, 100)
                print(f"\r{'  ' + lines[-1]:{width}.{width}}", end="", file=sys.stderr)
            elif time.monotonic() - told > QUIET:
                told = time.monotonic()
                line = lines[-1].partition(" (from ")[0]
                say(f"  {textwrap.shorten(line, 70, placeholder=' …')}")
        code = process.wait()
    except BaseException:
        if process is not None:
            end(process)
        raise
    finally:
        if process is not None and process.stdout is not None:
            process.stdout.close()
        if live:
            print("\r" + " " * 100 + "\r", end="", file=sys.stderr)
    say(f"  done in {time.monotonic() - began:.1f} s")
    return code, lines


def end(process: subprocess.Popen[str]) -> None:
    """End a command and what it has started: asked first, then by force."""
    for name in ("SIGTERM", "SIGKILL"):
        try:
            if os.name == "posix":
                os.killpg(process.pid, getattr(signal, name))
            else:
                process.kill()
            process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
        # The group may outlive its first process: it gets the second signal either way.


def quiet(command: list[str]) -> bool:
    """Tell whether a command succeeds."""
    try:
        done = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def clean_environment() -> dict[str, str]:
    """Give the environment without what would lead pip out of .venv."""
    leads_away = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"}
    kept = {name: value for name, value in os.environ.items() if name not in leads_away}
    return {**kept, "PIP_USER": "0", "PYTHONNOUSERSITE": "1"}


def node_is_new_enough(node: str) -> bool:
    """Tell whether a Node.js runs and is 20 or newer."""
    if not node:
        return False
    try:
        said = subprocess.run(
            [node, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).stdout.decode("ascii", "replace")
    except OSError:
        return False
    major = said.strip().lstrip("v").partition(".")[0]
    return major.isdigit() and int(major) >= MINIMUM_NODE


def try_lock(file: IO[bytes]) -> bool:
    """Lock a file against other processes until it is closed; tell whether that went well."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 30)  # a byte that is not there: what is locked cannot be read
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: go on as if alone
        return True
    return True


def has_module(name: str) -> bool:
    """Tell whether this Python has a module; Debian's comes without ensurepip."""
    from importlib.util import find_spec

    return find_spec(name) is not None


def identity(python: Path) -> str:
    """Give which file an interpreter is, so that its going or changing is noticed."""
    try:
        real = python.resolve(strict=True)
        status = real.stat()
    except OSError:
        return ""
    return f"{real} {status.st_size} {status.st_mtime_ns}"


def remove(folder: Path) -> None:
    """Remove a folder, or the link to one."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def tail(lines: list[str], count: int = 12) -> str:
    """Give the last lines that say something; passwords in URLs are masked."""
    import re

    said = [line for line in lines if line.strip()][-count:]
    return re.sub(r"(?<=://)[^\s/@]+@", "***@", "\n".join(said))


def main(arguments: list[str]) -> int:
    """Prepare .venv and hand over to what is asked for."""
    if arguments[:1] in (["-h"], ["--help"]):
        print((__doc__ or "").strip())
        return 0
    bootstrap = Bootstrap(ROOT)
    testing = arguments[:1] == ["test"]
    try:
        bootstrap.prepare({"run", "test"} if testing else {"run"})
    except BootstrapError as failure:
        print(failure, file=sys.stderr)
        return 1
    except OSError as error:
        reason = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        print(
            BootstrapError(
                reason, "mend that, then run this again", state=".venv may be half made"
            ),
            file=sys.stderr,
        )
        return 1
    if testing:
        return bootstrap.hand_over("nox", arguments[1:])
    return bootstrap.hand_over("inv", arguments or ["--list"])


def ending_signals() -> list[signal.Signals]:
    """Give the signals that end this program; Windows has no SIGHUP."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


@contextmanager
def signals_held() -> Iterator[None]:
    """Let these signals have their effect only when a short step is over."""
    came: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _: came.append(number))
        for each in ending_signals()
        if signal.getsignal(each) is not signal.SIG_IGN  # nohup's
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if came:
            signal.raise_signal(came[0])


def _ended(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for ending in ending_signals():
        if ending != signal.SIGINT and signal.getsignal(ending) is not signal.SIG_IGN:
            signal.signal(ending, _ended)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\nbootstrap: interrupted; run it again", file=sys.stderr)
        sys.exit(130)
