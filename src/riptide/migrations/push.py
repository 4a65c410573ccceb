"""Applying what is pending, through the Supabase CLI."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from riptide.database import push_lock
from riptide.errors import DriftError, MigrationError, RiptideError, StackError
from riptide.migrations.files import read_sql
from riptide.migrations.history import list_migrations
from riptide.migrations.sql import line_of, split
from riptide.results import Migration, MigrationList, MigrationState, PushResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from riptide.cli import Answer
    from riptide.runner import Runner
    from riptide.settings import Settings

_SQLSTATE = re.compile(r"\(SQLSTATE ([0-9A-Z]{5})\)")
_APPLYING = re.compile(r"^Applying migration (\S+\.sql)", re.MULTILINE)
_SEEDING = re.compile(r"^Seeding data from (\S+)", re.MULTILINE)


def apply_migrations(
    *,
    settings: Settings | None = None,
    dry_run: bool = False,
    include_all: bool = False,
    include_seed: bool = False,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> PushResult:
    """Apply every pending migration with ``supabase db push``, oldest first.

    Each file runs in one transaction; the first that fails ends the push and leaves nothing of
    itself behind (https://supabase.com/docs/reference/cli/supabase-db-push).

    Args:
        settings: The project's; by default those of the current folder.
        dry_run: Say what would be applied, and apply nothing.
        include_all: Apply files too that are older than the newest applied one.
        include_seed: Run the seed files of ``[db.seed]`` afterwards.
        runner: Runs the CLI; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: There is no project here.
        MigrationError: A file cannot be used, or the database refused it; with file and line.
        DriftError: History and files contradict each other; nothing was applied.
        StackError: The target is local, and this project's stack does not run.
        DatabaseError: The database cannot be reached.
        LockTimeoutError: Another push or rollback did not end within 60 s.
        ToolNotFoundError: There is no supported Supabase CLI.
        CommandError: The CLI failed in some other way.
    """
    from riptide.settings import Settings

    began = time.monotonic()
    settings = settings or Settings.load()
    require_local_stack(settings, runner)
    applied: tuple[str, ...] = ()
    seeded: tuple[str, ...] = ()
    if include_seed or list_migrations(settings=settings, runner=runner).needs_a_look:
        with push_lock(settings.target, progress=progress):
            # Looked at once more: whoever held the lock may have applied what was pending.
            before = list_migrations(settings=settings, runner=runner)
            _refuse_contradictions(before, include_all=include_all)
            texts = {
                each.version: read_sql(each.path, settings) for each in before.pending if each.path
            }
            if before.pending or include_seed:
                answer = _push(
                    settings,
                    runner,
                    progress,
                    dry_run=dry_run,
                    include_all=include_all,
                    seed=include_seed,
                )
                if not answer.ok:
                    raise _push_error(answer, settings, before, texts, runner)
                applied = tuple(str(each) for each in answer.data.get("migrations", []))
                seeded = tuple(str(each) for each in answer.data.get("seeds", []))
                if not dry_run:
                    _confirm(before.pending, list_migrations(settings=settings, runner=runner))
    return PushResult(
        target=settings.target.name,
        applied=applied,
        seeded=seeded,
        dry_run=dry_run,
        seconds=time.monotonic() - began,
    )


def _push(
    settings: Settings,
    runner: Runner | None,
    progress: Callable[[str], None] | None,
    *,
    dry_run: bool,
    include_all: bool,
    seed: bool,
) -> Answer:
    from riptide.cli import SupabaseCLI
    from riptide.runner import SubprocessRunner
    from riptide.toolchain import find_cli

    runner = runner or SubprocessRunner()
    cli = SupabaseCLI(find_cli(settings, runner=runner, progress=progress), settings, runner)
    if progress is not None:
        progress("supabase db push")
    return cli.run(cli.push_argv(dry_run=dry_run, include_all=include_all, include_seed=seed))


def _refuse_contradictions(found: MigrationList, *, include_all: bool) -> None:
    missing = found.in_state(MigrationState.MISSING)
    if missing:
        raise DriftError(
            f"the database has {_count(missing)} that this project has no file for",
            detail=_listed(missing),
            state="nothing was applied",
            next_step="get the files (git pull?); or, if they are gone for good: "
            f"supabase migration repair --status reverted {missing[0].version}",
        )
    late = found.in_state(MigrationState.OUT_OF_ORDER)
    if late and not include_all:
        raise DriftError(
            f"{_count(late)} would be applied after newer ones",
            detail=_listed(late),
            state="nothing was applied",
            next_step="give them a later version, or `inv migrate.push --include-all`",
        )


def _push_error(
    answer: Answer,
    settings: Settings,
    before: MigrationList,
    texts: dict[str, str],
    runner: Runner | None,
) -> RiptideError:
    from riptide.cli import failure

    state, now_pending = "how much was applied is not known", before.pending
    try:
        after = list_migrations(settings=settings, runner=runner)
    except RiptideError:
        pass  # the database is gone: the push's own error is the one to tell
    else:
        planned = {each.version for each in before.pending}
        now_pending = tuple(each for each in after.pending if each.version in planned)
        done = len(before.pending) - len(now_pending)
        state = f"{done} of {_count(before.pending)} applied, nothing of the others"
    if answer.error_code == "DbPushApplyError" and not now_pending:
        seeds = _SEEDING.findall(answer.completed.stderr)
        what = f"seed {seeds[-1]}" if seeds else "after the migrations, the push"
        return _database_error(answer, what, state=state, next_step="mend it, then push again")
    if answer.error_code == "DbPushApplyError":
        names = _APPLYING.findall(answer.completed.stderr)
        failed = next(
            (each for each in now_pending if each.path and each.path.name in names[-1:]),
            now_pending[0],
        )
        if failed.path is not None:
            state = f"nothing of this file was applied; {state}"
            return explain(
                answer.error_message,
                texts[failed.version],
                failed.path,
                settings,
                state=state,
                next_step="mend the file, then `inv migrate.push`",
            )
    return failure(answer, "the push failed", state=state)


def _database_error(answer: Answer, what: str, *, state: str, next_step: str) -> MigrationError:
    first, _, rest = answer.error_message.partition("\n")
    code = _SQLSTATE.search(first)
    return MigrationError(
        f"{what} failed: {first.removeprefix('ERROR: ')}",
        sqlstate=code[1] if code else None,
        detail="\n".join(f"  {line}" for line in rest.splitlines()[:8]) or None,
        state=state,
        next_step=next_step,
    )


def explain(
    message: str, text: str, path: Path, settings: Settings, *, state: str, next_step: str
) -> MigrationError:
    """Turn the CLI's words about a file that failed into an error with its line.

    The CLI says ``ERROR: <words> (SQLSTATE <code>)``, details, ``At statement: <0-based>``, the
    statement's text and, where PostgreSQL gave a position, a caret below the line.

    Args:
        message: The CLI's words.
        text: The file's content.
        path: The file.
        settings: The project's.
        state: What state things are in.
        next_step: What to do.
    """
    head, marker, quoted = message.partition("\nAt statement: ")
    first, _, details = head.partition("\n")
    code = _SQLSTATE.search(first)
    words = _SQLSTATE.sub("", first).strip().removeprefix("ERROR: ")
    line: int | None = None
    statement: str | None = None
    excerpt = ""
    if marker:
        number, _, body = quoted.partition("\n")
        lines = body.splitlines()
        caret = len(lines[-1]) - 1 if lines and re.fullmatch(r"\s*\^", lines[-1]) else None
        statement = "\n".join(lines[:-1] if caret is not None else lines)
        start, code_line = _place(text, statement, number)
        within = len(lines) - 2 if caret is not None else 0
        line = start + within if caret is not None else code_line
        source = text.splitlines()
        if 0 < line <= len(source):
            shown = source[line - 1].replace("\t", " ")  # one column each, or the caret is off
            excerpt = f"{line:>4} │ {shown}"
            if caret is not None:
                excerpt += f"\n     │ {' ' * caret}^"
    where = settings.relative(path).removeprefix("supabase/migrations/")
    suffix = f" ({code[1]})" if code else ""
    detail = "\n".join(filter(None, (excerpt, *(f"     {each}" for each in details.splitlines()))))
    return MigrationError(
        f"{where}{f':{line}' if line else ''}: {words}{suffix}",
        file=path,
        line=line,
        sqlstate=code[1] if code else None,
        statement=statement,
        detail=detail or None,
        state=state,
        next_step=next_step,
    )


def _place(text: str, statement: str, number: str) -> tuple[int, int]:
    """Give the lines on which a statement and its first word stand."""
    statements = split(text)
    index = int(number) if number.strip().isdigit() else -1
    found = statements[index] if 0 <= index < len(statements) else None
    if found is None or not found.text.startswith(statement[:40].strip()):
        same = [each for each in statements if each.text.startswith(statement.strip()[:200])]
        found = same[0] if same else found
    if found is None:
        return 1, 1
    return line_of(text, found.offset), line_of(text, found.code_offset)


def _confirm(planned: Sequence[Migration], after: MigrationList) -> None:
    versions = {each.version for each in after.applied}
    absent = [each for each in planned if each.version not in versions]
    if absent:
        raise DriftError(
            f"the push ended well, but the history lacks {_count(absent)}",
            detail=_listed(absent),
            state="the others are applied",
            next_step="inv migrate.status",
        )


def require_local_stack(settings: Settings, runner: Runner | None = None) -> None:
    """Refuse a local target that is not this project's own running stack.

    "Local" is whatever listens on the port: it may be another project's database.

    Raises:
        StackError: This project's stack does not run.
    """
    if not settings.target.is_local:
        return
    from riptide.stack import open_stack

    status = open_stack(settings, runner=runner).status()
    if status.services.get("database") and status.db_url == settings.target.url:
        return
    raise StackError(
        "this project's local stack is not running",
        state="nothing was changed",
        next_step="inv stack.start",
    )


def _count(migrations: Sequence[Migration]) -> str:
    return f"{len(migrations)} migration{'' if len(migrations) == 1 else 's'}"


def _listed(migrations: Sequence[Migration], most: int = 8) -> str:
    lines = [f"  {each.label}" for each in migrations[:most]]
    if len(migrations) > most:
        lines.append(f"  … and {len(migrations) - most} more")
    return "\n".join(lines)
