"""Database URLs: read as libpq reads them, written so that every reader understands them.

A password with an ``@``, a ``/`` or a ``#`` that was not percent-encoded is read differently by
each program, and ends up in a host's name and so in messages. Such a URL is refused, with nothing
of it shown. Form: https://www.postgresql.org/docs/17/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlencode

from riptide.errors import ConfigError

# A name, an address, a socket's folder; several of them with commas.
_HOST = re.compile(r"[\w.:%/,-]*")
_UNKNOWN_PARAMETER = re.compile(r'invalid URI query parameter: "(\w+)"')
_PASSWORD = re.compile(r"(?<=://)([^:@/]*):([^@/]*)@")


def canonical(url: str, origin: str) -> str:
    """Give ``url`` with every part percent-encoded as it should be.

    Args:
        url: What a person gave.
        origin: Where, for the error: ``SUPABASE_DB_URL`` or ``--target``.

    Raises:
        ConfigError: It is not a database's URL, or not one that can only be read in one way.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigError(
            f"{'the target' if origin == '--target' else origin} is not a database URL",
            detail="  --target takes local, linked, remote, or postgresql://user@host:port/name.",
        )
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError as error:
        unknown = _UNKNOWN_PARAMETER.search(str(error))
        if unknown is not None:
            raise ConfigError(
                f"{origin}: PostgreSQL knows no parameter {unknown[1]!r}",
                next_step=f"leave ?{unknown[1]}=… out of the URL",
            ) from None
        raise _unreadable(origin) from None
    host, name = parts.pop("host", ""), parts.pop("dbname", "")
    ports = parts.pop("port", "")
    if not _HOST.fullmatch(host) or "@" in name or not re.fullmatch(r"[\d,]*", ports):
        raise _unreadable(origin)
    if any(each and not 1 <= int(each) <= 65535 for each in ports.split(",")):
        raise ConfigError(f"{origin}: a port is a whole number from 1 to 65535")
    user, password = parts.pop("user", ""), parts.pop("password", None)
    who = quote(user, safe="") + ("" if password is None else f":{quote(password, safe='')}")
    query = urlencode(parts, quote_via=quote)
    return (
        f"postgresql://{who}{'@' if who else ''}{_hosts(host, ports)}/{quote(name, safe='')}"
        f"{'?' if query else ''}{query}"
    )


def without_password(url: str) -> str:
    """Give a canonical URL without its password."""
    return _PASSWORD.sub(lambda match: f"{match[1]}@" if match[1] else "", url, count=1)


def password_of(url: str) -> str | None:
    """Give a canonical URL's password, or ``None`` where it has none."""
    found = _PASSWORD.search(url)
    return unquote(found[2]) if found else None


def _hosts(host: str, ports: str) -> str:
    """Pair hosts and ports; an IPv6 address gets its brackets, a socket's folder its escapes."""
    hosts, numbers = host.split(","), ports.split(",")
    if len(numbers) == 1:
        numbers *= len(hosts)
    return ",".join(
        (f"[{each}]" if ":" in each else quote(each, safe="")) + (f":{number}" if number else "")
        for each, number in zip(hosts, numbers, strict=False)
    )


def _unreadable(origin: str) -> ConfigError:
    return ConfigError(
        f"{origin}: the URL cannot be read",
        detail="  Is there an @ : / ? # % or a blank in the password? In a URL it is written as\n"
        "  %40 %3A %2F %3F %23 %25 %20. The form is postgresql://user:password@host:port/name.",
        state="nothing was tried; the URL is not shown, as a password is in it",
        next_step="encode it: python -c 'import urllib.parse as u, getpass as g; "
        'print(u.quote(g.getpass(), safe=""))\'',
    )
