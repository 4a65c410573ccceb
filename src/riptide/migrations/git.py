"""What git knows of a migration file that is not here; nothing where there is no git."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide.errors import CommandError, ToolNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.runner import Runner
    from riptide.settings import Settings

_WAIT = 15.0  # seconds
_OLDEST = 30  # commits of one file that are looked at


@dataclass(frozen=True)
class Known:
    """A file as git remembers it.

    Attributes:
        path: From the project's folder.
        commit: The newest that has it, abbreviated.
        branch: One that has it, ``""`` where none does any more.
        here: Whether that commit is part of what is checked out: then it was deleted since.
    """

    path: str
    commit: str
    branch: str
    here: bool


class Git:
    """Asks git about the migrations of a project.

    Args:
        settings: The project's.
        runner: Runs git.
    """

    def __init__(self, settings: Settings, runner: Runner) -> None:
        self._settings = settings
        self._runner = runner

    def find(self, version: str) -> Known | None:
        """Give the file of a version, on whatever branch it is."""
        folder = self._settings.relative(self._settings.migrations_dir)
        out = self._git(
            *("log", "--all", "--format=%h", "--name-only", "--diff-filter=AMR", "--relative"),
            *("--", f"{folder}/{version}_*.sql"),
        )
        lines = [line.strip() for line in out.splitlines() if line.strip()]
        if len(lines) < 2:
            return None
        commit, path = lines[0], lines[1]
        here = bool(self._git("merge-base", "--is-ancestor", commit, "HEAD", quiet=False))
        return Known(path, commit, self._branch(commit), here)

    def as_applied(self, path: str, wanted: Callable[[str], bool]) -> str | None:
        """Give the commit in which a file had the content that ``wanted`` knows."""
        commits = self._git("log", "--all", "--format=%h", f"-n{_OLDEST}", "--", path)
        for commit in commits.split():
            if wanted(self._git("show", f"{commit}:./{path}")):
                return commit
        return None

    def _branch(self, commit: str) -> str:
        out = self._git("branch", "--all", "--contains", commit, "--format=%(refname:short)")
        names = [line for line in out.splitlines() if line and not re.search(r"HEAD$|^\(", line)]
        # A branch of one's own before what a server has.
        return min(names, key=lambda name: ("/" in name, name), default="")

    def _git(self, *words: str, quiet: bool = True) -> str:
        """Give what git prints; ``""`` where it fails, or (not quiet) ``yes`` where it succeeds."""
        try:
            done = self._runner.run(
                ["git", *words], cwd=self._settings.root, env={"GIT_PAGER": ""}, timeout=_WAIT
            )
        except (ToolNotFoundError, CommandError):
            return ""
        if done.exit_code != 0:
            return ""
        return done.stdout if quiet else "yes"
