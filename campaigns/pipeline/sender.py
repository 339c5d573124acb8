"""One job: claim batches, send them over one connection a mailbox, many mailboxes at once.

The job's own thread talks to the database for claiming, loading and stops; the ledger
writer is the only other thread with a connection; sender threads have neither.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from campaigns.ledger import moves
from campaigns.ledger.moves import Claimed
from campaigns.ledger.outcomes import Policy
from campaigns.models import Batch, Campaign, Message
from campaigns.pipeline import delivery, loading, windows
from campaigns.pipeline.writer import LedgerWriter
from campaigns.services import campaigns, receivers
from mailboxes.services import circuits, stops
from outreach.common import isolation
from outreach.common.draining import stopping
from tenants.models import Tenant
from tenants.services.actors import SYSTEM

log = structlog.get_logger(__name__)
COUNT_EVERY_SECONDS = 2.0
WRITER_PATIENCE_SECONDS = 600.0  # how long a job waits for a database that went away


def policy() -> Policy:
    """The lengths of the settings, as the ledger wants them."""
    return Policy(
        lease_seconds=settings.LEASE_SECONDS,
        dot_lease_seconds=settings.SMTP_DOT_SECONDS + settings.DOT_LEASE_MARGIN_SECONDS,
        retry_seconds=tuple(settings.RETRY_SCHEDULE),
        give_up_seconds=settings.GIVE_UP_SECONDS,
    )


def send_batches(tenant_id: int, batch_ids: Sequence[int]) -> str:
    """Send what is due in these batches of the tenant; say how it ended, as `sent=98 deferred=2`.

    Safe to call twice or at once from several workers: rows that another one holds are left
    out. Returns early, with everything untried released, when the process is asked to stop.
    """
    with isolation.tenants([tenant_id], platform=True):
        return _send_batches(tenant_id, batch_ids)


def _send_batches(tenant_id: int, batch_ids: Sequence[int]) -> str:
    ids = list(Batch.objects.filter(pk__in=batch_ids, tenant=tenant_id, done_at=None).values_list("pk", flat=True))
    if not ids or stopping.is_set():
        return "nothing"
    tenant = Tenant.objects.get(pk=tenant_id)
    token = uuid4()
    now, clock = _database_now()
    day = windows.day_of(now, ZoneInfo(tenant.time_zone))
    claimed = moves.claim(ids, token, lease_seconds=settings.LEASE_SECONDS, day=day, hour=windows.hour_of(now))
    if not claimed:
        moves.release_mailboxes(token)
        moves.finish_batches(ids)
        return "nothing"
    try:
        counts = _send(tenant, claimed, token, now, clock)
    finally:
        moves.release_mailboxes(token)
        moves.finish_batches(ids)
    return " ".join(f"{result}={count}" for result, count in sorted(counts.items())) or "nothing"


def _database_now() -> tuple[datetime, float]:
    """The database's clock, and the monotonic instant of that reading: workers' own clocks may be wrong."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0].astimezone(UTC), time.monotonic()


def _send(tenant: Tenant, claimed: Sequence[Claimed], token: UUID, now: datetime, clock: float) -> dict[str, int]:
    halts = delivery.Halts(stopping, set())
    lanes = loading.lanes(tenant, claimed, now, clock)
    gaps = frozenset(lane.mailbox_id for lane in lanes if lane.gap_seconds > 0)
    writer = LedgerWriter(tenant.pk, token, policy(), gaps, loading.course(claimed, now, clock))
    writer.hold([message.id for message in claimed])
    writer.start()
    started, complete = time.monotonic(), True
    try:
        complete = _run_lanes(lanes, writer, halts)
    finally:
        if not writer.finish(WRITER_PATIENCE_SECONDS, abandon=not complete):
            log.error("ledger.abandoned", token=str(token), waited_seconds=WRITER_PATIENCE_SECONDS)
        _apply_stops(writer, halts)
        _count_tries(writer, halts)
    log.info(
        "job.done",
        tenant_id=tenant.pk,
        messages=len(claimed),
        mailboxes=len(lanes),
        commits=writer.commits,
        seconds=round(time.monotonic() - started, 3),
        **writer.counts,
    )
    return writer.counts


