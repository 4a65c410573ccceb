"""The example application, started as its README says, asked over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from riptide.accounts import Accounts
from riptide.stack.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from supabase import Client

    from riptide.results import StackStatus

    SignUp = Callable[..., tuple[Client, str]]

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fastapi"


@pytest.fixture(scope="module")
def api(stack: StackStatus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Give a client of the running application."""
    port = free_port()
    log = tmp_path_factory.mktemp("example") / "log"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLE), "app:app"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env={
                **os.environ,
                "SUPABASE_URL": stack.api_url,
                "SUPABASE_SECRET_KEY": stack.secret_key,
            },
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_for(client, process, log)
            yield client
    finally:
        process.terminate()
        process.wait(10)
    assert "Traceback" not in log.read_text()


def wait_for(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the application answers."""
    for _ in range(300):
        assert process.poll() is None, log.read_text()
        try:
            client.get("/openapi.json")
        except httpx.ConnectError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text())


def bearer(token: str) -> dict[str, str]:
    """Give the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def test_a_token_opens_what_is_its_user_s(api: httpx.Client, sign_up: SignUp) -> None:
    """A program reads its user's profile and devices, and nobody else's."""
    ann, ann_id = sign_up(display_name="Ann")
    bob, _ = sign_up(display_name="Bob")
    Accounts(ann).sessions.touch("Ann's laptop")
    Accounts(bob).sessions.touch("Bob's phone")
    token = Accounts(ann).tokens.create("program").token
    me = api.get("/me", headers=bearer(token))
    assert (me.status_code, me.json()["id"], me.json()["display_name"]) == (200, ann_id, "Ann")
    devices = api.get("/devices", headers=bearer(token))
    assert devices.status_code == 200
    assert [each["device_name"] for each in devices.json()] == ["Ann's laptop"]
    used = Accounts(ann).tokens.list()[0]
    assert (used.last_used_ip, used.last_used_at is not None) == ("127.0.0.1", True)


def test_without_a_token_in_force(api: httpx.Client, sign_up: SignUp) -> None:
    """No token, one that is none, one that was mistyped and one that was revoked: 401."""
    ann, _ = sign_up()
    tokens = Accounts(ann).tokens
    new = tokens.create("program")
    mistyped = new.token[:-1] + ("0" if new.token[-1] != "0" else "1")
    tokens.revoke(new.id)
    bare = api.get("/me")
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, "Bearer")
    for token in ("none", mistyped, new.token):
        reply = api.get("/me", headers=bearer(token))
        assert reply.status_code == 401
        assert reply.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert api.get("/me", headers={"Authorization": f"Basic {new.token}"}).status_code == 401


def test_scopes(api: httpx.Client, sign_up: SignUp) -> None:
    """A token does what its scopes say, one of which does not hold another."""
    ann, _ = sign_up()
    tokens = Accounts(ann).tokens
    reads = bearer(tokens.create("reads").token)
    writes = bearer(tokens.create("writes", scopes=["write"]).token)
    refused = api.patch("/me", headers=reads, json={"display_name": "X"})
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "the token lacks the scope write",
    )
    challenge = 'Bearer error="insufficient_scope", scope="write"'
    assert refused.headers["WWW-Authenticate"] == challenge
    assert api.get("/devices", headers=writes).status_code == 403
    changed = api.patch("/me", headers=writes, json={"display_name": "Ann", "website": None})
    assert (changed.status_code, changed.json()["display_name"]) == (200, "Ann")


def test_what_the_database_refuses(api: httpx.Client, sign_up: SignUp) -> None:
    """A refusal of the database's is a 422 that names the field, as FastAPI's own are."""
    ann, _ = sign_up()
    headers = bearer(Accounts(ann).tokens.create("writes", scopes=["read", "write"]).token)
    for change, field in (
        ({"avatar_url": "javascript:alert(1)"}, "avatar_url"),
        ({"display_name": "x" * 81}, "display_name"),
        ({"timezone": "Mars/Olympus_Mons"}, "timezone"),
        ({"id": "00000000-0000-0000-0000-000000000000"}, "id"),
    ):
        reply = api.patch("/me", headers=headers, json=change)
        assert reply.status_code == 422, reply.text
        assert reply.json()["detail"][0]["loc"] == ["body", field]
    assert api.get("/me", headers=headers).json()["avatar_url"] is None
