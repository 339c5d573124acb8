"""Sending one test mail: the sender's own lane and renderer, with a row of its own in place of the ledger.

The order is the ledger's: claim with a lease, offer up to the final dot, have `committing` made durable after a last
look at everything that could stop it, pass the dot, write what came of it. Nothing is tried twice past the dot.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils.timezone import now
from django.utils.translation import gettext as _

from campaigns.ledger import moves, outcomes
from campaigns.ledger.moves import Claimed
from campaigns.ledger.outcome import Outcome
from campaigns.models import Contact, TestSend
from campaigns.pipeline import delivery, loading, mime, parts, renderer
from campaigns.services import seeds, testing
from mailboxes.models import Mailbox
from mailboxes.services import stops
from outreach.common import isolation, queues, tokens
from outreach.common.draining import stopping
from outreach.common.errors import OutreachError
from tenants.models import Tenant
from tenants.services.actors import SYSTEM

log = structlog.get_logger(__name__)

PREFIX = "[Test] "
LEASE = timedelta(seconds=300)  # one mail, with all the patience that its phases have
PATIENCE = timedelta(hours=1)  # of a mail that finds its mailbox busy; a tester has gone by then
RING_AFTER = timedelta(seconds=30)
SENDING, COMMITTING = TestSend.State.SENDING, TestSend.State.COMMITTING


def send(tenant_id: int, test_id: int) -> str:
    """Send it if it is still queued; return `sent`, `failed`, `uncertain`, `waits` or `nothing`. Safe to call twice."""
    with isolation.tenants([tenant_id], platform=True):
        if stopping.is_set():
            return "nothing"
        token = uuid4()
        test, word = _claim(test_id, token)
        if test is None:
            return word
        try:
            return _send(test, token)
        finally:
            moves.release_mailboxes(token)


@transaction.atomic
def _claim(test_id: int, token: UUID) -> tuple[TestSend | None, str]:
    """The row and its mailbox for this job alone; without a row the word says what became of it."""
    test = TestSend.objects.select_for_update(of=("self",), skip_locked=True).filter(pk=test_id, state="queued").first()
    if test is None:
        return None, "nothing"
    try:
        _require_way(test)
        if now() - test.created_at > PATIENCE:
            raise testing.Held(_("Its mailbox was busy for an hour. Ask again."), reason="too_late")
    except OutreachError as error:
        _close(TestSend.objects.filter(pk=test.pk), "failed", reason=reason_of(error), answer=str(error))
        return None, "failed"
    free = Q(held_until=None) | Q(held_until__lte=Now())
    rested = Q(last_dot_at=None) | Q(last_dot_at__lte=Now() - F("min_gap_seconds") * timedelta(seconds=1))
    box = Mailbox.objects.filter(free & rested, pk=test.mailbox_id)
    if not box.update(held_by=token, held_until=Now() + LEASE):
        return None, "waits"
    test.state, test.claim = SENDING, token
    TestSend.objects.filter(pk=test.pk).update(state=SENDING, claim=token, lease_until=Now() + LEASE)
    return test, ""


def _require_way(test: TestSend) -> str:
    """The tester's address, if nothing stands against the mail. Raises Held."""
    tester = testing.tester_now(test)
    tenant = Tenant.objects.get(pk=test.tenant_id)
    testing.way(tenant, tester.address, at=now(), campaign=test.campaign, mailbox_id=test.mailbox_id, test_id=test.pk)
    return tester.address


def _close(rows: QuerySet[TestSend], state: str, *, reason: str, answer: str) -> None:
    rows.update(state=state, reason=reason[:60], answer=answer[:500], done_at=Now(), lease_until=None)


def reason_of(error: OutreachError) -> str:
    """The word for it in the row."""
    return str(error.details.get("reason", error.code))


