"""The Invoke tasks: one module a collection; each parses, calls one API function and prints.

A project's own ``tasks.py`` needs three lines::

    from riptide.tasks import namespace

    ns = namespace()
"""

from __future__ import annotations

import signal
import sys

from invoke.collection import Collection

# Invoke turns off the writing of compiled modules, for the sake of tasks.py, which it is reading by
# now. All that is imported from here on would be compiled at every call: 1 to 2 s where no
# installer did it before. The user's own word (python -B, PYTHONDONTWRITEBYTECODE) stands.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

# With these Invoke itself prints, and does nothing else: it may end where its reader does.
_ONLY_PRINTS = {"--list", "-l", "--help", "-h", "--version", "-V"}


def namespace() -> Collection:
    """Give the collection with every task of RipTide, for a project's ``tasks.py``."""
    from riptide.tasks import db, migrate, rls, stack, top

    if set(sys.argv[1:2]) & _ONLY_PRINTS and hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `inv --list | head`: no traceback

    # `inv migrate.dry-run` or `migrate.dry_run`? Names stay as they are written.
    root = Collection(top.up, top.down, top.test)
    for module in (migrate, stack, rls, db):
        root.add_collection(Collection.from_module(module))
    return root
