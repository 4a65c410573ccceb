"""What saved rows and sequences belong to, found again in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riptide._quote import quoted
from riptide.errors import MigrationError
from riptide.migrations.put_back_in_place import InPlace, is_in_place
from riptide.migrations.put_back_sql import Stage
from riptide.migrations.table_key import equalities

if TYPE_CHECKING:
    import psycopg

    from riptide.migrations.saved_manifest import SavedSequence, SavedTable

_TABLE = """
select c.oid::bigint, c.relkind::text
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s
"""
_OTHERS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
_COLUMNS = """
select a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated <> '',
  a.attidentity = 'a', pg_get_expr(d.adbin, d.adrelid)
from pg_attribute as a
left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
"""
_SEQUENCE = """
select s.oid::regclass::text, q.seqincrement from pg_class as s
join pg_sequence as q on q.seqrelid = s.oid
where s.oid = coalesce(%s::text::regclass, to_regclass(%s))
"""


@dataclass(frozen=True)
class Finder:
    """Finds tables and sequences, and refuses one that is not as it was.

    Attributes:
        connection: In the transaction that puts the rows back.
        push: The command that applies what is pending.
        again: The command that puts the rows back.
    """

    connection: psycopg.Connection
    push: str
    again: str

    def stage(self, number: int, saved: SavedTable) -> Stage:
        """Find a file's table.

        Args:
            number: The file's, from 0 on.
            saved: The file.

        Raises:
            MigrationError: The table or a column is not there, or not as it was.
        """
        row = self.connection.execute(_TABLE, [saved.schema, saved.name]).fetchone()
        if row is None:
            raise MigrationError(
                f"table {saved.shown} is not there, and {saved.rows:,} saved rows belong to it",
                state="nothing was changed",
                next_step=f"{self.push} (it has to apply {saved.version}), then {self.again}; "
                f"with --rename {saved.saved_as}=<name> where it has another name",
            )
        oid, kind = row
        if kind not in ("r", "p"):
            raise MigrationError(
                f"{saved.shown} is {_OTHERS.get(kind, 'no table')} now, and {saved.rows:,} saved "
                "rows belong to a table of that name",
                state="nothing was changed",
                next_step=f"make it a table again as {saved.version} does, then {self.again}",
            )
        found = {each[0]: each[1:] for each in self.connection.execute(_COLUMNS, [oid]).fetchall()}
        for (name, type_), old in zip(saved.columns, saved.header, strict=True):
            if name not in found:
                raise MigrationError(
                    f"column {saved.shown}.{name} is not there, and saved rows have values of it",
                    state="nothing was changed",
                    next_step=f"{self.push} (is {saved.version} applied?), then {self.again}; "
                    f"with --rename {saved.saved_as}.{old}=<name> where it has another name",
                )
            if found[name][0] != type_:
                raise MigrationError(
                    f"column {saved.shown}.{name} is {found[name][0]} now, and was {type_} when "
                    "the rows were saved",
                    state="nothing was changed",
                    next_step=f"give it its type back for as long as this takes, then {self.again}",
                )
        return (InPlace if is_in_place(saved) else Stage)(
            saved=saved,
            oid=oid,
            name=f"riptide_saved_{number}",
            only="" if kind == "p" else "only ",
            generated=frozenset(name for name, each in found.items() if each[1]),
            always=frozenset(name for name, each in found.items() if each[2]),
            defaults={name: each[3] for name, each in found.items() if each[3] and not each[1]},
            equal=equalities(self.connection, oid, saved.key),
        )

    def set_forward(self, saved: SavedSequence) -> str:
        """Let a sequence go on from where it was at least; give its name where it was behind.

        Raises:
            MigrationError: It is not there, and its value was saved for itself.
        """
        owned = None
        if saved.owner:
            schema, table, column = saved.owner
            row = self.connection.execute(
                "select pg_get_serial_sequence(%s, %s)",
                [f"{quoted(schema)}.{quoted(table)}", column],
            ).fetchone()
            owned = row[0] if row else None
        found = self.connection.execute(_SEQUENCE, [owned, saved.name]).fetchone()
        if found is None and saved.alone:
            raise MigrationError(
                f"sequence {saved.name} is not there, and its value was saved",
                state="nothing was changed",
                next_step=f"{self.push} (is {saved.version} applied?), then {self.again}; "
                f"with --rename {saved.name}=<name> where it has another name",
            )
        if found is None:
            return ""
        name, step = found
        query = f"select last_value, is_called from {name}"
        last, called = self.connection.execute(query.encode()).fetchone() or (0, 0)
        now = last + (step if called else 0)
        then = saved.last_value + (step if saved.is_called else 0)
        if (then - now) * step <= 0:
            return ""
        self.connection.execute(
            "select setval(%s::text::regclass, %s, %s)",
            [name, saved.last_value, saved.is_called],
        )
        return str(name)
