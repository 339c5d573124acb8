"""One mail of a campaign as one person would get it: the renderer's own bytes, and what keeps them from going out.

Nothing is written or sent. The unsubscribe link is as long as a real one and signed by nobody, so that whoever
follows it in a preview ends nobody's mail.
"""

from __future__ import annotations

import email
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from campaigns import sequences
from campaigns.ledger import lacking, moves
from campaigns.models import Campaign, Contact, Enrolment, ListEntry, Message, Step, Variant
from campaigns.pipeline import loading, renderer
from campaigns.pipeline.explain_person import Person, Place
from campaigns.required_fields import required_fields
from campaigns.services import contacts, suppression
from campaigns.templating import compile_step
from mailboxes.models import Mailbox
from outreach.common import isolation, tokens
from outreach.common.errors import Missing, NotReady, OutreachError
from outreach.common.sealing import Keyring
from tenants.models import Tenant

FOLD = re.compile(r"\r\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What keeps this mail from this person. name: the planner's word for it, or the code of an error."""

    name: str
    title: str
    value: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Headers as (name, decoded value), in their order; without content where it can't be rendered."""

    campaign: Campaign
    contact: Contact
    step: Step
    variant: Variant | None
    mailbox: Mailbox
    hindrances: tuple[Hindrance, ...]
    content: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    html: str = ""

    @property
    def source(self) -> str:
        """The bytes of the message, which are ASCII."""
        return self.content.decode("ascii").replace("\r\n", "\n")

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "campaign": self.campaign.pk,
            "contact": self.contact.pk,
            "step": self.step.position,
            "variant": self.variant.label if self.variant else "",
            "mailbox": self.mailbox.pk,
            "from": self.header("From"),
            "to": self.header("To"),
            "subject": self.header("Subject"),
            "headers": [{"name": name, "value": value} for name, value in self.headers],
            "text": self.text,
            "html": self.html,
            "size": len(self.content),
            "hindrances": [
                {"name": each.name, "title": each.title, "value": each.value} for each in self.hindrances
            ],
        }  # fmt: skip


@transaction.atomic
def preview(
    campaign: Campaign, contact: Contact, *, now: datetime, position: int = 1, variant: str = "",
    knows_platform: bool = False,
) -> Preview:  # fmt: skip
    """The step at that position, newest version, as the contact would get it now.

    variant: label of the wording; empty for the one that was drawn for the person, else the first. Raises Missing
    for a step or wording that is not there, NotReady for a campaign without a mailbox.
    """
    step = campaign.steps.filter(position=position).order_by("-version").first()
    if step is None:
        raise Missing(f"{campaign} has no step {position}.")
    enrolment = Enrolment.objects.filter(campaign=campaign, contact=contact).select_related("mailbox__domain").first()
    messages = list(
        Message.objects.filter(enrolment=enrolment).select_related("step", "variant", "mailbox__domain")
        if enrolment
        else ()
    )
    own = next((each for each in messages if each.step_id == step.pk), None)
    wording = _wording(step, variant, own)
    mailbox = own.mailbox if own else (enrolment.mailbox if enrolment else None) or _mailbox(campaign)
    hindrances = list(_of_person(campaign, contact, enrolment, own, now, knows_platform))
    written = wording or step
    content = renderer.StepContent(step.pk, written.subject, written.text_body, written.html_body, step.version)
    sender = renderer.SenderContent(mailbox.address, mailbox.display_name, signature=mailbox.signature)
    domain = mailbox.domain
    tracking_host = domain.tracking_host if domain.state in ("verified", "degraded") else ""
    message_id = own.message_id if own else _message_id(campaign, step, contact, mailbox)
    try:
        made = loading.skeleton(campaign.tenant, campaign.pk, content, sender, tracking_host or "").render(
            renderer.RecipientContent(contact.email, fields_of(contact)),
            message_id,
            dead_token(campaign.tenant_id, message_id),
            loading.rfc5322(now),
            _thread(campaign, step, contact, enrolment, messages, mailbox),
        )
    except OutreachError as error:
        hindrances.insert(0, Hindrance(error.code, _("the mail can be made"), str(error)))
        return Preview(campaign, contact, step, wording, mailbox, tuple(hindrances))
    parsed = email.message_from_bytes(made.content, policy=policy.default)
    return Preview(
        campaign, contact, step, wording, mailbox, tuple(hindrances), made.content, headers_of(made.content),
        _part(parsed, "plain"), _part(parsed, "html"),
    )  # fmt: skip


# --- Whom to look at ----------------------------------------------------------------------------------------


def people(campaign: Campaign) -> QuerySet[Contact]:
    """Whom the campaign is for: its list, and whoever is enrolled, in the list's order."""
    listed = ListEntry.objects.filter(contact_list=campaign.contact_list_id or 0)
    enrolled = Enrolment.objects.filter(campaign=campaign)
    found = Contact.objects.filter(pk__in=listed.values("contact_id"))
    return (found | Contact.objects.filter(pk__in=enrolled.values("contact_id"))).order_by("pk")


def find(campaign: Campaign, address: str) -> Contact:
    """The person of that address, in whatever way it is written. Raises BadInput, Missing."""
    found = people(campaign).filter(email_key__in=contacts.keys_of(address)).first()
    if found is None:
        raise Missing(f"{address.strip()} is not in the list of {campaign}.")
    return found


def beside(campaign: Campaign, contact: Contact) -> tuple[Contact | None, Contact | None]:
    """Those before and after this one."""
    everybody = people(campaign)
    before = everybody.filter(pk__lt=contact.pk).order_by("-pk").first()
    return before, everybody.filter(pk__gt=contact.pk).first()


