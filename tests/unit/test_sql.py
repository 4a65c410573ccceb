"""Splitting SQL into statements."""

from __future__ import annotations

import pytest

from riptide.migrations.sql import line_of, not_one_transaction, split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("-- only a comment;\n", []),
        ("select 1", ["select 1"]),
        ("select 1; select 2;", ["select 1", "select 2"]),
        ("select ';'; select 2", ["select ';'", "select 2"]),
        ("select 'it''s;'; select 2", ["select 'it''s;'", "select 2"]),
        (r"select E'\';'; select 2", [r"select E'\';'", "select 2"]),
        ('select 1 as "a;""b"; select 2', ['select 1 as "a;""b"', "select 2"]),
        ("select $$a;b$$; select 2", ["select $$a;b$$", "select 2"]),
        ("select $x$a;$$;b$x$; select 2", ["select $x$a;$$;b$x$", "select 2"]),
        ("/* a; /* b; */ c; */ select 1; select 2", None),
        ("select a$b$c; select 2", ["select a$b$c", "select 2"]),
        ("select $1; select 2", ["select $1", "select 2"]),
        ("select 'open; select 2", ["select 'open; select 2"]),
        ("select $$open; select 2", ["select $$open; select 2"]),
        ("/* open; select 2", []),
        (";;select 1;;", ["select 1"]),
    ],
)
def test_split(text: str, expected: list[str] | None) -> None:
    """A semicolon ends a statement unless it stands in a quote, a comment or a body."""
    found = [each.text for each in split(text)]
    if expected is None:  # two statements, whatever is in the first
        assert len(found) == 2
        assert found[1] == "select 2"
    else:
        assert found == expected


def test_atomic_body_is_one_statement() -> None:
    """The semicolons of a BEGIN ATOMIC body, with a CASE in it, do not end the statement."""
    body = (
        "create function f(a int) returns int\nbegin atomic\n"
        "  select case when a > 0 then 1 else 2 end;\n  select 3;\nend"
    )
    assert [each.text for each in split(f"{body};\nselect 2;")] == [body, "select 2"]


def test_offsets_and_lines() -> None:
    """A statement knows where its text and where its first word begin."""
    text = "select 1;\n\n-- why\n/* how */ insert into t\nvalues (1);"
    second = split(text)[1]
    assert text[second.offset :].startswith("-- why")
    assert text[second.code_offset :].startswith("insert into t")
    assert (line_of(text, second.offset), line_of(text, second.code_offset)) == (3, 4)
    assert second.words[:2] == ("insert", "into")


@pytest.mark.parametrize(
    ("text", "controls"),
    [
        ("commit", True),
        ("/* x */ COMMIT work", True),
        ("begin", True),
        ("start transaction", True),
        ("end", True),
        ("rollback", True),
        ("rollback to savepoint a", False),
        ("savepoint a", False),
        ("prepare transaction 'x'", True),
        ("prepare x as select 1", False),
        ("do $$ begin commit; end $$", False),
        ("select 'commit'", False),
    ],
)
def test_transaction_control(text: str, controls: bool) -> None:
    """What would end or begin a transaction is recognised, and nothing else is."""
    assert split(text)[0].controls_transaction is controls


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("create index concurrently i on t (a)", True),
        ("create unique index concurrently i on t (a)", True),
        ("drop index concurrently i", True),
        ("reindex (verbose) table concurrently t", True),
        ("vacuum t", True),
        ("alter system set x = 1", True),
        ("cluster t", True),
        ("create index i on t (a)", False),
        ('create index "concurrently" on t (a)', False),
        ("reindex table t", False),
        ("refresh materialized view concurrently v", False),
        ("do $$ begin perform 'vacuum'; end $$", False),
    ],
)
def test_statement_that_refuses_a_transaction(text: str, refuses: bool) -> None:
    """What PostgreSQL runs outside a transaction only is recognised, and nothing else is."""
    assert split(text)[0].refuses_transaction is refuses


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("create table a ();\ncreate table b ();", None),
        ("create index concurrently i on t (a);\n-- done\n", None),
        ("create table a ();\ncreate index concurrently i on a (b);", 2),
        ("create table a ();\n-- x\ncommit;\n", 3),
        ("-- pg-delta: transaction=false\nselect 1;\nselect 2;", 2),
        ("-- pg-delta: transaction=false\r\nvacuum t;", None),
        ("select 1; rollback to savepoint x;", None),
        ("select 1;\ndo $$ begin perform 1; commit; end $$;", 2),
        ("do $$ begin perform 1; end $$;\nselect 'commit';", None),
        ("select 1;\n\ncall public.p();", 3),
    ],
)
def test_file_that_is_not_one_transaction(text: str, line: int | None) -> None:
    """The statement for which the CLI gives up a file's one transaction is found."""
    found = not_one_transaction(text)
    assert (line_of(text, found.code_offset) if found else None) == line
