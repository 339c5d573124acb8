"""Acts on one tenant that cross each other: none of them ends in a deadlock's error, and the audit stays whole."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress

import pytest
from django.db import connections

from campaigns.models import Suppression
from campaigns.services import campaigns, exporting, suppression
from mailboxes.services import mailboxes
from outreach.common import isolation
from outreach.common.errors import OutreachError
from tenants.models import AuditEntry
from tenants.services import invitations, tenants, verifying
from tenants.services.actors import SYSTEM, Actor, of_grants
from tests import factories
from tests.console.conftest import person

ROUNDS = 12
NOBODY = Actor("user", "anonymous")


@pytest.fixture
def chief() -> Actor:
    user = person("chief@example.com", "platform_admin")
    return of_grants("user", "chief", [(None, "platform_admin")], user_id=user.pk)


@pytest.mark.attack("A36")
@pytest.mark.django_db(transaction=True)
def test_acts_that_cross_each_other_all_come_through(chief):
    tenant = factories.tenant()
    pool, listed = factories.pool(tenant), factories.contact_list(tenant)
    boxes = factories.fleet(tenant, 3, pool=pool)
    factories.people(tenant, listed, 60)
    running = campaigns.start(factories.campaign(tenant, pool, listed), actor=SYSTEM)
    for owner in (tenant, None):
        suppression.suppress(owner, ["gone.example"], actor=SYSTEM, reason="manual", via="test")
    numbers, caps, errors = itertools.count(), itertools.cycle((40, 30, 20, 10)), []

    def join() -> None:
        invited = invitations.invite(f"new{next(numbers)}@example.com", "analyst", tenant.pk, actor=chief)
        invitations.accept(invited[1], "a password that is long", actor=NOBODY)

    def crossing(*acts) -> threading.Thread:
        def run() -> None:
            with isolation.tenants([tenant.pk], platform=True):
                for act in acts * ROUNDS:
                    try:
                        with suppress(OutreachError):
                            act()
                    except Exception as error:  # noqa: BLE001 (whatever it is, the test says it)
                        errors.append(repr(error)[:300])
            connections.close_all()

        return threading.Thread(target=run)

    threads = [
        crossing(lambda: tenants.set_daily_cap(tenant, next(caps), actor=chief)),
        crossing(lambda: mailboxes.set_cap(boxes[0], next(caps), actor=chief)),
        crossing(lambda: mailboxes.set_cap(boxes[1], next(caps), actor=chief)),
        crossing(lambda: campaigns.pause(running, actor=chief), lambda: campaigns.resume(running, actor=chief)),
        crossing(
            lambda: tenants.suspend(tenant, actor=chief, reason="x"),
            lambda: tenants.reinstate(tenant, actor=chief, reason="x"),
        ),
        crossing(lambda: exporting.export_suppressions(Suppression.objects.all(), actor=chief).close()),
        crossing(lambda: exporting.export_suppressions(Suppression.objects.all(), actor=chief).close()),
        crossing(join),
        crossing(join),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    *_, report = verifying.verify([None, tenant.pk], actor=SYSTEM)
    assert (report.faults, report.entries) == ([], AuditEntry.objects.count())
