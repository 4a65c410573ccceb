"""The rows of a table before and after, read past Row Level Security: what has truly happened.

A reply alone proves nothing: an update of rows that a policy hides is answered with success, and an
insert that the policies let through can be answered with 42501, where only its representation was
refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from riptide.errors import RlsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg import Connection

    Values = Mapping[str, Any]

_FIND = """
select c.relkind in ('r', 'p', 'm'), c.relrowsecurity, array(
  select a.attname::text
  from pg_index as i
  join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
  where i.indrelid = c.oid and i.indisprimary
  order by a.attnum
), c.relkind in ('r', 'p')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""

_POLICIES = """
select policyname, array_to_string(roles, ', '), qual, with_check
from pg_policies
where schemaname = %s and tablename = %s and permissive = 'PERMISSIVE'
  and cmd = any(%s) and (roles && %s::name[])
order by 1
"""
_COMMANDS = {"upsert": ["INSERT", "UPDATE"]}
_SHOWN = 3  # rows of a kind
_LENGTH = 60  # characters of a value


@dataclass(frozen=True)
class Row:
    """A row as it was found.

    Attributes:
        version: The transaction that wrote it; also one that wrote what was there already.
        values: By column, as JSON has them.
    """

    version: str
    values: Values


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or view, and how its rows are told apart.

    Attributes:
        key: The columns of its primary key; without one a row is known by its place, or, in a
            view, by its values.
        stored: Whether its rows have a place and a version.
        secured: Whether Row Level Security is on.
    """

    schema: str
    name: str
    key: tuple[str, ...] = ()
    stored: bool = True
    secured: bool = True
    is_table: bool = True

    @property
    def full_name(self) -> str:
        """Its name with the schema."""
        return f"{self.schema}.{self.name}"

    @classmethod
    def find(cls, connection: Connection[Any], schema: str, name: str) -> Table:
        """Look a table up.

        Raises:
            RlsError: There is none of this name.
        """
        found = connection.execute(_FIND, [schema, name]).fetchone()
        if found is None:
            raise RlsError(
                f"there is no table or view {schema}.{name} in the migrated database",
                state="nothing was tried",
                next_step="mend the name, or make the table in a migration",
            )
        stored, secured, key, is_table = found
        return cls(
            schema=schema,
            name=name,
            key=tuple(key),
            stored=stored,
            secured=secured,
            is_table=is_table,
        )

    def read(self, connection: Connection[Any]) -> dict[str, Row]:
        """Give all its rows, by what tells them apart for a person."""
        from psycopg import sql

        place = sql.SQL("r_.xmin::text, r_.ctid::text" if self.stored else "'', ''")
        query = sql.SQL("select {}, to_jsonb(r_) from {} as r_").format(
            place, sql.Identifier(self.schema, self.name)
        )
        rows: dict[str, Row] = {}
        for version, where, values in connection.execute(query).fetchall():
            if self.key:
                label = ", ".join(f"{each}={values[each]}" for each in self.key)
            else:
                label = where or json.dumps(values, sort_keys=True, default=str)
            while label in rows:  # the same again in a view, the same place in another partition
                label += "'"
            rows[label] = Row(version, values)
        return rows

    def as_stored(self, connection: Connection[Any], body: Any) -> Values | None:
        """Give a body's values as this table would hold them; ``None`` where it could not."""
        import psycopg
        from psycopg import sql

        if not isinstance(body, dict) or not body:
            return None
        query = sql.SQL("select to_jsonb(jsonb_populate_record(null::{}, {}))").format(
            sql.Identifier(self.schema, self.name), sql.Literal(json.dumps(body, default=str))
        )
        try:
            found = connection.execute(query).fetchone()
        except psycopg.Error:
            return None
        if found is None or not body.keys() <= found[0].keys():
            return None
        return {each: found[0][each] for each in body}

    def policies(self, connection: Connection[Any], operation: str, role: str) -> str:
        """Say which policies let a role do something; that is where a hole is."""
        if self.is_table and not self.secured:
            return f"Row Level Security is off on {self.full_name}"
        if not self.is_table:
            return f"{self.full_name} is a view: is it made `with (security_invoker = on)`?"
        commands = [*_COMMANDS.get(operation, [operation.upper()]), "ALL"]
        found = connection.execute(
            _POLICIES, [self.schema, self.name, commands, [role, "public"]]
        ).fetchall()
        if not found:
            return f"no policy of {self.full_name} lets {role} {operation}"
        lines = []
        for name, roles, using, check in found:
            words = f"policy {name} to {roles}"
            words += f" using {_short(using)}" if using else ""
            words += f" with check {_short(check)}" if check else ""
            lines.append(words)
        return "; ".join(lines)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What differs between two looks at a table.

    Attributes:
        added: Rows that are new.
        removed: Rows that are gone.
        changed: Rows with other values: before and after.
        rewritten: Rows that were written with the values that they had, or put back by a trigger.
    """

    added: Mapping[str, Row]
    removed: Mapping[str, Row]
    changed: Mapping[str, tuple[Row, Row]]
    rewritten: Mapping[str, Row]

    @classmethod
    def between(cls, before: Mapping[str, Row], after: Mapping[str, Row]) -> Change:
        """Compare two looks."""
        both = {key: (before[key], after[key]) for key in before.keys() & after.keys()}
        return cls(
            added={key: after[key] for key in after.keys() - before.keys()},
            removed={key: before[key] for key in before.keys() - after.keys()},
            changed={key: (a, b) for key, (a, b) in both.items() if a.values != b.values},
            rewritten={
                key: a
                for key, (a, b) in both.items()
                if a.values == b.values and a.version != b.version
            },
        )

    def without_rewrites_but(self, asked: Values | None) -> Change:
        """Leave out rewritten rows whose values were to be others: a trigger put them back.

        Args:
            asked: What an update was to write, as the table would hold it; ``None`` where that is
                not known, so that each rewritten row counts.
        """
        if asked is None:
            return self
        kept = {
            key: row
            for key, row in self.rewritten.items()
            if all(row.values.get(name) == value for name, value in asked.items())
        }
        return Change(added=self.added, removed=self.removed, changed=self.changed, rewritten=kept)

    def touches(self, asked: Values | None) -> bool:
        """Whether what an update asked for has happened to a row, and not only to other columns."""
        if self.added or self.removed or self.without_rewrites_but(asked).rewritten:
            return True
        if asked is None:
            return bool(self.changed)
        return any(
            before.values.get(each) != after.values.get(each)
            for before, after in self.changed.values()
            for each in asked
        )

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.added or self.removed or self.changed or self.rewritten)

    def __str__(self) -> str:
        """Say what has happened, row by row, the first few of each kind."""
        if not self:
            return "no row was added, changed or removed"
        words = []
        if self.added:
            words.append(f"added {_some(self.added)}")
        if self.removed:
            words.append(f"removed {_some(self.removed)}")
        for key, (before, after) in list(self.changed.items())[:_SHOWN]:
            columns = ", ".join(
                f"{each} from {_short(before.values[each])} to {_short(after.values.get(each))}"
                for each in sorted(before.values)
                if before.values[each] != after.values.get(each)
            )
            words.append(f"changed the row {_short(key)}: {columns}")
        if len(self.changed) > _SHOWN:
            words.append(f"changed {len(self.changed) - _SHOWN} more")
        if self.rewritten:
            words.append(f"wrote the values that were there already to {_some(self.rewritten)}")
        return "; ".join(words)


def _some(rows: Mapping[str, Row]) -> str:
    shown = ", ".join(_short(each) for each in list(rows)[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"the row{'' if len(rows) == 1 else 's'} {shown}{more}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"
