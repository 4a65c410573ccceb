"""The catalog as Mermaid and Markdown: words that both can read."""

from __future__ import annotations

import re

import pytest

from riptide.schema.described import Column, Described, Key, Relation
from riptide.schema.diagram import diagram, entity, short_type, shortened
from riptide.schema.markdown import document, uncommented

# https://github.com/mermaid-js/mermaid, packages/mermaid/src/diagrams/er/parser/erDiagram.jison
ATTRIBUTE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9\-_\[\]()]*")


@pytest.mark.parametrize(
    ("kind", "short"),
    [
        ("timestamp with time zone", "timestamptz"),
        ("timestamp(3) without time zone[]", "timestamp(3)[]"),
        ("time with time zone", "timetz"),
        ("time(6) without time zone", "time(6)"),
        ("character varying(4)", "varchar(4)"),
        ("numeric(10,2)", "numeric(10,2)"),
        ("double precision", "float8"),
        ("public.daytime", "public.daytime"),
    ],
)
def test_types_by_their_shorter_names(kind: str, short: str) -> None:
    """A long name of PostgreSQL's is its short one, its precision and brackets kept."""
    assert shortened(kind) == short


@pytest.mark.parametrize(
    "kind", ["numeric(10,2)", 'public."Odd |type"[]', '"1st"', "bit varying(3)", "public.ünï"]
)
def test_types_are_one_word_for_mermaid(kind: str) -> None:
    """Whatever a type is called, Mermaid can read it."""
    assert ATTRIBUTE_WORD.fullmatch(short_type(kind))


def test_entities_can_be_read() -> None:
    """Schema public goes without saying, and nothing ends an entity's name before its end."""
    assert entity("public.teams") == '"teams"'
    assert entity('other.a"b%c\\d') == '"other.a_b_c_d"'


def table(name: str, *columns: str, keys: tuple[Key, ...] = ()) -> Relation:
    """Give a table whose columns are all ``not null``."""
    return Relation(
        schema="public",
        name=name,
        kind="r",
        comment="A `table`.",
        protected=True,
        columns=tuple(
            Column(
                name=each, type="integer", not_null=True, default=None, automatic="", comment=None
            )
            for each in columns
        ),
        keys=keys,
        policies=(),
    )


def key(kind: str, *columns: str, to: str | None = None) -> Key:
    """Give a key."""
    schema = "public" if to else None
    return Key(kind=kind, columns=columns, schema=schema, table=to, on_delete="")


def test_how_many_rows_may_refer_to_one() -> None:
    """A foreign key that holds a unique key is to one row at most, any other to many."""
    keys = (key("p", "a"), key("f", "a", "b", to="one"), key("f", "b", to="two"))
    lines = diagram([table("many", "a", "b", keys=keys)]).splitlines()
    assert lines[1:3] == [
        '    "one" ||--o| "many" : "a, b"',
        '    "two" ||--o{ "many" : "b"',
    ]


def test_document_of_names_with_marks() -> None:
    """A pipe does not end a cell, a backtick no code; what has no comment is named."""
    found = Described(
        schemas=("public",), relations=(table("t", "a|b", "c`d"),), functions=(), types=()
    )
    text = document(found)
    assert r"| `a\|b` | `integer` | not null | |" in text
    assert "| `` c`d `` | `integer` | not null | |" in text
    assert "Row Level Security is on, and no policy lets anybody in." in text
    assert uncommented(found) == ["column public.t.a|b", "column public.t.c`d"]
