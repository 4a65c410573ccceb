"""Making a folder a Supabase project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from riptide.errors import ConfigError
from riptide.results import InitResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.runner import Runner


_RLS_TOML = """\
# Who may do what with each table of the API: the intent that `inv rls.verify` holds the database
# to. A section for each table, such as:
#
#   [tables.teams]
#   owner = "user_id"       the column that says whose row it is; a signed-in user may then
#                           select, insert, update and delete their own rows, and anon nothing
#   delete = "none"         select | insert | update | delete = "own" | "all" | "none"
#   update_columns = ["name"]    insert_columns likewise; set_once = ["closed_at"] for columns that
#                           stay as they are once they are set
#
# A table of the API that has no section here is reported as undeclared. A partition that clients
# have privileges on stands under its table's section. What `inv rls.audit` finds and is meant so:
#
#   [[audit.except]]
#   rule = "no_primary_key"
#   object = "public.log"
#   reason = "written by servers alone, never looked up"
"""
_GITIGNORE = "# Written by the Supabase CLI and by the local stack\n.branches\n.temp\n"

_WRITTEN = (
    "supabase/config.toml",
    "supabase/migrations",
    "supabase/rollbacks",
    "supabase/rls.toml",
    "supabase/.gitignore",
)


def would_write(root: Path) -> list[str]:
    """Give what `initialize_supabase` would write, from the project's folder."""
    return [each for each in _WRITTEN if not (root / each).exists()]


def initialize_supabase(
    root: Path | str | None = None,
    *,
    runner: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> InitResult:
    """Make a folder a Supabase project; what is there already stays as it is.

    Runs ``supabase init`` where there is no ``supabase/config.toml``, and makes the folders for
    migrations and their rollback twins, and a ``supabase/rls.toml`` that declares nothing yet.

    Args:
        root: The folder; by default the current one.
        runner: Runs the CLI; by default a `SubprocessRunner`.
        progress: Called with a phrase before something that takes time.

    Raises:
        ConfigError: The folder is not there or cannot be written.
        ToolNotFoundError: There is no supported Supabase CLI.
        CommandError: ``supabase init`` failed.
    """
    from riptide.cli import SupabaseCLI
    from riptide.project_config import ProjectConfig
    from riptide.runner import SubprocessRunner
    from riptide.settings import Settings
    from riptide.toolchain import find_cli

    folder = Path(root).resolve() if root is not None else Path.cwd()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", state="nothing was written")
    absent = would_write(folder)
    config = folder / "supabase" / "config.toml"
    if not config.is_file():
        runner = runner or SubprocessRunner()
        bare = Settings.bare(folder, ProjectConfig(project_id=folder.name))
        binary = find_cli(bare, runner=runner, progress=progress, state="nothing was written")
        cli = SupabaseCLI(binary, bare, runner)
        runner.run(cli.init_argv(), cwd=folder, env=cli.environment()).check(
            "supabase init failed: no project was made"
        )
    try:
        for name in ("migrations", "rollbacks"):
            (folder / "supabase" / name).mkdir(parents=True, exist_ok=True)
        for name, text in (("rls.toml", _RLS_TOML), (".gitignore", _GITIGNORE)):
            path = folder / "supabase" / name
            if not path.exists():  # in a git repository the CLI has written the second
                path.write_text(text, encoding="utf-8")
    except OSError as error:
        made = len(absent) - len(would_write(folder))
        raise ConfigError(
            f"{error.filename} cannot be written: {error.strerror}",
            state=f"{made} of the project's files were made",
        ) from error
    return InitResult(root=folder, created=tuple(folder / each for each in absent))
