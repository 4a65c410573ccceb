"""The documentation is held to the code: tasks, flags, names, settings, links."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import os
import re
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import riptide
from riptide import errors, results
from riptide.tasks import namespace

ROOT = Path(__file__).resolve().parents[2]
# Caches, environments, what a stack writes, a person's own settings.
NOT_OURS = (
    *(
        ".git",
        ".venv",
        ".nox",
        ".cache",
        ".temp",
        ".branches",
        ".*_cache",
        ".env",
        ".coverage",
        ".hypothesis",
    ),
    *("node_modules", "__pycache__", "*.egg-info", "build", "dist", "*.pyc"),
)
SETTING = re.compile(r"(?:RIPTIDE|SUPABASE)_[A-Z_]+")


def read(path: str) -> str:
    """Read a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def files() -> list[Path]:
    """Give the repository's files."""
    found: list[Path] = []
    for here, folders, names in os.walk(ROOT):
        folders[:] = [each for each in folders if not foreign(each)]
        found += [Path(here, name) for name in names if not foreign(name)]
    return sorted(found)


def foreign(name: str) -> bool:
    """Tell whether a name is of something that is not the repository's."""
    return any(fnmatch(name, each) for each in NOT_OURS)


FILES = files()
MARKDOWN = [path for path in FILES if path.suffix == ".md"]
TASKS_MD, API_MD, README = read("docs/tasks.md"), read("docs/python-api.md"), read("README.md")
COLLECTION = namespace()
TASKS: dict[str, Any] = {name: COLLECTION[name] for name in COLLECTION.task_names}
FUNCTIONS = sorted(name for name in riptide.__all__ if inspect.isfunction(getattr(riptide, name)))
RESULTS = sorted(
    name
    for name in results.__all__
    if issubclass(getattr(results, name), results.Result) and name != "Result"
)
ERRORS = sorted(
    name
    for name, each in vars(errors).items()
    if inspect.isclass(each) and issubclass(each, errors.RiptideError)
)


def section(text: str, heading: str) -> str:
    """Give what stands below a heading, up to the next one of its level or above."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert match, f"there is no heading {heading!r}"
    rest = text[match.end() :]
    after = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: after.start()] if after else rest


def blocks(text: str, *languages: str) -> list[str]:
    """Give the fenced blocks of a language."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [body for language, body in found if language in languages]


# Once and for all: Invoke gives a flag's help to the first who asks, and forgets it.
FLAGS: dict[str, dict[str, str]] = {
    name: {f"--{each.name.replace('_', '-')}": each.help or "" for each in task.get_arguments()}
    for name, task in TASKS.items()
}


# --- tasks ---------------------------------------------------------------------------------------


def test_there_are_tasks() -> None:
    """The namespace is not empty, or the tests below would pass for nothing."""
    assert {"up", "down", "migrate.push", "rls.verify", "stack.start"} <= set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_and_flag_has_help(name: str) -> None:
    """``inv --list`` and ``inv --help`` say what a task and each of its flags is for."""
    said = (TASKS[name].__doc__ or "").splitlines()
    assert said
    assert max(map(len, said)) <= 78, "wider than a terminal, as Invoke indents it"
    assert [flag for flag, words in FLAGS[name].items() if not words] == []


@pytest.mark.parametrize("name", TASKS)
def test_every_task_and_flag_is_documented(name: str) -> None:
    """A task has a section in docs/tasks.md, in which each of its flags and aliases stands."""
    text = section(TASKS_MD, name)
    absent = [flag for flag in FLAGS[name] if not re.search(rf"{flag}(?![\w-])", text)]
    assert absent == []
    for alias in TASKS[name].aliases:
        assert f"inv {name.rpartition('.')[0]}.{alias}" in text


