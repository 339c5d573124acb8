"""An operator settles mail of which nobody knows whether it went out."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from django.utils import timezone

from campaigns.models import Enrolment, Message
from campaigns.services import outcomes
from outreach.common.errors import BadInput, InvalidMove, NotAllowed
from tenants import permissions
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM, Actor
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def uncertain():
    """A message without an answer, its person waiting for it."""
    tenant = factories.tenant()
    box, (person,) = factories.mailbox(tenant), factories.people(tenant, None, 1)
    campaign = factories.campaign(tenant, box.pool, status="running")
    enrolment = Enrolment.objects.create(
        tenant=tenant, campaign=campaign, contact=person, mailbox=box, waits_for="message", zone="UTC"
    )
    return Message.objects.create(
        tenant=tenant, campaign=campaign, step=campaign.steps.get(), enrolment=enrolment, contact=person, mailbox=box,
        status="uncertain", reason="no_answer", due_at=timezone.now(), not_after=timezone.now(), day_on="2026-05-04",
        message_id="abc@sender.example", tries=1,
    )  # fmt: skip


def actor(role, tenant_id):
    return Actor("user", role, within={tenant_id: permissions.ROLES[role]})


@pytest.mark.parametrize(
    ("sent", "status", "reason", "person"),
    [(True, "sent", "", "done"), (False, "failed", "settled_not_sent", "stopped")],
)
def test_settling_ends_the_doubt_and_the_waiting(uncertain, sent, status, reason, person):
    outcomes.settle(uncertain, actor=SYSTEM, sent=sent, evidence="log of the host, line 7")

    assert (uncertain.status, uncertain.reason, uncertain.tries) == (status, reason, 1)
    assert uncertain.reply_text == "log of the host, line 7"
    assert (uncertain.sent_at is not None) == sent
    assert (uncertain.enrolment.status, uncertain.enrolment.due_at) == (person, None)
    entry = AuditEntry.objects.get(action="message.settled")
    assert (entry.subject_id, entry.before, entry.after) == (uncertain.pk, "uncertain", status)
    assert entry.actor_kind == "system"


def test_settled_mail_is_not_settled_again(uncertain):
    outcomes.settle(uncertain, actor=SYSTEM, sent=True, evidence="a reply")

    with pytest.raises(InvalidMove, match="only an uncertain one"):
        outcomes.settle(uncertain, actor=SYSTEM, sent=False, evidence="second thoughts")

    assert (uncertain.status, uncertain.reply_text) == ("sent", "a reply")


def test_settling_wants_evidence(uncertain):
    with pytest.raises(BadInput, match="Say how it is known"):
        outcomes.settle(uncertain, actor=SYSTEM, sent=True, evidence=" ")

    uncertain.refresh_from_db()
    assert uncertain.status == "uncertain"


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("operator", False), ("ops_manager", True)])
def test_only_managers_settle(uncertain, role, allowed):
    outcome = nullcontext() if allowed else pytest.raises(NotAllowed)

    with outcome:
        outcomes.settle(uncertain, actor=actor(role, uncertain.tenant_id), sent=True, evidence="a reply")

    uncertain.refresh_from_db()
    assert uncertain.status == ("sent" if allowed else "uncertain")


def test_a_manager_of_another_tenant_settles_nothing(uncertain):
    with pytest.raises(NotAllowed):
        outcomes.settle(uncertain, actor=actor("ops_manager", uncertain.tenant_id + 1), sent=True, evidence="a reply")

    uncertain.refresh_from_db()
    assert uncertain.status == "uncertain"
