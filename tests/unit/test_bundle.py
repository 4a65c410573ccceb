"""The gateway's one file: made by esbuild once a version, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pytest_subprocess.utils import Command

from riptide import CommandError
from riptide._layout import Platform, bundler
from riptide.node import Node
from riptide.runner import SubprocessRunner
from riptide.stack.embedded import bundle
from riptide.toolchain import Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_subprocess import FakeProcess

LINUX = Platform(os="linux", cpu="x64", libc="glibc", cli="linux-x64", postgres="linux-x64")


@pytest.fixture
def toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolchain:
    """Give a toolchain on Linux with nothing in it."""
    monkeypatch.setattr(bundle, "this_platform", lambda: LINUX)
    node = Node(executable=tmp_path / "node", version=(20, 0, 0), npm=(), source="system")
    return Toolchain(root=tmp_path, node=node)


def argv(fp: FakeProcess, toolchain: Toolchain) -> Command:
    """Give the command, whatever its output is to be called."""
    esbuild = toolchain.node_modules / "@esbuild" / "linux-x64" / "bin" / "esbuild"
    options = bundle._OPTIONS
    return Command([str(esbuild), "gateway_main.mjs", *options, fp.any(min=1, max=1)])


def outfile(fp: FakeProcess) -> Path:
    """Give what esbuild was told to write."""
    from pathlib import Path

    return Path(str(list(fp.calls[-1])[-1]).removeprefix("--outfile="))


def test_bundle_is_made_once(fp: FakeProcess, toolchain: Toolchain) -> None:
    """Esbuild joins the sources in a folder of the toolchain; the second time nothing is run."""

    def write(_: object) -> None:
        made = outfile(fp)
        assert (made.parent / "sources" / "gateway_rest.mjs").is_file()
        made.write_text("joined")

    fp.register(argv(fp, toolchain), callback=write)
    bundle.ensure_bundle(toolchain, SubprocessRunner())
    made = bundle.bundled(toolchain)
    assert made.with_name("gateway_main.cjs").read_text() == "joined"
    assert "gateway_main.cjs" in made.read_text()
    assert sorted(each.name for each in toolchain.root.rglob("*")) == [
        f"gateway-{bundle.files_digest()}",
        "gateway.cjs",
        "gateway_main.cjs",
    ]
    bundle.ensure_bundle(toolchain, SubprocessRunner())
    assert len(fp.calls) == 1


def test_failed_bundle_leaves_nothing(fp: FakeProcess, toolchain: Toolchain) -> None:
    """Esbuild's own words are told, and no half of a file is left."""
    fp.register(argv(fp, toolchain), returncode=1, stderr='Could not resolve "hono"')
    with pytest.raises(CommandError, match="could not be joined") as caught:
        bundle.ensure_bundle(toolchain, SubprocessRunner())
    assert "Could not resolve" in str(caught.value)
    assert list(toolchain.root.iterdir()) == []


def test_another_process_may_be_quicker(fp: FakeProcess, toolchain: Toolchain) -> None:
    """Of two that make it at once the second takes the first one's."""

    def lose(_: object) -> None:
        outfile(fp).write_text("mine")
        theirs = bundle.bundled(toolchain)
        theirs.parent.mkdir()
        theirs.write_text("theirs")
        theirs.with_name("gateway_main.cjs").write_text("theirs")

    fp.register(argv(fp, toolchain), callback=lose)
    bundle.ensure_bundle(toolchain, SubprocessRunner())
    assert bundle.bundled(toolchain).read_text() == "theirs"
    assert len(list(toolchain.root.iterdir())) == 1


@pytest.mark.parametrize("name", ["gateway.cjs", "gateway_main.cjs"])
@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("")])
def test_damaged_bundle_is_made_anew(
    fp: FakeProcess, toolchain: Toolchain, name: str, damage: Callable[[Path], object]
) -> None:
    """One that lacks a file, or has nothing in it, is not taken for whole, nor in the way."""
    fp.register(argv(fp, toolchain), callback=lambda _: outfile(fp).write_text("first"))
    bundle.ensure_bundle(toolchain, SubprocessRunner())
    damage(bundle.bundled(toolchain).with_name(name))
    fp.register(argv(fp, toolchain), callback=lambda _: outfile(fp).write_text("again"))
    bundle.ensure_bundle(toolchain, SubprocessRunner())
    made = bundle.bundled(toolchain)
    assert made.with_name("gateway_main.cjs").read_text() == "again"
    assert "gateway_main.cjs" in made.read_text()
    assert list(toolchain.root.iterdir()) == [made.parent]


@pytest.mark.parametrize(
    ("system", "path"),
    [("linux", "linux-arm64/bin/esbuild"), ("win32", "win32-arm64/esbuild.exe")],
)
def test_place_of_esbuild(tmp_path: Path, system: str, path: str) -> None:
    """On Windows its package has the program beside its package.json."""
    target = Platform(os=system, cpu="arm64", cli="", postgres=None)
    assert bundler(tmp_path, target) == tmp_path / "@esbuild" / path
