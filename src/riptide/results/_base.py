"""What all results share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Sized

SECRET: dict[str, bool] = {"secret": True}


def count(things: Sized, noun: str) -> str:
    """Give ``1 table``, ``2 tables``."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _plain(value: object) -> Any:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, Path | UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value


@dataclass(frozen=True, kw_only=True)
class Result:
    """Base of all results."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as plain JSON types, secrets left out."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in dataclasses.fields(self)
            if not each.metadata.get("secret")
        }
