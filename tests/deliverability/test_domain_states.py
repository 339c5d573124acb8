"""What checks make of sending domains: verified, degraded, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from deliverability.models import DomainCheck
from deliverability.services import checks
from mailboxes.models import SendingDomain
from mailboxes.services import domains, providers
from outreach.common.errors import NotAllowed
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM, of_grants
from tests import factories
from tests.deliverability.name_server import SERVFAIL
from tests.deliverability.zones import FAULTS, TARGET, mailbox_on, publish

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAME = "mail.acme.example"


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def domain(tenant):
    """A new domain with one selector and a mailbox that leaves by 127.0.0.1."""
    made = factories.domain(tenant, name=NAME, state="new", dkim_selectors=["s1"])
    mailbox_on(made)
    return made


@pytest.fixture
def check(resolver):
    """Check domains so many minutes after noon; the domain's state then, and the check."""

    def check(domain, minutes=0):
        done = checks.run([domain], resolver, actor=SYSTEM, now=NOW + timedelta(minutes=minutes))
        domain.refresh_from_db()
        return domain.state, done.checks[domain.pk]

    return check


def found(check):
    return {(each["check"], each["level"], each["code"]) for each in check.findings}


def acts(domain):
    return list(AuditEntry.objects.filter(subject_id=domain.pk).order_by("pk").values_list("action", flat=True))


def test_only_a_sound_check_verifies(server, domain, check):
    state, first = check(domain)
    assert (state, first.outcome, first.level) == ("new", "failed", "fail")
    assert domain.state_reason.startswith(f"{NAME} does not exist.")
    assert acts(domain) == []

    publish(server, NAME)
    state, second = check(domain, 1)

    assert (state, second.outcome, second.level, domain.state_reason) == ("verified", "sound", "pass", "")
    assert domain.checked_at == NOW + timedelta(minutes=1)
    assert domain.check_due_at == NOW + timedelta(minutes=1, seconds=21600)
    assert acts(domain) == ["domain.verified"]
    assert DomainCheck.objects.count() == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_gets_its_finding_and_its_state(server, tenant, domain, check, fault):
    bring_about, finding, outcome, of_new, of_verified = FAULTS[fault]
    sound = factories.domain(tenant, name="sound.acme.example", dkim_selectors=["s1"])
    mailbox_on(sound)
    for row in (domain, sound):
        publish(server, row.name)
        bring_about(server, row.name)

    state, first = check(domain)
    assert finding in found(first)
    assert (first.outcome, state) == (outcome, of_new)
    assert domain.state_reason

    assert check(sound, 0)[0] == "verified"
    state, second = check(sound, 11)
    assert (second.outcome, state) == (outcome, of_verified)


def test_degraded_needs_two_failing_checks_ten_minutes_apart_and_none_sound_between(server, domain, check):
    publish(server, NAME)
    check(domain)
    server.put(f"s1._domainkey.{NAME}", "TXT", "v=DKIM1; p=")

    assert check(domain, 1)[0] == "verified"
    assert "revoked" in domain.state_reason
    assert check(domain, 10)[0] == "verified"
    publish(server, NAME)
    assert (check(domain, 12)[0], domain.state_reason) == ("verified", "")
    server.put(f"s1._domainkey.{NAME}", "TXT", "v=DKIM1; p=")
    assert check(domain, 14)[0] == "verified"
    assert check(domain, 24)[0] == "degraded"
    publish(server, NAME)
    assert check(domain, 25)[0] == "verified"

    assert acts(domain) == ["domain.verified", "domain.degraded", "domain.verified"]
    entry = AuditEntry.objects.get(action="domain.degraded")
    assert (entry.before, entry.after) == ("verified", "degraded")
    assert "revoked" in entry.reason


def test_what_nobody_can_tell_neither_degrades_nor_mends(server, domain, check):
    publish(server, NAME)
    check(domain)
    server.put(NAME, "TXT", "no record")
    check(domain, 1)
    server.put(NAME, "TXT", SERVFAIL)

    for minute in (12, 24, 36):
        assert check(domain, minute)[0] == "verified"
    server.put(NAME, "TXT", "no record")
    assert check(domain, 37)[0] == "degraded"
    server.put(NAME, "TXT", SERVFAIL)
    assert check(domain, 38)[0] == "degraded"


@pytest.mark.parametrize("state", ["blocked", "retired"])
def test_a_check_puts_no_domain_back_that_a_person_stopped(server, tenant, check, state):
    domain = factories.domain(tenant, name=NAME, state=state, retired_at=NOW if state == "retired" else None)
    publish(server, NAME)

    assert check(domain) == (state, DomainCheck.objects.get())
    assert acts(domain) == []


def test_a_retired_domain_is_looked_at_for_replies_and_opt_outs_only(server, tenant, check, settings):
    settings.TRACKING_TARGET = TARGET
    domain = factories.domain(tenant, name=NAME, state="retired", tracking_host=f"go.{NAME}", retired_at=NOW)
    publish(server, NAME)
    server.put(f"go.{NAME}", "CNAME", TARGET)

    _, made = check(domain)
    assert found(made) == {("mx", "pass", "receives"), ("tracking", "pass", "sound")}


