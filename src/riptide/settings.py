"""Settings: what the caller said, then the environment, then ``.env``, then ``config.toml``.

``supabase/config.toml`` is the Supabase CLI's own file; this reads the few keys that the local
stack needs (https://supabase.com/docs/guides/local-development/cli/config) and leaves the rest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, get_args

from riptide.errors import ConfigError
from riptide.project_config import ProjectConfig, port_number, read_config
from riptide.target import Target, choose_target, local_db_url

if TYPE_CHECKING:
    from collections.abc import Mapping

Backend = Literal["auto", "docker", "embedded"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a call needs to know, resolved once; make it with `Settings.load`.

    Attributes:
        root: The project's folder: the one that holds ``supabase/``.
        config: What ``supabase/config.toml`` says, ports overridden.
        backend: Which local stack to use; ``auto`` takes Docker where a daemon answers.
        target: The database that migrations go to.
        cli_path: A Supabase CLI to use before any other, or ``None``.
        cache_dir: Where the toolchain is kept, or ``None`` for the user's cache folder.
        data_dir: Where the embedded stack keeps its data, or ``None`` for the usual place.
        run_as: The user that PostgreSQL runs as when this process is root, or ``None``.
        api_url: The remote target's API, for `verify_rls`; empty for a local one.
        publishable_key: The remote target's publishable (or anon) key.
        secret_key: The remote target's secret (or service role) key.
    """

    root: Path
    config: ProjectConfig
    backend: Backend = "auto"
    target: Target = field(default_factory=Target)
    cli_path: Path | None = None
    cache_dir: Path | None = None
    data_dir: Path | None = None
    run_as: str | None = None
    api_url: str = ""
    publishable_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    @classmethod
    def load(
        cls,
        root: Path | str | None = None,
        *,
        backend: str | None = None,
        target: str | None = None,
        api_port: int | None = None,
        db_port: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Self:
        """Resolve the settings of the project at ``root``.

        Args:
            root: The project's folder; by default the nearest one, from the current folder
                upwards, that has a ``supabase/config.toml``.
            backend: ``auto``, ``docker`` or ``embedded``; else ``RIPTIDE_STACK``; else ``auto``.
            target: ``local`` (the default), ``linked``, ``remote`` (the URL in
                ``SUPABASE_DB_URL``) or a ``postgresql://`` URL.
            api_port: The local API's port; else ``SUPABASE_API_PORT``; else config.toml's.
            db_port: The local database's port; else ``SUPABASE_DB_PORT``; else config.toml's.
            environ: Instead of the process's environment.

        Raises:
            ConfigError: There is no project, or one of its settings cannot be used.
        """
        folder = find_root(root)
        env = {**read_dotenv(folder / ".env"), **(os.environ if environ is None else environ)}
        config = read_config(folder / "supabase" / "config.toml", env)
        ports = {
            name: chosen if given is None else given
            for name, given, chosen in (
                ("api_port", api_port, _port(env, "SUPABASE_API_PORT", config.api_port)),
                ("db_port", db_port, _port(env, "SUPABASE_DB_PORT", config.db_port)),
            )
        }
        config = config.with_ports(**ports)
        if config.api_port == config.db_port:
            raise ConfigError(
                f"the API and the database cannot both have port {config.api_port}",
                next_step="set SUPABASE_API_PORT or SUPABASE_DB_PORT to another port",
            )
        return cls(
            root=folder,
            config=config,
            backend=cls.checked_backend(backend or env.get("RIPTIDE_STACK") or "auto"),
            target=choose_target(target, env, config),
            cli_path=_path(env, "RIPTIDE_SUPABASE_CLI"),
            cache_dir=_path(env, "RIPTIDE_CACHE_DIR"),
            data_dir=_path(env, "RIPTIDE_DATA_DIR"),
            run_as=env.get("RIPTIDE_RUN_AS") or None,
            api_url=env.get("SUPABASE_URL", "").rstrip("/"),
            publishable_key=env.get("SUPABASE_PUBLISHABLE_KEY") or env.get("SUPABASE_ANON_KEY", ""),
            secret_key=env.get("SUPABASE_SECRET_KEY") or env.get("SUPABASE_SERVICE_ROLE_KEY", ""),
        )

    @classmethod
    def bare(cls, root: Path, config: ProjectConfig) -> Self:
        """Give the settings of a folder that is no project yet: the environment's, no ``.env``."""
        return cls(
            root=root,
            config=config,
            target=Target(url=local_db_url(config)),
            cli_path=_path(os.environ, "RIPTIDE_SUPABASE_CLI"),
            cache_dir=_path(os.environ, "RIPTIDE_CACHE_DIR"),
        )

    @staticmethod
    def checked_backend(name: str) -> Backend:
        """Give ``name`` as a `Backend`.

        Raises:
            ConfigError: There is no such backend.
        """
        for known in get_args(Backend):
            if name == known:
                backend: Backend = known
                return backend
        raise ConfigError(
            f"there is no backend {name!r}",
            detail="  RIPTIDE_STACK and --backend take auto, docker or embedded.",
        )

    @property
    def supabase_dir(self) -> Path:
        """``<root>/supabase``."""
        return self.root / "supabase"

    @property
    def migrations_dir(self) -> Path:
        """Where the migrations are."""
        return self.supabase_dir / "migrations"

    @property
    def rollbacks_dir(self) -> Path:
        """Where their rollback twins are."""
        return self.supabase_dir / "rollbacks"

    @property
    def run_dir(self) -> Path:
        """Where the embedded stack keeps its state and logs; git-ignored."""
        return self.supabase_dir / ".temp" / "riptide"

    @property
    def local_db_url(self) -> str:
        """The local stack's database, as role ``postgres`` with the well-known password."""
        return local_db_url(self.config)

    def relative(self, path: Path) -> str:
        """Give a path as a person would name it: from the project's folder where it is in it."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return str(path)


def find_root(start: Path | str | None = None) -> Path:
    """Give the project's folder.

    Args:
        start: The folder itself; or ``None`` to look from the current one upwards.

    Raises:
        ConfigError: There is none.
    """
    here = Path(start).resolve() if start is not None else Path.cwd()
    for folder in (here,) if start is not None else (here, *here.parents):
        if (folder / "supabase" / "config.toml").is_file():
            return folder
    raise ConfigError(
        f"no Supabase project in {here}" + ("" if start is not None else " or above it"),
        detail="  A project is a folder with a supabase/config.toml in it.",
        next_step="inv migrate.init, or go to the project's folder",
    )


def read_dotenv(path: Path) -> dict[str, str]:
    """Read a ``.env`` file with python-dotenv; an absent file is an empty one.

    Raises:
        ConfigError: A line cannot be understood, or the file cannot be read as UTF-8.
    """
    if not path.is_file():
        return {}
    from dotenv.main import resolve_variables
    from dotenv.parser import parse_stream

    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path.name} cannot be read: {error.strerror}", next_step=f"ls -l {path}"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path.name}:{line}: not UTF-8 (byte 0x{error.object[error.start]:02x})",
            next_step=f"save {path} as UTF-8",
        ) from None
    bindings = list(parse_stream(StringIO(text, newline=None)))
    for each in bindings:
        # A value is a secret more often than not: name the line, never show it.
        if each.error:
            text = each.original.string  # the blank lines before it are counted as its own
            line = each.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            raise ConfigError(
                f"{path.name}:{line}: this line cannot be understood",
                detail="  A line is NAME=value, a comment (#) or empty.",
                next_step=f"mend {path}",
            )
    pairs = ((each.key, each.value) for each in bindings if each.key is not None)
    resolved = resolve_variables(pairs, override=False)
    return {key: value for key, value in resolved.items() if value is not None}


def _port(env: Mapping[str, str], name: str, otherwise: int) -> int:
    given = env.get(name)
    if given is None:
        return otherwise
    if not given.strip():  # config.toml's may be another project's database
        raise ConfigError(
            f"{name} is set and empty",
            state="nothing was changed",
            next_step="give it a port, or take it out of .env and the environment",
        )
    return port_number(given, name)


def _path(env: Mapping[str, str], name: str) -> Path | None:
    given = env.get(name)
    return Path(given).expanduser() if given else None
