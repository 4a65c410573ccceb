"""Making room for unique values that rows have exchanged among each other.

A unique index that is not deferrable is checked row by row
(https://www.postgresql.org/docs/17/sql-createtable.html): a value cannot go back to its row while
another one still has it. So all of them are made null first. Deleting the rows and inserting them
again would set off what foreign keys do on deletion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from riptide._quote import quoted

if TYPE_CHECKING:
    import psycopg

    from riptide.migrations.put_back_sql import Stage

# The columns of an expression or a condition of the index depend on it, too; a primary key's cannot
# be null.
_UNIQUE = """
select a.attname, a.attnotnull
from pg_attribute as a
where a.attrelid = %(table)s and not a.attisdropped and a.attnum > 0
  and exists (
    select from pg_index as x
    where x.indrelid = a.attrelid and (x.indisunique or x.indisexclusion) and not x.indisprimary
      and (a.attnum = any(x.indkey) or exists (
        select from pg_depend as d
        where d.classid = 'pg_class'::regclass and d.objid = x.indexrelid
          and d.refclassid = 'pg_class'::regclass and d.refobjid = a.attrelid
          and d.refobjsubid = a.attnum))
  )
  and not exists (
    select from pg_index as x
    where x.indrelid = a.attrelid and x.indisprimary and a.attnum = any(x.indkey)
  )
"""


def make_room(connection: psycopg.Connection, stage: Stage, *, replace: bool) -> list[str] | None:
    """Make the unique values null that are about to be written.

    Args:
        connection: In the transaction.
        stage: The file.
        replace: As for `Stage.writing_queries`.

    Returns:
        The statements that make the columns ``not null`` again; ``None`` where there is no way.
    """
    rows = connection.execute(_UNIQUE, {"table": stage.oid}).fetchall()
    unique = {name: required for name, required in rows if name in stage.compared}
    query = stage.emptying_query(list(unique), replace=replace)
    if not query:
        return None
    column = f"alter table {stage.saved.full_name} alter {{}} {{}} not null"
    required = [quoted(name) for name, each in unique.items() if each]
    for each in required:
        connection.execute(column.format(each, "drop").encode())
    connection.execute(query.encode())
    return [column.format(each, "set") for each in required]
