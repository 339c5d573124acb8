"""Verdicts on addresses: what each rests on, and that each domain is asked about once."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from campaigns.models import Contact, Enrolment, Message
from campaigns.services import suppression, validity
from campaigns.services.validity import Choice
from deliverability.addresses import judging, receiving
from deliverability.addresses.judging import Verdict
from deliverability.addresses.receiving import Receiving
from deliverability.dns.resolver import Resolver
from deliverability.services import receivers, validation
from mailboxes.models import ReceiverDomain
from outreach.common import isolation
from outreach.common.errors import NotAllowed
from tenants import permissions
from tenants.models import AuditEntry, Tenant
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.test_planner import NOON, plan, running
from tests.deliverability.name_server import REFUSED, SERVFAIL, TIMEOUT, NameServer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def resolver(server: NameServer) -> Resolver:
    return Resolver([("127.0.0.1", server.port)], timeout_seconds=0.4, tries=1)


def validate(server: NameServer, tenant: Tenant, now: datetime = NOW, which: str = "new", **changes):
    return validation.last(
        validation.run(tenant, resolver(server), actor=SYSTEM, now=now, choice=Choice(which), **changes)
    )


def people(tenant: Tenant, *emails: str, contact_list=None, **changes) -> list[Contact]:
    return factories.people(
        tenant, contact_list, len(emails), validity="", each=lambda i: {"email": emails[i]}, **changes
    )


def verdicts(tenant: Tenant) -> dict[str, tuple[str, str]]:
    rows = Contact.objects.filter(tenant=tenant).values_list("email_key", "validity", "validity_reason")
    return {email: (verdict, reason) for email, verdict, reason in rows}


def firm(server: NameServer, *names: str) -> None:
    """Domains with an MX whose host has an address."""
    server.put("mx.host.example", "A", "192.0.2.1")
    for name in names:
        server.put(name, "MX", (10, "mx.host.example"))


def asked(server: NameServer, kind: str = "MX") -> dict[str, int]:
    counts: Counter[str] = Counter()
    for (_, name, of), n in server.asked.items():
        counts[name] += n if of == kind else 0
    return dict(+counts)


# --- the address alone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("ann.lee@firm.example", Verdict("valid")),
        ("ann+news@firm.example", Verdict("valid")),
        ("office.manager@firm.example", Verdict("valid")),
        ("info@firm.example", Verdict("risky", "role")),
        ("SALES@firm.example", Verdict("risky", "role")),
        ("sales-uk@firm.example", Verdict("risky", "role")),
        ("info.de@firm.example", Verdict("risky", "role")),
        ("customer_service@firm.example", Verdict("risky", "role")),
        ("büro@firm.example", Verdict("risky", "role")),
        ("abuse@firm.example", Verdict("invalid", "desk")),
        ("postmaster+x@firm.example", Verdict("invalid", "desk")),
        ("mailer-daemon@firm.example", Verdict("invalid", "desk")),
        ("no-reply@firm.example", Verdict("invalid", "no_reply")),
        ("noreply_orders@firm.example", Verdict("invalid", "no_reply")),
        ("ann@mailinator.com", Verdict("invalid", "disposable")),
        ("ann@box7.mailinator.com", Verdict("invalid", "disposable")),
        ("ann@21cn.com", Verdict("valid")),
        ("ann@lee@firm.example", Verdict("invalid", "syntax")),
        ("ann lee@firm.example", Verdict("invalid", "syntax")),
        ("", Verdict("invalid", "syntax")),
    ],
)
def test_the_address_alone_decides(address, verdict):
    assert judging.judge(address, "mx") == verdict


@pytest.mark.parametrize(
    ("mail", "verdict", "of_role"),
    [
        ("mx", Verdict("valid"), Verdict("risky", "role")),
        ("address", Verdict("risky", "implicit_mx"), Verdict("risky", "role")),
        ("null_mx", Verdict("invalid", "null_mx"), Verdict("invalid", "null_mx")),
        ("no_mx", Verdict("invalid", "no_mx"), Verdict("invalid", "no_mx")),
        ("dead_mx", Verdict("invalid", "dead_mx"), Verdict("invalid", "dead_mx")),
        ("no_domain", Verdict("invalid", "no_domain"), Verdict("invalid", "no_domain")),
        ("", Verdict("unknown", "dns_unknown"), Verdict("unknown", "dns_unknown")),
    ],
)
def test_its_domain_decides_the_rest(mail, verdict, of_role):
    assert judging.judge("ann@firm.example", mail) == verdict
    assert judging.judge("info@firm.example", mail) == of_role
    assert judging.judge("ann@firm.example", mail, bounced=True) == Verdict("invalid", "bounced")


def test_every_reason_fits_its_column():
    reasons = {reason for _, reason in judging.OF_DOMAIN.values()} | set(judging.role_names().values())
    assert max(map(len, reasons)) <= Contact._meta.get_field("validity_reason").max_length


# --- what DNS says of a domain ---------------------------------------------------------------------------------


def zone(server: NameServer) -> None:
    firm(server, "firm.example")
    server.put("google.example", "MX", (1, "aspmx.l.google.com"))
    server.put("null.example", "MX", (0, "."))
    server.put("address.example", "A", "192.0.2.7")
    server.put("six.example", "AAAA", "2001:db8::7")
    server.put("text.example", "TXT", "hello")
    server.put("dead.example", "MX", (10, "gone.host.example"), (20, "also-gone.host.example"))
    server.put("half.example", "MX", (10, "gone.host.example"), (20, "mx.host.example"))
    server.put("servfail.example", "MX", SERVFAIL)
    server.put("refused.example", "MX", REFUSED)
    server.put("timeout.example", "MX", TIMEOUT)
    server.put("unsure.example", "A", TIMEOUT)
    server.put("host-silent.example", "MX", (10, "silent.host.example"))
    server.put("silent.host.example", "A", SERVFAIL)
    server.put("alias.example", "CNAME", "firm.example")


RECEIVING = {
    "firm.example": Receiving("mx", "other"),
    "google.example": Receiving("mx", "google"),
    "alias.example": Receiving("mx", "other"),
    "half.example": Receiving("mx", "other"),
    "null.example": Receiving("null_mx", "other"),
    "address.example": Receiving("address", "other"),
    "six.example": Receiving("address", "other"),
    "text.example": Receiving("no_mx", "other"),
    "dead.example": Receiving("dead_mx", "other"),
    "nowhere.example": Receiving("no_domain", "other"),
    "servfail.example": Receiving("", "", "servfail"),
    "refused.example": Receiving("", "", "refused"),
    "timeout.example": Receiving("", "", "timeout"),
    "unsure.example": Receiving("", "", "timeout"),
    "host-silent.example": Receiving("", "other", "servfail"),
}


@pytest.mark.parametrize("name", RECEIVING)
def test_what_dns_says_of_a_domain(server, name):
    zone(server)
    assert receiving.look(resolver(server), name) == RECEIVING[name]


def test_known_operators_are_not_asked_for_the_addresses_of_their_hosts(server):
    zone(server)
    receiving.look(resolver(server), "google.example")
    assert asked(server, "A") == {}


# --- contacts --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.as_worker
def test_contacts_get_verdict_reason_time_and_operator(server):
    zone(server)
    tenant = factories.tenant()
    people(tenant, *(f"ann@{name}" for name in RECEIVING), "info@google.example", "abuse@nowhere.example")

    done = validate(server, tenant)

    assert verdicts(tenant) == {
        "ann@firm.example": ("valid", ""),
        "ann@google.example": ("valid", ""),
        "ann@alias.example": ("valid", ""),
        "ann@half.example": ("valid", ""),
        "ann@null.example": ("invalid", "null_mx"),
        "ann@address.example": ("risky", "implicit_mx"),
        "ann@six.example": ("risky", "implicit_mx"),
        "ann@text.example": ("invalid", "no_mx"),
        "ann@dead.example": ("invalid", "dead_mx"),
        "ann@nowhere.example": ("invalid", "no_domain"),
        "ann@servfail.example": ("unknown", "dns_unknown"),
        "ann@refused.example": ("unknown", "dns_unknown"),
        "ann@timeout.example": ("unknown", "dns_unknown"),
        "ann@unsure.example": ("unknown", "dns_unknown"),
        "ann@host-silent.example": ("unknown", "dns_unknown"),
        "info@google.example": ("risky", "role"),
        "abuse@nowhere.example": ("invalid", "desk"),
    }
    assert (done.judged, done.asked, done.silent, done.is_over) == (17, 15, 5, True)
    assert set(Contact.objects.values_list("validated_at", flat=True)) == {NOW}
    assert dict(Contact.objects.filter(email_key__endswith="google.example").values_list("email_key", "operator")) == {
        "ann@google.example": "google", "info@google.example": "google",
    }  # fmt: skip
    assert AuditEntry.objects.filter(action="contacts.validated", tenant=tenant).count() == 1


@pytest.mark.django_db
@pytest.mark.as_worker
def test_300_addresses_of_3_domains_ask_3_questions_for_all_tenants(server):
    firm(server, "one.example", "two.example", "three.example")
    names = ["one.example", "two.example", "three.example"]
    first, second = factories.tenant(), factories.tenant()
    for tenant in (first, second):
        people(tenant, *(f"p{n}@{names[n % 3]}" for n in range(300)))

    assert validate(server, first).asked == 3
    assert validate(server, second).asked == 0

    assert asked(server) == dict.fromkeys(names, 1)
    assert asked(server, "A") == {"mx.host.example": asked(server, "A")["mx.host.example"]}
    assert Counter(Contact.objects.values_list("validity", flat=True)) == {"valid": 600}


@pytest.mark.django_db
@pytest.mark.as_worker
def test_chunks_go_on_where_a_run_ended(server, monkeypatch):
    monkeypatch.setattr(validation, "CHUNK", 10)
    firm(server, "one.example")
    tenant = factories.tenant()
    people(tenant, *(f"p{n}@one.example" for n in range(35)))
    running_one = validation.run(tenant, resolver(server), actor=SYSTEM, now=NOW)
    while (progress := next(running_one)).judged < 10:
        pass
    running_one.close()
    assert progress.judged == Contact.objects.exclude(validity="").count() == 10

    done = validate(server, tenant)

    assert (done.judged, done.asked) == (25, 0)
    assert Contact.objects.filter(validity="valid").count() == 35


@pytest.mark.django_db
@pytest.mark.as_worker
def test_unknown_is_asked_again_after_growing_pauses_and_becomes_valid(server):
    server.put("firm.example", "MX", SERVFAIL)
    tenant = factories.tenant()
    people(tenant, "ann@firm.example")
    pauses, now = [], NOW
    validate(server, tenant)
    for _ in range(3):
        row = ReceiverDomain.objects.get()
        pauses.append(int((row.due_at - now).total_seconds() / 60))
        assert validate(server, tenant, row.due_at - timedelta(seconds=1), "open").judged == 0
        now = row.due_at
        assert validate(server, tenant, now, "open").counts == {("unknown", "dns_unknown"): 1}
    assert (pauses, ReceiverDomain.objects.get().failures) == ([5, 10, 20], 4)
    firm(server, "firm.example")

    now = ReceiverDomain.objects.get().due_at
    assert validate(server, tenant, now, "open").counts == {("valid", ""): 1}

    assert verdicts(tenant) == {"ann@firm.example": ("valid", "")}
    row = ReceiverDomain.objects.get()
    assert (row.mail, row.failures, row.trouble, row.due_at - now) == ("mx", 0, "", timedelta(days=7))


@pytest.mark.django_db
@pytest.mark.as_worker
def test_what_was_known_outlives_trouble_for_a_month(server):
    firm(server, "firm.example")
    tenant = factories.tenant()
    people(tenant, "ann@firm.example")
    validate(server, tenant)
    server.put("firm.example", "MX", TIMEOUT)

    validate(server, tenant, NOW + timedelta(days=20), "all")
    assert verdicts(tenant) == {"ann@firm.example": ("valid", "")}
    validate(server, tenant, NOW + timedelta(days=31), "all")

    assert verdicts(tenant) == {"ann@firm.example": ("unknown", "dns_unknown")}


@pytest.mark.django_db
@pytest.mark.as_worker
def test_again_asks_dns_anew(server):
    firm(server, "firm.example")
    tenant = factories.tenant()
    people(tenant, "ann@firm.example")
    validate(server, tenant)
    server.put("firm.example", "MX", (0, "."))

    assert validate(server, tenant, NOW + timedelta(hours=1), "all").counts == {("valid", ""): 1}
    done = validate(server, tenant, NOW + timedelta(hours=1), "all", again=True)

    assert (done.asked, done.counts) == (1, {("invalid", "null_mx"): 1})


@pytest.mark.django_db
@pytest.mark.as_worker
def test_a_hard_bounce_of_this_tenant_counts_until_it_is_lifted(server):
    firm(server, "firm.example")
    own, other = factories.tenant(), factories.tenant()
    for tenant in (own, other):
        people(tenant, "ann@firm.example")
    suppression.suppress(own, ["Ann@Firm.example"], actor=SYSTEM, reason="hard_bounce", via="test")
    validate(server, own)
    validate(server, other)
    assert (verdicts(own), verdicts(other)) == (
        {"ann@firm.example": ("invalid", "bounced")}, {"ann@firm.example": ("valid", "")},
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("UPDATE campaigns_suppression SET lifted_at = now()")

    assert validate(server, own, NOW, "open").judged == 1

    assert verdicts(own) == {"ann@firm.example": ("valid", "")}


@pytest.mark.django_db
@pytest.mark.as_worker
def test_only_old_verdicts_of_people_about_to_be_mailed_are_renewed(server):
    firm(server, "firm.example")
    day = timedelta(days=1)
    campaign, _ = running(4, 1, each=lambda i: {"email": f"p{i}@firm.example"})
    people(campaign.tenant, "idle@firm.example")
    Contact.objects.update(validity="valid", validated_at=NOW - 31 * day)
    Contact.objects.filter(email_key="p0@firm.example").update(validated_at=NOW - 29 * day)
    Enrolment.objects.update(due_at=NOW)
    Enrolment.objects.filter(contact__email_key="p1@firm.example").update(due_at=NOW + 2 * day)

    assert validate(server, campaign.tenant, NOW, "old").judged == 2

    renewed = Contact.objects.filter(validated_at=NOW).order_by("email_key").values_list("email_key", flat=True)
    assert list(renewed) == ["p2@firm.example", "p3@firm.example"]


@pytest.mark.django_db
@pytest.mark.as_worker
def test_who_waits_for_a_verdict_is_called_back_and_nobody_else(server):
    firm(server, "firm.example")
    campaign, _ = running(4, 1, each=lambda i: {"email": f"p{i}@firm.example"})
    Contact.objects.exclude(email_key="p3@firm.example").update(validity="")
    later = NOW + timedelta(days=400)
    Enrolment.objects.update(due_at=later, waits_for="validation")
    Enrolment.objects.filter(contact__email_key="p2@firm.example").update(waits_for="receiver")
    Tenant.objects.update(plan_wanted_at=None)

    assert validate(server, campaign.tenant).called_back == 2

    waiting = Enrolment.objects.filter(due_at=later).order_by("contact__email_key")
    assert list(waiting.values_list("contact__email_key", "waits_for")) == [
        ("p2@firm.example", "receiver"), ("p3@firm.example", "validation"),
    ]  # fmt: skip
    assert Tenant.objects.get(pk=campaign.tenant_id).plan_wanted_at is not None


@pytest.mark.django_db
@pytest.mark.as_worker
def test_mail_planned_for_who_turns_out_invalid_is_taken_back(server):
    firm(server, "firm.example")
    server.put("null.example", "MX", (0, "."))
    campaign, _ = running(2, 1, each=lambda i: {"email": f"p{i}@{('firm', 'null')[i]}.example"})
    plan(campaign)
    assert Message.objects.filter(status="planned").count() == 2

    assert validate(server, campaign.tenant, NOON, "all").taken_back == 1

    assert list(Message.objects.values_list("contact__email_key", flat=True)) == ["p0@firm.example"]


@pytest.mark.django_db
@pytest.mark.as_worker
def test_nobody_without_the_right_validates(server):
    firm(server, "firm.example")
    tenant = factories.tenant()
    people(tenant, "ann@firm.example")
    analyst = Actor("user", "analyst", everywhere=permissions.ROLES["analyst"])

    with pytest.raises(NotAllowed):
        validation.last(validation.run(tenant, resolver(server), actor=analyst, now=NOW))

    assert verdicts(tenant) == {"ann@firm.example": ("", "")}
    assert asked(server) == {}


@pytest.mark.django_db
@pytest.mark.as_worker
def test_without_time_nobody_is_judged_and_nothing_is_held(server):
    firm(server, "firm.example")
    tenant = factories.tenant()
    people(tenant, "ann@firm.example")

    assert list(receivers.look_up(["firm.example"], resolver(server), now=NOW, ends=0.0)) == [receivers.Asked(0, 0)]

    assert ReceiverDomain.objects.get().asking_until is None
    assert validate(server, tenant).counts == {("valid", ""): 1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.as_worker
def test_two_workers_at_once_ask_no_domain_twice(server):
    names = [f"firm{n}.example" for n in range(120)]
    firm(server, *names)
    tenants = [factories.tenant(), factories.tenant()]
    for tenant in tenants:
        people(tenant, *(f"ann@{name}" for name in names))
    barrier, results = threading.Barrier(2), []

    def work(tenant: Tenant) -> None:
        try:
            with isolation.tenants([tenant.pk], platform=True):
                barrier.wait(10)
                results.append(validate(server, tenant))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[tenant]) for tenant in tenants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert asked(server) == dict.fromkeys(names, 1)
    assert sum(done.asked for done in results) == 120
    assert [done.counts for done in results] == [{("valid", ""): 120}] * 2
    assert validity.tenants_with_new() == []
