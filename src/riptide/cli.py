"""The Supabase CLI: its command lines and its answers, nothing else.

Every command is asked for JSON (``--output-format json``: one object on stdout, progress on
stderr) and is told this project's ports, whatever config.toml says. Written for CLI 3.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riptide.errors import DatabaseError, RiptideError
from riptide.runner import Completed, mask
from riptide.target import LINKED, SCRATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from riptide.runner import Runner
    from riptide.settings import Settings
    from riptide.target import Target

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the CLI said.

    Attributes:
        data: The JSON object; empty where it printed none.
        error_code: Its own name for what went wrong (``DbPushApplyError``), or ``""``.
        error_message: Its words, or ``""``.
        suggestion: Its advice, or ``""``.
        completed: The command as it ran.
    """

    data: dict[str, Any]
    completed: Completed
    error_code: str = ""
    error_message: str = ""
    suggestion: str = ""

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked for."""
        return self.completed.exit_code == 0


class SupabaseCLI:
    """Runs one Supabase CLI for one project.

    Args:
        binary: The executable.
        settings: The project's.
        runner: Runs the commands.
    """

    def __init__(self, binary: Path, settings: Settings, runner: Runner) -> None:
        self.binary = binary
        self.settings = settings
        self.runner = runner

    # --- command lines ---------------------------------------------------------------------------

    def argv(self, *words: str) -> list[str]:
        """Give the command line for ``words``, as JSON and for this project's folder."""
        return [
            str(self.binary),
            *words,
            "--output-format=json",
            f"--workdir={self.settings.root}",
        ]

    def init_argv(self) -> list[str]:
        """``supabase init``; it answers in words whatever it is asked for."""
        return [str(self.binary), "init", f"--workdir={self.settings.root}"]

    def push_argv(
        self, *, dry_run: bool = False, include_all: bool = False, include_seed: bool = False
    ) -> list[str]:
        """``supabase db push``: the question is asked before it is run, so always ``--yes``."""
        flags = {
            "--dry-run": dry_run,
            "--include-all": include_all,
            "--include-seed": include_seed,
        }
        return self.argv(
            *("db", "push", "--yes"),
            *(flag for flag, wanted in flags.items() if wanted),
            *target_flags(self.settings.target),
        )

    def list_argv(self) -> list[str]:
        """``supabase migration list``."""
        return self.argv("migration", "list", *target_flags(self.settings.target))

    def diff_argv(self, origin: Target, wanted: Target) -> list[str]:
        """``supabase db diff`` between two databases, which needs no Docker.

        At most one password can be kept off the command line, in ``PGPASSWORD``: that of a
        target that is not local. Every local stack's and scratch database's is the well-known one.
        """
        return self.argv("db", "diff", f"--from={_shown(origin)}", f"--to={_shown(wanted)}")

    def repair_argv(self, status: str, versions: Sequence[str]) -> list[str]:
        """``supabase migration repair``; without a version it would mean all, so never without.

        Args:
            status: ``applied`` or ``reverted``.
            versions: At least one.

        Raises:
            ValueError: There is none.
        """
        if not versions:
            raise ValueError("migration repair without a version")
        flags = [f"--status={status}", "--yes", *target_flags(self.settings.target)]
        return self.argv("migration", "repair", *flags, *versions)

    def advisors_argv(self) -> list[str]:
        """``supabase db advisors``: all that they know, and no exit code for what they find.

        A target that is not local is named by its URL: for a project's reference they would ask
        Supabase's management API.
        """
        flags = ["--type=all", "--level=info", "--fail-on=none"]
        return self.argv("db", "advisors", *flags, *target_flags(self.settings.target))

    def types_argv(self, schemas: Sequence[str]) -> list[str]:
        """``supabase gen types --lang=python``: prints Python, whatever output format is asked for.

        Every database but the linked project's is named by its URL: for the local one the CLI
        looks for a container, which there may be none of.
        """
        target = self.settings.target
        where = target_flags(target) if target.kind == LINKED else [f"--remote={_shown(target)}"]
        chosen = [f"--schema={each}" for each in schemas]
        return self.argv("gen", "types", "--lang=python", *chosen, *where)

    def start_argv(self) -> list[str]:
        """``supabase start``."""
        return self.argv("start")

    def status_argv(self) -> list[str]:
        """``supabase status``."""
        return self.argv("status")

    def stop_argv(self, *, delete_data: bool = False) -> list[str]:
        """``supabase stop``; without ``delete_data`` it keeps the volumes."""
        return self.argv("stop", *(["--no-backup"] if delete_data else []))

    def reset_argv(self, *, seed: bool = True) -> list[str]:
        """``supabase db reset`` of the local database."""
        return self.argv("db", "reset", "--yes", *([] if seed else ["--no-seed"]))

    # --- running ---------------------------------------------------------------------------------

    def environment(self, session: Mapping[str, str] | None = None) -> dict[str, str]:
        """Give the variables that a call gets beside this process's own.

        Args:
            session: Settings for the CLI's database session, as
                https://www.postgresql.org/docs/17/libpq-envars.html has them in ``PGOPTIONS``. A
                pooler in transaction mode takes none, and what the CLI reaches a linked project
                by is not known: neither gets any.
        """
        config, target = self.settings.config, self.settings.target
        variables = {
            "SUPABASE_API_PORT": str(config.api_port),
            "SUPABASE_DB_PORT": str(config.db_port),
            "SUPABASE_TELEMETRY_DISABLED": "1",
            "DO_NOT_TRACK": "1",
        }
        if target.password is not None and not target.is_local:
            variables["PGPASSWORD"] = target.password
        if session and target.url and not target.pools_transactions:
            given = os.environ.get("PGOPTIONS", "")
            options = " ".join(f"-c {name}={value}" for name, value in session.items())
            variables["PGOPTIONS"] = f"{given} {options}".strip()
        return variables

    def run(
        self,
        argv: list[str],
        *,
        timeout: float | None = None,
        session: Mapping[str, str] | None = None,
        on_stderr: Callable[[str], None] | None = None,
    ) -> Answer:
        """Run a command line made by one of the above.

        Args:
            argv: The command line.
            timeout: Seconds after which it is ended.
            session: See `environment`.
            on_stderr: Called with each line of its progress as it comes, from another thread.

        Raises:
            ToolNotFoundError: The executable cannot be run.
            CommandError: It printed something that is not JSON.
        """
        completed = self.runner.run(
            argv,
            cwd=self.settings.root,
            env=self.environment(session),
            timeout=timeout,
            on_stderr=on_stderr,
        )
        return parse(completed)

    def run_for_text(
        self, argv: list[str], what: str, *, state: str, timeout: float | None = None
    ) -> str:
        """Run a command line whose answer is a text of its own, and give it.

        Args:
            argv: The command line.
            what: The command, for an error.
            state: What state things are in when it fails.
            timeout: Seconds after which it is ended.

        Raises:
            ToolNotFoundError: The executable cannot be run.
            DatabaseError: It does not reach the database.
            CommandError: It failed.
        """
        completed = self.runner.run(
            argv, cwd=self.settings.root, env=self.environment(), timeout=timeout
        )
        if completed.exit_code != 0:
            link = "supabase link, or --target remote"
            is_linked = self.settings.target.kind == LINKED
            raise failure(
                parse(completed), what, state=state, next_step=link if is_linked else None
            )
        return completed.stdout


