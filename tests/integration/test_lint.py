"""The real squawk on real files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from riptide.errors import ConfigError
from riptide.migrations.lint import lint
from riptide.runner import SubprocessRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from riptide.results import Finding
    from riptide.settings import Settings

# Everything is done to a table that the file does not make itself.
HAZARDS = {
    "alter table public.t drop column a": "data",
    "drop table public.t": "data",
    "drop schema app cascade": "data",
    "truncate public.t cascade": "data",
    "truncate public.t": "data",
    "delete from public.t": "data",
    "drop type public.e cascade": "data",
    "drop type public.e": "",
    "create index i on public.t (a)": "lock",
    "drop index public.i": "lock",
    "alter table public.t alter a type bigint": "lock",
    "alter table public.t add constraint c check (a > 1)": "lock",
    "alter table public.t add constraint c unique (a)": "lock",
    "alter table public.t add constraint c foreign key (a) references public.x (b)": "lock",
    "alter table public.t add column z timestamptz default clock_timestamp()": "lock",
    "alter table public.t alter a set not null": "lock",
    "alter table public.t rename to u": "",
}


@pytest.fixture
def check(make_project: Callable[..., Settings]) -> Callable[[str], tuple[Finding, ...]]:
    """Give a function that lints one migration, named as awkwardly as one can be."""
    settings = make_project()

    def run(text: str) -> tuple[Finding, ...]:
        path = settings.migrations_dir / "20250101000000_a[1] ä.sql"
        path.write_text(text, encoding="utf-8")
        return lint([path], settings, SubprocessRunner())

    return run


@pytest.mark.parametrize("statement", HAZARDS)
def test_hazards(check: Callable[[str], tuple[Finding, ...]], statement: str) -> None:
    """What loses rows or blocks others is found in its line, and only there."""
    found = check(f"select 1;\n\n{statement};\n")
    assert {each.line for each in found} == {3}
    assert {each.hazard for each in found} - {""} == ({HAZARDS[statement]} - {""})


def test_own_migrations_are_clean(make_project: Callable[..., Settings]) -> None:
    """This project's own migrations give no cause for a word."""
    settings = make_project(schema=True)
    files = sorted(settings.migrations_dir.glob("*.sql"))
    assert len(files) >= 3
    assert lint(files, settings, SubprocessRunner()) == ()


def test_own_configuration_is_honoured(make_project: Callable[..., Settings]) -> None:
    """The project's .squawk.toml and a file's own comments leave rules out; a wrong one is told."""
    settings = make_project()
    path = settings.migrations_dir / "20250101000000_a.sql"
    path.write_text("drop table public.t;\nalter table public.u drop column a;\n")
    assert [each.rule for each in lint([path], settings, SubprocessRunner())] == [
        "ban-drop-table",
        "ban-drop-column",
    ]
    config = settings.root / ".squawk.toml"
    config.write_text('excluded_rules = ["ban-drop-table"]\n')
    assert [each.rule for each in lint([path], settings, SubprocessRunner())] == ["ban-drop-column"]
    path.write_text("-- squawk-ignore ban-drop-column\nalter table public.u drop column a;\n")
    assert lint([path], settings, SubprocessRunner()) == ()
    config.write_text('excluded_rules = ["no-such-rule"]\n')
    with pytest.raises(ConfigError, match=r"squawk cannot use \.squawk\.toml"):
        lint([path], settings, SubprocessRunner())


def test_concurrent_index_of_its_own_is_fine(
    check: Callable[[str], tuple[Finding, ...]],
) -> None:
    """A file of one concurrent index, as a push wants it, is not complained about."""
    assert check("create index concurrently if not exists i on public.t (a);\n") == ()
