"""What an embedded stack writes down about itself, to be known again by the next command."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from riptide._write import write_whole

_FORMAT = 2
_NAME = "stack.json"
_PATHS = ("run_dir", "home", "toolchain", "gateway_mark", "postgres_mark")


@dataclass(frozen=True, kw_only=True)
class State:
    """One started stack.

    Attributes:
        instance: Random; the gateway answers with it, so that no other is taken for it.
        run_dir: The folder that this was written in.
        home: The folder that PostgreSQL's data and log are in.
        gateway_mark: ``run_dir`` as the gateway's command line has it: as it was at the start.
        postgres_mark: The data directory as PostgreSQL's command line has it, likewise.
        api_config: A digest of what the gateway was started with.
        api_files: A digest of the gateway's own files, likewise.
        started_at: Seconds since the epoch.
    """

    instance: str
    api_port: int
    db_port: int
    run_dir: Path
    home: Path
    gateway_mark: Path
    postgres_mark: Path
    toolchain: Path
    template: str
    postgres_pid: int | None = None
    gateway_pid: int | None = None
    run_as: str | None = None
    api_config: str = ""
    api_files: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    started_at: float = 0.0

    @property
    def moved_from(self) -> Path | None:
        """The run folder at the start where it was another: the project was moved since."""
        return self.gateway_mark if self.gateway_mark != self.run_dir else None

    def write(self) -> None:
        """Write it, whole or not at all."""
        body = {"format": _FORMAT, **asdict(self)}
        body |= {name: str(body[name]) for name in _PATHS}
        write_whole(self.run_dir / _NAME, json.dumps(body, indent=2), mode=0o600)

    @classmethod
    def read(cls, run_dir: Path) -> Self | None:
        """Read it; ``None`` where there is none, or where it is not one that this can use.

        A state that was written in another folder came with a copy of the project where that
        folder still has its own: the processes and the data that it names are the original's.
        Where that folder has none, it is this one that was moved.

        Raises:
            PermissionError: This user may not read it.
        """
        try:
            body: dict[str, Any] = json.loads((run_dir / _NAME).read_text("utf-8"))
            if body.pop("format") != _FORMAT:
                return None
            body |= {name: Path(body[name]) for name in _PATHS}
            written_in = body["run_dir"]
            if written_in != run_dir:
                if _has_its_own(written_in, run_dir):
                    return None
                if body["home"].is_relative_to(written_in):
                    body["home"] = run_dir / body["home"].relative_to(written_in)
                body["run_dir"] = run_dir
            return cls(**body)
        except PermissionError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # half a file, another version's, or none: the processes tell the rest

    @staticmethod
    def remove(run_dir: Path) -> None:
        """Forget it."""
        (run_dir / _NAME).unlink(missing_ok=True)


def _has_its_own(there: Path, here: Path) -> bool:
    """Whether a folder has a state that is another file than this one's."""
    try:
        return not (there / _NAME).samefile(here / _NAME)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it cannot be looked at: leave it alone
