"""The documentation is held to the code: tasks, flags, names, settings, links."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import riptide
from riptide import errors, results
from riptide.tasks import namespace

ROOT = Path(__file__).resolve().parents[2]
TASKS_MD = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
API_MD = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What is not of the repository: caches, environments, what a stack writes.
FOREIGN = re.compile(r"/(\.git|\.venv|\.nox|\.cache|\.temp|\.\w+_cache|node_modules|__pycache__)/")
MARKDOWN = sorted(
    path for path in ROOT.rglob("*.md") if not FOREIGN.search(f"/{path.relative_to(ROOT)}")
)
TASKS = {name: namespace()[name] for name in namespace().task_names}
FLAGS = [
    (name, flag) for name, task in TASKS.items() for flag in task_flags(task)
] if (task_flags := lambda task: [a.name for a in task.get_arguments()]) else []  # placeholder