def target_flags(target: Target) -> list[str]:
    """Give the flags that name the target: none for the local database, which is the default.

    No password is in them: everybody may read a command line. The CLI takes it from ``PGPASSWORD``.
    """
    if target.is_local:
        return []
    return ["--remote"] if target.kind == LINKED else [f"--remote={target.address}"]


def _shown(target: Target) -> str:
    return target.url if target.is_local or target.kind == SCRATCH else target.address


def parse(completed: Completed) -> Answer:
    """Read what the CLI printed.

    Raises:
        CommandError: It succeeded, but what it printed is not one JSON object.
    """
    text = completed.stdout.strip()
    data: Any = None
    if text:
        # Warnings of the CLI's own have been seen before the object; the object comes last.
        for candidate in (text, text.splitlines()[-1], text[text.find("{") :]):
            try:
                data = json.loads(candidate)
                break
            except ValueError:
                continue
    if not isinstance(data, dict):
        if completed.exit_code == 0:
            raise completed.error(
                "the Supabase CLI answered something that is not JSON",
                detail=f"  {mask(text)[:200]}" if text else "  (nothing)",
                next_step="supabase --version; versions 3.x are supported",
            )
        data = {}
    error = data.get("error") if isinstance(data.get("error"), dict) else {}
    message = ""
    if completed.exit_code != 0:
        message = str(error.get("message") or completed.stderr.strip() or text)
    return Answer(
        data=data,
        completed=completed,
        error_code=str(error.get("code", "")),
        error_message=_ANSI.sub("", mask(message)),
        suggestion=_ANSI.sub("", mask(str(error.get("suggestion") or ""))),
    )


def failure(
    answer: Answer, what: str, *, state: str | None = None, next_step: str | None = None
) -> RiptideError:
    """Give the error for an answer that is not ok and that no caller knows better about."""
    first, _, rest = answer.error_message.partition("\n")
    if answer.error_code == "DbConnectError":
        return DatabaseError(
            f"{what}: the database cannot be reached",
            detail=_indent(answer.error_message),
            state=state,
            next_step=next_step or "inv stack.start",
        )
    return answer.completed.error(
        f"{what}: {first or f'the Supabase CLI exited with {answer.completed.exit_code}'}",
        detail=_indent(rest),
        state=state,
        next_step=next_step or " ".join(answer.suggestion.split()) or None,
    )


def _indent(text: str) -> str | None:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[:12]) or None
