"""Each check, provoked and mended: errors block, warnings want a tick, notes tell."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.utils.timezone import now

from campaigns.findings import Level
from campaigns.models import Contact, ListEntry, Step, Suppression, Variant
from campaigns.pipeline import planner
from campaigns.services import campaigns, preflighting, suppression
from deliverability.dns.findings import found
from deliverability.models import DomainCheck
from mailboxes.models import Mailbox, ProviderAccount, SendingDomain
from outreach import cron
from outreach.common.errors import NotReady
from tenants.models import AuditEntry, ChecklistEntry, Tenant
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

PRIVACY = "https://example.com/privacy"
NOTICE = f"Your address is from: {{{{ source }}}}. {PRIVACY}"


RULES = ("basis_contract:", "basis_country:")


class Scene:
    """A campaign of one step to sixty people, from a pool of four mailboxes; nothing stands against it."""

    def __init__(self, **changes) -> None:
        self.tenant = factories.tenant()
        self.pool = factories.pool(self.tenant)
        self.boxes = factories.fleet(self.tenant, 4, pool=self.pool, domains=2)
        self.list = factories.contact_list(self.tenant)
        self.people = factories.people(self.tenant, self.list, 60)
        self.campaign = factories.campaign(self.tenant, self.pool, self.list, **changes)

    def found(self) -> dict[str, Level]:
        """Errors and warnings, by code; what rules of bases hold is asked in a test of its own."""
        return {code: level for code, level in self.all_found().items() if not code.startswith(RULES)}

    def all_found(self) -> dict[str, Level]:
        self.campaign.refresh_from_db()
        report = preflighting.look(self.campaign)
        return {each.code: each.level for each in report.findings if each.level != Level.NOTE}

    def notes(self) -> dict[str, int | None]:
        self.campaign.refresh_from_db()
        return {each.code: each.count for each in preflighting.look(self.campaign).notes}

    def contacts(self, n: int, **changes) -> None:
        """Change the first n people; everybody else as they were made."""
        ids = [each.pk for each in self.people[:n]]
        Contact.objects.filter(pk__in=ids).update(**changes)

    def words(self, **changes) -> None:
        self.campaign.steps.update(**changes)


@pytest.fixture
def scene():
    return Scene()


def test_nothing_stands_against_a_campaign_that_is_in_order(scene):
    assert scene.found() == {}


def _suspended(scene):
    Tenant.objects.filter(pk=scene.tenant.pk).update(status="suspended")
    scene.campaign.tenant.refresh_from_db()


def _no_address(scene):
    Tenant.objects.filter(pk=scene.tenant.pk).update(postal_address="")


def _locked(scene):
    Mailbox.objects.filter(pool=scene.pool).update(hold="locked")


def _domains(state, n=2):
    def change(scene):
        ids = sorted({box.domain_id for box in scene.boxes})[:n]
        SendingDomain.objects.filter(pk__in=ids).update(state=state)

    return change


def _check_failed(scene):
    DomainCheck.objects.create(
        tenant=scene.tenant, domain=scene.boxes[0].domain, at=now(), level="fail", outcome="failed",
        findings=[found("dmarc", "fail", "missing", "There is no DMARC record.", "Publish one.").as_dict()],
    )  # fmt: skip


def _bases(*allowed):
    return lambda scene: ProviderAccount.objects.filter(tenant=scene.tenant).update(allowed_bases=list(allowed))


def _second_account(scene):
    other = factories.account(scene.tenant, port=2526, allowed_bases=[])
    Mailbox.objects.filter(pk=scene.boxes[0].pk).update(home=other)


def _suppressed(n):
    def change(scene):
        addresses = [person.email for person in scene.people[:n]]
        suppression.suppress(scene.tenant, addresses, actor=SYSTEM, reason="manual", via="test")

    return change


def _european(scene):
    scene.contacts(7, country="FR")


def _interest(scene):
    scene.contacts(5, lawful_basis="legitimate_interest")


def _variant(scene):
    Variant.objects.create(tenant=scene.tenant, step=scene.campaign.steps.get(), label="B", subject="", text_body="Hi")


PROVOKED = [
    ("tenant_not_active", "error", _suspended),
    ("checklist:postal_address", "error", _no_address),
    ("checklist:provenance", "error", lambda scene: ChecklistEntry.objects.filter(tenant=scene.tenant).delete()),
    ("no_pool", "error", lambda scene: type(scene.campaign).objects.update(pool=None)),
    ("no_mailbox", "error", _locked),
    ("no_way_out", "error", _domains("new")),
    ("domains_not_verified", "warning", _domains("blocked", 1)),
    ("domains_degraded", "warning", _domains("degraded", 1)),
    ("domains_not_checked", "warning", lambda scene: SendingDomain.objects.update(
        checked_at=now() - timedelta(days=4))),
    ("dns:dmarc_missing", "warning", _check_failed),
    ("basis_not_allowed:consent", "error", _bases("existing_customer")),
    ("basis_not_allowed:consent", "error", _second_account),
    ("no_list", "error", lambda scene: type(scene.campaign).objects.update(contact_list=None)),
    ("empty_list", "error", lambda scene: ListEntry.objects.all().delete()),
    ("nobody_validated", "error", lambda scene: scene.contacts(60, validity="")),
    ("some_not_validated", "warning", lambda scene: scene.contacts(1, validity="")),
    ("too_many_unknown", "error", lambda scene: scene.contacts(4, validity="unknown")),
    ("many_risky", "warning", lambda scene: scene.contacts(6, validity="risky")),
    ("many_invalid", "warning", lambda scene: scene.contacts(2, validity="invalid")),
    ("many_expired", "warning", lambda scene: scene.contacts(6, basis_expires_on=date(2020, 1, 1))),
    ("many_suppressed", "warning", _suppressed(6)),
    ("no_step", "error", lambda scene: Step.objects.all().delete()),
    ("step:1", "error", lambda scene: scene.words(subject="Re: our call")),
    ("step:1", "error", lambda scene: scene.words(subject="fwd: our call")),
    ("step:1", "error", lambda scene: scene.words(text_body="Hello {{ first_name")),
    ("step:1", "error", lambda scene: scene.words(subject=" ")),
    ("step:1, variant B", "error", _variant),
    ("unknown_field:titel", "error", lambda scene: scene.words(text_body="Hello {{ titel }}")),
    ("missing_field:first_name", "warning", lambda scene: scene.contacts(3, first_name="")),
    ("no_balancing_test", "error", _interest),
    ("bad_link:", "error", lambda scene: scene.words(html_body='<a href="htp://example.com">x</a>')),
    ("bad_link:", "error", lambda scene: scene.words(html_body='<a href="https://user:pw@example.com/">x</a>')),
    ("bad_link:", "error", lambda scene: scene.words(text_body="See https://exa_mple/ .")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "level", "provoke"), PROVOKED, ids=[f"{code} {n}" for n, (code, *_) in
                                                                      enumerate(PROVOKED)])  # fmt: skip
def test_what_stands_against_a_start_is_found_and_said_with_its_level(scene, code, level, provoke):
    provoke(scene)

    seen = {name: found for name, found in scene.found().items() if name.startswith(code)}

    assert list(seen.values()) == [level]


def test_europeans_are_owed_the_source_and_the_privacy_notice_in_each_part(scene):
    _european(scene)
    assert set(scene.found()) == {"no_source_notice", "no_privacy_link"}

    scene.words(text_body=NOTICE)
    assert set(scene.found()) == {"no_source_notice", "no_privacy_link"}  # the html is silent yet

    scene.words(html_body=f"<p>We have you from {{{{ source }}}}.</p><a href='{PRIVACY}'>Privacy</a>")
    assert scene.found() == {}


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (f"{{% comment %}}{NOTICE}{{% endcomment %}}Hello", ""),
        (NOTICE, f"<p>Hello</p><!-- {{{{ source }}}} {PRIVACY} -->"),
        (NOTICE, f"<p>Hello</p><!-- {{{{ source }}}} {PRIVACY}"),
    ],
)
def test_a_notice_that_nobody_sees_is_none(scene, text, html):
    _european(scene)

    scene.words(text_body=text, html_body=html)

    assert set(scene.found()) == {"no_source_notice", "no_privacy_link"}


def test_a_source_in_words_will_do_and_who_gave_the_data_himself_is_owed_nothing(scene):
    _european(scene)
    scene.words(text_body=f"We met at the Fair in Kyiv, badge scan. {PRIVACY}", html_body="")
    assert scene.found() == {}

    scene.words(text_body="Hello")
    scene.contacts(7, collected_directly=True)
    assert scene.found() == {}


@pytest.mark.parametrize(
    ("changes", "n", "code", "level"),
    [
        ({"country": "FR", "collected_directly": True}, 3, "basis_contract:FR:consent", "warning"),
        ({"country": "FR", "collected_directly": True}, 60, "basis_contract:FR:consent", "error"),
        ({"lawful_basis": "existing_customer"}, 4, "basis_contract:UA:existing_customer", "warning"),
        ({"basis_evidence": ""}, 5, "basis_country:UA:consent", "warning"),
    ],
)
def test_people_whom_a_rule_holds_are_counted_with_the_reason(scene, changes, n, code, level):
    scene.contacts(60, basis_evidence="double opt-in of 2 January")
    assert scene.all_found() == {}

    scene.contacts(n, **changes)

    assert scene.all_found() == {code: level}
    report = preflighting.look(scene.campaign)
    assert next(each.count for each in report.findings if each.code == code) == n


def test_a_follow_up_may_begin_with_re(scene):
    factories.step(scene.campaign, position=2, subject="Re: our call")

    assert "step:2" not in scene.found()


def test_a_field_with_a_default_is_missed_by_nobody(scene):
    scene.contacts(3, first_name="")
    scene.words(text_body='Hello {{ first_name | default: "there" }}', html_body="", subject="Hello")

    assert scene.found() == {}


def test_a_balancing_test_and_a_filled_field_mend_their_findings(scene):
    _interest(scene)
    type(scene.campaign).objects.update(balancing_test="They run customs desks, and we ask once.")

    assert scene.found() == {}


def test_another_tenants_tracking_host_is_no_place_to_link_to(scene):
    factories.domain(factories.tenant(), name="else.example", tracking_host="links.else.example")
    factories.domain(scene.tenant, name="ours.example", tracking_host="links.ours.example")

    scene.words(text_body="https://links.ours.example/a and https://links.else.example/b")

    assert [code.split(":")[0] for code in scene.found()] == ["foreign_link"]


def test_shares_of_a_handful_of_people_are_notes(scene):
    ListEntry.objects.filter(contact__in=scene.people[20:]).delete()
    _suppressed(5)(scene)

    assert scene.found() == {}
    assert scene.notes()["some_suppressed"] == 5


def test_countries_are_told_with_their_numbers(scene):
    scene.contacts(7, country="US")
    scene.contacts(2, country="")

    notes = scene.notes()

    assert {code: n for code, n in notes.items() if code.startswith("country:")} == {
        "country:UA": 53, "country:US": 5, "country:": 2,
    }  # fmt: skip


def test_every_check_tells_how_long_it_took(scene):
    report = preflighting.look(scene.campaign)

    assert {"tenant", "validity", "suppression", "capacity", "links"} <= set(report.seconds)


# --- ticks -------------------------------------------------------------------------------------------------


def test_an_unticked_warning_refuses_the_start_and_nothing_changes(scene):
    scene.contacts(3, first_name="")

    with pytest.raises(preflighting.NeedsTick) as refusal:
        campaigns.start(scene.campaign, actor=SYSTEM)

    assert refusal.value.details["warnings"] == ["missing_field:first_name"]
    scene.campaign.refresh_from_db()
    assert (scene.campaign.status, scene.campaign.accepted_warnings) == ("draft", [])
    assert not scene.campaign.enrolments.exists()
    assert not AuditEntry.objects.filter(action="campaign.started").exists()


def test_a_ticked_warning_lets_it_start_and_stands_in_the_audit(scene):
    scene.contacts(3, first_name="")

    campaigns.start(scene.campaign, actor=SYSTEM, accept=["missing_field:first_name", "no_such_warning"])

    scene.campaign.refresh_from_db()
    assert scene.campaign.status == "running"
    assert [(each["code"], each["count"]) for each in scene.campaign.accepted_warnings] == [
        ("missing_field:first_name", 3)
    ]
    entry = AuditEntry.objects.get(action="campaign.started")
    assert "missing_field:first_name" in str(entry.__dict__)


def test_an_error_can_not_be_ticked(scene):
    scene.contacts(60, validity="")

    with pytest.raises(NotReady) as refusal:
        campaigns.start(scene.campaign, actor=SYSTEM, accept=["nobody_validated"])

    assert refusal.value.code == "not_ready"
    scene.campaign.refresh_from_db()
    assert scene.campaign.status == "draft"


def test_a_tick_holds_until_the_warning_gets_worse(scene):
    scene.contacts(3, first_name="")
    report = preflighting.look(scene.campaign)
    preflighting.settle(scene.campaign, report, actor=SYSTEM, accept=["missing_field:first_name"], what="start")
    accepted = scene.campaign.accepted_warnings

    scene.contacts(2, first_name="Olena")  # better
    assert preflighting.look(scene.campaign).unticked(accepted) == []
    scene.contacts(20, first_name="")  # a third of the list
    assert [each.code for each in preflighting.look(scene.campaign).unticked(accepted)] == ["missing_field:first_name"]


def test_a_resume_asks_for_no_ticks_but_errors_block_it(scene):
    campaigns.start(scene.campaign, actor=SYSTEM)
    campaigns.pause(scene.campaign, actor=SYSTEM)
    scene.contacts(3, first_name="")
    assert campaigns.resume(scene.campaign, actor=SYSTEM).status == "running"

    campaigns.pause(scene.campaign, actor=SYSTEM)
    Mailbox.objects.update(hold="locked")
    with pytest.raises(NotReady):
        campaigns.resume(scene.campaign, actor=SYSTEM)
    scene.campaign.refresh_from_db()
    assert scene.campaign.status == "paused"


def test_no_tick_lets_a_suppressed_person_through(scene):
    _suppressed(6)(scene)

    campaigns.start(scene.campaign, actor=SYSTEM, accept=["many_suppressed"])

    assert Suppression.objects.count() == 6
    run = planner.run(scene.tenant, cron.now())
    assert (run.planned, run.refused) == (54, {"suppressed": 6})
