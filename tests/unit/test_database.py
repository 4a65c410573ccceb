"""How a session is opened, with no server."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from riptide.database import connect
from riptide.target import Target


class _Session:
    """A session that notes what is run."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.ran: list[bytes] = []

    def execute(self, text: bytes) -> None:
        """Note it."""
        self.ran.append(text)

    def close(self) -> None:
        """End it."""


@pytest.fixture
def pgbouncer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a server that refuses startup parameters that it does not know."""

    def answer(_: str, **given: Any) -> _Session:
        if "options" in given:
            raise psycopg.OperationalError("FATAL:  unsupported startup parameter: options")
        return _Session(given)

    monkeypatch.setattr(psycopg, "connect", answer)


@pytest.mark.usefixtures("pgbouncer")
def test_pooler_that_takes_no_options() -> None:
    """Where a pooler refuses options at the start, the session is told the same afterwards."""
    with connect(Target(kind="remote", url="postgresql://h:5432/d")) as session:
        assert b"set statement_timeout = 0" in session.ran  # type: ignore[attr-defined]


@pytest.mark.usefixtures("pgbouncer")
def test_transaction_pooler_is_told_nothing() -> None:
    """In a transaction pooler, whose sessions are everybody's, nothing is set."""
    with connect(Target(kind="remote", url="postgresql://h:6543/d")) as session:
        assert session.ran == []  # type: ignore[attr-defined]
