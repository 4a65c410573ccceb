"""``assert_denied`` and ``assert_allowed``: the reply and its effect, held to what must be."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from riptide.testing.effect import Change, Table
from riptide.testing.request import Answer, Request, count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection

    from riptide.testing.effect import Values
    from riptide.testing.stack import SupabaseStack


class AssertDenied(Protocol):
    """The fixture ``assert_denied``."""

    def __call__(self, query: Any, *, tables: Sequence[str] = ()) -> None:
        """Send a query, and fail unless nothing came of it.

        A select has to give no row, or be refused; a write has to leave every row of its table as
        it was, read past Row Level Security. Sent without asking for a representation, so that a
        missing select policy cannot hide that a write went through. A denial that proves nothing
        fails too: where no row fits the filters, or a constraint and not a policy said no.

        Args:
            query: Of supabase-py, before ``.execute()``.
            tables: More tables that have to stay as they are (``"audit"``, ``"private.audit"``).
                For a function call, which names none, these are all that is looked at; without
                any it has to be refused.

        Raises:
            AssertionError: It was not denied, or that cannot be told.
            TypeError: ``query`` is none.
            RlsError: The table does not exist, or the API stopped answering.
        """
        ...


class AssertAllowed(Protocol):
    """The fixture ``assert_allowed``."""

    def __call__(self, query: Any, *, tables: Sequence[str] = ()) -> Any:
        """Send a query, and fail unless it was accepted and has happened.

        A select has to give a row. After an insert there has to be a new row, after a delete one
        less, and an update has to have written what it was to write to at least one row, all read
        past Row Level Security.

        Args:
            query: Of supabase-py, before ``.execute()``. It is sent as it is.
            tables: For a function call: tables, at least one of which it has to change. Without
                any it has to be accepted.

        Returns:
            What ``.execute()`` gave.

        Raises:
            AssertionError: It was refused, or had no effect.
            TypeError: ``query`` is none.
            RlsError: The table does not exist, or the API stopped answering.
        """
        ...


class Asserts:
    """Both of them, for one stack."""

    def __init__(self, stack: SupabaseStack) -> None:
        self._stack = stack

    def denied(self, query: Any, *, tables: Sequence[str] = ()) -> None:
        """See `AssertDenied`."""
        __tracebackhide__ = True
        with self._trial(query, tables) as trial:
            trial.send(minimal=True)
            trial.check_denied()

    def allowed(self, query: Any, *, tables: Sequence[str] = ()) -> Any:
        """See `AssertAllowed`."""
        __tracebackhide__ = True
        with self._trial(query, tables) as trial:
            trial.send()
            trial.check_allowed()
            return trial.answer.response

    @contextmanager
    def _trial(self, query: Any, tables: Sequence[str]) -> Iterator[_Trial]:
        __tracebackhide__ = True
        from riptide.database import connect

        request = Request(query, self._stack)
        with connect(self._stack.settings.target) as connection:
            yield _Trial(request, connection, tables)


class _Trial:
    """One query, sent once between two looks at the tables."""

    def __init__(
        self, request: Request, connection: Connection[Any], tables: Sequence[str]
    ) -> None:
        self.request = request
        self.answer = Answer()
        self._connection = connection
        self._table = (
            None if request.is_call else Table.find(connection, request.schema, request.name)
        )
        named = [each.rpartition(".") for each in tables]
        self._others = [
            Table.find(connection, schema or request.schema, name) for schema, _, name in named
        ]
        self._asked: Values | None = None
        self._changes: dict[str, Change] = {}

    def send(self, *, minimal: bool = False) -> None:
        """Look, send, look again."""
        watched = [*self._others]
        if self._table is not None and self.request.operation != "select":
            watched.insert(0, self._table)
            if self.request.operation == "update":
                self._asked = self._table.as_stored(self._connection, self.request.body)
        before = [each.read(self._connection) for each in watched]
        self.answer = self.request.send(minimal=minimal)
        after = [each.read(self._connection) for each in watched]
        self._changes = {
            table.full_name: Change.between(old, new)
            for table, old, new in zip(watched, before, after, strict=True)
        }

    # --- denied ----------------------------------------------------------------------------------

    def check_denied(self) -> None:
        """Fail unless nothing came of it, and that means something."""
        __tracebackhide__ = True
        from riptide.rls.verdict import Outcome, outcome_of

        answer, operation = self.answer, self.request.operation
        for name, change in self._changes.items():
            own = self._table is not None and name == self._table.full_name
            left = change.without_rewrites_but(self._asked if own else None)
            if left:
                self._fail("was not denied", f"{answer}; in {name} it {left}", hole=True)
        if answer.refused:
            return
        if answer.code:
            if outcome_of(answer.code, answer.words) is Outcome.CONFLICT:
                seen = f"{answer}: a constraint said no, after the policies had said yes"
                self._fail("was not denied", seen, hole=True)
            self._fail(
                "was neither denied nor allowed",
                str(answer),
                step="mend the query: only 42501, or a trigger's exception, is a denial",
            )
        if operation == "call":
            if not self._others:
                step = 'where it may be called but must change nothing, say tables=["…"]'
                self._fail("was not denied", str(answer), step=step)
        elif operation == "select":
            if answer.rows:
                self._fail("was not denied", str(answer), hole=True)
            self._require_something_to_deny()
        elif operation in ("update", "delete"):
            self._require_something_to_deny()
        elif not self.request.body or self.request.ignores_duplicates:
            self._fail(
                "proves nothing",
                f"{answer}: it would have added no row for anybody",
                step="try a row that is not there yet",
            )

    def _require_something_to_deny(self) -> None:
        """Refuse a denial that everybody would get: no row fits."""
        __tracebackhide__ = True
        control = self.request.control()
        if control.code:
            self._fail(
                "proves nothing",
                f"{self.answer}; whether there is such a row could not be seen, as the service "
                f"role was {control}",
                step=f"grant select on {self._name} to service_role",
            )
        if not control.rows:
            self._fail(
                "proves nothing",
                f"{self.answer}; but there is no such row: the service role finds none either",
                step="make the row first, and filter by what it has",
            )

    # --- allowed ---------------------------------------------------------------------------------

    def check_allowed(self) -> None:
        """Fail unless it was accepted and has happened."""
        __tracebackhide__ = True
        answer, operation = self.answer, self.request.operation
        if answer.code:
            step = None
            if answer.refused and operation not in ("select", "call"):
                step = (
                    "a policy or a grant for it; for the representation that it asks for one for "
                    'select too, unless returning="minimal"'
                )
            self._fail("was not allowed", str(answer), step=step, hole=answer.refused)
        if operation == "select":
            if not answer.rows:
                control = self.request.control()
                there = f"; the service role finds {count(control.rows, 'row')}"
                self._fail("gave nothing", f"{answer}{'' if control.code else there}", hole=True)
            return
        if operation == "call":
            if self._others and not any(self._changes.values()):
                names = ", ".join(self._changes)
                self._fail("had no effect", f"{answer}; in {names} no row was changed")
            return
        change = self._changes[self._name]
        if not {
            "insert": bool(change.added),
            "upsert": bool(change),
            "update": change.touches(self._asked),
            "delete": bool(change.removed),
        }[operation]:
            seen = f"{answer}; in {self._name} {'it ' if change else ''}{change}"
            if operation in ("update", "delete"):
                control = self.request.control()
                found = count(control.rows, "row")
                seen += "" if control.code else f"; the service role finds {found} that it is about"
            self._fail("had no effect", seen, hole=True)

    # --- telling ---------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return f"{self.request.schema}.{self.request.name}"

    def _fail(
        self, verdict: str, seen: str, *, step: str | None = None, hole: bool = False
    ) -> NoReturn:
        __tracebackhide__ = True
        request = self.request
        role, who = request.actor
        lines = [
            f"{request.operation} {'of' if not request.is_call else ''} {self._name} "
            f"{verdict}".replace("  ", " "),
            f"  tried: {request}",
            f"  as:    {who}",
            f"  seen:  {seen}",
        ]
        if hole and self._table is not None:
            policies = self._table.policies(self._connection, request.operation, role)
            lines.append(f"  by:    {policies}")
        if step:
            lines.append(f"  next:  {step}")
        raise AssertionError("\n".join(lines))
