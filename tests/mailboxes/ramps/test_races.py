"""Two runs of a day's job at once decide once."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from mailboxes.models import DomainRampDay, Mailbox, RampDay, SendingDomain
from mailboxes.services import domain_ramp, ramp
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.mailboxes.ramps.days import day

pytestmark = pytest.mark.django_db(transaction=True)
RUNNERS = 4


@pytest.fixture
def fleet(tenant, plan):
    """Thirty mailboxes of ten domains, all on a ramp whose cap was used on three days."""
    boxes = factories.fleet(tenant, 30, domains=10, daily_cap=40, ramp=plan, ramp_cap=10, state="ramping")
    SendingDomain.objects.update(ramp=plan, ramp_cap=10)
    used = {"tenant": tenant, "cap": 10, "allowed": 10, "sent": 10, "reason": "too_soon"}
    for n in range(3):
        kind = "hold" if n else "start"
        RampDay.objects.bulk_create(RampDay(mailbox=box, day=day(n), kind=kind, **used) for box in boxes)
        DomainRampDay.objects.bulk_create(
            DomainRampDay(domain=domain, day=day(n), kind=kind, **used) for domain in SendingDomain.objects.all()
        )
    return boxes


def at_once(act):
    """What each of several threads got."""
    got, start = [], threading.Barrier(RUNNERS)

    def runner():
        try:
            start.wait()
            got.append(act())
        finally:
            connection.close()

    threads = [threading.Thread(target=runner) for _ in range(RUNNERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def test_mailboxes_are_decided_once(tenant, fleet):
    got = at_once(lambda: ramp.run_day(tenant, day(6), actor=SYSTEM).kinds)

    assert sorted(got, key=len) == [{}] * (RUNNERS - 1) + [{"rise": 30}]
    assert set(Mailbox.objects.values_list("ramp_cap", flat=True)) == {12}
    assert RampDay.objects.filter(day=day(6)).count() == 30
    assert AuditEntry.objects.filter(action="ramp.day_decided").count() == 1


def test_domains_are_decided_once(tenant, fleet):
    got = at_once(lambda: domain_ramp.run_domains_day(tenant, day(6), actor=SYSTEM).kinds)

    assert sorted(got, key=len) == [{}] * (RUNNERS - 1) + [{"rise": 10}]
    assert set(SendingDomain.objects.values_list("ramp_cap", flat=True)) == {12}
    assert DomainRampDay.objects.filter(day=day(6)).count() == 10
    assert AuditEntry.objects.filter(action="domain_ramp.day_decided").count() == 1


def test_mailboxes_and_their_domains_fall_at_the_same_time(tenant, plan, fleet):
    """Both take waiting mail back; neither is lost to the other's locks."""
    ramp.change_plan(plan, actor=SYSTEM, start=5, ceiling=8)
    acts = iter([ramp.run_day, domain_ramp.run_domains_day] * (RUNNERS // 2))
    guard = threading.Lock()

    def act():
        with guard:
            mine = next(acts)
        return mine(tenant, day(6), actor=SYSTEM).lowered

    assert sorted(at_once(act)) == [0, 0, 10, 30]
    assert set(Mailbox.objects.values_list("ramp_cap", flat=True)) == {8}
    assert set(SendingDomain.objects.values_list("ramp_cap", flat=True)) == {8}
