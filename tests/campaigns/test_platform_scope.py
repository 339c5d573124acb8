"""What the platform suppresses stops in every tenant, whoever of the platform wrote it down."""

from __future__ import annotations

import pytest

from campaigns.models import Enrolment, Message
from campaigns.pipeline import planner
from campaigns.services import campaigns, suppression
from outreach import cron
from tenants import permissions
from tenants.services.actors import SYSTEM, Actor
from tests import factories


@pytest.mark.django_db
def test_a_superuser_without_a_tenant_stops_mail_in_all_of_them():
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    people = factories.people(tenant, listed, 2)
    campaign = factories.campaign(tenant, factories.mailbox(tenant).pool, listed)
    campaigns.start(campaign, actor=SYSTEM)
    planner.run(tenant, cron.now())
    superuser = Actor("user", "superuser", everywhere=permissions.PLATFORM)

    with superuser.scope():
        assert not Message.objects.exists()
        new = suppression.suppress(None, [people[0].email], actor=superuser, reason="manual", via="console")

    assert new == 1
    assert Message.objects.get(contact=people[0]).status == "suppressed"
    assert Enrolment.objects.get(contact=people[0]).status == "stopped"
    assert Message.objects.get(contact=people[1]).status == "planned"