def test_a_way_out_that_nobody_named_keeps_a_domain_new(server, tenant, domain, check):
    publish(server, NAME)
    account = factories.account(tenant, host="relay.host.example", port=587, security="starttls")
    mailbox_on(domain, home=account)

    state, made = check(domain)
    assert (state, made.outcome) == ("new", "unknown")
    assert ("spf", "unknown", "way_out_unknown") in found(made)

    providers.set_spf_terms(account, ["ip4:198.51.100.0/24"], actor=SYSTEM)
    domain.refresh_from_db()
    assert (domain.check_due_at, account.__class__.objects.get(pk=account.pk).spf_terms) == (None, ["198.51.100.0/24"])
    state, made = check(domain, 1)
    assert (state, made.outcome) == ("new", "failed")
    server.put(NAME, "TXT", "v=spf1 ip4:127.0.0.1 ip4:198.51.100.0/24 -all")
    assert check(domain, 2)[0] == "verified"


def test_links_that_lead_elsewhere_are_told_and_keep_nobody_from_sending(server, domain, check, settings):
    settings.TRACKING_TARGET = TARGET
    domain = domains.change(domain, actor=SYSTEM, tracking_host=f"go.{NAME}")
    publish(server, NAME)

    state, made = check(domain)
    assert (state, made.outcome, made.level) == ("verified", "sound", "fail")


def test_spf_is_asked_where_the_envelope_points(server, domain, check):
    domain = domains.change(domain, actor=SYSTEM, return_path=f"bounce.{NAME}")
    publish(server, NAME)
    server.put(NAME, "TXT", "nothing")
    assert check(domain)[1].outcome == "failed"

    publish(server, f"bounce.{NAME}")
    state, made = check(domain, 1)
    assert (state, made.outcome) == ("verified", "sound")
    assert ("dmarc", "pass", "spf_alignment") in found(made)


def test_due_domains_are_taken_once_and_come_again(server, tenant, domain, settings):
    settings.DNS_NAMESERVER = f"127.0.0.1:{server.port}"
    publish(server, NAME)
    fresh = factories.domain(tenant, name="other.acme.example", check_due_at=NOW + timedelta(hours=1))
    factories.domain(tenant, name="old.acme.example", state="retired", retired_at=NOW - timedelta(days=100))

    assert checks.tenants_with_due(NOW) == [tenant.pk]
    done = checks.run_due(tenant.pk, actor=SYSTEM, now=NOW)
    assert (done.checked, done.verified) == (1, [domain.pk])
    assert checks.run_due(tenant.pk, actor=SYSTEM, now=NOW).checked == 0
    assert checks.tenants_with_due(NOW) == []

    later = checks.run_due(tenant.pk, actor=SYSTEM, now=NOW + timedelta(hours=7))
    assert later.checked == 2
    fresh.refresh_from_db()
    assert fresh.check_due_at == NOW + timedelta(hours=7, seconds=600)


def test_a_domain_that_another_worker_holds_is_left_to_it(tenant, domain):
    with connection.cursor() as cursor:
        values = {"tenant": tenant.pk, "now": NOW, "until": NOW + checks.CLAIM, "limit": 5, "alive": NOW}
        cursor.execute(checks.CLAIM_SQL, values)
        assert cursor.fetchall() == [(domain.pk,)]
        cursor.execute(checks.CLAIM_SQL, values)
        assert cursor.fetchall() == []
        cursor.execute(checks.CLAIM_SQL, values | {"now": NOW + checks.CLAIM})
        assert cursor.fetchall() == [(domain.pk,)]


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("operator", True), ("client_viewer", False)])
def test_who_may_check(resolver, tenant, domain, role, allowed):
    actor = of_grants("user", role, [(tenant.pk, role)], user_id=factories.user().pk)
    if allowed:
        assert checks.run([domain], resolver, actor=actor, now=NOW).checked == 1
        return
    with pytest.raises(NotAllowed):
        checks.run([domain], resolver, actor=actor, now=NOW)
    assert not DomainCheck.objects.exists()


def test_nobody_checks_a_domain_of_another_tenant(resolver, domain):
    stranger = of_grants("user", "stranger", [(factories.tenant().pk, "ops_manager")], user_id=factories.user().pk)

    with pytest.raises(NotAllowed):
        checks.run([domain], resolver, actor=stranger, now=NOW)
    assert not DomainCheck.objects.exists()
    assert SendingDomain.objects.get().checked_at is None


def test_old_checks_go(server, tenant, domain, check):
    check(domain)
    check(domain, 60 * 24 * 91)

    assert checks.forget(tenant.pk, now=NOW + timedelta(days=91)) == 1
    assert DomainCheck.objects.get().at == NOW + timedelta(days=91)
