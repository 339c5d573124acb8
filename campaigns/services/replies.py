"""People and their machines answer: what that stops, for whom, and until when.

A human answer, and a mail that a person of ours wrote, put the contact in conversation for the whole tenant: the
campaign that was answered ends, what waits in all others is taken back and stays so until `conversations.release`.
Every act may be repeated; a receipt that is replayed after the release is known by the time of the mail.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.conf import settings
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from campaigns import calendars, sequences
from campaigns.ledger import conversation, moves, returns
from campaigns.models import Contact, Enrolment, Message
from outreach.common import repeating
from outreach.common.errors import BadInput
from tenants.services import audit
from tenants.services.actors import Actor

REPLIED, COLLEAGUE, NOT_INTERESTED = "replied", "colleague_replied", "not_interested"  # Enrolment.stop_reason
LONGEST_ABSENCE_DAYS = 366
# Contact.conversation_via: how it is known.
VIAS = {
    "reply": _("answered a mail"),
    "other_address": _("answered from another address"),
    "marked": _("marked by staff"),
    "api": _("marked through the API"),
    "by_hand": _("written to by a person"),
}


@repeating.atomic
def human(subject: Message | Contact, *, actor: Actor, via: str = "reply", at: datetime | None = None) -> Contact:
    """A person answered: the message where it could be matched, else the contact. Returns the contact.

    Without a message the mail sent to the contact last counts as answered. `at` is when the answer was written; one
    from before the last release is history, and only noted. Raises BadInput for an unknown `via`.
    """
    return _answered(subject, actor, via, at, REPLIED, None)


@repeating.atomic
def not_interested(
    subject: Message | Contact, *, actor: Actor, via: str = "reply", at: datetime | None = None,
    quiet_days: int | None = None,
) -> Contact:  # fmt: skip
    """As `human` with the release in one: nothing is sent for `quiet_days` (NOT_INTERESTED_DAYS), nobody has to look.

    Somebody who is in conversation already stays so: a person decides there.
    """
    days = settings.NOT_INTERESTED_DAYS if quiet_days is None else quiet_days
    if days < 1:
        raise BadInput("quiet_days: at least 1, or it would be no block.", field="quiet_days")
    return _answered(subject, actor, via, at, NOT_INTERESTED, days)


@repeating.atomic
def by_hand(contact: Contact, *, actor: Actor, at: datetime | None = None) -> Contact:
    """A person wrote to the contact from a mailbox: they talk now, and no campaign joins in. Nothing ends."""
    actor.require("campaigns.converse", contact)
    contact = _locked(contact, None)
    if _is_history(contact, at) or contact.conversation_since is not None:
        return contact
    _begin(contact, "by_hand")
    audit.record(actor, "contact.conversation_begun", contact, via="by_hand")
    return contact


@repeating.atomic
def out_of_office(message: Message, *, actor: Actor, returns_on: date | None) -> Message:
    """A machine answered that nobody reads before `returns_on`: the next step waits for that day's window.

    A follow-up that is planned or claimed is taken back. Without a date, or with one that has passed, only the outcome
    is noted. Raises BadInput for a return in more than a year: somebody left for good, or it was misread.
    """
    actor.require("campaigns.converse", message)
    now = returns.now()
    if returns_on is not None and returns_on > now.date() + timedelta(days=LONGEST_ABSENCE_DAYS):
        raise BadInput(f"returns_on: {returns_on} is more than a year away.", field="returns_on")
    _locked(message.contact, message)
    row = Message.objects.select_related("campaign").get(pk=message.pk)
    if row.status not in returns.HEARD_OF:
        return row
    changed = returns.note(row, Message.Outcome.AUTO_REPLIED)
    enrolment = Enrolment.objects.select_for_update(no_key=True).get(pk=row.enrolment_id)
    away_until = _opening(enrolment, row, returns_on) if returns_on else now
    if away_until > max(now, enrolment.away_until or now) and enrolment.status == Enrolment.Status.ACTIVE:
        _put_off(enrolment, away_until)
        changed = True
    if changed:
        audit.record(actor, "message.auto_replied", row, after=returns_on and returns_on.isoformat())
    return row


def _opening(enrolment: Enrolment, message: Message, day: date) -> datetime:
    campaign = message.campaign
    place = calendars.parse(enrolment.zone)
    calendar = sequences.Calendar(
        place.zone, campaign.window_from, frozenset(campaign.window_days), place.calendar
    )  # fmt: skip
    return calendar.opening(day)


def _put_off(enrolment: Enrolment, until: datetime) -> None:
    moves.take_back("m.enrolment_id = %(enrolment)s", {"enrolment": enrolment.pk})
    Message.objects.filter(enrolment=enrolment, status=Message.Status.DEFERRED, due_at__lt=until).update(due_at=until)
    Enrolment.objects.filter(pk=enrolment.pk).update(away_until=until)
    Enrolment.objects.filter(pk=enrolment.pk, due_at__lt=until).update(due_at=until, waits_for="out_of_office")


def _answered(
    subject: Message | Contact, actor: Actor, via: str, at: datetime | None, why: str, quiet_days: int | None
) -> Contact:
    actor.require("campaigns.converse", subject)
    if via not in VIAS:
        raise BadInput(f"via: {via!r} is none of {', '.join(VIAS)}.", field="via")
    contact = subject.contact if isinstance(subject, Message) else subject
    message = subject if isinstance(subject, Message) else _last_sent(contact)
    contact = _locked(contact, message)
    is_history = _is_history(contact, at)
    if message is not None:
        message.refresh_from_db()
    news = message is not None and message.status in returns.HEARD_OF and returns.note(message, REPLIED)
    begins = contact.conversation_since is None and not is_history
    if begins and quiet_days is None:
        _begin(contact, via)
    elif begins:
        _be_quiet(contact, quiet_days or 0)
    if message is not None and not is_history:
        conversation.end(contact.pk, message.campaign_id, why)
        conversation.end_colleagues(contact.pk, message.campaign_id, COLLEAGUE)
    if begins and quiet_days is not None:
        conversation.come_back(contact.pk, contact.quiet_until)
    if news or begins:
        action = "contact.answered" if quiet_days is None else "contact.not_interested"
        audit.record(actor, action, contact, via=via, message=message and message.pk, quiet_days=quiet_days)
    return contact


def _locked(contact: Contact, message: Message | None) -> Contact:
    """The contact, locked with the message, with what waits for it, and for its colleagues in that campaign."""
    contact = Contact.objects.select_for_update(no_key=True).get(pk=contact.pk)
    if message is None:
        conversation.lock(contact.pk)
    else:
        conversation.lock(contact.pk, message_id=message.pk, campaign_id=message.campaign_id)
    return contact


def _last_sent(contact: Contact) -> Message | None:
    sent = Message.objects.filter(contact=contact, status=Message.Status.SENT)
    return sent.order_by("-sent_at", "-pk").first()


def _is_history(contact: Contact, at: datetime | None) -> bool:
    """Whether that mail was written before a person ended the conversation."""
    return at is not None and contact.conversation_ended_at is not None and at <= contact.conversation_ended_at


def _begin(contact: Contact, via: str) -> None:
    contact.conversation_since, contact.conversation_via = Now(), via
    contact.save(update_fields=["conversation_since", "conversation_via"])
    conversation.hold(contact.pk)
    contact.refresh_from_db()


def _be_quiet(contact: Contact, days: int) -> None:
    now = returns.now()
    contact.quiet_until = max(contact.quiet_until or now, now + timedelta(days=days))
    contact.conversation_ended_at = now
    contact.save(update_fields=["quiet_until", "conversation_ended_at"])
    conversation.hold(contact.pk)
