"""The files of an embedded PostgreSQL: made, checked, swapped and deleted while no server runs."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from riptide._access import is_root, make_folder, owner_of, user_name
from riptide.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from riptide.runner import ServiceUser

MAJOR = "17"


@dataclass(frozen=True, kw_only=True)
class DataDirectory:
    """A PostgreSQL data directory, and what is prepared or kept beside it.

    Attributes:
        home: The folder that holds ``data`` and ``postgres.log``; belongs to ``user``, 0700.
        user: Whom PostgreSQL runs as where this process is root, else ``None``.
    """

    home: Path
    user: ServiceUser | None = None

    @property
    def path(self) -> Path:
        """PGDATA."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.home / "postgres.log"

    @property
    def exists(self) -> bool:
        """Whether there is one with anything in it; `check` tells whether it is whole.

        Raises:
            StackError: It is another user's, and this one may not look.
        """
        try:
            return self.path.is_dir() and any(self.path.iterdir())
        except PermissionError:
            self.check_owner()
            raise

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted, under a server that may not know it yet."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return True
        except OSError:
            pass
        return False

    def make_home(self) -> None:
        """Make the folder that it is in, for the user that the server runs as."""
        make_folder(self.home.parent)
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.home.chmod(0o700)
        own(self.home, self.user)

    # --- checking --------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse what PostgreSQL could not start on.

        Raises:
            StackError: It belongs to another user, is of another major version, or is damaged.
        """
        self.check_owner()
        try:
            found = (self.path / "PG_VERSION").read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            raise self._damaged("PG_VERSION is missing") from None
        if not found.isdigit():
            raise self._damaged("PG_VERSION holds no version")
        if found != MAJOR:
            raise StackError(
                f"the data in {self.path} is PostgreSQL {found}'s, this is {MAJOR}",
                state="nothing was started; the data is as it was",
                next_step="dump it (pg_dump) with the version of RipTide that made it; where its "
                "rows may be lost, inv stack.reset",
            )
        control = self.path / "global" / "pg_control"
        if not control.is_file() or not control.stat().st_size:
            raise self._damaged("global/pg_control is missing or empty")
        for name in ("base", "pg_wal", "pg_xact"):
            if not (self.path / name).is_dir():
                raise self._damaged(f"{name} is missing")

    def check_owner(self) -> None:
        """Refuse data of another user than PostgreSQL would run as: it would end at once.

        Raises:
            StackError: It is another user's; with the command that works.
        """
        if os.name != "posix":
            return
        wanted = self.user.uid if self.user is not None else os.geteuid()
        owner = owner_of(self.path)
        if owner is None:
            owner = owner_of(self.home)
        if owner is None or owner == wanted:
            return
        name = user_name(owner)
        if name is None:
            step = f"give it to that user: chown -R {user_name(wanted) or wanted} {self.home}"
        else:
            step = f"{'' if is_root() else 'sudo '}RIPTIDE_RUN_AS={name} inv stack.start"
        raise StackError(
            f"the data in {self.path} belongs to user {name or owner}, "
            f"and PostgreSQL would run as {user_name(wanted) or wanted}",
            state="nothing was started; the data is as it was",
            next_step=step,
        )

    def _damaged(self, how: str) -> StackError:
        return StackError(
            f"the data in {self.path} is damaged: {how}",
            state="nothing was started; the data is as it was",
            next_step=f"put a copy of {self.path} back; where its rows may be lost, "
            "inv stack.reset",
        )

    # --- changing --------------------------------------------------------------------------------

    def require_room(self, template: Path) -> None:
        """Refuse a disk that a copy of ``template`` does not fit on.

        Raises:
            OSError: It is full.
        """
        self.make_home()
        needed = sum((template / each).stat().st_size for each in files_of(template))
        if shutil.disk_usage(self.home).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextmanager
    def replaced(self, template: Path) -> Iterator[Callable[[], None]]:
        """Put the data directory aside, and give what puts a copy of ``template`` in its place.

        When what is done then fails, the old one is given back; else it stays aside until `tidy`.
        No server may run before, nor after a failure.

        Raises:
            OSError: It cannot be copied or renamed; the old one is in its place.
        """
        self._drop("data.tmp")
        if self._aside.exists():  # of a reset that was killed: never to be taken for this one's
            shutil.rmtree(self._aside)
        taken: list[str] = []
        try:
            with suppress(FileNotFoundError):
                self.path.rename(self._aside)
            yield partial(self._fill, template, taken)
        except BaseException:
            self._give_back(template, taken)
            raise

    def _fill(self, template: Path, taken: list[str]) -> None:
        """Make the copy, of the old one's files where those are as in the template.

        Most are, and to rename one takes a fraction of the time that making one takes.
        """
        self.make_home()
        copy_tree(template, self._staged, self.user, instead=self._aside, taken=taken)
        self._staged.rename(self.path)

    def _give_back(self, template: Path, taken: list[str]) -> None:
        """Undo what `replaced` and `_fill` did: what was taken goes back, or is as the template."""
        for each in taken:
            for new in (self._staged / each, self.path / each):
                if is_same(template / each, new):
                    new.rename(self._aside / each)
        self._drop("data.tmp")  # on a full disk half a copy is what is in the way
        if self._aside.is_dir():
            self._drop("data")
            for each in taken:
                if not (self._aside / each).exists():
                    copy(template / each, self._aside / each, self.user)
            self._aside.rename(self.path)

    def tidy(self) -> None:
        """Delete what `replaced` kept aside, and what a reset that was killed left behind."""
        self._drop("data.tmp")
        self._drop("data.old")

    def delete(self) -> None:
        """Delete the data directory and the log; the server must be stopped.

        Raises:
            OSError: It cannot be deleted.
        """
        # Renamed first: a deletion cut short must not leave half a data directory behind.
        self._drop("data.old")
        with suppress(FileNotFoundError):
            self.path.rename(self._aside)
        if self._aside.exists():
            shutil.rmtree(self._aside)
        self._drop("data.tmp")
        for name in (self.log.name, "pg_ctl.log"):
            for each in (name, f"{name}.1"):
                self.log.with_name(each).unlink(missing_ok=True)

    @property
    def _staged(self) -> Path:
        return self.home / "data.tmp"

    @property
    def _aside(self) -> Path:
        return self.home / "data.old"

    def _drop(self, name: str) -> None:
        shutil.rmtree(self.home / name, ignore_errors=True)


def own(path: Path, user: ServiceUser | None) -> None:
    """Give a file to the user that PostgreSQL runs as, where this process is root."""
    if user is not None:
        os.chown(path, user.uid, user.gid)


def files_of(folder: Path) -> list[str]:
    """Give the files below a folder, as paths from it."""
    return [
        os.path.relpath(f"{here}/{name}", folder)
        for here, _, names in os.walk(folder, onerror=_raise)
        for name in names
    ]


def is_same(one: Path, other: Path) -> bool:
    """Whether a file is as `copy` made it from another: of its size and its time of change.

    That is what rsync goes by (rsync(1), "quick check"). A time in whole seconds is a file system's
    that keeps no others: a change within that second would not show.
    """
    try:
        first, second = one.lstat(), other.lstat()
    except FileNotFoundError:
        return False
    return (first.st_size, first.st_mtime_ns) == (
        second.st_size,
        second.st_mtime_ns,
    ) and first.st_mtime_ns % 1_000_000_000 != 0


def copy(source: Path, target: Path, user: ServiceUser | None) -> None:
    """Copy one file for ``user``, with its mode and its time of change."""
    shutil.copy(source, target)
    changed = source.stat().st_mtime_ns
    os.utime(target, ns=(changed, changed))
    own(target, user)


def copy_tree(
    source: Path, target: Path, user: ServiceUser | None, *, instead: Path, taken: list[str]
) -> None:
    """Copy a data directory for ``user``: folders and files only, private to their owner.

    Not `shutil.copytree`, which goes on after an error and tells of them all as text.

    Args:
        source: What to copy.
        target: Where to; it must not be there.
        user: Whose it is to be.
        instead: A folder whose files are taken, by renaming, where they are as in ``source``.
        taken: Gets the paths of those, each before it is renamed.
    """
    for folder, _, names in os.walk(source, onerror=_raise):
        within = os.path.relpath(folder, source)
        here, there = target / within, instead / within
        here.mkdir(mode=0o700)  # PostgreSQL refuses a data directory that others may read
        own(here, user)
        for name in names:
            if is_same(Path(folder, name), there / name):
                taken.append(os.path.join(within, name))  # noqa: PTH118 - a thousand of them
                (there / name).rename(here / name)
                own(here / name, user)
            else:
                copy(Path(folder, name), here / name, user)


def _raise(error: OSError) -> None:
    raise error
