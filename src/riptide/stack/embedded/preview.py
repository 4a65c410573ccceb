"""What an action on the embedded stack would do, a line a step: for `inv --dry`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from riptide.settings import Settings
    from riptide.stack.embedded.postgres import Cluster


def preview(action: str, settings: Settings, cluster: Cluster) -> list[str]:
    """See `Stack.preview`."""
    data_dir = cluster.data_dir
    stop = [f"end the gateway and PostgreSQL of {settings.run_dir}"]
    copy = f"copy a prepared PostgreSQL data directory to {data_dir}"
    run = [
        f"postgres -D {data_dir} -p {settings.config.db_port}",
        f"node gateway.cjs {settings.run_dir}",
    ]
    return {
        "start": run if cluster.files.exists else [copy, *run],
        "stop": stop,
        "stop and delete": [*stop, f"delete {data_dir} and its log"],
        "reset": [*stop, f"put {data_dir} aside", copy, *run, "delete what was put aside"],
    }[action]
