"""The embedded API: the Node process that serves REST and Auth with @supabase/lite."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from riptide._jwt import signed
from riptide._write import write_whole
from riptide.errors import StackError
from riptide.stack.embedded.bundle import ENTRY, bundled
from riptide.stack.ports import HOST
from riptide.stack.process import Mark, end, find, find_all, spawn, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import psutil

    from riptide.project_config import ProjectConfig
    from riptide.runner import Runner
    from riptide.toolchain import Toolchain

# The well-known expiry and issuer of a local stack's legacy keys, so that they come out the same.
_LEGACY_CLAIMS = {"iss": "supabase-demo", "exp": 1983812996}

_CONFIG = "gateway.json"
_KEYS = ("publishable_key", "secret_key", "anon_key", "service_role_key", "jwt_secret")

# A small young generation: a third less memory after a few hundred requests, at the same speed.
# The old one is not limited: a large answer needs the heap.
NODE_FLAGS = ("--max-semi-space-size=1",)
# JSON.rawJSON (gateway_types.mjs), which Node.js 21 and newer have without it.
NODE_20_FLAGS = ("--harmony-json-parse-with-source",)


def legacy_key(role: str, jwt_secret: str) -> str:
    """Give the JWT that was a project's key before the opaque ones (HS256, as the CLI makes it).

    Args:
        role: ``anon`` or ``service_role``.
        jwt_secret: What signs it.
    """
    claims = {"iss": _LEGACY_CLAIMS["iss"], "role": role, "exp": _LEGACY_CLAIMS["exp"]}
    return signed(claims, jwt_secret)


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The API in front of a cluster.

    Attributes:
        run_dir: Where its configuration and log are; its mark on the command line.
        config: The project's; ports and Auth settings come from it.
        instance: What tells this stack from any other.
        started_in: ``run_dir`` as the command line of the process has it that runs, where that is
            another: the folder was moved since.
        known_pid: The pid that it had at its start.
        log_begins_at: Bytes of its log that are from before.
    """

    run_dir: Path
    config: ProjectConfig
    instance: str
    started_in: Path | None = None
    known_pid: int | None = None
    log_begins_at: int = 0

    @property
    def mark(self) -> Mark:
        """What a gateway that works for this folder carries."""
        folder = self.started_in or self.run_dir
        # Without the suffix: an older version's, which may run, had another.
        return Mark(arguments=(str(folder),), place=self.run_dir, program=PurePath(ENTRY).stem)

    @property
    def log(self) -> Path:
        """Its log."""
        return self.run_dir / "gateway.log"

    @property
    def log_size(self) -> int:
        """How many bytes are in its log."""
        return self.log.stat().st_size if self.log.exists() else 0

    def argv(self, toolchain: Toolchain) -> list[str]:
        """Give the command that starts it; `ensure_bundle` goes before it."""
        return [
            str(toolchain.node.executable),
            *NODE_FLAGS,
            *(NODE_20_FLAGS if toolchain.node.version < (21,) else ()),
            str(bundled(toolchain)),
            str(self.run_dir),
        ]

    def write_config(self) -> None:
        """Write the file that it reads at its start (0600: keys are in it)."""
        body = {"instance": self.instance, **self._body()}
        write_whole(self.run_dir / _CONFIG, json.dumps(body, indent=2), mode=0o600)

    def config_digest(self) -> str:
        """Give what tells this configuration from another one; no secret can be read from it."""
        text = json.dumps(self._body(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def keys(self) -> dict[str, str]:
        """Give the keys that it was started with; where none are known, those it would be.

        The first are what it accepts, whatever ``config.toml`` says by now.
        """
        body = self._body()
        with suppress(OSError, ValueError):
            written = json.loads((self.run_dir / _CONFIG).read_text("utf-8"))
            if isinstance(written, dict) and written.get("instance") == self.instance:
                body = written
        return {name: str(body.get(name, "")) for name in _KEYS}

    def _body(self) -> dict[str, Any]:
        auth = asdict(self.config.auth)
        return {
            "host": HOST,
            "api_port": self.config.api_port,
            "db": {
                "host": HOST,
                "port": self.config.db_port,
                "database": "postgres",
                "password": "postgres",
            },
            "jwt_secret": auth.pop("jwt_secret"),
            "publishable_key": auth.pop("publishable_key"),
            "secret_key": auth.pop("secret_key"),
            "anon_key": legacy_key("anon", self.config.auth.jwt_secret),
            "service_role_key": legacy_key("service_role", self.config.auth.jwt_secret),
            "api": {
                "schemas": self.config.schemas,
                "extra_search_path": self.config.extra_search_path,
                "max_rows": self.config.max_rows,
            },
            "auth": {
                **{key: value for key, value in auth.items() if not key.startswith("email_")},
                "email": {
                    key.removeprefix("email_"): value
                    for key, value in auth.items()
                    if key.startswith("email_")
                },
            },
        }

    def migrate(self, toolchain: Toolchain, runner: Runner) -> None:
        """Bring the auth schema of a new cluster up to date; the server must run.

        Raises:
            CommandError: It could not.
        """
        self.write_config()
        runner.run([*self.argv(toolchain), "--migrate"], cwd=self.run_dir, timeout=60).check(
            "the auth schema could not be made"
        )

    def spawn(self, toolchain: Toolchain) -> int:
        """Start it; give its pid. It waits for the database by itself."""
        self.write_config()
        return spawn(self.argv(toolchain), log=self.log, cwd=self.run_dir)

    def wait_ready(
        self, pid: int, timeout: float = 30.0, *, state: str = "the stack is stopped again"
    ) -> None:
        """Wait until it answers.

        Args:
            pid: Its process.
            timeout: Seconds to wait.
            state: What state things are in once the caller has ended what it started.

        Raises:
            StackError: It ended or did not answer in time; with what it said.
        """
        deadline = time.monotonic() + timeout
        while not self.healthy():
            if find(pid) is None:
                raise StackError(
                    "the API gateway ended while it started",
                    detail=self._last_words(),
                    state=f"{state}; the data is as it was",
                    next_step="inv stack.logs",
                )
            if not wait_until(deadline):
                raise StackError(
                    f"the API gateway did not get ready within {timeout:g} s",
                    detail=self._last_words(),
                    state=f"{state}; the data is as it was",
                    next_step="inv stack.logs",
                )

    def healthy(self) -> bool:
        """Whether this very stack's gateway answers and is ready."""
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(HOST, self.config.api_port, timeout=2)
        try:
            connection.request("GET", "/_riptide/health")
            response = connection.getresponse()
            body = response.read()
            return response.status == 200 and json.loads(body).get("instance") == self.instance
        except (OSError, HTTPException, ValueError):
            return False
        finally:
            connection.close()

    def find(self) -> psutil.Process | None:
        """Give its process if it runs."""
        return find(self.known_pid, self.mark)

    def find_all(self) -> list[psutil.Process]:
        """Give its process, and any that a start which was killed had left behind.

        Where the folder was moved its old name may be another project's by now: then the one that
        is known is all.
        """
        process = self.find()
        others = find_all(self.mark) if self.started_in in (None, self.run_dir) else []
        return list({each.pid: each for each in (process, *others) if each is not None}.values())

    def stop(self) -> None:
        """End it, and any that a start which was killed had left behind."""
        for each in self.find_all():
            end(each, grace=5.0)

    def _last_words(self) -> str | None:
        try:
            with self.log.open("rb") as file:
                file.seek(self.log_begins_at)
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return None
        return "\n".join(f"  {line}" for line in text.splitlines()[-6:]) or None
