"""What a person sees of exposed schemas that are not there."""

from __future__ import annotations

from riptide.render import lines


def missing_schema(name: str) -> None:
    """Warn of an exposed schema that is not there."""
    fails = "requests to it fail, with PostgREST all do"
    lines(
        [
            f"warning: schema {name} of [api] schemas does not exist: {fails}",
            "next:  inv migrate.push, where a migration makes it; or mend supabase/config.toml",
        ]
    )
