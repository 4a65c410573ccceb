"""What a verification that was killed has left behind, and removing that and nothing else.

Its users are known by their address and by a mark in ``app_metadata``, which users cannot write
(https://supabase.com/docs/guides/auth/users); its rows by their owner or, in a table without
owners, by a note that is written into the project's folder before a row is made.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

from riptide.results import RlsRemains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from psycopg import Connection

    from riptide.settings import Settings

_SESSION = "riptide-rls-{}"
_ADDRESS = r"riptide-rls-([0-9a-f]{12})-[a-z_]+@example\.com"
_USERS: LiteralString = """
select id::text, email from auth.users
where email like 'riptide-rls-%' and raw_app_meta_data @> '{"riptide_rls": true}'
order by email
"""
_SESSIONS: LiteralString = """
select application_name from pg_stat_activity where application_name like 'riptide-rls-%'
"""


def new_run() -> str:
    """Give a name for a verification: in its users' addresses, and its session's name."""
    return secrets.token_hex(6)


def session_name(run: str) -> str:
    """Give the name of a run's session: as long as it is there, the run is not over."""
    return _SESSION.format(run)


@dataclass
class Notes:
    """The rows of one run, by the marks that they are found by: gone when the rows are.

    Attributes:
        path: The file.
        target: Which database the rows are in.
        marks: For each table the values of its marking column.
    """

    path: Path
    target: str
    marks: dict[str, set[str]] = field(default_factory=dict)

    @property
    def run(self) -> str:
        """Whose."""
        return self.path.stem

    def add(self, table: str, marks: Iterable[str]) -> None:
        """Note rows that are about to be made.

        Where the folder cannot be written it is not noted: it is for a run that is killed only.
        """
        new = set(marks) - self.marks.setdefault(table, set())
        if not new:
            return
        self.marks[table] |= new
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([self.target, table, sorted(new)]) + "\n")

    def forget(self) -> None:
        """Remove the notes: their rows are gone."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.marks = {}


def notes_of(settings: Settings, run: str, target: str) -> Notes:
    """Give the notes of a run, empty."""
    return Notes(path=_folder(settings) / f"{run}.jsonl", target=target)


def _folder(settings: Settings) -> Path:
    return settings.run_dir / "rls"


def _notes_left(settings: Settings, target: str) -> list[Notes]:
    """Read the notes of runs on a target that were not ended; a line cut short is left out."""
    found = []
    for path in sorted(_folder(settings).glob("*.jsonl")):
        notes = Notes(path=path, target=target)
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                where, table, marks = json.loads(line)
                if where == target:
                    notes.marks.setdefault(table, set()).update(marks)
        if notes.marks:
            found.append(notes)
    return found


def users_left(connection: Connection[Any]) -> dict[str, str]:
    """Give the users of runs that are over: their addresses by their ids."""
    alive = _alive(connection)
    found = {}
    for user_id, email in connection.execute(_USERS).fetchall():
        run = re.fullmatch(_ADDRESS, email)
        if run and run[1] not in alive:
            found[user_id] = email
    return found


def _alive(connection: Connection[Any]) -> set[str]:
    """Give the runs that are under way, from whatever machine."""
    prefix = _SESSION.format("")
    return {name.removeprefix(prefix) for (name,) in connection.execute(_SESSIONS).fetchall()}


def clean_rls(
    *,
    settings: Settings | None = None,
    allow_remote: bool = False,
    progress: Callable[[str], None] | None = None,
) -> RlsRemains:
    """Remove the users and rows of verifications that were killed; of those under way, nothing.

    Args:
        settings: The project's; by default those of the current folder.
        allow_remote: Whether the target may be another than this project's local stack.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: ``supabase/rls.toml`` cannot be used, or the target is remote and that is not
            allowed or its API is not known. Nothing was removed.
        DatabaseError: The database cannot be reached.
        RlsError: The stack is not running, or the database would not let something be removed.
    """
    from riptide.database import connect
    from riptide.rls.catalog import read_catalog
    from riptide.rls.endpoint import endpoint_of
    from riptide.rls.intent import read_intent
    from riptide.rls.plan import make_plan
    from riptide.rls.probes_sql import Database
    from riptide.rls.verify import database_errors
    from riptide.settings import Settings
    from riptide.target import Target

    settings = settings or Settings.load()
    tell = progress or (lambda _: None)
    intent = read_intent(settings.supabase_dir / "rls.toml")
    endpoint = endpoint_of(
        settings,
        allow_remote=allow_remote,
        purpose="What verifications that were killed have left there would be removed.",
        task="inv rls.verify --clean",
    )
    target = Target(kind=settings.target.kind, url=endpoint.db_url)
    with connect(target) as connection, database_errors(endpoint):
        tell("looking for what was left behind")
        users = users_left(connection)
        alive = _alive(connection)
        notes = [each for each in _notes_left(settings, endpoint.name) if each.run not in alive]
        rows: dict[str, int] = {}
        if users or notes:
            catalog = read_catalog(connection, settings.config.schemas)
            database = Database(connection)
            for each in reversed(make_plan(connection, intent, catalog).tables):
                if not each.relation.is_table:
                    continue
                marks = [mark for one in notes for mark in one.marks.get(each.name, ())]
                database.remember(each, *marks, *(users if each.intent.owner else ()))
                if number := len(database.rows(each)):
                    database.clear(each)
                    rows[each.name] = number
            connection.execute("delete from auth.users where id = any(%s::uuid[])", (list(users),))
            for one in notes:
                one.forget()
    return RlsRemains(target=endpoint.name, users=tuple(users.values()), rows=rows)