def test_no_task_is_documented_that_is_not_there() -> None:
    """Every section of docs/tasks.md that is named like a task is one."""
    named = re.findall(r"^## ([a-z]+(?:\.[a-z]+)?)$", TASKS_MD, re.MULTILINE)
    assert sorted(named) == sorted(TASKS)


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_in_the_documentation_exist(path: Path) -> None:
    """Every ``inv …`` that a document shows is a task, and every flag is one of its flags."""
    text = path.read_text(encoding="utf-8")
    shown = [*blocks(text, "console", "yaml"), *re.findall(r"`([^`\n]+)`", text)]
    commands = re.findall(
        r"(?:^|\$ |run: |\(|\| )inv ((?:--dry )?[a-z][\w.]*[^\n#|<>()\"]*)",
        "\n".join(shown),
        re.MULTILINE,
    )
    known = {*TASKS, *COLLECTION.collections, *(alias(each) for each in TASKS)}
    for command in commands:
        words = command.removeprefix("--dry ").split()
        assert words[0] in known, command
        name = next(name for name, task in TASKS.items() if task is COLLECTION[words[0]])
        for word in words[1:]:
            if word.startswith("--"):
                assert word.partition("=")[0] in FLAGS[name], command


def alias(name: str) -> str:
    """Give the other name of a task, or its own."""
    names = [f"{name.rpartition('.')[0]}.{each}" for each in TASKS[name].aliases]
    return names[0] if names else name


def test_the_two_commands_stand_in_the_readme() -> None:
    """The quickstart's two commands are shown as they are typed, and what they run is there."""
    shown = "\n".join(blocks(README, "console"))
    for command in ("up", "test"):
        assert f"$ python3 scripts/bootstrap.py {command}\n" in shown
    assert (ROOT / "scripts" / "bootstrap.py").is_file()


def test_nox_sessions_that_are_named_exist() -> None:
    """``nox -s <session>`` names a session of noxfile.py in every document."""
    tree = ast.parse(read("noxfile.py"))
    sessions = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    named = [
        name
        for path in MARKDOWN
        for words in re.findall(
            r"(?:nox|bootstrap\.py test) -s ((?:[a-z]+ ?)+)", path.read_text("utf-8")
        )
        for name in words.split()
    ]
    assert named
    assert set(named) <= sessions


def test_exit_codes_are_told() -> None:
    """The exit codes of the error tree stand in the README and in docs/tasks.md."""
    codes = {getattr(errors, name).exit_code for name in ERRORS}
    for text in (section(README, "Exit codes"), TASKS_MD):
        assert {str(code) for code in codes} <= set(re.findall(r"^\| (\d+) \|", text, re.MULTILINE))


# --- the Python API ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", riptide.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    """A public name is there, and stands in docs/python-api.md as code."""
    assert hasattr(riptide, name)
    assert re.search(rf"`{name}[`(.]", API_MD)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_those_of_the_code(name: str) -> None:
    """A function's section begins with its very signature, and names what it raises."""
    signature = inspect.signature(getattr(riptide, name))
    bare = signature.replace(
        parameters=[each.replace(annotation=each.empty) for each in signature.parameters.values()],
        return_annotation=signature.empty,
    )
    text = section(API_MD, name)
    assert f"`{name}{bare}`" in text
    documented = re.findall(
        r"^    (\w+Error): ", inspect.getdoc(getattr(riptide, name)) or "", re.MULTILINE
    )
    assert [each for each in documented if f"`{each}`" not in text] == []


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_documented_with_their_fields(name: str) -> None:
    """A result's row names every field and every property, and none that is not there."""
    row = re.search(rf"^\| `{name}` \|(.*)$", API_MD, re.MULTILINE)
    assert row, f"{name} has no row"
    made = getattr(results, name)
    named = set(re.findall(r"`(\w+)", row[1]))
    fields = {each.name for each in dataclasses.fields(made)}
    more = {each for each, value in vars(made).items() if isinstance(value, property)}
    assert fields | more <= named
    others = {"riptide"}  # a dotted name of a function that gives it
    assert all(each in fields or hasattr(made, each) for each in named - others)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_documented_with_their_exit_code(name: str) -> None:
    """An error's row ends with its exit code."""
    code = getattr(errors, name).exit_code
    assert re.search(rf"^\| `{name}` \|.*\| {code} \|$", API_MD, re.MULTILINE)


