"""What became of one message, and what it waits for: its own times, who is to send it, and each check of the claim."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns.ledger import gates
from campaigns.models import Message
from campaigns.pipeline import explain_words
from campaigns.pipeline.explain_story import Check, Part, Story
from campaigns.reports import attempts
from outreach.common import isolation
from outreach.common.links import Link
from tenants.models import Tenant

WAITING = frozenset({"planned", "claimed", "deferred"})

# What claim and committing ask, in their words.
HELD = f"""
SELECT c.status, t.status, {gates.CAMPAIGN_STOPPED}, {gates.COVERED}, ct.conversation_since IS NOT NULL,
    {gates.IN_ORDER}, {gates.MAILBOX_STOPPED}, {gates.RECEIVER_STOPPED}, b.address, b.state, b.hold, b.held_until,
    d.name, d.state, a.host, a.state, greatest(b.blocked_until, a.blocked_until)
FROM campaigns_message m {gates.JOINS} WHERE m.id = %(message)s"""


@transaction.atomic
def message(row: Message, now: datetime) -> Story:
    """Of one message: how it stands, why, and when it goes on."""
    tenant = Tenant.objects.get(pk=row.tenant_id)
    zone = ZoneInfo(tenant.time_zone)
    with connection.cursor() as cursor, isolation.tenants([tenant.pk], platform=True):
        cursor.execute(HELD, {"message": row.pk})
        held = cursor.fetchone()
    checks = _checks(row, held, now, zone) if row.status in WAITING else []
    decides = next((check for check in checks if check.decides), None)
    part = Part(
        id=row.pk,
        name=row.step.subject,
        gate=decides.name if decides else row.reason or row.status,
        sentence=_sentence(row, decides, now, zone),
        next_at=decides.until if decides and decides.until else row.due_at if row.status in WAITING else None,
        checks=checks,
        facts=_facts(row, held[8], zone),
        link=Link("campaigns_message", pk=row.pk),
    )
    return Story("message", row.pk, row.message_id, now, tenant.time_zone, part.sentence, [part])


def _checks(row: Message, held: tuple[Any, ...], now: datetime, zone: ZoneInfo) -> list[Check]:
    (
        campaign, tenant, stopped, covered, talking, in_order, box_stopped, receiver_stopped, address, state, hold,
        held_until, domain, domain_state, host, account_state, blocked_until,
    ) = held  # fmt: skip
    told = explain_words.moment
    of_box = f"{address}: {state}" + (f", {hold}" if hold != "none" else "")
    of_way = f"{domain}: {domain_state}; {host}: {account_state}"
    rests = blocked_until if blocked_until and blocked_until > now else None
    asked: list[tuple[str, str, bool, str, datetime | None, Link | None]] = [
        ("campaign", _("the campaign runs"), campaign == "running", campaign, None,
         Link("campaigns_campaign", pk=row.campaign_id)),
        ("tenant", _("the tenant is active"), tenant == "active", tenant, None, None),
        ("stop", _("no stop covers it"), not (stopped or box_stopped or receiver_stopped),
         _("stopped") if stopped or box_stopped or receiver_stopped else "-", None, Link("campaigns_stop")),
        ("suppressed", _("not suppressed"), not covered, _("covered") if covered else "-", None,
         Link("campaigns_contact", pk=row.contact_id)),
        ("conversation", _("nobody talks with this person"), not talking, "-", None,
         Link("campaigns_contact", pk=row.contact_id)),
        ("mailbox", _("mailbox, domain and account are in order"), in_order, f"{of_box}; {of_way}", rests,
         Link("mailboxes_mailbox", pk=row.mailbox_id)),
        ("due", _("its time has come"), row.due_at <= now, told(row.due_at, now, zone), row.due_at, None),
        ("not_after", _("its time is not over"), row.status == "deferred" or row.not_after > now,
         told(row.not_after, now, zone), None, None),
        ("busy", _("no other sender uses the mailbox"), row.status == "claimed" or not held_until or held_until <= now,
         told(held_until, now, zone) if held_until else "-", held_until, None),
    ]  # fmt: skip
    first = next((name for name, _title, passes, *_rest in asked if not passes), "")
    return [
        Check(name, title, passes, value, name == first, None if passes else until, link)
        for name, title, passes, value, until, link in asked
    ]


def _sentence(row: Message, decides: Check | None, now: datetime, zone: ZoneInfo) -> str:
    def at(moment: datetime | None) -> str:
        return explain_words.moment(moment, now, zone) if moment else "-"

    reason = row.reason.replace("_", " ")
    if row.status == "sent":
        outcome = _(" It was %s.") % row.outcome.replace("_", " ") if row.outcome else ""
        return _("Accepted %(at)s: %(answer)s.%(outcome)s") % {
            "at": at(row.sent_at), "answer": row.reply_text.rstrip(".") or "250", "outcome": outcome,
        }  # fmt: skip
    if row.status == "committing":
        return _("Is being handed over at this moment.")
    if row.status == "uncertain":
        return _("Nobody knows whether it went out (%s): evidence or a person settles it; it is never sent again.") % (
            reason or _("no answer")
        )
    if row.status in ("failed", "suppressed", "cancelled"):
        return _("It is %(status)s: %(reason)s.") % {"status": row.get_status_display(), "reason": reason or "-"}
    if decides is None:
        return _("A worker takes it now.") if row.status == "planned" else _("A worker has it.")
    if decides.name == "due":
        tried = _(" after %s tries") % row.tries if row.tries else ""
        return _("It waits for its time, %(at)s%(tried)s.") % {"at": at(row.due_at), "tried": tried}
    until = _(" until %s") % at(decides.until) if decides.until else ""
    return _("It waits%(until)s: not so is that %(title)s (%(value)s).") % {
        "until": until, "title": decides.title, "value": decides.value,
    }  # fmt: skip


def _facts(row: Message, address: str, zone: ZoneInfo) -> list[tuple[str, str, str]]:
    def at(moment: datetime | None) -> str:
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}" if moment else "-"

    tries = [
        f"{at(attempt.at)} {attempt.phase} {attempt.code or ''} {attempt.enhanced} {attempt.text}".strip()
        for attempt in attempts(row)
    ]
    return [
        ("mailbox", _("mailbox"), address),
        ("step", _("step"), f"{row.step.position}. {row.step.subject}"),
        ("planned_at", _("planned at"), at(row.planned_at)),
        ("due_at", _("due at"), at(row.due_at)),
        ("not_after", _("not after"), at(row.not_after)),
        ("day_on", _("counted in the day"), str(row.day_on)),
        ("hour_at", _("counted in the hour"), at(row.hour_at)),
        ("operator", _("receiver"), row.operator or "-"),
        ("tries", _("tries"), "; ".join(tries) or "0"),
    ]
