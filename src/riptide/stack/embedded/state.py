"""What an embedded stack writes down about itself, to be known again by the next command."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from riptide.stack.embedded.gateway import write_private

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class State:
    """One started stack.

    Attributes:
        instance: Random; the gateway answers with it, so that no other is taken for it.
        home: The folder that PostgreSQL's data and log are in.
        started_at: Seconds since the epoch.
    """

    instance: str
    api_port: int
    db_port: int
    home: Path
    toolchain: Path
    template: str
    postgres_pid: int | None = None
    gateway_pid: int | None = None
    run_as: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    started_at: float = 0.0

    def write(self, run_dir: Path) -> None:
        """Write it, whole or not at all."""
        body = {"format": _FORMAT, "run_dir": str(run_dir), **asdict(self)}
        body |= {"home": str(self.home), "toolchain": str(self.toolchain)}
        write_private(run_dir / "stack.json", json.dumps(body, indent=2))

    @classmethod
    def read(cls, run_dir: Path) -> Self | None:
        """Read it; ``None`` where there is none, or where it is not one that this can use.

        A state that was written for another folder came with a copy of the project: the processes
        and the data that it names are the original's.
        """
        try:
            body: dict[str, Any] = json.loads((run_dir / "stack.json").read_text("utf-8"))
            if body.pop("format") != _FORMAT or body.pop("run_dir") != str(run_dir):
                return None
            body |= {"home": Path(body["home"]), "toolchain": Path(body["toolchain"])}
            return cls(**body)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # half a file, another version's, or none: the processes tell the rest

    @staticmethod
    def remove(run_dir: Path) -> None:
        """Forget it."""
        (run_dir / "stack.json").unlink(missing_ok=True)
