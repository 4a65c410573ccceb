"""What all tests share: markers by folder, and the live stack that the integration tests use."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _database import Database

from riptide.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from riptide.results import StackStatus

# A shell without job control starts what runs in its background with SIGINT ignored, and so would
# be every `inv` that a test interrupts. With a handler here the children have the default one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent

# The variables that choose where things are kept are this machine's; all others are left out, so
# that no developer's project ever gets into a test.
KEPT = {"RIPTIDE_CACHE_DIR", "RIPTIDE_RUN_AS"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the folder it is in; let those go first that may take long.

    The others stay in pytest-randomly's order. One that takes minutes and comes last would have all
    other workers wait for it, and so would a module that is one worker's.
    """
    for item in items:
        folder = item.path.parent.name
        if folder in ("integration", "faults"):
            item.add_marker(folder)
    items.sort(
        key=lambda item: (item.get_closest_marker("timeout") is None, not shares(str(item.path)))
    )


@cache
def shares(file: str) -> bool:
    """Whether the tests of a module share something, a stack mostly, that takes long to make."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return 'scope="module"' in text or "own_stack" in text or "db: Database" in text


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give such a module to one worker, and every other test to whoever is free.

    As ``--dist=loadgroup`` would, which xdist 3.8 does not do with pytest 9.2.
    """
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    def scope(test: str) -> str:
        file = test.partition("::")[0]
        return file if shares(file) else test

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = scope
    return scheduler


# The fixture that is being set up, or the test that runs. The session's fixtures are not seen here:
# for them pytest asks the hooks of the folder that it was started in.
_at_work: list[pytest.FixtureDef[object] | pytest.Item] = []


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
    """Know which fixture makes a project."""
    _at_work.append(fixturedef)
    try:
        return (yield)
    finally:
        _at_work.pop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Know which test makes a project."""
    _at_work.append(item)
    try:
        return (yield)
    finally:
        _at_work.pop()


_given: set[int] = set()


def own_port() -> int:
    """Give a free port that no other project of these tests has, not even a stopped one."""
    from riptide.stack.ports import free_port

    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while (port := free_port()) in _given or port % workers != worker:
        continue
    _given.add(port)
    return port


@pytest.fixture(autouse=True, scope="session")
def _own_environment() -> Iterator[None]:
    """Keep the caller's SUPABASE_* and RIPTIDE_* variables out of every test."""
    taken = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(("SUPABASE_", "RIPTIDE_")) and name not in KEPT
    }
    yield
    os.environ.update(taken)


@pytest.fixture(scope="session")
def make_project(_own_environment: None) -> Iterator[Callable[..., Settings]]:
    """Give a function that makes a project in a folder of its own, on free ports.

    Its stack ends, and its data goes, with the test or the fixture that asked for it. Fifty of them
    at once would slow each look for a process.
    """
    from riptide.stack.embedded.stack import EmbeddedStack

    made = count()
    # Not tmp_path: pytest makes that 0700, and as root PostgreSQL runs as somebody else.
    base = Path(tempfile.mkdtemp(prefix="riptide-tests-"))
    base.chmod(0o755)

    def make(*, schema: bool = False, backend: str = "embedded") -> Settings:
        number = next(made)
        root = base / f"project{number}"
        if schema:
            shutil.copytree(
                ROOT / "supabase", root / "supabase", ignore=shutil.ignore_patterns(".*")
            )
        else:
            for name in ("migrations", "rollbacks"):
                (root / "supabase" / name).mkdir(parents=True)
            (root / "supabase" / "config.toml").write_text(
                f'project_id = "test{number}"\n', encoding="utf-8"
            )
        api_port, db_port = own_port(), own_port()
        settings = Settings.load(
            root,
            backend=backend,
            api_port=api_port,
            db_port=db_port,
            environ={name: os.environ[name] for name in KEPT if name in os.environ},
        )

        def end() -> None:
            if settings.run_dir.exists():
                EmbeddedStack(settings).stop(delete_data=True)

        later = _at_work[-1].addfinalizer if _at_work else session.callback
        later(end)
        return settings

    with ExitStack() as session:
        yield make
    shutil.rmtree(base)


@pytest.fixture(scope="session")
def project(make_project: Callable[..., Settings]) -> Settings:
    """Give RipTide's own project, its stack started and its migrations pushed by the real CLI."""
    from riptide import apply_migrations, open_stack

    settings = make_project(schema=True)
    open_stack(settings).start()
    apply_migrations(settings=settings)
    return settings


@pytest.fixture(scope="session")
def stack(project: Settings) -> StackStatus:
    """Give the running stack of `project`."""
    from riptide import open_stack

    return open_stack(project).status()


@pytest.fixture(scope="module")
def own_stack(make_project: Callable[..., Settings]) -> Settings:
    """Give a project of a module's own, without files, its stack started."""
    from riptide import open_stack

    settings = make_project()
    open_stack(settings).start()
    return settings


@pytest.fixture
def db(own_stack: Settings) -> Iterator[Database]:
    """Give that project's database, empty again after each test."""
    database = Database(own_stack)
    yield database
    database.clean()
