"""Saved rows, put back into their tables in one transaction.

Each file is copied into a temporary table first; from there go the rows that are missing. Without
a superuser foreign keys cannot be switched off: tables are filled in their order, and where they
go in a circle the constraints are made deferrable until all rows are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from riptide._quote import quoted
from riptide.errors import DataLossError, MigrationError
from riptide.migrations.put_back_sql import Stage, count
from riptide.migrations.saved_rows import listed
from riptide.migrations.session import for_us
from riptide.results import RestoredTable

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from riptide.migrations.saved_manifest import Manifest, SavedSequence, SavedTable

_BLOCK = 1 << 16  # bytes of a file at a time

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
_TRIGGERS = """
select tgrelid::regclass::text, tgname, tgenabled::text from pg_trigger
where tgrelid = any(%s::oid[]) and not tgisinternal and tgenabled <> 'D'
"""
_ENABLE = {"O": "enable", "R": "enable replica", "A": "enable always"}
_FOREIGN_KEYS = """
select conrelid::bigint, confrelid::bigint, conrelid::regclass::text, conname, condeferrable,
  conparentid = 0
from pg_constraint
where contype = 'f' and conrelid <> confrelid
  and conrelid = any(%(tables)s::oid[]) and confrelid = any(%(tables)s::oid[])
