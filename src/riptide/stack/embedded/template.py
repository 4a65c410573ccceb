"""The prepared data directory that every new embedded stack is a copy of."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from riptide.errors import StackError
from riptide.stack.embedded.bundle import source_files
from riptide.stack.embedded.gateway import Gateway
from riptide.stack.embedded.postgres import SUPERUSER, Cluster
from riptide.stack.ports import free_port
from riptide.stack.process import reachable_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.project_config import ProjectConfig
    from riptide.runner import Runner, ServiceUser
    from riptide.toolchain import Toolchain


def roles_sql() -> str:
    """Give the SQL that makes a plain PostgreSQL look like Supabase's."""
    return resources.files("riptide.stack.embedded").joinpath("roles.sql").read_text("utf-8")


def template_key(toolchain: Toolchain) -> str:
    """Give the name of the version of all that goes into a data directory."""
    digest = hashlib.sha256(f"{toolchain.root.name}\0{roles_sql()}".encode())
    for _, content in source_files():
        digest.update(content)
    return digest.hexdigest()[:12]


def ensure_template(
    toolchain: Toolchain,
    config: ProjectConfig,
    user: ServiceUser | None,
    runner: Runner,
    progress: Callable[[str], None],
) -> Path:
    """Give the prepared data directory; make it where there is none.

    It is made beside its final place and renamed, under a lock, so that it is whole or absent.

    Args:
        toolchain: What it is made with, and in whose folder it is kept.
        config: The project's; only its secrets are looked at, and none ends up in the template.
        user: Whom PostgreSQL runs as, where this process is root.
        runner: Runs the commands.
        progress: Called with a phrase before something that takes time.

    Raises:
        StackError: It could not be made.
        CommandError: `initdb` or the gateway failed.
    """
    cache = toolchain.root.parent
    final = cache / f"cluster-{template_key(toolchain)}"
    if (final / "PG_VERSION").is_file():
        return final
    from filelock import FileLock

    with FileLock(cache / f"{final.name}.lock"):
        if (final / "PG_VERSION").is_file():
            return final
        progress("preparing a PostgreSQL data directory")
        staging = cache / f"{final.name}.{os.getpid()}.tmp"
        for leftover in cache.glob(f"{final.name}.*.tmp"):  # we hold the lock: nobody works there
            Cluster(bin_dir=toolchain.postgres_bin, home=leftover, port=0, user=user).stop()
            shutil.rmtree(leftover, ignore_errors=True)
        if not reachable_by(cache, user) and user is not None:
            raise StackError(
                f"user {user.name}, whom PostgreSQL has to run as, cannot get to {cache}",
                state="nothing was started",
                next_step="set RIPTIDE_CACHE_DIR to a folder that every user may enter",
            )
        cluster = Cluster(bin_dir=toolchain.postgres_bin, home=staging, port=free_port(), user=user)
        try:
            _build(cluster, toolchain, config, runner)
            cluster.data_dir.rename(final)
        finally:
            cluster.stop(immediate=True)
            shutil.rmtree(staging, ignore_errors=True)
    return final


def _build(cluster: Cluster, toolchain: Toolchain, config: ProjectConfig, runner: Runner) -> None:
    import tempfile

    import psycopg

    password = cluster.initialize(runner)
    cluster.start()
    try:
        with psycopg.connect(
            cluster.url(), user=SUPERUSER, password=password, autocommit=True
        ) as connection:
            connection.execute(roles_sql().encode())
    except psycopg.Error as error:
        raise StackError(
            f"Supabase's roles could not be made: {error}", state="nothing was kept"
        ) from error
    with tempfile.TemporaryDirectory(prefix="riptide-") as run_dir:
        gateway = Gateway(
            run_dir=Path(run_dir),
            config=replace(config, db_port=cluster.port),
            instance="template",
        )
        gateway.migrate(toolchain, runner)
    cluster.stop()
    # What one start leaves behind and another cluster must not inherit.
    (cluster.data_dir / "postmaster.opts").unlink(missing_ok=True)