def _run_lanes(lanes: Iterable[delivery.Lane], writer: LedgerWriter, halts: delivery.Halts) -> bool:
    """Let at most SEND_CONNECTIONS threads work off the lanes; apply stops while they run.

    False when the process is to stop and some still waited for an answer after DRAIN_SECONDS.
    """
    waiting: SimpleQueue[delivery.Lane] = SimpleQueue()
    lanes = list(lanes)
    for lane in lanes:
        waiting.put(lane)
    threads = [
        threading.Thread(target=_work, args=(waiting, writer, halts), name=f"sender-{n}", daemon=True)
        for n in range(min(len(lanes), settings.SEND_CONNECTIONS))
    ]
    for thread in threads:
        thread.start()
    drained_by, counted_at = math.inf, time.monotonic()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)
            _apply_stops(writer, halts)
            if time.monotonic() > counted_at + COUNT_EVERY_SECONDS:
                _count_tries(writer, halts)
                counted_at = time.monotonic()
            if stopping.is_set():
                drained_by = min(drained_by, time.monotonic() + settings.DRAIN_SECONDS)
            if time.monotonic() > drained_by:
                log.warning("job.answers_missing", connections=sum(each.is_alive() for each in threads))
                return False
    return True


def _work(waiting: SimpleQueue[delivery.Lane], writer: LedgerWriter, halts: delivery.Halts) -> None:
    while True:
        try:
            lane = waiting.get_nowait()
        except Empty:
            return
        try:
            delivery.run(lane, writer, halts)
        except Exception:  # noqa: BLE001 - a defect in one lane must not end the thread; its rows go by their lease
            log.exception("lane.broken", mailbox_id=lane.mailbox_id)


def _count_tries(writer: LedgerWriter, halts: delivery.Halts) -> None:
    """Write down what the lanes tried at each account; who turns out to be out is tried no more by this job."""
    tallies: defaultdict[int, circuits.Tally] = defaultdict(circuits.Tally)
    while writer.tries:
        account_id, is_broken, milliseconds = writer.tries.popleft()
        tallies[account_id].add(is_broken, milliseconds)
    if not tallies:
        return
    try:
        opened = circuits.note(writer.tenant_id, tallies, actor=SYSTEM)
        halts.accounts |= opened
        halts.out |= opened
    except (DatabaseError, InterfaceError) as error:
        log.warning("tries.not_counted", accounts=len(tallies), error=str(error).strip()[:200])
        connection.close()


def _apply_stops(writer: LedgerWriter, halts: delivery.Halts) -> None:
    """Turn what the lanes reported into stops, one for each thing that is to stop; later when the database is away.

    A connection that broke says nothing of a mailbox whose account is out: it has left by another one meanwhile.
    """
    by_mailbox: dict[tuple[int, str], delivery.Stop] = {}
    while writer.stops:
        stop = writer.stops.popleft()
        if stop.level in ("connection", "silence") and stop.account_id in halts.out:
            continue
        by_mailbox.setdefault((stop.mailbox_id, stop.level), stop)
    for stop in by_mailbox.values():
        try:
            _apply(stop)
        except (DatabaseError, InterfaceError) as error:
            log.warning("stop.not_written", mailbox_id=stop.mailbox_id, error=str(error).strip()[:200])
            connection.close()
            writer.stops.append(stop)


def _apply(stop: delivery.Stop) -> None:
    if stop.level == "campaign":
        _pause_campaign(stop)
        return
    if stop.level == "domain" and stop.letter_id and _rests_receiver(stop, stop.letter_id):
        return  # one receiver asked for less: mail to the others goes on
    stops.stop(stop.mailbox_id, stop.level, actor=SYSTEM, reason=stop.reason, text=stop.text, times=stop.times)


def _rests_receiver(stop: delivery.Stop, letter_id: int) -> bool:
    """Whether it is known who runs the mail that was refused; then that receiver rests, and not the domain."""
    message = Message.objects.only("operator").get(pk=letter_id)
    if message.operator in ("", "other"):
        return False
    receivers.rest(message.pk, actor=SYSTEM, reason=stop.reason, text=stop.text)
    return True


def _pause_campaign(stop: delivery.Stop) -> None:
    """A template that runs into its limits is the campaign's fault, not the recipients'."""
    campaign = Campaign.objects.filter(messages__pk=stop.letter_id or 0).first()
    if campaign is not None and campaign.status == Campaign.Status.RUNNING:
        campaigns.pause(campaign, actor=SYSTEM, reason=stop.text)
