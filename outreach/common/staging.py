"""Rows on their way into the database: COPY into a table of this transaction, then statements over the set.

Works for a role that owns no table: the stage is a temporary table, dropped at commit. Nothing of it
outlives the transaction, so a process that dies leaves nothing half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

from django.db import connection

from outreach.common.refusals import Refusal, RefusedRows, Report, Row
from outreach.common.tables import Table

LINES_PER_WRITE = 500
_CHUNK = 5000
_SORT_MEMORY = "64MB"  # for the sorts and hashes of one import, until its transaction ends


def create(name: str, columns: Sequence[tuple[str, str]]) -> None:
    """An empty stage."""
    inside = ", ".join(f'"{column}" {kind} NOT NULL' for column, kind in columns)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('work_mem', %s, true)", [_SORT_MEMORY])
        # A second import in one transaction (a test, a demo) finds the first one's tables.
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")
        cursor.execute(f"CREATE TEMP TABLE {name} ({inside}) ON COMMIT DROP")


def create_refusals() -> None:
    """An empty table import_refused (line, place, reason), which statements may fill for `write_refusals`."""
    create("import_refused", (("line", "integer"), ("place", "text"), ("reason", "text")))


class Background:
    """Work on this transaction's connection in a thread, one piece at a time, while the caller prepares the next.

    Meanwhile the caller leaves the connection alone. A failure of a piece is raised by the next `run`, or
    by `results`; leaving the block waits for the piece that runs.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, "import")
        self._running: Future[Any] | None = None
        self._results: list[Any] = []

    def __enter__(self) -> Self:
        connection.ensure_connection()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=True)

    def run(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Call work(cursor, *arguments) in the thread, as soon as the piece before is done."""
        self._wait()
        self._running = self._threads.submit(self._do, connection.connection, work, arguments)

    def results(self) -> list[Any]:
        """What all pieces returned, in order."""
        self._wait()
        return self._results

    def _wait(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            with connection.wrap_database_errors:  # the thread speaks to psycopg, without Django's wrapping
                self._results.append(running.result())

    @staticmethod
    def _do(link: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        with link.cursor() as cursor:
            return work(cursor, *arguments)


@contextmanager
def copying(name: str) -> Iterator[Any]:
    """A psycopg Copy into the stage; until it ends the connection can do nothing else."""
    with connection.cursor() as cursor, cursor.copy(f"COPY pg_temp.{name} FROM STDIN") as copy:
        yield copy


def execute(sql: str, values: dict[str, Any]) -> int:
    """Run one statement; return how many rows it concerned."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)


def row(sql: str, values: dict[str, Any]) -> tuple[Any, ...]:
    """Run one statement and return its only row."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return tuple(cursor.fetchone())


def write_refusals(table: Table, refused: RefusedRows, report: Report) -> None:
    """Write the rows that statements refused, from a second reading of the file, and count them."""
    refusals = _refusals()
    current = next(refusals, None)
    if current is None:
        return
    for found in table.rows():
        if found.line < current.line:
            continue
        own = []
        while current is not None and current.line == found.line:
            own.append(current)
            current = next(refusals, None)
        report.refuse(refused.add(Row(found.line, found.cells, own)))
        if current is None:
            return


def _refusals() -> Iterator[Refusal]:
    """All of them by line, read in pieces: a cursor on the server would be session state."""
    last = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT line, place, reason FROM import_refused WHERE line > %s ORDER BY line LIMIT %s",
                [last, _CHUNK],
            )
            found: Iterable[Any] = cursor.fetchall()
            if not found:
                return
            for line, place, reason in found:
                yield Refusal(line, place, reason)
                last = line
