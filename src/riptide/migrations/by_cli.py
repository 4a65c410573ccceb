"""The whole history, applied to an empty scratch database by the real Supabase CLI."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from riptide.cli import SupabaseCLI
from riptide.migrations.explain import explain
from riptide.migrations.listing import listed
from riptide.migrations.snapshot import compare
from riptide.migrations.tries import snapshot
from riptide.results.check import CheckFinding, Level

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.migrations.check_files import Read
    from riptide.migrations.snapshot import Snapshot
    from riptide.migrations.walk import Walk
    from riptide.runner import Runner
    from riptide.settings import Settings

_APPLYING = re.compile(r"^Applying migration (\S+\.sql)", re.MULTILINE)
_LONGEST = 600  # seconds


@dataclass(frozen=True)
class Pushed:
    """What came of it: the schema, or why there is none."""

    schema: Snapshot | None = None
    findings: tuple[CheckFinding, ...] = ()


def push_all(settings: Settings, runner: Runner, binary: Path, read: Read) -> Pushed:
    """Push every migration to the scratch database that ``settings`` has for a target.

    Raises:
        DatabaseError: It was gone when the CLI had done its work.
        CommandError: The CLI did not end in time.
    """
    from riptide.database import connect

    cli = SupabaseCLI(binary, settings, runner)
    answer = cli.run(cli.push_argv(), timeout=_LONGEST)
    if answer.ok:
        with connect(settings.target, name="riptide check") as connection:
            return Pushed(snapshot(connection))
    names = _APPLYING.findall(answer.completed.stderr)
    file = next((each for each in read.files if each.path.name in names[-1:]), None)
    if file is None:
        words = answer.error_message.partition("\n")[0]
        return Pushed(findings=(failed(words, answer.suggestion),))
    error = explain(
        answer.error_message,
        read.texts[file.version],
        file.path,
        settings,
        state="",
        next_step="",
    )
    return Pushed(
        findings=(
            CheckFinding(
                check="apply",
                level=Level.ERROR,
                message=f"cannot be applied: {error.message.partition(': ')[2]}",
                file=file.path,
                line=error.line,
                sqlstate=error.sqlstate or "",
                next_step="mend the statement",
            ),
        )
    )


def failed(words: str, next_step: str) -> CheckFinding:
    """Give the finding for a push that failed for no file's fault."""
    return CheckFinding(
        check="apply",
        level=Level.ERROR,
        message=f"the Supabase CLI could not push: {words}",
        next_step=next_step,
    )


def agree(walked: Walk, pushed: Pushed | None) -> list[CheckFinding]:
    """Say whether the CLI and the replay file by file came to the same.

    Args:
        walked: The replay.
        pushed: The CLI's push, or ``None`` where it was left out.
    """
    ours = [each for each in walked.findings if each.check == "apply"]
    if pushed is None:
        return ours  # told though it was left out: the other checks depend on it
    if pushed.findings:
        # The CLI's own word, unless the replay knows that this machine is to blame.
        blameless = any(each.level is Level.WARNING for each in ours)
        return ours if blameless else list(pushed.findings)
    if ours:
        return [
            replace(each, message=f"the CLI applies it, a replay does not: {each.message}")
            for each in ours
        ]
    differences = compare(pushed.schema or {}, walked.last)
    if not differences:
        return []
    return [
        CheckFinding(
            check="apply",
            level=Level.ERROR,
            message="the Supabase CLI and a replay of the files come to different schemas",
            details=listed(differences, "changed", "only by the CLI", "only by the replay"),
            next_step="look for what depends on the time, the session or the order",
        )
    ]
