"""What ``supabase db advisors`` finds: Supabase's own rules (https://github.com/supabase/splinter)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from riptide.cli import SupabaseCLI, failure
from riptide.results import AuditFinding, Level
from riptide.rls.audit.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from riptide.runner import Runner
    from riptide.settings import Settings

_LEVELS = {"ERROR": Level.ERROR, "WARN": Level.WARNING}
_LONGEST = 60  # seconds


def ask_advisors(
    settings: Settings, runner: Runner | None, progress: Callable[[str], None]
) -> list[AuditFinding]:
    """Run the advisors on the target.

    Raises:
        ToolNotFoundError: There is no Supabase CLI, and none could be installed.
        DatabaseError: They do not reach the database.
        CommandError: They failed.
    """
    from riptide.runner import SubprocessRunner
    from riptide.toolchain import find_cli

    runner = runner or SubprocessRunner()
    binary = find_cli(settings, runner=runner, progress=progress, state="nothing was changed")
    cli = SupabaseCLI(binary, settings, runner)
    progress("asking supabase db advisors")
    answer = cli.run(cli.advisors_argv(), timeout=_LONGEST)
    if not answer.ok:
        raise failure(
            answer,
            "supabase db advisors",
            state="nothing was changed",
            next_step="inv rls.audit, without --advisors",
        )
    found = (read_finding(each) for each in answer.data.get("results", []))
    # On a database that nobody has worked with yet every index is unused.
    return [each for each in found if not (settings.target.is_local and each.rule in _BY_USE)]


_BY_USE = ("unused_index", "table_bloat")


def read_finding(given: dict[str, Any]) -> AuditFinding:
    """Read one of their results."""
    about = given.get("metadata") or {}
    schema, name = about.get("schema"), about.get("name") or about.get("extension_name")
    rule = RULES.get(given["name"])
    policy = about.get("policy_name") or _policy(given)
    return AuditFinding(
        rule=given["name"],
        # A rule that is here as well weighs what it does here.
        level=rule.level if rule else _LEVELS.get(given.get("level", ""), Level.NOTE),
        object=f"{schema}.{name}" if schema and name else str(name or "the database"),
        policy=policy,
        message=_sentence(given.get("detail") or given.get("title") or ""),
        docs=given.get("remediation") or "",
        source="supabase",
    )


def _policy(given: dict[str, Any]) -> str:
    found = re.search(r"row level security policy `([^`]+)`", given.get("detail") or "")
    return found[1] if found else ""


def _sentence(detail: str) -> str:
    """Give the first sentence, without the marks of Markdown."""
    plain = " ".join(detail.replace("`", "").replace('\\"', '"').split())
    return re.split(r"(?<=\w)\.\s", plain, maxsplit=1)[0].rstrip(".")


def merged(
    ours: Iterable[AuditFinding], theirs: Iterable[AuditFinding]
) -> tuple[AuditFinding, ...]:
    """Add what only they have found: by rule and object, and by the policy where they name one."""
    found = list(ours)
    for each in theirs:
        name = each.object
        if not any(
            known.rule == each.rule
            and (known.object.partition("(")[0] if "(" in known.object else known.object) == name
            and (not each.policy or not known.policy or known.policy == each.policy)
            for known in found
        ):
            found.append(each)
    return tuple(found)
