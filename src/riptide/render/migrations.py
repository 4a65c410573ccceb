"""What a person sees of migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide.render import plural, seconds, show, styled, table
from riptide.results import MigrationState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.text import Text

    from riptide.results import (
        InitResult,
        MigrationList,
        NewMigration,
        Problem,
        PushPlan,
        PushResult,
        ResetResult,
    )

_STATE_STYLE = {
    MigrationState.APPLIED: "green",
    MigrationState.PENDING: "yellow",
    MigrationState.OUT_OF_ORDER: "red",
    MigrationState.MISSING: "red",
    MigrationState.DRIFTED: "red",
}

_HAZARD = {
    "data": ("destroys data: ", "bold red"),
    "lock": ("locks: ", "bold yellow"),
    "": ("", ""),
}


def migration_list(found: MigrationList) -> None:
    """Print the table of versions and a count of each state."""
    from rich.text import Text

    if not found.migrations:
        show(f"{found.target}: no migrations; write one with `inv migrate.new <name>`")
        return
    noted = any(each.note for each in found.migrations)
    rows = table("version", "name", "state", "rollback", *(["note"] if noted else []))
    rows.columns[0].no_wrap = True  # it is there to be copied
    for each in found.migrations:
        twin = "yes" if each.rollback_path else "missing" if each.path else ""
        rows.add_row(
            each.version,
            each.name,
            Text(each.state.words, style=_STATE_STYLE[each.state]),
            Text(twin, style="" if twin != "missing" else "yellow"),
            *([Text(each.note, style="dim")] if noted else []),
        )
    show(rows)
    counts = [
        f"{len(found.in_state(state))} {state.words}"
        for state in MigrationState
        if found.in_state(state)
    ]
    show(f"{found.target}: {', '.join(counts)}")


def new_migration(made: NewMigration, relative: Callable[..., str]) -> None:
    """Print the two files that were written."""
    show(f"wrote {relative(made.path)}\n  and {relative(made.rollback_path)}")


def differences(found: MigrationList) -> None:
    """Print, for each file that was edited since it was applied, what was edited."""
    from rich.text import Text

    edited = [each for each in found.migrations if each.diff]
    if not edited:
        show("no applied migration was edited")
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for each in edited:
        show(Text(f"{each.label}: {each.note}", style="bold"))
        for line in each.diff.splitlines():
            show(Text(f"  {line}", style=styles.get(line[:1], "")))


def problems(found: Sequence[Problem]) -> None:
    """Print what a push would stumble over: a line each, and below it the way out."""
    from rich.text import Text

    for each in found:
        show(Text.assemble((each.label, "bold"), f": {each.what}"))
        show(f"  next: {each.next_step}")


def plan(found: PushPlan) -> None:
    """Print which database it is, what would be applied to it, and what to know before."""
    named = f", project {found.identity}" if found.identity else ""
    told: list[str | Text] = [
        f"{found.target}{named}: {found.applied} applied, {len(found.files)} to go"
    ]
    for each in found.files:
        told.append(f"  {each.file}  {plural(each.statements, 'statement')}")
        for finding in each.findings:
            word, style = _HAZARD[finding.hazard]
            words = f"{finding.message.splitlines()[0]} ({finding.rule})"
            told.append(styled(f"    line {finding.line}: ", (word, style), words))
    show(*told)


def push(result: PushResult) -> None:
    """Print what was applied."""
    verb = "would apply" if result.dry_run else "applied"
    told = []
    if result.rehearsed is not None:
        told.append(f"  rehearsed on a scratch database in {seconds(result.rehearsed)}")
    width = max(map(len, result.applied), default=0)
    for name in result.applied:
        took = "" if result.dry_run else f"  {result.timings.get(name, 0):.2f} s"
        told.append(f"  {verb} {name:<{width}}{took}".rstrip())
    told += [f"  {'would run' if result.dry_run else 'ran'} seed {name}" for name in result.seeded]
    told += [
        f"  seed {name} has been run before: edited, it is not run again (migrate.reset does)"
        for name in result.not_seeded
    ]
    told += map(edited_too_late, result.edited)
    if result.up_to_date and not result.seeded:
        told.append(f"{result.target}: up to date, nothing to apply")
    else:
        count = plural(len(result.applied), "migration")
        told.append(f"{result.target}: {verb} {count} in {seconds(result.seconds)}")
    show(*told)


def edited_too_late(name: str) -> str:
    """Give the line for a file that was edited when the CLI had read it."""
    return f"  {name} was edited too late: it is applied as it was planned"


def reset(result: ResetResult) -> None:
    """Print what was replayed."""
    seeds = f", ran {plural(len(result.seeded), 'seed')}" if result.seeded else ""
    show(
        *map(edited_too_late, result.edited),
        f"{result.target}: emptied, replayed {plural(len(result.applied), 'migration')}{seeds} "
        f"in {seconds(result.seconds)}",
    )


def initialized(result: InitResult, relative: Callable[..., str]) -> None:
    """Print what `initialize_supabase` wrote."""
    if not result.created:
        show("this is a Supabase project already; nothing to do")
        return
    for path in result.created:
        show(f"wrote {relative(path)}")
    show("next:  inv migrate.new <name>, then inv up")
