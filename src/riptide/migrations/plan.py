"""What a push would do: refused before anything is touched, or laid out file by file."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from riptide.errors import DriftError, MigrationError
from riptide.migrations.files import read_sql
from riptide.migrations.history import list_migrations
from riptide.migrations.new_files import is_template
from riptide.migrations.outcome import count
from riptide.migrations.sql import line_of, not_one_transaction, split
from riptide.results import Migration, MigrationList, MigrationState, PlannedMigration, PushPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from riptide.results import Finding
    from riptide.runner import Runner
    from riptide.settings import Settings

# The reference of a hosted project, in its host or in the user of its pooler:
# https://supabase.com/docs/guides/database/connecting-to-postgres
_REFERENCE = re.compile(r"(?:postgres\.|@db\.)([a-z]{20})\b")


def plan_push(
    *,
    settings: Settings | None = None,
    include_all: bool = False,
    runner: Runner | None = None,
) -> PushPlan:
    """Say what a push would apply, and what about it a person should know; change nothing.

    Args:
        settings: The project's; by default those of the current folder.
        include_all: Take files too that are older than the newest applied one.
        runner: Runs the linter and, for a linked project, the CLI.

    Raises:
        MigrationError: A file cannot be used.
        DriftError: History and files contradict each other.
        StackError: The target is local, and this project's stack does not run.
        DatabaseError: The database cannot be reached.
    """
    from riptide.migrations.lint import lint
    from riptide.migrations.push import require_local_stack
    from riptide.runner import SubprocessRunner
    from riptide.settings import Settings

    settings = settings or Settings.load()
    runner = runner or SubprocessRunner()
    require_local_stack(settings, runner)
    found = list_migrations(settings=settings, runner=runner)
    texts = usable(found, settings, include_all=include_all)
    paths = [each.path for each in found.pending if each.path is not None]
    findings: dict[Path, list[Finding]] = {}
    for each in lint(paths, settings, runner, read=texts) if paths else ():
        findings.setdefault(each.file, []).append(each)
    return PushPlan(
        target=settings.target.name,
        identity=identity(settings),
        applied=len(found.applied),
        files=tuple(
            PlannedMigration(
                file=path.name,
                statements=len(split(texts[path.name])),
                sha256=digest(texts[path.name]),
                findings=tuple(findings.get(path, ())),
            )
            for path in paths
        ),
    )


def usable(found: MigrationList, settings: Settings, *, include_all: bool) -> dict[str, str]:
    """Refuse what cannot be pushed; else give the content of each pending file, by its name.

    Args:
        found: Where each version stands.
        settings: The project's.
        include_all: Whether files may be older than the newest applied one.

    Raises:
        MigrationError: A file cannot be used.
        DriftError: History and files contradict each other.
    """
    _refuse_contradictions(found, settings, include_all=include_all)
    paths = [each.path for each in found.pending if each.path is not None]
    return {path.name: text_of(path, settings) for path in paths}


def digest(text: str) -> str:
    """Give the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def refuse_changed(
    texts: Mapping[str, str], known: Mapping[str, str] | None, settings: Settings
) -> None:
    """Refuse files that are not what was planned, confirmed and rehearsed.

    Fewer are no matter: another push may have applied some.

    Args:
        texts: The content of each pending file, by its name.
        known: What was seen of them before: each one's `digest`; ``None`` where nothing was.
        settings: The project's.

    Raises:
        DriftError: One is new, or has another content.
    """
    if known is None:
        return
    changed = [name for name, text in texts.items() if known.get(name) != digest(text)]
    if changed:
        raise DriftError(
            "files were changed while this push was on its way",
            detail="\n".join(f"  {name}{'' if name in known else ' (new)'}" for name in changed),
            state="nothing was applied",
            next_step=f"inv migrate.push{settings.target.flag}, which looks at them first",
        )


def text_of(path: Path, settings: Settings) -> str:
    """Give the content of a file that is to be pushed.

    Raises:
        MigrationError: It cannot be read, is still the template, or has other statements beside one
            that runs outside a transaction.
    """
    text = read_sql(path, settings)
    if is_template(path, text):
        # Once applied it could not be written any more: that would be an edit.
        raise MigrationError(
            f"{settings.relative(path)} is still the template: it has no statement",
            file=path,
            state="nothing was applied",
            next_step="write it and its rollback, or delete both",
        )
    _refuse_mixed(path, text, settings)
    return text


def identity(settings: Settings) -> str:
    """Give what a person knows the target's project by, or ``""``."""
    target = settings.target
    if target.is_local:
        return settings.config.project_id
    if target.url:
        reference = _REFERENCE.search(target.address)
        return reference[1] if reference else ""
    try:
        return (settings.supabase_dir / ".temp" / "project-ref").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _refuse_contradictions(found: MigrationList, settings: Settings, *, include_all: bool) -> None:
    flag = settings.target.flag
    missing = found.in_state(MigrationState.MISSING)
    if missing:
        raise DriftError(
            f"the database has {count(missing)} that this project has no file for",
            detail=listed(missing),
            state=f"nothing was applied to {found.target}",
            next_step=f"get the files (git pull?); or, if they are gone: inv migrate.repair{flag}",
        )
    drifted = found.in_state(MigrationState.DRIFTED)
    if drifted:
        raise DriftError(
            f"{count(drifted)} {'was' if len(drifted) == 1 else 'were'} edited after being applied",
            detail=listed(drifted),
            state=f"nothing was applied to {found.target}",
            next_step=f"inv migrate.status --diff{flag} shows the edit; undo it, and put the "
            "change into a migration of its own: inv migrate.new <name>",
        )
    late = found.in_state(MigrationState.OUT_OF_ORDER)
    if late and not include_all:
        raise DriftError(
            f"{count(late)} would be applied after newer ones",
            detail=listed(late),
            state=f"nothing was applied to {found.target}",
            next_step=f"give them a later version, or `inv migrate.push --include-all{flag}`",
        )


def _refuse_mixed(path: Path, text: str, settings: Settings) -> None:
    """Refuse a file that has other statements beside one that runs outside a transaction.

    The CLI commits those on their own. Where a later one fails, half the file is applied and
    nothing of it is recorded.
    """
    breaker = not_one_transaction(text)
    if breaker is None or not breaker.refuses_transaction:
        return
    line = line_of(text, breaker.code_offset)
    raise MigrationError(
        f"{settings.relative(path)}:{line}: `{' '.join(breaker.words[:3])}` "
        "has to be in a file of its own",
        file=path,
        line=line,
        statement=breaker.text,
        detail="  PostgreSQL runs it outside a transaction only. Beside other statements a "
        "failure would\n  leave the file half applied and not recorded.",
        state="nothing was applied",
        next_step="inv migrate.new <name>, and move the statement there",
    )


def listed(migrations: Sequence[Migration], most: int = 8) -> str:
    """Give their labels, a line each."""
    lines = [f"  {each.label}" for each in migrations[:most]]
    if len(migrations) > most:
        lines.append(f"  … and {len(migrations) - most} more")
    return "\n".join(lines)
