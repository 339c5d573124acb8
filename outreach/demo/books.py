"""Two books compared: what the sink told its clients, and what our ledger says of the same campaigns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from campaigns.models import Campaign, Enrolment, ListEntry, PlanRun
from mailboxes.models import Allowance, Mailbox
from outreach.demo.sink import Book
from tenants.models import Tenant

FINAL = frozenset({"sent", "failed", "suppressed", "cancelled", "uncertain"})
TOOK_PLACE = frozenset({"committing", "sent", "uncertain", "failed"})  # states that used up a piece of the cap
SHOWN = 5  # examples in a sentence
USED_SHARE = 5 / 6  # of the mailboxes: 1000 of 1200

ROWS = """
SELECT m.message_id, m.status, m.contact_id, ct.email_key, b.address_key, m.day_on,
    EXISTS (
        SELECT FROM campaigns_suppression s WHERE s.hash = ct.address_hash AND s.lifted_at IS NULL
          AND (s.tenant_id IS NULL OR s.tenant_id = m.tenant_id) AND s.campaign_id IS NULL)
FROM campaigns_message m
JOIN campaigns_contact ct ON ct.id = m.contact_id
JOIN mailboxes_mailbox b ON b.id = m.mailbox_id
WHERE m.campaign_id = ANY (%s)"""


@dataclass(frozen=True, slots=True)
class Row:
    """One message of the ledger; addresses are keys."""

    message_id: str
    status: str
    contact_id: int
    recipient: str
    mailbox: str
    day: date
    is_suppressed: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox's cap for a day of its tenant's zone."""

    cap: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Ledger:
    """Our side: `stopped` are contacts whose enrolment ended without a message."""

    rows: Sequence[Row]
    boxes: dict[str, Box]
    contacts: Collection[int]
    stopped: Collection[int]
    overdrawn: Sequence[str]
    plan_seconds: float


@dataclass(slots=True)
class Report:
    """The demo's result. `problems` are sentences; without any, nothing was lost, doubled or over a cap."""

    mailboxes: int = 0
    contacts: int = 0
    planned: int = 0
    sent: int = 0
    deferred: int = 0
    failed: int = 0
    suppressed: int = 0
    uncertain: int = 0
    sink_accepted: int = 0
    sink_refused: int = 0
    copies_max: int = 0
    lost: int = 0
    mailboxes_used: int = 0
    caps_exceeded: int = 0
    plan_seconds: float = 0.0
    send_seconds: float = 0.0
    messages_per_second: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_ledger(tenants: Sequence[Tenant]) -> Ledger:
    """Our side for everything that these tenants have."""
    campaigns = list(Campaign.objects.filter(tenant__in=tenants).values_list("pk", flat=True))
    zones = {tenant.pk: ZoneInfo(tenant.time_zone) for tenant in tenants}
    with connection.cursor() as cursor:
        cursor.execute(ROWS, [campaigns])
        rows = [Row(*row) for row in cursor.fetchall()]
    boxes = {
        box.address_key: Box(
            int(box.cap_of_day * box.reserve_share) if box.state == "reserve" else box.cap_of_day, zones[box.tenant_id]
        )
        for box in Mailbox.objects.filter(tenant__in=tenants)
    }
    entries = ListEntry.objects.filter(tenant__in=tenants).values_list("contact_id", flat=True)
    stopped = Enrolment.objects.filter(tenant__in=tenants, status="stopped").values_list("contact_id", flat=True)
    allowances = Allowance.objects.filter(tenant__in=tenants)
    overdrawn = [str(allowance) for allowance in allowances if allowance.reserved > allowance.cap]
    runs = PlanRun.objects.filter(tenant__in=tenants).values_list("seconds", "planned", "retries")
    spent = sum(seconds for seconds, planned, retries in runs if planned or retries)
    return Ledger(rows, boxes, set(entries), set(stopped), overdrawn, spent)


