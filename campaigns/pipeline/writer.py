"""The ledger writer of one job: everything its sender threads say, made durable in groups.

One thread with one database connection takes what has been said meanwhile, writes it in
one transaction with rows locked in id order, and only then wakes the threads that wait for
`committing`. So the number of commits follows the disk, not the number of mails.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from campaigns.ledger import outcomes
from campaigns.ledger.following import LAST_STEPS, Course
from campaigns.ledger.outcome import Outcome
from campaigns.pipeline.delivery import Letter, Stop
from outreach.common import isolation, repeating

log = structlog.get_logger(__name__)

REPEATABLE = repeating.REPEATABLE | {"25006"}  # and a database that is read-only for the moment
AWAY = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
MAX_GROUP = 500
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0


class Request:
    """A thread's wish to pass the dot. `answer` is locked until the writer has answered; then `granted` is read.

    A bare lock, since there is one for every mail and an Event costs a multiple of it. `given_up` says that
    its thread went away without passing the dot.
    """

    __slots__ = ("answer", "gap", "given_up", "granted", "letter")

    def __init__(self, letter: Letter, gap: bool) -> None:
        self.letter, self.gap = letter, gap
        self.granted = self.given_up = False
        self.answer = threading.Lock()
        self.answer.acquire()


@dataclass(slots=True)
class Group:
    """What one transaction writes."""

    requests: list[Request] = field(default_factory=list)
    settled: list[Outcome] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.requests or self.settled or self.released or self.cleared or self.stops)


class LedgerWriter(threading.Thread):
    """Implements delivery.Ledger. Start it, pass it to the lanes, `finish` it.

    While the database is away it keeps what was said and tries again; a thread that waits
    for `committing` longer than its lease gets False, and no dot leaves. Stops are not
    written here: they wait in `stops` for the job's own thread, which calls services, as
    what was tried at each account does in `tries`.
    """

    def __init__(
        self, tenant_id: int, token: UUID, policy: outcomes.Policy, gaps: frozenset[int], course: Course = LAST_STEPS
    ) -> None:
        super().__init__(name="ledger-writer", daemon=True)
        self.tenant_id, self.token, self.policy, self.gaps, self.course = tenant_id, token, policy, gaps, course
        self.stops: deque[Stop] = deque()
        self.tries: deque[tuple[int, bool, int]] = deque()
        self.commits = 0
        self.counts: dict[str, int] = {}
        self._said: deque[Request | Outcome | Stop | int] = deque()
        self._cleared: deque[int] = deque()
        self._wake = threading.Event()
        self._finished = threading.Event()
        self._deciding = threading.Lock()  # between an answer and the thread that stops waiting for it
        self._abandoned = False
        self._open: set[int] = set()
        self._granted: set[int] = set()
        self._renewed = time.monotonic()

    def hold(self, ids: Sequence[int]) -> None:
        """Rows whose lease this writer renews until they are settled or released."""
        self._open.update(ids)

    # What the sender threads call.

    def committing(self, letter: Letter) -> bool:
        request = Request(letter, letter.mailbox_id in self.gaps)
        self._said.append(request)
        self._wake.set()
        if not request.answer.acquire(timeout=self.policy.lease_seconds):
            with self._deciding:
                request.given_up = request.answer.locked()
        return request.granted and not request.given_up

    def settle(self, outcome: Outcome) -> None:
        self._said.append(outcome)
        self._wake.set()

    def release(self, letter: Letter) -> None:
        self._said.append(letter.id)
        self._wake.set()

    def stop(self, stop: Stop) -> None:
        self._said.append(stop)
        self._wake.set()

    def cleared(self, mailbox_id: int) -> None:
        self._cleared.append(mailbox_id)
        self._wake.set()

    def tried(self, account_id: int, is_broken: bool, milliseconds: int) -> None:
        self.tries.append((account_id, is_broken, milliseconds))

    # The thread itself.

    def finish(self, seconds: float, *, abandon: bool = False) -> bool:
        """Write what is left and end; False when the database did not come back in that time.

        `abandon` gives up the threads that are still busy: nothing is granted from now on, what they
        only hold is released, and what is past the dot without an answer becomes uncertain.
        """
        self._abandoned = abandon
        self._finished.set()
        self._wake.set()
        self.join(seconds)
        return not self.is_alive()

    def run(self) -> None:
        with isolation.tenants([self.tenant_id], platform=True):
            self._run()

    def _run(self) -> None:
        try:
            while True:
                self._wake.wait(self.policy.lease_seconds / 6)
                self._wake.clear()
                self._renew_when_due()
                while group := self._take():
                    self._write(group)
                    self._renew_when_due()  # here too: a busy job always has something to write
                if self._finished.is_set() and not self._said and not self._cleared:
                    if self._abandoned:
                        self._write(self._left())
                    return
        finally:
            connection.close()

    def _take(self) -> Group:
        group = Group()
        for _ in range(min(len(self._said), MAX_GROUP)):
            said = self._said.popleft()
            if isinstance(said, Request):
                if self._abandoned:
                    said.answer.release()
                elif not said.given_up:
                    group.requests.append(said)
            elif isinstance(said, Outcome):
                group.settled.append(said)
            elif isinstance(said, Stop):
                group.stops.append(said)
            else:
                group.released.append(said)
        while self._cleared:
            group.cleared.append(self._cleared.popleft())
        return group

    def _write(self, group: Group) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                granted = self._transact(group)
                break
            except (psycopg.Error, DatabaseError, InterfaceError) as error:
                if not _passes_by_itself(error):
                    self._split(group, error)
                    return
                log.warning("ledger.repeated", error=str(error).strip()[:200])
                connection.close()
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        self._answer(group, granted)

    def _transact(self, group: Group) -> set[int]:
        with transaction.atomic(), _bare_cursor() as cursor:
            outcomes.clear(cursor, group.cleared)  # mailboxes before messages, as everywhere
            granted = outcomes.write(
                cursor,
                self.token,
                self.policy,
                wanted=[request.letter.id for request in group.requests],
                stamped_mailboxes=[request.letter.mailbox_id for request in group.requests if request.gap],
                settled=group.settled,
                released=group.released,
                course=self.course,
            )
        self.commits += 1
        return granted

    def _answer(self, group: Group, granted: set[int]) -> None:
        with self._deciding:
            for request in group.requests:
                request.granted = request.letter.id in granted
                request.answer.release()
        for request in group.requests:
            if not request.granted:
                self._open.discard(request.letter.id)
                continue
            self._granted.add(request.letter.id)
            if request.given_up:
                self._said.append(Outcome(request.letter.id, request.letter.mailbox_id, "returned", "granted_too_late"))
        for outcome in group.settled:
            self._open.discard(outcome.id)
            self._granted.discard(outcome.id)
            self.counts[outcome.result] = self.counts.get(outcome.result, 0) + 1
        self._open.difference_update(group.released)
        self.stops.extend(group.stops)  # only now: a stop takes rows back, and its own attempt has to be written first

    def _split(self, group: Group, error: Exception) -> None:
        """One wish the database refuses must not take the others down: write them one by one."""
        parts = [Group(requests=[request]) for request in group.requests]
        parts += [Group(settled=[outcome]) for outcome in group.settled]
        parts += [Group(released=[pk]) for pk in group.released]
        parts += [Group(cleared=[pk]) for pk in group.cleared]
        parts += [Group(stops=[stop]) for stop in group.stops]
        if len(parts) > 1:
            for part in parts:
                self._write(part)
            return
        log.error("ledger.refused", error=str(error).strip()[:500], messages=[r.letter.id for r in group.requests])
        self._answer(group, set())

    def _left(self) -> Group:
        """What abandoned threads hold: released, or uncertain where the dot may be out."""
        doubtful = [Outcome(pk, 0, "uncertain", "stopped_waiting", "dot") for pk in sorted(self._granted)]
        return Group(settled=doubtful, released=sorted(self._open - self._granted))

    def _renew_when_due(self) -> None:
        if time.monotonic() - self._renewed < self.policy.lease_seconds / 3 or not self._open:
            return
        try:
            with transaction.atomic(), _bare_cursor() as cursor:
                outcomes.renew(cursor, self.token, self.policy, list(self._open))
        except AWAY as error:
            log.warning("ledger.not_renewed", error=str(error).strip()[:200])
            connection.close()
        else:
            self._renewed = time.monotonic()


def _bare_cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    """A cursor that binds on the server: Django's writes every parameter into the text, in Python."""
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)


def _passes_by_itself(error: Exception) -> bool:
    """Deadlocks, serialization failures, a database that is away or read-only; not a row it refuses."""
    state = getattr(error, "sqlstate", None) or getattr(error.__cause__, "sqlstate", None)
    return isinstance(error, AWAY) or state in REPEATABLE
