"""Links of mails that are followed: where they lead, and the note of it."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils.timezone import now

from campaigns import clicks
from campaigns.models import Click, Message
from campaigns.services import outcomes
from tenants.services.actors import SYSTEM

MOST = 50  # rows of one message; who follows its links more often than that says nothing new
EARLY = timedelta(seconds=10)


@transaction.atomic
def follow(tenant_id: int, message_pk: int, number: int) -> str | None:
    """Where that link of the message leads, by the wording that was sent; None: there is no such message or link.

    A click tells that the mail arrived, so it ends the doubt about one whose fate nobody knew. It never counts as an
    answer, and never changes a campaign: programs follow links as well.
    """
    row = Message.objects.filter(pk=message_pk, tenant=tenant_id).select_related("step", "variant", "tenant").first()
    if row is None or row.status not in (Message.Status.SENT, Message.Status.UNCERTAIN, Message.Status.COMMITTING):
        return None
    found = clicks.links((row.variant or row.step).html_body)
    target = clicks.location(found[number]) if number < len(found) else None
    if target is None:
        return None
    if Click.objects.filter(message_ref=row.pk).count() < MOST:
        early = row.sent_at is not None and now() - row.sent_at < EARLY
        Click.objects.create(
            tenant_id=tenant_id,
            campaign_id=row.campaign_id,
            message_ref=row.pk,
            number=number,
            url=target[:2000],
            is_early=early,
        )
    if row.status == Message.Status.UNCERTAIN:
        outcomes.delivered(row.tenant, [row.pk], actor=SYSTEM)
    return target