def needed(step: Step, variant: Variant | None = None) -> list[str]:
    """Fields without which nobody gets the step; [] where it can't be read."""
    written = variant or step
    try:
        return sorted(required_fields(compile_step(written.subject, written.text_body, written.html_body)))
    except OutreachError:
        return []


def next_lacking(campaign: Campaign, names: Sequence[str], *, after: int = 0) -> Contact | None:
    """The first person of the list, behind the one with that id, who lacks one of the fields."""
    if not names or campaign.contact_list_id is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ct.id FROM campaigns_listentry le JOIN campaigns_contact ct ON ct.id = le.contact_id "
            "WHERE le.contact_list_id = %(contact_list)s AND le.contact_id > %(after)s "
            f"AND {lacking.lacks_one_of('%(names)s::text[]')} ORDER BY le.contact_id LIMIT 1",
            {"contact_list": campaign.contact_list_id, "after": after, "names": list(names)},
        )
        found = cursor.fetchone()
    return Contact.objects.get(pk=found[0]) if found else None


# --- What it is made of -------------------------------------------------------------------------------------


def fields_of(contact: Contact) -> dict[str, str]:
    """Field values as a claimed message has them."""
    return {**contact.fields, **{name: getattr(contact, name) for name in moves.KNOWN}}


def dead_token(tenant_id: int, message_id: str) -> str:
    """A token of the usual length that no key signed: its first character says another version."""
    chars = len(tokens.sign(Keyring.parse(settings.TOKEN_KEYS), tenant_id, 0))
    return ("preview-" + hashlib.sha256(message_id.encode()).hexdigest() * 2)[:chars]


def headers_of(content: bytes) -> tuple[tuple[str, str], ...]:
    """Return name and decoded value of each header of the message."""
    head = FOLD.sub("", content.split(b"\r\n\r\n", 1)[0].decode("ascii"))
    pairs = (line.split(": ", 1) for line in head.split("\r\n"))
    return tuple((name, str(make_header(decode_header(value)))) for name, value in pairs)


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    return str(body.get_content()).replace("\r\n", "\n") if body is not None else ""


def _wording(step: Step, label: str, own: Message | None) -> Variant | None:
    if label:
        found = step.variants.filter(label=label).first()
        if found is None:
            raise Missing(f"Step {step.position} has no wording {label!r}.")
        return found
    return own.variant if own and own.variant else step.variants.order_by("label").first()


def _mailbox(campaign: Campaign) -> Mailbox:
    of_pool = Mailbox.objects.filter(pool=campaign.pool_id or 0).select_related("domain").order_by("address_key")
    found = of_pool.filter(state__in=Mailbox.SENDABLE, hold="none").first() or of_pool.first()
    if found is None:
        said = "The campaign has no pool with a mailbox in it, so nobody knows whom its mail would be from."
        raise NotReady(said, missing=[said])
    return found


def _message_id(campaign: Campaign, step: Step, contact: Contact, mailbox: Mailbox) -> str:
    """The id that planning gives, as in campaigns.pipeline.planner."""
    key = suppression.hasher().derive("message-id", campaign.tenant_id, campaign.pk, step.pk)
    digest = hashlib.sha256(key + contact.pk.to_bytes(8, "big")).hexdigest()
    return f"{digest[:26]}@{mailbox.domain.name}"


def _thread(
    campaign: Campaign, step: Step, contact: Contact, enrolment: Enrolment | None, messages: Sequence[Message],
    mailbox: Mailbox,
) -> tuple[str, ...]:  # fmt: skip
    """Ids of the mails before it, oldest first: as the sender takes them (following.THREADS), or as they would be."""
    began = enrolment.thread_from if enrolment else 1
    earlier = campaign.steps.filter(position__gte=began, position__lt=step.position).order_by("version")
    ids = {each.position: _message_id(campaign, each, contact, mailbox) for each in earlier}
    for each in messages:
        if each.status == "sent" and each.mailbox_id == mailbox.pk and each.outcome not in sequences.NOT_RECEIVED:
            wire = each.wire_message_id
            ids[each.step.position] = wire if "@" in wire else each.message_id
        elif each.status not in ("planned", "claimed", "committing", "deferred"):
            ids.pop(each.step.position, None)
    return tuple(ids[position] for position in sorted(ids) if began <= position < step.position)


def _of_person(
    campaign: Campaign, contact: Contact, enrolment: Enrolment | None, own: Message | None, now: datetime,
    knows_platform: bool,
) -> list[Hindrance]:  # fmt: skip
    """What the planner's gates say of the person, and what has ended."""
    found = []
    if own is not None and own.status not in ("planned", "deferred"):
        found.append(Hindrance("message", _("it was not sent yet"), own.get_status_display()))
    elif enrolment is not None and enrolment.status != Enrolment.Status.ACTIVE:
        said = enrolment.stop_reason.replace("_", " ") or enrolment.get_status_display()
        found.append(Hindrance("enrolment", _("the person is on the way through the campaign"), said))
    tenant = Tenant.objects.get(pk=campaign.tenant_id)
    zone = ZoneInfo(tenant.time_zone)
    place = Place.of(Enrolment(campaign=campaign, contact=contact, zone=tenant.time_zone), now)
    with connection.cursor() as cursor, isolation.tenants([tenant.pk], platform=True):
        person = Person.load(cursor, tenant, contact, now, zone, knows_platform=knows_platform)
        asked = person.asked(place)
    return found + [Hindrance(name, title, value) for name, title, passes, value, *_rest in asked if not passes]