def _send(test: TestSend, token: UUID) -> str:
    book = Book(test, token)
    clock = time.monotonic()
    at = now().astimezone(UTC)
    try:
        tenant = Tenant.objects.get(pk=test.tenant_id)
        claimed, rendering = _content(test, testing.tester_now(test).address)
        lane = loading.lanes(tenant, [claimed], at, clock, rendering)[0]
    except OutreachError as error:
        _close(TestSend.objects.filter(pk=test.pk), "failed", reason=reason_of(error), answer=str(error))
        return "failed"
    delivery.run(replace(lane, free=clock), book, delivery.Halts(stopping, set()))
    return book.end()


def _content(test: TestSend, address: str) -> tuple[Claimed, Callable[..., loading.Rendering]]:
    """What to send to the tester, and who renders it. Raises Held."""
    fields: dict[str, str] = {}
    rendering: Callable[..., loading.Rendering] = Trial
    if test.kind == TestSend.Kind.CONFIRMATION and test.seed is not None:
        rendering = functools.partial(Confirmation, digits=seeds.digits(test.seed))
    else:
        person = Contact.objects.filter(pk=test.contact_ref or 0).first()
        if person is None:
            raise testing.Held(_("The contact is gone. Choose another one."), reason="contact_gone")
        fields = {**person.fields, **{name: getattr(person, name) for name in moves.KNOWN}}
    claimed = Claimed(
        id=test.pk, message_id=test.message_id, campaign_id=test.campaign_id or 0, step_id=test.step_id or 0,
        mailbox_id=test.mailbox_id, due_in=0.0, expires_in=LEASE.total_seconds(), tries=0, email=address,
        contact_fields=fields,
    )  # fmt: skip
    return claimed, rendering


class Trial(loading.Rendering):
    """A step as it is rendered for everybody, but marked as a test and with an unsubscribe link of nobody."""

    feedback_kind = "test"

    def __init__(
        self, tenant: Tenant, contents: loading.Contents, threads: Mapping[int, tuple[str, ...]], now: datetime,
        clock: float,
    ) -> None:  # fmt: skip
        marked = {
            key: replace(content, subject=PREFIX + content.subject, tracks_clicks=False)
            for key, content in contents.items()
        }
        super().__init__(tenant, marked, {}, now, clock)  # the numbers of tests are not those of messages

    def _token(self, message: Claimed) -> str:
        return tokens.sign_trial(self.keys, secrets.randbits(63), int(time.time()))


class Confirmation(loading.Rendering):
    """The first mail to a seed address: a code, in words that no tenant can change."""

    def __init__(
        self, tenant: Tenant, contents: loading.Contents, threads: Mapping[int, tuple[str, ...]], now: datetime,
        clock: float, *, digits: str,
    ) -> None:  # fmt: skip
        super().__init__(tenant, contents, {}, now, clock)
        self.digits, self.name, self.address = digits, tenant.name, tenant.postal_address

    def _render(self, message: Claimed, sender: renderer.SenderContent, tracking_host: str) -> tuple[bytes, bytes]:
        text = _(
            "%(name)s would like to send test mail to this address.\n\n"
            "The code: %(digits)s\n\n"
            "Tell it to whoever asked you. It holds for a day. If nobody did, do nothing: without the code\n"
            "this address gets no test mail.\n"
        ) % {"name": parts.clean(self.name).replace("\n", " "), "digits": self.digits}
        subject = mime.header_value(_("Code for test mail"), len("Subject: "))
        head = (
            f"From: {mime.mailbox('', sender.from_address)}\r\nTo: {renderer.recipient_header(message.email)}\r\n"
            f"Subject: {subject}\r\nDate: {self._date(message)}\r\n"
            f"Message-ID: {renderer.bracketed(message.message_id)}\r\nAuto-Submitted: auto-generated\r\n"
            "MIME-Version: 1.0\r\n"
        )
        below = f"\n-- \n{parts.clean(self.address).strip()}\n"
        content = mime.single(head, mime.body((text + below).replace("\n", "\r\n")))
        return content, hashlib.sha256(content).digest()


