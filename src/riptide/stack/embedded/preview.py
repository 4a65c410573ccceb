"""What an action on the embedded stack would do, a line a step: for `inv --dry`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from riptide.settings import Settings


def preview(action: str, settings: Settings, data_dir: Path) -> list[str]:
    """See `Stack.preview`."""
    stop = [f"end the gateway and PostgreSQL of {settings.run_dir}"]
    copy = f"copy a prepared PostgreSQL data directory to {data_dir}"
    run = [
        f"postgres -D {data_dir} -p {settings.config.db_port}",
        f"node gateway.mjs {settings.run_dir}",
    ]
    return {
        "start": [f"{copy} (unless it is there)", *run],
        "stop": stop,
        "stop and delete": [*stop, f"delete {data_dir} and its log"],
        "reset": [*stop, f"put {data_dir} aside", copy, *run, "delete what was put aside"],
    }[action]