"""
_SEQUENCE = """
select s.oid::regclass::text, q.seqincrement from pg_class as s
join pg_sequence as q on q.seqrelid = s.oid
where s.oid = coalesce(%s::text::regclass, to_regclass(%s))
"""


@dataclass
class PutBack:
    """One call: run it in a transaction.

    Attributes:
        at: The table that is at work, for an error.
        moved: Sequences that were set to where they had been.
    """

    connection: psycopg.Connection
    manifest: Manifest
    existing: str
    lock_timeout: float
    say: Callable[[str], None]
    again: str
    at: str = ""
    moved: list[str] = field(default_factory=list)
    _after: list[str] = field(default_factory=list)

    def run(self) -> tuple[RestoredTable, ...]:
        """Put everything back.

        Raises:
            MigrationError: A table or a column is not there, or not as it was.
            DataLossError: Rows are there with other values, which was not said to be right.
            psycopg.Error: The database refused something.
        """
        for_us(self.connection, self.lock_timeout)
        # Oldest migration first: a table, then what a later one put into it.
        stages = [
            self._stage(number, each) for number, each in enumerate(reversed(self.manifest.tables))
        ]
        ordered = self._prepare(stages)
        for each in ordered:
            self.at = each.saved.shown
            self._fill(each)
        self._join_columns(stages)
        results = [self._put(each) for each in ordered]
        self.at = ""
        self._execute("set constraints all immediate")
        for statement in reversed(self._after):
            self._execute(statement)
        for each in ordered:
            self._confirm(each)
        for sequence in self.manifest.sequences:
            if self._sequence(sequence):
                self.moved.append(sequence.name)
        return tuple(results)

    def _execute(self, statement: str) -> psycopg.Cursor:
        return self.connection.execute(statement.encode())

    def _stage(self, number: int, saved: SavedTable) -> Stage:
        """Find a file's table, and refuse one that is not as it was."""
        row = self.connection.execute(_TABLE, [saved.schema, saved.name]).fetchone()
        if row is None:
            raise MigrationError(
                f"table {saved.shown} is not there, and {saved.rows:,} saved rows belong to it",
                state="nothing was changed",
                next_step=f"inv migrate.push (it has to apply {saved.version}), then {self.again}",
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
        for name, type_ in saved.columns:
            if name not in found:
                raise MigrationError(
                    f"column {saved.shown}.{name} is not there, and saved rows have values of it",
                    state="nothing was changed",
                    next_step=f"inv migrate.push (is {saved.version} applied?), then {self.again}",
                )
            if found[name][0] != type_:
                raise MigrationError(
                    f"column {saved.shown}.{name} is {found[name][0]} now, and was {type_} when "
                    "the rows were saved",
                    state="nothing was changed",
                    next_step=f"give it its type back for as long as this takes, then {self.again}",
                )
        return Stage(
            saved=saved,
            oid=oid,
            name=f"riptide_saved_{number}",
            only="" if kind == "p" else "only ",
            generated=frozenset(name for name, each in found.items() if each[1]),
            always=frozenset(name for name, each in found.items() if each[2]),
            defaults={name: each[3] for name, each in found.items() if each[3] and not each[1]},
        )

    def _prepare(self, stages: list[Stage]) -> list[Stage]:
        """Lock the tables, put triggers off, give the order in which foreign keys hold."""
        oids = list(dict.fromkeys(each.oid for each in stages))
        tables = sorted({f"{each.only}{each.saved.full_name}" for each in stages})
        if tables:
            self._execute(f"lock table {', '.join(tables)} in share row exclusive mode")
        for table, trigger, state in self.connection.execute(_TRIGGERS, [oids]).fetchall():
            name = quoted(trigger)
            self._execute(f"alter table {table} disable trigger {name}")
            self._after.append(f"alter table {table} {_ENABLE[state]} trigger {name}")
        for each in stages:
            for name in each.always & set(each.saved.lost):
                column = f"alter table {each.saved.full_name} alter column {quoted(name)}"
                self._execute(f"{column} set generated by default")
                self._after.append(f"{column} set generated always")
        keys = self.connection.execute(_FOREIGN_KEYS, {"tables": oids}).fetchall()
        graph: dict[int, set[int]] = {oid: set() for oid in oids}
        for child, parent, *_ in keys:
            graph[child].add(parent)
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError:
            order = oids
            for _, _, table, name, deferrable, own in keys:
                if not deferrable and own:
                    constraint = f"alter table {table} alter constraint {quoted(name)}"
                    self._execute(f"{constraint} deferrable initially deferred")
                    self._after.append(f"{constraint} not deferrable")
        self._execute("set constraints all deferred")
        # Sorting is stable: of one table the oldest migration's rows stay first.
        return sorted(stages, key=lambda each: (each.is_columns, order.index(each.oid)))

    def _fill(self, stage: Stage) -> None:
        """Copy a file into its temporary table."""
        saved = stage.saved
        self.say(f"reading {saved.path.name}")
        columns = listed(saved.names)
        self._execute(
            f"create temp table {stage.name} on commit drop as "
            f"select {columns} from only {saved.full_name} with no data"
        )
        for name in saved.left:
            self._execute(f"alter table {stage.table} add column {quoted(name)} text")
        columns = listed([*saved.names, *saved.left])
        cursor = self.connection.cursor()
        command = f"copy {stage.table} ({columns}) from stdin (format csv, header match)"
        with saved.path.open("rb") as stream, cursor.copy(command.encode()) as copy:
            while block := stream.read(_BLOCK):
                copy.write(block)
        if cursor.rowcount != saved.rows:
            raise MigrationError(
                f"{saved.path.name} has {cursor.rowcount:,} rows, the manifest says {saved.rows:,}",
                state="nothing was changed",
                next_step="get the file back as it was",
            )
        self._execute(f"analyze {stage.table}")

    def _join_columns(self, stages: list[Stage]) -> None:
        """Give rows of a table the values that they had before a later migration was taken back.

        Of a column that it had put into the table, which may be ``not null``: rows without it could
        not be put back. And of one whose values its twin had overwritten, older than those here.

        Args:
            stages: Oldest migration first.
        """
        for number, each in enumerate(stages, 1):
            for other in stages[number:]:
                if (
                    other.is_columns
                    and other.oid == each.oid
                    and set(other.saved.kept) <= set(each.saved.names)
                ):
                    each.extend(self._execute, other)

    def _put(self, stage: Stage) -> RestoredTable:
        saved = stage.saved
        self.at = saved.shown
        self.say(f"putting back {saved.shown}")
        counts = self._execute(stage.counting_query()).fetchone() or (0, 0, 0)
        present, differing, absent = counts
        if differing and self.existing == "refuse":
            what = "have other values now" if stage.is_columns else "are there with other values"
            raise DataLossError(
                f"{differing:,} of {saved.rows:,} saved rows of {saved.shown} {what}",
                detail=f"  They differ in {', '.join(self._differing(stage))}.",
                state="nothing was changed",
                next_step=f"{self.again} --existing keep, or --existing replace",
            )
        restored = sum(
            self._execute(query).rowcount
            for query in stage.writing_queries(replace=self.existing == "replace")
        )
        return RestoredTable(
            table=saved.shown,
            kind=saved.kind,
            saved=saved.rows,
            restored=restored,
            present=present,
            kept=0 if self.existing == "replace" else differing,
            absent=absent,
        )

    def _differing(self, stage: Stage) -> list[str]:
        """Give the names of the columns in which saved rows are not as those that are there."""
        row = self._execute(stage.differing_query()).fetchone() or ()
        return [name for name, differs in zip(stage.compared, row, strict=False) if differs]

    def _confirm(self, stage: Stage) -> None:
        """Look whether every saved row is there now, but for those that were to be left."""
        left = count(self._execute, stage.missing_query(keep=self.existing == "keep"))
        if left:
            raise MigrationError(
                f"{left:,} of {stage.saved.rows:,} rows of {stage.saved.shown} are not as saved",
                detail="  Something on that table (a rule, another file's rows) changed them.",
                state="nothing was changed",
                next_step="look at the table's rules, then the same command again",
            )

    def _sequence(self, saved: SavedSequence) -> bool:
        """Let a sequence go on from where it was at least; say whether it was behind."""
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
                next_step=f"inv migrate.push (is {saved.version} applied?), then {self.again}",
            )
        if found is None:
            return False
        name, step = found
        last, called = self._execute(f"select last_value, is_called from {name}").fetchone() or (
            0,
            0,
        )
        now = last + (step if called else 0)
        then = saved.last_value + (step if saved.is_called else 0)
        if (then - now) * step <= 0:
            return False
        self.connection.execute(
            "select setval(%s::text::regclass, %s, %s)",
            [name, saved.last_value, saved.is_called],
        )
        return True