class Book:
    """The ledger of one test mail: what delivery.run says goes into its row."""

    def __init__(self, test: TestSend, token: UUID) -> None:
        self.test, self.token = test, token
        self.word, self.stops = "", list[delivery.Stop]()

    def committing(self, letter: delivery.Letter) -> bool:
        """The last look: a stop holds the tenant's row, so it is either seen here or comes after the dot."""
        seconds = settings.SMTP_DOT_SECONDS + settings.DOT_LEASE_MARGIN_SECONDS
        until = Now() + timedelta(seconds=seconds)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM tenants_tenant WHERE id = %s FOR SHARE", [self.test.tenant_id])
            try:
                still_right = _require_way(self.test) == letter.recipient
            except OutreachError as error:
                self._close("failed", reason_of(error), str(error))
                return False
            box = Mailbox.objects.filter(pk=self.test.mailbox_id, held_by=self.token)
            mine = TestSend.objects.filter(pk=self.test.pk, claim=self.token, state=SENDING, lease_until__gt=Now())
            held = still_right and bool(box.update(held_until=until, last_dot_at=Now()))
            return held and bool(mine.update(state=COMMITTING, lease_until=until))

    def settle(self, outcome: Outcome) -> None:
        state = outcome.result if outcome.result in ("sent", "uncertain") else "failed"
        answer = " ".join(str(part) for part in (outcome.code, outcome.enhanced, outcome.text) if part)
        self._close(state, outcome.reason, answer)

    def release(self, letter: delivery.Letter) -> None:
        """Nothing left; `end` says what becomes of the row."""

    def stop(self, stop: delivery.Stop) -> None:
        self.stops.append(stop)

    def tried(self, account_id: int, is_broken: bool, milliseconds: int) -> None:
        """One mail by hand says too little of its account."""

    def cleared(self, mailbox_id: int) -> None:
        with connection.cursor() as cursor:
            outcomes.clear(cursor, [mailbox_id])

    def end(self) -> str:
        """Stops become verdicts as with campaign mail; a row that was not settled goes back, or says why not."""
        for stop in self.stops:
            if stop.level != "campaign":  # a costly template is no reason to pause it: nobody waits for its mail
                stops.stop(
                    stop.mailbox_id, stop.level, actor=SYSTEM, reason=stop.reason, text=stop.text, times=stop.times
                )
        if self.word:
            return self.word
        if self.stops:
            self._close("failed", self.stops[0].reason, self.stops[0].text)
            return self.word
        mine = TestSend.objects.filter(pk=self.test.pk, claim=self.token, state=SENDING)
        return "waits" if mine.update(state="queued", claim=None, lease_until=None) else "nothing"

    def _close(self, state: str, reason: str, answer: str) -> None:
        self.word = state
        _close(TestSend.objects.filter(pk=self.test.pk, claim=self.token), state, reason=reason, answer=answer)


def sweep(tenant_id: int) -> int:
    """Settle what a vanished worker held, and ring again for what waits; return how many rows that were."""
    over = TestSend.objects.filter(tenant=tenant_id, lease_until__lte=Now())
    text = _("The worker vanished at the final dot: the host may have the mail.")
    lost = over.filter(state=COMMITTING).update(
        state="uncertain", reason="no_answer", answer=text, done_at=Now(), lease_until=None
    )
    freed = over.filter(state=SENDING).update(state="queued", claim=None, lease_until=None)
    waiting = TestSend.objects.filter(tenant=tenant_id, state="queued", created_at__lte=Now() - RING_AFTER)
    for pk in waiting.values_list("pk", flat=True):
        queues.ring(testing.JOB, tenant_id, pk)
    return lost + freed


def tenants_with_open() -> list[int]:
    """The tenants that have a row which is not done."""
    rows = TestSend.objects.filter(state__in=TestSend.OPEN)
    return sorted(set[Any](rows.values_list("tenant_id", flat=True)))
