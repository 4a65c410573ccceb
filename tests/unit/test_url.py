"""Database URLs: read in one way only, and never shown where they cannot be read."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from riptide._url import canonical, password_of, without_password
from riptide.errors import ConfigError
from riptide.target import Target


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql://h", "postgresql://h/"),
        ("postgresql://u@[::1]:5/d", "postgresql://u@[::1]:5/d"),
        ("postgresql://u:p@a:1,b:2/d", "postgresql://u:p@a:1,b:2/d"),
        ("postgresql://u:p@a,b/d", "postgresql://u:p@a,b/d"),
        ("postgresql:///d?host=/var/run", "postgresql://%2Fvar%2Frun/d"),
        ("postgresql://u@h/d?password=a%26b", "postgresql://u:a%26b@h/d"),
        ("postgresql://u:p%40%2F%23@h/d", "postgresql://u:p%40%2F%23@h/d"),
        ("postgresql://u:p#[?w@h/d", "postgresql://u:p%23%5B%3Fw@h/d"),
        (
            "postgresql://u@h/d?sslmode=require&options=-c%20a.b%3D1",
            "postgresql://u@h/d?options=-c%20a.b%3D1&sslmode=require",
        ),
    ],
)
def test_every_part_is_kept_and_encoded(url: str, expected: str) -> None:
    """What libpq reads out of a URL is what the written one says."""
    assert canonical(url, "--target") == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cr@t-word@h:5432/d",
        "postgresql://u:s3cr/t-word@h:5432/d",
        "postgresql://u:s3cr%t-word@h:5432/d",
        "postgresql://u:s3cr t-word@h:s3cr/d",
        "postgresql://u:s3cr:t-word@h:t-word/d",
        "postgresql://u:s3cr@h:99999/t-word",
        "s3cr://t-word",
    ],
)
def test_ambiguous_url_is_refused_unseen(url: str) -> None:
    """A URL that programs read differently is refused, and no part of its password is shown."""
    with pytest.raises(ConfigError) as caught:
        canonical(url, "SUPABASE_DB_URL")
    assert "SUPABASE_DB_URL" in str(caught.value)
    assert "s3cr" not in str(caught.value)
    assert "t-word" not in str(caught.value)


def test_unknown_parameter_is_named() -> None:
    """A parameter that libpq does not know (other drivers do) is named in the error."""
    with pytest.raises(ConfigError, match="no parameter 'pgbouncer'"):
        canonical("postgresql://u:s3cret@h/d?pgbouncer=true", "SUPABASE_DB_URL")


def test_password_is_taken_out() -> None:
    """The password and the rest of a URL can be had apart."""
    url = canonical("postgresql://u:p%40ss@h:5/d", "--target")
    assert (password_of(url), without_password(url)) == ("p@ss", "postgresql://u@h:5/d")
    assert password_of("postgresql://u@h/d") is None
    assert without_password("postgresql://u@h/d") == "postgresql://u@h/d"
    assert password_of(canonical("postgresql://u:@h/d", "--target")) is None


def test_target_s_name_has_no_user_and_no_password() -> None:
    """The name for a person has hosts and database, whatever else the URL holds."""
    target = Target(kind="remote", url=canonical("postgresql://u:p@a:1,b:2/d", "--target"))
    assert target.name == "remote (a:1,b:2/d)"
    assert target.address == "postgresql://u@a:1,b:2/d"
    assert not target.pools_transactions
    assert urlsplit(target.address).password is None
    assert Target(kind="remote", url="postgresql://u:p@h:6543/d").pools_transactions
