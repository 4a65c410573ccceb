"""What this package reads of ``supabase/config.toml``, checked, with the line of what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from riptide._toml import read_toml
from riptide.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# What a local stack uses everywhere (`supabase status` prints them; they are no secrets).
PUBLISHABLE_KEY = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"
SECRET_KEY = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz"  # noqa: S105 - the well-known local one
JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"  # noqa: S105 - likewise

_ENV_VALUE = re.compile(r"^env\((\w+)\)$")


@dataclass(frozen=True, kw_only=True)
class AuthConfig:
    """``[auth]``; the defaults are the Supabase CLI's.

    Attributes:
        jwt_expiry: Seconds that an access token is valid.
        minimum_password_length: Characters.
    """

    site_url: str = "http://127.0.0.1:3000"
    additional_redirect_urls: tuple[str, ...] = ()
    jwt_expiry: int = 3600
    enable_signup: bool = True
    enable_anonymous_sign_ins: bool = False
    minimum_password_length: int = 6
    email_enable_signup: bool = True
    email_enable_confirmations: bool = False
    jwt_secret: str = field(default=JWT_SECRET, repr=False)
    publishable_key: str = field(default=PUBLISHABLE_KEY, repr=False)
    secret_key: str = field(default=SECRET_KEY, repr=False)


@dataclass(frozen=True, kw_only=True)
class ProjectConfig:
    """The keys of config.toml that the local stack needs; the defaults are the Supabase CLI's."""

    project_id: str
    api_port: int = 54321
    db_port: int = 54322
    schemas: tuple[str, ...] = ("public", "graphql_public")
    extra_search_path: tuple[str, ...] = ("public", "extensions")
    max_rows: int = 1000
    seed_enabled: bool = True
    seed_paths: tuple[str, ...] = ("./seed.sql",)
    auth: AuthConfig = field(default_factory=AuthConfig)

    def with_ports(self, *, api_port: int, db_port: int) -> Self:
        """Give the same with other ports."""
        return replace(self, api_port=api_port, db_port=db_port)


def port_number(value: object, name: str) -> int:
    """Check that ``value`` is a TCP port.

    Raises:
        ConfigError: It is not.
    """
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if isinstance(value, bool) or not 1 <= number <= 65535:
        raise ConfigError(
            f"{name} is {value!r}, which is not a port (a whole number from 1 to 65535)"
        )
    return number


class _Reader:
    """Reads typed values out of the parsed file and names the line of one that is wrong."""

    def __init__(self, path: Path, text: str, data: dict[str, Any], env: Mapping[str, str]) -> None:
        self.path = path
        self.text = text
        self.data = data
        self.env = env

    def error(self, section: str, key: str, problem: str) -> ConfigError:
        line = self._line(section, key)
        where = f"supabase/{self.path.name}" + (f":{line}" if line else "")
        name = f"[{section}] {key}" if section else key
        return ConfigError(f"{where}: {name} {problem}", next_step=f"mend {self.path}")

    def get(self, section: str, key: str, otherwise: Any) -> Any:
        table: Any = self.data
        for part in section.split(".") if section else ():
            table = table.get(part, {})
            if not isinstance(table, dict):
                raise self.error("", section, "is not a table")
        value = table.get(key, otherwise)
        # The CLI's own form for a value that is not to be in the file.
        if isinstance(value, str) and (match := _ENV_VALUE.match(value)):
            return self.env.get(match[1], otherwise)
        return value

    def string(self, section: str, key: str, otherwise: str) -> str:
        value = self.get(section, key, otherwise)
        if not isinstance(value, str):
            raise self.error(section, key, f"must be a string, not {value!r}")
        return value

    def strings(self, section: str, key: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        value = self.get(section, key, list(otherwise))
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise self.error(section, key, "must be a list of strings")
        return tuple(value)

    def boolean(self, section: str, key: str, otherwise: bool) -> bool:  # noqa: FBT001
        value = self.get(section, key, otherwise)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise self.error(section, key, f"must be true or false, not {value!r}")
        return value

    def whole(self, section: str, key: str, otherwise: int, *, least: int = 0) -> int:
        value = self.get(section, key, otherwise)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(section, key, f"must be a whole number from {least}, not {value!r}")
        return value

    def port(self, section: str, key: str, otherwise: int) -> int:
        value = self.get(section, key, otherwise)
        try:
            return port_number(value, key)
        except ConfigError:
            raise self.error(section, key, f"must be a port (1 to 65535), not {value!r}") from None

    def _line(self, section: str, key: str) -> int | None:
        current = ""
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[([^\[\]]+)\]", line):
                current = header[1].strip()
                if current == f"{section}.{key}".lstrip("."):
                    return number
            elif current == section and re.match(rf"\s*{re.escape(key)}\s*=", line):
                return number
        return None


def read_config(path: Path, env: Mapping[str, str]) -> ProjectConfig:
    """Read ``supabase/config.toml``.

    Args:
        path: The file.
        env: Where ``env(NAME)`` values come from.

    Raises:
        ConfigError: It cannot be read, is not TOML, or a value is of another kind; with the line.
    """
    text, data = read_toml(path)
    read = _Reader(path, text, data, env)
    defaults = ProjectConfig(project_id=path.parent.parent.name)
    auth = defaults.auth
    return ProjectConfig(
        project_id=read.string("", "project_id", defaults.project_id),
        api_port=read.port("api", "port", defaults.api_port),
        db_port=read.port("db", "port", defaults.db_port),
        schemas=read.strings("api", "schemas", defaults.schemas),
        extra_search_path=read.strings("api", "extra_search_path", defaults.extra_search_path),
        max_rows=read.whole("api", "max_rows", defaults.max_rows, least=1),
        seed_enabled=read.boolean("db.seed", "enabled", defaults.seed_enabled),
        seed_paths=read.strings("db.seed", "sql_paths", defaults.seed_paths),
        auth=AuthConfig(
            site_url=read.string("auth", "site_url", auth.site_url),
            additional_redirect_urls=read.strings("auth", "additional_redirect_urls", ()),
            jwt_expiry=read.whole("auth", "jwt_expiry", auth.jwt_expiry, least=1),
            enable_signup=read.boolean("auth", "enable_signup", auth.enable_signup),
            enable_anonymous_sign_ins=read.boolean(
                "auth", "enable_anonymous_sign_ins", auth.enable_anonymous_sign_ins
            ),
            minimum_password_length=read.whole(
                "auth", "minimum_password_length", auth.minimum_password_length
            ),
            email_enable_signup=read.boolean(
                "auth.email", "enable_signup", auth.email_enable_signup
            ),
            email_enable_confirmations=read.boolean(
                "auth.email", "enable_confirmations", auth.email_enable_confirmations
            ),
            jwt_secret=read.string("auth", "jwt_secret", auth.jwt_secret),
            publishable_key=read.string("auth", "publishable_key", auth.publishable_key),
            secret_key=read.string("auth", "secret_key", auth.secret_key),
        ),
    )
