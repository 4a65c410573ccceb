"""git's command lines and what is made of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from riptide.migrations.git import Git, Known
from riptide.runner import SubprocessRunner

if TYPE_CHECKING:
    from pytest_subprocess import FakeProcess

    from riptide.settings import Settings

PATH = "supabase/migrations/20250101000000_a.sql"
LOG = [
    *("git", "log", "--all", "--format=%h", "--name-only", "--diff-filter=AMR", "--relative"),
    *("--", "supabase/migrations/20250101000000_*.sql"),
]
ANCESTOR = ["git", "merge-base", "--is-ancestor", "abc1234", "HEAD"]
BRANCH = ["git", "branch", "--all", "--contains", "abc1234", "--format=%(refname:short)"]


@pytest.fixture
def git(settings: Settings) -> Git:
    """Give git, mocked by the tests."""
    return Git(settings, SubprocessRunner())


@pytest.mark.parametrize(("ancestor", "here"), [(0, True), (1, False)])
def test_file_of_a_version(git: Git, fp: FakeProcess, ancestor: int, here: bool) -> None:
    """The newest commit that has it is asked for, then whether it is checked out, then branches."""
    fp.register(LOG, stdout=f"abc1234\n\n{PATH}\nabc0000\n\n{PATH}\n")
    fp.register(ANCESTOR, returncode=ancestor)
    fp.register(BRANCH, stdout="(HEAD detached at abc1234)\norigin/HEAD\norigin/main\nfeature\n")
    assert git.find("20250101000000") == Known(PATH, "abc1234", "feature", here)
    assert list(fp.calls) == [LOG, ANCESTOR, BRANCH]


def test_commit_that_no_branch_has(git: Git, fp: FakeProcess) -> None:
    """A branch that was deleted leaves a commit without a name."""
    fp.register(LOG, stdout=f"abc1234\n\n{PATH}\n")
    fp.register(ANCESTOR, returncode=1)
    fp.register(BRANCH, stdout="")
    assert git.find("20250101000000") == Known(PATH, "abc1234", "", here=False)


@pytest.mark.parametrize("code", [0, 128])
def test_version_that_git_does_not_know(git: Git, fp: FakeProcess, code: int) -> None:
    """No commit, or no repository: nothing is known, and nothing else is asked."""
    fp.register(LOG, stdout="", stderr="fatal: not a git repository", returncode=code)
    assert git.find("20250101000000") is None
    assert list(fp.calls) == [LOG]


def test_commit_in_which_a_file_was_as_applied(git: Git, fp: FakeProcess) -> None:
    """Its commits are gone through from the newest until the content is the one wanted."""
    log = ["git", "log", "--all", "--format=%h", "-n30", "--", PATH]
    fp.register(log, stdout="c3\nc2\nc1\n")
    shown = [["git", "show", f"{commit}:./{PATH}"] for commit in ("c3", "c2", "c1")]
    for words, text in zip(shown, ("select 3;", "select 2;", "select 1;"), strict=True):
        fp.register(words, stdout=text)
    assert git.as_applied(PATH, lambda text: text == "select 2;") == "c2"
    assert list(fp.calls) == [log, *shown[:2]]


def test_no_commit_has_what_was_applied(git: Git, fp: FakeProcess) -> None:
    """A content that never was committed is not found."""
    fp.register(["git", "log", "--all", "--format=%h", "-n30", "--", PATH], stdout="")
    assert git.as_applied(PATH, lambda _: True) is None
