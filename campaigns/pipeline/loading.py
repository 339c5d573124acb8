"""Everything a job needs from the database, read at once and turned into plain values for its threads."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from campaigns.ledger import following
from campaigns.ledger.moves import Claimed
from campaigns.pipeline import delivery, renderer
from mailboxes.ways import connecting
from mailboxes.ways.sql import LEAVES_BY
from mailboxes.ways.way import COLUMNS, WIDTH, Way, of_row
from outreach.common import tokens
from outreach.common.sealing import Keyring
from tenants.models import Tenant

BOXES = f"""
SELECT {COLUMNS}, b.display_name, b.signature, b.min_gap_seconds,
    extract(epoch FROM now() - b.last_dot_at)::float8, b.failures,
    CASE WHEN d.state IN ('verified', 'degraded') THEN d.tracking_host END
FROM mailboxes_mailbox b JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
WHERE b.id = ANY (%s)"""

STEPS = """
SELECT s.id, s.subject, s.text_body, s.html_body, s.version, s.position, c.click_tracking
FROM campaigns_step s JOIN campaigns_campaign c ON c.id = s.campaign_id WHERE s.id = ANY (%s)"""
WORDINGS = "SELECT id, step_id, subject, text_body, html_body FROM campaigns_variant WHERE id = ANY (%s)"


def lanes(
    tenant: Tenant,
    claimed: Sequence[Claimed],
    now: datetime,
    clock: float,
    rendering: Callable[..., Rendering] | None = None,
) -> list[delivery.Lane]:
    """One lane for each mailbox of the claimed messages, those with most to do first.

    `now` is the database's time at the monotonic instant `clock`. Passwords are unsealed here
    and live as long as the job. `rendering` makes another Rendering of the same arguments. Raises SealBroken when a
    password can't be opened.
    """
    grouped: dict[int, list[Claimed]] = defaultdict(list)
    for message in sorted(claimed, key=lambda message: (message.due_in, message.id)):
        grouped[message.mailbox_id].append(message)
    with connection.cursor() as cursor:
        cursor.execute(BOXES, [list(grouped)])
        boxes = cursor.fetchall()
        contents, threads = _contents(cursor, claimed)
    writer = (rendering or Rendering)(tenant, contents, threads, now, clock)
    found = [(of_row(box[:WIDTH]), box[WIDTH:]) for box in boxes]
    made = [_lane(way, box, grouped[way.mailbox_id], writer, clock) for way, box in found]
    return sorted(made, key=lambda lane: -len(lane.letters))


def course(claimed: Sequence[Claimed], now: datetime, clock: float) -> following.Course:
    """What the sequences go on with after each of these messages; times as for `lanes`."""
    with connection.cursor() as cursor:
        found = following.load(cursor, {message.id: message.step_id for message in claimed})
    return following.Course(found, now, clock)


Contents = dict[tuple[int, int | None], renderer.StepContent]  # by step and variant


def _contents(cursor: Any, claimed: Sequence[Claimed]) -> tuple[Contents, dict[int, tuple[str, ...]]]:
    """What is to be written, and for follow-ups the ids of the mails that they answer to."""
    cursor.execute(STEPS, [list({message.step_id for message in claimed})])
    rows = cursor.fetchall()
    contents: Contents = {
        (row[0], None): renderer.StepContent(row[0], row[1], row[2], row[3], row[4], row[6]) for row in rows
    }
    later = {row[0] for row in rows if row[5] > 1}
    threads = following.threads(cursor, [one.id for one in claimed if one.step_id in later]) if later else {}
    variants = {message.variant_id for message in claimed if message.variant_id}
    if variants:
        versions = {row[0]: (row[4], row[6]) for row in rows}
        cursor.execute(WORDINGS, [list(variants)])
        for pk, step_id, subject, text, html in cursor.fetchall():
            contents[step_id, pk] = renderer.StepContent(step_id, subject, text, html, *versions[step_id])
    return contents, threads


def _lane(
    way: Way, box: tuple[Any, ...], messages: Sequence[Claimed], rendering: Rendering, clock: float
) -> delivery.Lane:
    display_name, signature, gap, dot_age, failures, tracking_host = box
    sender = renderer.SenderContent(way.address, display_name, signature=signature)
    letters = tuple(
        delivery.Letter(
            message.id,
            way.mailbox_id,
            message.email,
            clock + message.due_in,
            clock + message.expires_in,
            message.tries,
            rendering.of(message, sender, tracking_host or ""),
        )
        for message in messages
    )
    return delivery.Lane(
        mailbox_id=way.mailbox_id,
        account_id=way.account_id,
        sender=way.address,
        letters=letters,
        gap_seconds=gap,
        free=clock if dot_age is None else clock + gap - dot_age,
        failures=failures,
        connect=connecting.connector(way),
    )


@functools.cache
def _keyring(text: str) -> Keyring:
    return Keyring.parse(text)


class Rendering:
    """Makes the function that renders one message; runs in sender threads, on plain values."""

    feedback_kind = "campaign"

    def __init__(
        self, tenant: Tenant, contents: Contents, threads: Mapping[int, tuple[str, ...]], now: datetime, clock: float
    ) -> None:
        self.tenant, self.tenant_id = tenant, tenant.pk
        self.contents, self.threads, self.now, self.clock = contents, threads, now, clock
        self.keys = _keyring(settings.TOKEN_KEYS)
        self._skeletons: dict[tuple[int, int | None, int, renderer.SenderContent], renderer.Skeleton] = {}

    def of(
        self, message: Claimed, sender: renderer.SenderContent, tracking_host: str
    ) -> Callable[[], tuple[bytes, bytes]]:
        """The function that renders this message when its turn comes. Without a tracking host its links lead to us."""
        return functools.partial(self._render, message, sender, tracking_host)

    def _render(self, message: Claimed, sender: renderer.SenderContent, tracking_host: str) -> tuple[bytes, bytes]:
        skeleton = self._skeleton(message, sender, tracking_host)
        rendered = skeleton.render(
            renderer.RecipientContent(message.email, message.contact_fields),
            message.message_id,
            self._token(message),
            self._date(message),
            self.threads.get(message.id, ()),
            tuple(
                tokens.sign_click(self.keys, self.tenant_id, message.id, number)
                for number in range(len(skeleton.links))
            ),
        )
        return rendered.content, rendered.content_hash

    def _token(self, message: Claimed) -> str:
        """Of the unsubscribe link."""
        return tokens.sign(self.keys, self.tenant_id, message.id)

    def _date(self, message: Claimed) -> str:
        """The slot's time, by the database's clock; a late message says when it was due at the earliest: now."""
        return rfc5322(self.now + timedelta(seconds=max(round(message.due_in), 0)))

    def _skeleton(self, message: Claimed, sender: renderer.SenderContent, tracking_host: str) -> renderer.Skeleton:
        key = (message.step_id, message.variant_id, message.campaign_id, sender)
        if key not in self._skeletons:
            content = self.contents[message.step_id, message.variant_id]
            self._skeletons[key] = skeleton(
                self.tenant, message.campaign_id, content, sender, tracking_host, self.feedback_kind
            )  # fmt: skip
        return self._skeletons[key]


def skeleton(
    tenant: Tenant, campaign_id: int, step: renderer.StepContent, sender: renderer.SenderContent, tracking_host: str,
    feedback_kind: str = "campaign",
) -> renderer.Skeleton:  # fmt: skip
    """How a mailbox sends a step, for its messages and for the previews of them. Raises BadInput."""
    campaign = renderer.CampaignContent(
        campaign_id=campaign_id,
        tenant_id=tenant.pk,
        tenant_slug=tenant.slug,
        tenant_postal_address=tenant.postal_address,
        list_id_host=urlsplit(settings.PUBLIC_URL).hostname or "localhost",
        feedback_kind=feedback_kind,
    )
    base = f"https://{tracking_host}" if tracking_host else settings.PUBLIC_URL
    return renderer.Skeleton.build(step, sender, campaign, base)


@functools.lru_cache(maxsize=4096)
def rfc5322(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0))
