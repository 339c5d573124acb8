"""From a step, a mailbox and a person to the bytes of one message.

Three layers, each built once: the step (its templates parsed, everything constant turned into text), the
mailbox (its headers), the person (fields, token, date). Parts with nothing but `{{ field }}` and `{{ field
| default: "x" }}` are filled in directly; anything more goes through Liquid. Both ways give the same bytes.

Field values are data: they are never rendered again, escaped in html, literal in text; line breaks in them
are normalized in bodies and refused in headers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from campaigns import clicks
from campaigns.pipeline import mime
from campaigns.pipeline.parts import DirectPart, Footer, LiquidPart, clean, in_html, signed
from campaigns.sandbox import SYSTEM_FIELDS
from campaigns.templating import ANSWER, CompiledPart, compile_part, compile_step
from outreach.common import addresses
from outreach.common.errors import BadInput

FEEDBACK_SENDER = re.compile(r"[A-Za-z0-9]{5,15}\Z")  # Gmail's Feedback-ID: SenderId has 5 to 15 characters
LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class StepContent:
    """One version of one step: Liquid sources. html is empty for a text-only message, text where html gives it too.

    tracks_clicks: its links lead through us (campaigns.clicks); the text part keeps the addresses themselves.
    """

    step_id: int
    subject: str
    text: str
    html: str
    version: int
    tracks_clicks: bool = False


@dataclass(frozen=True, slots=True)
class SenderContent:
    """What the recipient sees of a mailbox. signature: plain text, several lines."""

    from_address: str
    display_name: str
    reply_to: str | None = None
    signature: str = ""


@dataclass(frozen=True, slots=True)
class CampaignContent:
    """What all messages of a campaign share.

    list_id_host: domain under which List-Id names the campaign. feedback_sender: 5 to 15 letters and
    digits, the same for all that we send. unsubscribe_label: words of the link that is appended.
    """

    campaign_id: int
    tenant_id: int
    tenant_slug: str
    tenant_postal_address: str
    list_id_host: str
    feedback_sender: str = "outreach"
    feedback_kind: str = "campaign"
    unsubscribe_label: str = "Unsubscribe"


@dataclass(frozen=True, slots=True)
class RecipientContent:
    """Who gets it: address, and field values as strings, the contact's own columns among them."""

    email: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rendered:
    """content: RFC 5322 bytes, CRLF, not dot-stuffed. content_hash: SHA-256 of them, 32 bytes."""

    content: bytes
    content_hash: bytes


class Skeleton:
    """One step as one mailbox sends it. Safe to share between threads."""

    __slots__ = ("_body", "_from", "_in_html", "_reply_to", "_sender")

    def __init__(self, body: StepSkeleton, sender: SenderContent) -> None:
        address = addresses.parse(sender.from_address).wire
        name = addresses.header_text(sender.display_name.strip(), "The display name")
        self._body = body
        self._from = mime.mailbox(name, address)
        self._reply_to = f"Reply-To: {addresses.parse(sender.reply_to).wire}\r\n" if sender.reply_to else ""
        self._sender = {"sender_name": name, "sender_email": address, **signed(sender.signature, html=False)}
        self._in_html = {**signed(sender.signature, html=True), "postal_address": in_html(body.postal_address)}

    @classmethod
    def build(cls, step: StepContent, sender: SenderContent, campaign: CampaignContent, public_url: str) -> Skeleton:
        """Return the skeleton; the step's own is made once and shared by all mailboxes. Raises BadInput."""
        return cls(step_skeleton(step, campaign, public_url), sender)

    @property
    def links(self) -> tuple[str, ...]:
        """Where the links lead that want a token each."""
        return self._body.links

    def render(
        self,
        recipient: RecipientContent,
        message_id: str,
        token: str,
        date: str,
        thread: tuple[str, ...] = (),
        link_tokens: tuple[str, ...] = (),
    ) -> Rendered:
        """Return the message for one person.

        message_id: with or without angle brackets. token: of the unsubscribe link. date: as RFC 5322 writes
        it. thread: ids of the messages before it, oldest first, for In-Reply-To and References; without one the
        subject claims no earlier mail either: its "Re:" is left out. link_tokens: one for each of `links`.
        Raises MissingField for a person without a field that has no default, BadInput that names the field when
        a value would forge a header, TemplateTooCostly when the template runs into a limit.
        """
        body = self._body
        ours = message_id + token + date
        if not ours.isascii() or not ours.isprintable():
            raise BadInput("Message-ID, token and date are printable ASCII.")
        url = body.unsubscribe_base + token
        values = self._values(recipient.fields, url)
        line = body.subject.line(values)
        if body.claims_earlier_mail and not thread:
            line = without_claims(line)
        subject = mime.header_value(line, len("Subject: "))
        text = body.text.body(values)
        head = (
            f"From: {self._from}\r\nTo: {recipient_header(recipient.email)}\r\nSubject: {subject}\r\n"
            f"Date: {date}\r\nMessage-ID: {bracketed(message_id)}\r\n{self._reply_to}"
            f"{threaded(thread) if thread else ''}List-Unsubscribe: <{url}>\r\n{body.fixed_headers}"
        )
        if body.html is None:
            content = mime.single(head, text)
        else:
            values.update(self._in_html)
            for number, each in enumerate(link_tokens):
                values[clicks.name_of(number)] = body.click_base + each
            content = mime.alternative(head, text, body.html.body(values), f"=_{token[-22:].strip()}")
        return Rendered(content, hashlib.sha256(content).digest())

    def _values(self, fields: Mapping[str, str], url: str) -> dict[str, str]:
        """Return the fields that the step reads, without control characters and with line ends as \\n."""
        values: dict[str, str] = {}
        for name in self._body.contact_names:
            value = fields.get(name)
            if value and not value.isprintable():
                value = clean(value)
            if value and not value.isspace():  # blanks alone say nothing
                values[name] = value
        values["unsubscribe_url"] = url
        values["postal_address"] = self._body.postal_address
        values.update(self._sender)
        return values


