"""`inv up`, interrupted: what may live after that, and what may not."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from _inv import inv

from riptide import list_migrations, open_stack, rollback_migrations

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from riptide.settings import Settings

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process is POSIX's")

# Every process that an `up` starts inherits it, whatever stands in its command line.
STAMP = "RIPTIDE_TESTS_STARTED_FOR"

# The phrase of the step that is interrupted, and how many seconds into it: each step at once, and
# again when what it does is under way. None of them is so late that the rest would be done first.
MOMENTS = [
    ("starting PostgreSQL and the API", 0.0),
    ("starting PostgreSQL and the API", 0.2),
    ("supabase db push", 0.0),
    ("supabase db push", 0.3),
    ("making three users through the Auth API", 0.0),
    ("making three users through the Auth API", 0.15),
    ("verifying public.user_sessions", 0.0),
    ("verifying public.user_sessions", 0.1),
    ("verifying public.api_tokens", 0.0),
]


def strays(settings: Settings, stack: set[int]) -> list[str]:
    """Give what lives of a project, or of an `up` of it, and is no part of the running stack.

    Args:
        settings: The project's.
        stack: The stack's own processes. Their children are a part of it: PostgreSQL has some that
            come and go.
    """
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = each.cmdline()
            root = str(settings.root)
            ours = any(root in word for word in words) or stamp_of(each) == root
            if not ours or each.status() == psutil.STATUS_ZOMBIE or each.pid == os.getpid():
                continue
            if not stack & {each.pid, *(parent.pid for parent in each.parents())}:
                found.append(f"{each.pid} {' '.join(words)}")
    return found


def stamp_of(process: psutil.Process) -> str:
    """Give whose `up` a process comes from; empty where that cannot be read."""
    try:
        return process.environ().get(STAMP, "")
    except (psutil.Error, OSError):
        return ""


def interrupted(settings: Settings, phrase: str, seconds: float) -> str:
    """Start `up`, send it SIGINT so long after it has told a step, and give what it printed."""
    process = inv(settings, "up", **{STAMP: str(settings.root)})
    seen = read_until(process, phrase)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, seen + rest
    return seen + rest


def read_until(process: subprocess.Popen[str], phrase: str) -> str:
    """Read what a process prints up to the line with a phrase."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if phrase in line:
            return seen
    process.wait(timeout=60)
    pytest.fail(f"it never said {phrase!r}:\n{seen}")


def leave_something_to_push(settings: Settings) -> None:
    """Take a migration back where the `up` before was so slow to end that all are applied."""
    if not open_stack(settings).status().running:
        return
    if not list_migrations(settings=settings).pending:
        rollback_migrations(settings=settings)


@pytest.mark.timeout(400)
def test_interrupted_up_leaves_nothing_and_is_followed_by_one_that_works(
    make_project: Callable[..., Settings],
) -> None:
    """Ctrl-C in any step of `up` leaves no user, session, lock or orphan; the next one is green."""
    settings = make_project(schema=True)
    for phrase, seconds in MOMENTS:
        moment = f"{seconds} s after {phrase!r}"
        if "push" in phrase:
            leave_something_to_push(settings)
        output = interrupted(settings, phrase, seconds)
        assert "error: interrupted\nstate: " in output, moment
        assert "Traceback" not in output, moment

        status = open_stack(settings).status()
        assert strays(settings, set(status.pids.values())) == [], moment
        assert status.running is not phrase.startswith("starting"), moment
        assert bool(status.pids) is status.running, moment
        if status.running:
            assert left_in(status.db_url) == [], moment

    process = inv(settings, "up", **{STAMP: str(settings.root)})
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    status = open_stack(settings).status()
    assert status.running
    assert strays(settings, set(status.pids.values())) == []
    assert left_in(status.db_url) == []


def left_in(db_url: str) -> list[tuple[str, str]]:
    """Give the users, sessions and locks in a database that nobody is there for any more."""
    with psycopg.connect(db_url, autocommit=True) as connection:
        return connection.execute(
            """
            select 'user', email from auth.users
            union all
            select 'session', application_name || ': ' || query from pg_stat_activity
            where backend_type = 'client backend' and pid <> pg_backend_pid()
              and application_name <> 'riptide gateway'
            union all
            select 'lock', mode from pg_locks where locktype = 'advisory'
            """
        ).fetchall()
