"""Tables, columns and sequences that have another name now than when their rows were saved."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from riptide._quote import quoted
from riptide.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from riptide.migrations.saved_manifest import Manifest, SavedSequence, SavedTable

# As names are told: as they are in the catalog, in quotes where a dot or a sign is a part of one.
_PART = r'"(?:[^"]|"")+"|[^".=]+'
_NAME = re.compile(rf"(?:{_PART})(?:\.(?:{_PART}))*")
_RENAME = re.compile(rf"({_NAME.pattern})=(.*)", re.DOTALL)

Table = tuple[str, str]


def read_renames(given: Iterable[str]) -> dict[str, str]:
    """Read the flags ``--rename old=new``.

    Raises:
        ConfigError: One of them is not of this form, or a name is there twice.
    """
    found: dict[str, str] = {}
    for each in given:
        match = _RENAME.fullmatch(each)
        if match is None:
            raise _wrong(f"--rename takes OLD=NEW, not {each!r}")
        if match[1] in found:
            raise _wrong(f"{match[1]} is named twice")
        found[match[1]] = match[2]
    return found


def flags(rename: Mapping[str, str]) -> str:
    """Give renames as flags of a command, each with a space before."""
    return "".join(f" --rename {shlex.quote(f'{old}={new}')}" for old, new in rename.items())


def with_renames(manifest: Manifest, rename: Mapping[str, str]) -> Manifest:
    """Give a manifest in which everything has the name that it has in the database now.

    Args:
        manifest: As it was written.
        rename: New names by old ones: ``table`` or ``schema.table``, and ``table.column`` or
            ``schema.table.column``, whose new name is the column's alone.

    Raises:
        ConfigError: Nothing of an old name was saved, more than one thing was, a new name cannot be
            one, or two things would have one name.
    """
    if not rename:
        return manifest
    names = _Names(manifest)
    for old, new in rename.items():
        names.add(old, new)
    renamed = replace(
        manifest,
        tables=tuple(map(names.table, manifest.tables)),
        sequences=tuple(map(names.sequence, manifest.sequences)),
    )
    names.refuse_same(renamed)
    return renamed


@dataclass
class _Names:
    manifest: Manifest
    tables: dict[Table, Table] = field(default_factory=dict)
    columns: dict[tuple[Table, str], str] = field(default_factory=dict)

    def add(self, old: str, new: str) -> None:
        parts = _parts(old)
        saved = {(each.schema, each.name): each for each in self.manifest.tables}
        alone = [_parts(each.name) for each in self.manifest.sequences if each.alone]
        both = [*saved, *((each[0], each[1]) for each in alone if len(each) == 2)]
        tables = [each for each in dict.fromkeys(both) if each[-len(parts) :] == parts]
        columns = [
            (table, name)
            for table in saved
            for name in self._columns(table)
            if len(parts) > 1 and (*table, name)[-len(parts) :] == parts
        ]
        if not tables and not columns:
            raise self._unknown(old, parts)
        if len(tables) + len(columns) > 1:
            found = [f"table {'.'.join(each)}" for each in tables]
            found += [f"column {'.'.join((*table, name))}" for table, name in columns]
            raise _wrong(
                f"{old} may be {' or '.join(found)}",
                f"say it in full: {' or '.join(each.partition(' ')[2] for each in found)}",
            )
        now = _parts(new)
        if tables:
            (table,) = tables
            if len(now) not in (1, 2):
                raise _wrong(f"{new!r} is no name for a table: it is `table` or `schema.table`")
            self._once(table in self.tables, ".".join(table))
            self.tables[table] = (now[0] if len(now) > 1 else table[0], now[-1])
        else:
            (column,) = columns
            if len(now) != 1:
                raise _wrong(f"{new!r} is no name for a column: it is its new name alone")
            self._once(column in self.columns, ".".join((*column[0], column[1])))
            self.columns[column] = now[0]

    def _columns(self, table: Table) -> dict[str, None]:
        saved = (each for each in self.manifest.tables if (each.schema, each.name) == table)
        return dict.fromkeys(name for each in saved for name in each.names)

    def _once(self, again: bool, name: str) -> None:  # noqa: FBT001
        if again:
            raise _wrong(f"{name} is named twice")

    def _unknown(self, old: str, parts: tuple[str, ...]) -> ConfigError:
        tables = dict.fromkeys(each.shown for each in self.manifest.tables)
        lines = [f"  The folder has rows of {', '.join(tables)}."] if tables else []
        for table in dict.fromkeys((each.schema, each.name) for each in self.manifest.tables):
            if len(parts) > 1 and table[-len(parts) + 1 :] == parts[:-1]:
                lines = [f"  {'.'.join(table)} has {', '.join(self._columns(table))}."]
        return ConfigError(
            f"no rows were saved of {old}",
            detail="\n".join(lines) or None,
            next_step="say the name that it had when the rows were saved",
        )

    def _name(self, table: Table, column: str) -> str:
        return self.columns.get((table, column), column)

    def table(self, saved: SavedTable) -> SavedTable:
        """Give a file's table under its new name."""
        table = (saved.schema, saved.name)
        schema, name = self.tables.get(table, table)
        return replace(
            saved,
            schema=schema,
            name=name,
            columns=tuple((self._name(table, each), type_) for each, type_ in saved.columns),
            lost=tuple(self._name(table, each) for each in saved.lost),
            key=tuple(self._name(table, each) for each in saved.key),
        )

    def sequence(self, saved: SavedSequence) -> SavedSequence:
        """Give a sequence under its new name, and as that of its column's new one."""
        owner, name = saved.owner, saved.name
        if owner:
            table = (owner[0], owner[1])
            owner = (*self.tables.get(table, table), self._name(table, owner[2]))
        parts = _parts(saved.name)
        if (now := self.tables.get((parts[0], parts[-1]))) and saved.alone:
            name = ".".join(map(_plain_or_quoted, now))
        return replace(saved, owner=owner, name=name)

    def refuse_same(self, renamed: Manifest) -> None:
        """Refuse names that two have now, and had not."""
        tables = dict.fromkeys((each.schema, each.name) for each in self.manifest.tables)
        for table, number in Counter(self.tables.get(each, each) for each in tables).items():
            if number > 1:
                raise _wrong(f"two tables would be {'.'.join(table)}")
        for each in renamed.tables:
            for name, number in Counter(each.names).items():
                if number > 1:
                    raise _wrong(f"two columns of {each.shown} would be {name}")


def _parts(name: str) -> tuple[str, ...]:
    if not _NAME.fullmatch(name):
        raise _wrong(f"{name!r} is no name")
    found = re.findall(_PART, name)
    return tuple(each[1:-1].replace('""', '"') if each.startswith('"') else each for each in found)


def _plain_or_quoted(name: str) -> str:
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else quoted(name)


def _wrong(problem: str, next_step: str | None = None) -> ConfigError:
    return ConfigError(problem, next_step=next_step)