# --- The step -------------------------------------------------------------------------------------------


class StepSkeleton:
    """What all messages of one step share, whoever sends them."""

    __slots__ = (
        "claims_earlier_mail",
        "click_base",
        "contact_names",
        "fixed_headers",
        "html",
        "links",
        "postal_address",
        "subject",
        "text",
        "unsubscribe_base",
    )

    def __init__(self, step: StepContent, campaign: CampaignContent, public_url: str) -> None:
        compiled = compile_step(step.subject, step.text, step.html)
        self.contact_names = tuple(sorted(compiled.variables - SYSTEM_FIELDS))
        self.postal_address = clean(campaign.tenant_postal_address).strip()
        self.click_base = f"{public_url.rstrip('/')}/c/"
        self.links = clicks.links(step.html) if step.tracks_clicks else ()
        self.unsubscribe_base = f"{public_url.rstrip('/')}/u/"
        self.fixed_headers = fixed_headers(campaign)
        self.claims_earlier_mail = ANSWER.match(step.subject) is not None
        self.subject = (
            LiquidPart(compiled.subject)
            if compiled.subject.pieces is None
            else DirectPart(compiled.subject, compiled.subject.pieces, line_end=" ")
        )
        self.text = self._part(compiled.text, step.text, campaign)
        html, source = compiled.html, step.html
        if html is not None and self.links:
            source = clicks.replaced(step.html)
            html = compile_part("html", source)
        self.html = self._part(html, source, campaign) if html else None

    def _part(self, compiled: CompiledPart, source: str, campaign: CampaignContent) -> DirectPart | LiquidPart:
        html = compiled.part == "html"
        footer = Footer(html, campaign.unsubscribe_label, self.postal_address)
        if compiled.pieces is None:
            return LiquidPart(compiled, footer)
        return DirectPart(compiled, footer.into(compiled, source))


@lru_cache(maxsize=256)
def step_skeleton(step: StepContent, campaign: CampaignContent, public_url: str) -> StepSkeleton:
    """Return the skeleton of a step, made once for all mailboxes. Raises BadInput, TemplateTooCostly."""
    return StepSkeleton(step, campaign, public_url)


# --- Small pieces ---------------------------------------------------------------------------------------------


def fixed_headers(campaign: CampaignContent) -> str:
    """Return the headers that are the same for every message of the campaign. Raises BadInput."""
    if not FEEDBACK_SENDER.match(campaign.feedback_sender) or not LABEL.match(campaign.feedback_kind):
        raise BadInput("The sender of the Feedback-ID has 5 to 15 letters and digits, its kind is one word.")
    if not LABEL.match(campaign.tenant_slug):
        raise BadInput(f"The tenant's short name {campaign.tenant_slug!r} can't stand in a List-Id.")
    list_id = f"c{campaign.campaign_id}.{campaign.tenant_slug}.{addresses.parse_domain(campaign.list_id_host)}"
    feedback = f"c{campaign.campaign_id}:t{campaign.tenant_id}:{campaign.feedback_kind}:{campaign.feedback_sender}"
    return (
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        f"List-Id: <{list_id}>\r\nFeedback-ID: {feedback}\r\nPrecedence: bulk\r\nMIME-Version: 1.0\r\n"
    )


def without_claims(subject: str) -> str:
    """Return a subject without what claims earlier mail: "Re: Fwd: Offer" is "Offer"."""
    while claim := ANSWER.match(subject):
        subject = subject[claim.end() :]
    return subject.strip()


def recipient_header(email: str) -> str:
    """Return the address for To. Raises BadInput when it can't stand there."""
    if addresses.USUAL.match(email) and "=?" not in email:
        return email
    address = addresses.parse(email)
    if address.needs_smtputf8:
        raise BadInput("The address is not ASCII before the @, and mail to it needs SMTPUTF8.", field="email")
    return address.wire


def bracketed(message_id: str) -> str:
    return message_id if message_id.startswith("<") else f"<{message_id}>"


def threaded(thread: tuple[str, ...]) -> str:
    """Return In-Reply-To and References, one id per line."""
    ids = [bracketed(addresses.header_text(message_id, "A Message-ID")) for message_id in thread]
    return f"In-Reply-To: {ids[-1]}\r\nReferences: " + "\r\n ".join(ids) + "\r\n"
