"""What a person sees of a rollback, and of rows that are put back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from riptide.render import plural, seconds, show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from riptide.results import RestoreResult, RollbackResult, TakenBack

_NAMED = 4  # objects that are named; of more only the number of each kind is told


def rollback(result: RollbackResult, relative: Callable[[Path], str], flag: str = "") -> None:
    """Print what was taken back, and what went with it.

    Args:
        result: What came of it.
        relative: Gives a path as a person would name it.
        flag: What a command has to say to mean this target.
    """
    verb = "would take back" if result.dry_run else "took back"
    for each in result.migrations:
        show(f"{verb} {each.label}")
        for line in _effects(each):
            show(f"  {line}")
    if not result.migrations:
        show(f"{result.target}: nothing to take back")
        return
    if result.saved_to is not None:
        show(f"rows saved in {relative(result.saved_to)}")
        folder = relative(result.saved_to)
        show(f"  after the next push: inv migrate.restore {folder}{flag}")
    if result.refused:
        show(f"without --dry-run this is refused: {result.refused}")
    show(
        f"{result.target}: {verb} {plural(len(result.rolled_back), 'migration')} "
        f"in {seconds(result.seconds)}"
    )


def _effects(report: TakenBack) -> list[str]:
    lost = {(each.table, each.kind): each for each in report.lost}
    found = []
    for table in report.tables:
        loss = lost.pop((table, "table"), None)
        found.append(f"drops table {table}{f' with {_number(loss.rows)}' if loss else ''}")
    by_table: dict[str, list[str]] = {}
    for column in report.columns:
        by_table.setdefault(column.rpartition(".")[0], []).append(column)
    for table, columns in by_table.items():
        loss = lost.pop((table, "columns"), None)
        values = f" with {_number(loss.rows, 'value')}" if loss else ""
        found.append(f"drops column{'s' if len(columns) > 1 else ''} {', '.join(columns)}{values}")
    for table, kind in list(lost):
        loss = lost[table, kind]
        if kind == "rows":
            found.append(f"deletes {_number(loss.rows)} of {table}")
        elif kind == "values":
            names = ", ".join(f"{table}.{each}" for each in loss.columns)
            found.append(f"overwrites {_number(loss.rows, 'value')} of {names}")
        elif kind == "sequence":
            gone = f"sequence {table}" in report.others
            does = f"drops sequence {table}" if gone else f"sets sequence {table} back"
            found.append(f"{does}, whose last number is {loss.last_value}")
        elif kind == "table":
            found.append(f"replaces table {table}, whose {_number(loss.rows)} would go")
        else:
            names = ", ".join(f"{table}.{each}" for each in loss.columns)
            found.append(f"replaces {names}: {_number(loss.rows, 'value')} would go")
    losing = {each.table for each in report.lost}
    found += [
        f"changes {_number(each.rows)} of {each.table}, and no value is lost"
        for each in report.updated
        if each.table not in losing
    ]
    for words, objects in (
        ("drops", report.others),
        ("brings back", report.made),
        ("changes", report.changed),
    ):
        if objects:
            found.append(f"{words} {_named(objects)}")
    found += [f"drops what its migration did not make: {each}" for each in report.foreign]
    found += [f"touches rows of the platform's own: {each}" for each in report.managed]
    found += [f"note: {each}" for each in report.notes]
    return found or ["nothing in the database changes"]


def _named(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    kinds = Counter(_kind(each) for each in names)
    return ", ".join(_number(number, kind) for kind, number in kinds.items())


def _kind(name: str) -> str:
    """Give the kind out of ``materialized view public.a``: all words before the last name."""
    for kind in ("materialized view", "foreign table", "event trigger", "default privileges"):
        if name.startswith(kind):
            return kind
    return name.partition(" ")[0]


def _number(number: int, noun: str = "row") -> str:
    many = {"policy": "policies", "index": "indexes", "statistics": "statistics"}
    many |= {"default privileges": "default privileges"}
    return f"{number:,} {noun if number == 1 else many.get(noun, f'{noun}s')}"


def restore(result: RestoreResult) -> None:
    """Print what was put back."""
    for each in result.tables:
        parts = [f"{each.restored:,} put back"]
        if each.kind == "columns":
            parts = [f"values of {_number(each.restored)} put back"]
        parts += [f"{each.present:,} there already"] if each.present else []
        parts += [f"{each.kept:,} kept as they are"] if each.kept else []
        parts += [f"{each.absent:,} no longer there"] if each.absent else []
        show(f"  {each.table}: {', '.join(parts)} (of {each.saved:,} saved)")
    for name in result.sequences:
        show(f"  sequence {name} goes on from where it was")
    show(f"{result.target}: {_number(result.restored)} put back in {seconds(result.seconds)}")
