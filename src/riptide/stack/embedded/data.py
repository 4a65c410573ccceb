"""The files of an embedded PostgreSQL: made, checked, swapped and deleted while no server runs."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide._access import is_root, make_folder, owner_of, user_name
from riptide.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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

    def stage(self, template: Path) -> None:
        """Put a copy of ``template`` beside the data directory, whole or not at all.

        Raises:
            OSError: It cannot be copied; what there was is untouched.
        """
        self.make_home()
        self._drop("data.tmp")
        try:
            copy_tree(template, self._staged, self.user)
        except BaseException:  # on a full disk half a copy is what is in the way
            self._drop("data.tmp")
            raise

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Make what `stage` made the data directory; when what is done with it fails, undo that.

        The one before it is kept aside until `tidy`. No server may run before, nor after a failure.

        Raises:
            OSError: It cannot be renamed; the one before is in its place.
        """
        if self._aside.exists():  # of a reset that was killed: never to be taken for this one's
            shutil.rmtree(self._aside)
        try:
            with suppress(FileNotFoundError):
                self.path.rename(self._aside)
            self._staged.rename(self.path)
            yield
        except BaseException:
            if self._aside.is_dir():
                with suppress(FileNotFoundError):
                    self.path.rename(self._staged)
                self._aside.rename(self.path)
            self._drop("data.tmp")
            raise

    def tidy(self) -> None:
        """Delete what `swapped` kept aside, and what a reset that was killed left behind."""
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


def copy_tree(source: Path, target: Path, user: ServiceUser | None) -> None:
    """Copy a data directory for ``user``: folders and files only, private to their owner.

    Not `shutil.copytree`, which goes on after an error and tells of them all as text.
    """
    for folder, _, names in os.walk(source, onerror=_raise):
        here = target / os.path.relpath(folder, source)
        here.mkdir(mode=0o700)  # PostgreSQL refuses a data directory that others may read
        copies = (shutil.copy(f"{folder}/{name}", f"{here}/{name}") for name in names)
        made = [str(here), *copies]
        if user is not None:
            for each in made:
                os.chown(each, user.uid, user.gid)


def _raise(error: OSError) -> None:
    raise error
