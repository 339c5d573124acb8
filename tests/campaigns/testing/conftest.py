"""A server that keeps what it takes, and a draft with two people whom nobody has written to."""

from __future__ import annotations

import email
import socket
from email import policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from campaigns import tasks
from campaigns.models import Enrolment, Message, SeedAddress, TestSend
from campaigns.services import seeds
from mailboxes.models import Allowance
from outreach.common import isolation
from tenants.services import actors
from tests import factories
from tests.console.conftest import person


class Keeping:
    """`mails`: (sender, recipient, parsed message) in the order of the dots; `silent`: drop the line at the dot."""

    def __init__(self):
        self.mails, self.silent, self.at_data, self.at_rcpt = [], False, lambda: None, "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.at_rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.at_rcpt

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append((envelope.mail_from, *envelope.rcpt_tos, mail))
        if self.silent:
            server.transport.abort()
        return "250 2.0.0 Ok: queued as 1"


@pytest.fixture
def host():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = Keeping()
    controller = Controller(
        kept, hostname="127.0.0.1", port=port, auth_require_tls=False,
        authenticator=lambda *_given: AuthResult(success=True),
    )  # fmt: skip
    controller.start()
    kept.port = port
    yield kept
    controller.stop()


class Draft:
    """ann and bob on the list, an operator who sees the tenant, two steps."""

    def __init__(self, host):
        self.host = host
        self.tenant = factories.tenant()
        self.boxes = factories.fleet(self.tenant, 2, host="127.0.0.1", port=host.port)
        self.list = factories.contact_list(self.tenant)
        names = ("Ann", "Bob")
        self.people = factories.people(
            self.tenant, self.list, 2, domain="acme.example",
            each=lambda n: {"first_name": names[n], "email": f"{names[n].lower()}@acme.example"},
        )  # fmt: skip
        self.campaign = factories.campaign(
            self.tenant, self.boxes[0].pool, self.list, steps=2, subject="A question, {{ first_name }}",
            text_body="Dear {{ first_name }},\nmay I ask?\n",
        )  # fmt: skip
        self.user = person(f"op{self.tenant.pk}@agency.example", "operator", self.tenant)
        self.actor = actors.of_user(self.user)

    def seed(self, address="seed@panel.example", *, verified=True):
        """One in the list already, without a mail."""
        at = "2026-01-01T00:00Z" if verified else None
        return SeedAddress.objects.create(tenant=self.tenant, address=address, address_key=address, verified_at=at)

    def work(self):
        """What a worker does with all that is queued; the last word."""
        word = "nothing"
        for pk in TestSend.objects.filter(state="queued").order_by("pk").values_list("pk", flat=True):
            word = tasks.send_test(self.tenant.pk, pk)
        return word

    def untouched(self):
        """Nobody of the list was written to, enrolled or counted."""
        rows = (Message.objects.count(), Enrolment.objects.count(), Allowance.objects.count())
        return rows == (0, 0, 0) and not any("acme.example" in mail[1] for mail in self.host.mails)

    def code_of(self, seed):
        seed.refresh_from_db()
        return seeds.digits(seed)


@pytest.fixture
def draft(host, settings, empty_queue):
    settings.SMTP_ALLOW_LOOPBACK, settings.CIRCUIT_FIRST_SECONDS = True, 0
    return Draft(host)


@pytest.fixture
def scoped(draft):
    """As a request of the operator sees it."""
    with isolation.tenants([draft.tenant.pk]):
        yield draft