EXAMPLES = [
    pytest.param(body, id=f"{path.name}-{number}")
    for path in MARKDOWN
    for number, body in enumerate(blocks(path.read_text(encoding="utf-8"), "python"))
]


@pytest.mark.parametrize("body", EXAMPLES)
def test_examples_fit_the_code(body: str) -> None:
    """An example compiles, imports what there is, and calls it with arguments that it takes."""
    tree = ast.parse(body)
    imported: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            for each in node.names:
                imported[each.name] = getattr(module, each.name)
        elif isinstance(node, ast.Import):
            imported |= {each.name: importlib.import_module(each.name) for each in node.names}
    assert imported
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).split(".")
        if called[0] in imported:
            target = imported[called[0]]
            for attribute in called[1:]:
                target = getattr(target, attribute)
            inspect.signature(target).bind(
                *node.args, **{each.arg: each.value for each in node.keywords if each.arg}
            )


# --- settings ------------------------------------------------------------------------------------


def test_env_example_has_every_setting_and_no_other() -> None:
    """What the settings read from the environment stands in .env.example, and the other way."""
    trees = [ast.parse(read(f"src/riptide/{each}.py")) for each in ("settings", "target")]
    wanted = {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and SETTING.fullmatch(node.value)
    }
    given = set(re.findall(rf"^#?({SETTING.pattern})=", read(".env.example"), re.MULTILINE))
    assert wanted
    assert given == wanted


def test_env_example_changes_nothing_when_it_is_copied() -> None:
    """Every line of .env.example is a comment or empty, so a copy of it is harmless."""
    lines = read(".env.example").splitlines()
    assert [line for line in lines if line.strip() and not line.startswith("#")] == []


# --- what is built -------------------------------------------------------------------------------


def test_the_sdist_has_the_whole_repository() -> None:
    """What is in the repository is in the sdist, whose tests and documents speak of all of it."""
    built = tomllib.loads(read("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["sdist"]
    # Hatchling puts these in by itself; the last one is its own.
    always = {"pyproject.toml", "README.md", "LICENSE", ".gitignore", "PKG-INFO"}
    there = {path.relative_to(ROOT).parts[0] for path in FILES}
    assert there - always == {each.strip("/") for each in built["include"]}


# --- links and traces ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_resolve(path: Path) -> None:
    """A link to a file of the repository leads to one that is there, and to a heading in it."""
    text = re.sub(
        r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if urlsplit(link).scheme:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings
            }


def test_no_file_names_this_machine() -> None:
    """No file holds the path of this checkout, this user's home or this interpreter."""
    places = {str(ROOT), str(Path.home()), sys.prefix}
    traces = [f"{each}{os.sep}" for each in places if len(Path(each).parts) > 1]
    assert found_in_files(traces) == []


def test_no_file_names_this_machine_s_registry() -> None:
    """No file holds the host of a package index that this machine is set up with."""
    configured = [
        value for name, value in os.environ.items() if "INDEX" in name or "REGISTRY" in name.upper()
    ]
    for path in (
        *(Path.home() / each for each in (".npmrc", ".config/pip/pip.conf", ".pip/pip.conf")),
        *(Path(each) for each in ("/etc/pip.conf", "/etc/npmrc", "/usr/etc/npmrc")),
    ):
        configured += [path.read_text("utf-8", "replace")] if path.is_file() else []
    urls = re.findall(r"https?://[^\s\"']+", "\n".join(configured))
    hosts = {urlsplit(each).hostname or "" for each in urls} - {"", "localhost"}
    assert found_in_files(sorted(hosts)) == []


def test_the_lock_file_is_free_of_hosts() -> None:
    """The lock file names no registry: npm takes the one that it is set to."""
    assert '"resolved"' not in read("src/riptide/stack/embedded/package-lock.json")


def found_in_files(traces: list[str]) -> list[str]:
    """Give each file that has one of these texts in it."""
    return [
        f"{path.relative_to(ROOT)}: {trace}"
        for path in FILES
        for trace in traces
        if trace.encode() in path.read_bytes()
    ]