def judge(book: Book, ledger: Ledger) -> Report:
    """Compare both; every difference that must not be is a problem."""
    states = Counter(row.status for row in ledger.rows)
    report = Report(
        mailboxes=len(ledger.boxes),
        contacts=len(ledger.contacts),
        planned=len(ledger.rows),
        sent=states["sent"],
        deferred=sum(count for status, count in states.items() if status not in FINAL),
        failed=states["failed"],
        suppressed=states["suppressed"] + states["cancelled"],
        uncertain=states["uncertain"],
        sink_accepted=len(book.accepted) + len(book.stored),
        sink_refused=len({entry.recipient.casefold() for entry in book.refused}),
        mailboxes_used=len({entry.mail_from.casefold() for entry in book.accepted}),
        plan_seconds=round(ledger.plan_seconds, 3),
    )
    _time(book, report)
    if report.deferred:
        report.problems.append(f"{report.deferred} messages are not at their end.")
    _find_copies(book, ledger, report)
    _find_lost(book, ledger, report)
    _find_overdrawn(book, ledger, report)
    _find_unheeded(book, ledger, report)
    wanted = int(min(report.mailboxes, report.planned) * USED_SHARE)
    if report.mailboxes_used < wanted:
        report.problems.append(f"{report.mailboxes_used} mailboxes were used; {wanted} should have been.")
    return report


def _time(book: Book, report: Report) -> None:
    times = [entry.at for entry in book.accepted]
    if len(times) > 1:
        report.send_seconds = round(max(times) - min(times), 3)
        report.messages_per_second = round(len(times) / max(max(times) - min(times), 0.001), 1)


def _find_copies(book: Book, ledger: Ledger, report: Report) -> None:
    """Copies by Message-ID and by person, and mails that the ledger does not own up to."""
    kept = (*book.accepted, *book.stored)
    by_id = Counter(_bare(entry.message_id) for entry in kept)
    by_person = Counter(entry.recipient.casefold() for entry in kept)
    report.copies_max = max([*by_id.values(), *by_person.values()], default=0)
    if report.copies_max > 1:
        twice = sorted(name for name, count in (by_id + by_person).items() if count > 1)
        report.problems.append(f"The sink has more than one copy of {_some(twice)}.")
    owned = {row.message_id for row in ledger.rows if row.status in ("sent", "uncertain", "committing")}
    strange = sorted(set(by_id) - owned)
    if strange:
        report.problems.append(f"The sink has mail that the ledger does not count as gone: {_some(strange)}.")


def _find_lost(book: Book, ledger: Ledger, report: Report) -> None:
    """People whom nothing happened to, and mails counted as sent that the sink never saw."""
    ended = {row.contact_id for row in ledger.rows if row.status in FINAL}
    forgotten = set(ledger.contacts) - ended - set(ledger.stopped)
    if forgotten:
        report.problems.append(f"{len(forgotten)} contacts are in no state.")
    there = {_bare(entry.message_id) for entry in (*book.accepted, *book.stored)}
    missing = sorted(row.message_id for row in ledger.rows if row.status == "sent" and row.message_id not in there)
    if missing:
        report.problems.append(f"The sink never got {_some(missing)}, which count as sent.")
    report.lost = len(forgotten) + len(missing)


def _find_overdrawn(book: Book, ledger: Ledger, report: Report) -> None:
    """Mailboxes over their day's cap, by our count and by the sink's, and allowances over theirs."""
    ours = Counter((row.mailbox, row.day) for row in ledger.rows if row.status in TOOK_PLACE)
    theirs: Counter[tuple[str, date]] = Counter()
    for entry in book.accepted:
        box = ledger.boxes.get(entry.mail_from.casefold())
        if box is not None:
            theirs[entry.mail_from.casefold(), datetime.fromtimestamp(entry.at, box.zone).date()] += 1
    over = {
        address
        for counted in (ours, theirs)
        for (address, _day), count in counted.items()
        if count > ledger.boxes[address].cap
    }
    report.caps_exceeded = len(over) + len(ledger.overdrawn)
    if report.caps_exceeded:
        report.problems.append(f"Over the cap: {_some(sorted(over) + list(ledger.overdrawn))}.")


def _find_unheeded(book: Book, ledger: Ledger, report: Report) -> None:
    """A refused address has to have failed, must not have been tried again, and must be suppressed."""
    asked = Counter(entry.recipient.casefold() for entry in book.refused)
    rows = {row.recipient: row for row in ledger.rows if row.recipient in asked}
    wrong = {
        "were refused and have not failed": [a for a in asked if a not in rows or rows[a].status != "failed"],
        "were refused and tried again": [address for address, count in asked.items() if count > 1],
        "were refused and are not suppressed": [a for a in asked if a in rows and not rows[a].is_suppressed],
    }
    report.problems += [f"{_some(sorted(found))} {what}." for what, found in wrong.items() if found]


def _bare(message_id: str) -> str:
    return message_id.strip("<>")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
