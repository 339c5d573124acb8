"""The page "Stops": what stands still, pulling the lever with a look before, lifting it, and the bar on every page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.timezone import now

from campaigns.models import Message, Stop
from campaigns.services import stops
from mailboxes.models import QuotaGroup
from tenants.models import Approval
from tenants.services.actors import SYSTEM
from tests.console.conftest import client_of, person
from tests.console.test_actions import act, said

LIST, PULL = "admin:campaigns_stop_changelist", "admin:campaigns_stop_add"
WAITING = ("planned", "claimed")


def pull(client, scope, target="", **values):
    return client.post(reverse(PULL), {"scope": scope, "target": target, "reason": "complaints", **values}, follow=True)


@pytest.fixture
def nothing_stopped(world):
    """The world without its stop."""
    Stop.objects.update(lifted_at=now())
    return world


def test_the_lever_shows_what_it_would_stop_before_it_does(nothing_stopped, as_chief):
    world = nothing_stopped
    waiting = Message.objects.filter(status__in=WAITING).count()

    page = pull(as_chief, "pool", str(world.pool.pk), until="4h")

    assert page.context["covered"].mailboxes == 4
    assert page.context["covered"].messages == Message.objects.filter(status__in=(*WAITING, "deferred")).count()
    assert stops.standing().count() == 0

    answer = pull(as_chief, "pool", str(world.pool.pk), until="4h", confirmed="1")

    stop = stops.standing().get()
    assert (stop.scope, stop.key, stop.reason) == ("pool", world.pool.pk, "complaints")
    assert timedelta(hours=3) < stop.until - now() < timedelta(hours=5)
    assert f"{waiting} messages were taken back." in said(answer)
    assert not Message.objects.filter(status__in=WAITING).exists()


def test_open_stops_stand_on_top_with_what_they_cover_and_who_pulled_them(nothing_stopped, as_chief):
    pull(as_chief, "campaign", nothing_stopped.campaign.name, confirmed="1")
    stops.pull("tenant", nothing_stopped.tenant, actor=SYSTEM, reason="late", until=now() + timedelta(days=1))
    Stop.objects.filter(scope="tenant").update(lifted_at=now())

    answer = as_chief.get(reverse(LIST))

    first = answer.context["cl"].result_list[0]
    assert (first.scope, first.told[1].campaigns, first.told[1].mailboxes) == ("campaign", 1, 4)
    assert "chief@example.com" in first.told[0]
    assert [row.told[1] for row in answer.context["cl"].result_list[1:]] == [None, None]


@pytest.mark.parametrize(
    ("values", "words"),
    [({"scope": "pool", "target": "nothing"}, "There is no pool"), ({"scope": "domain", "target": ""}, "There is no"),
     ({"scope": "platform", "target": "x"}, "names nothing else"), ({"scope": "tenant", "until": "soon"}, "is no time"),
     ({"scope": "receiver", "target": "two words"}, "There is no receiver"), ({"scope": "nothing"}, "valid choice")],
)  # fmt: skip
def test_what_can_not_be_used_is_said_at_its_field(nothing_stopped, as_chief, values, words):
    values = {"target": nothing_stopped.tenant.slug, **values}

    page = pull(as_chief, values.pop("scope"), values.pop("target"), confirmed="1", **values)

    assert words in page.content.decode()
    assert stops.standing().count() == 0


def test_an_analyst_pulls_and_lifts_nothing(world, as_analyst):
    stop = stops.standing().get()

    assert as_analyst.get(reverse(PULL)).status_code == 403
    assert pull(as_analyst, "campaign", world.campaign.name, confirmed="1").status_code == 403
    act(as_analyst, stop, "lift", confirmed="1", reason="impatient")

    assert list(stops.standing()) == [stop]


def test_a_manager_of_one_tenant_is_offered_nothing_of_all_tenants(world, second_world):
    client = client_of(person("manager@example.com", "ops_manager", second_world.tenant))
    QuotaGroup.objects.get_or_create(name="contoso.example", defaults={"kind": "microsoft"})
    before = stops.standing().count()

    offered = {value for value, _, _ in client.get(reverse(PULL)).context["scopes"]}
    for scope, target in (
        ("platform", ""),
        ("organisation", "contoso.example"),
        ("receiver", "google"),
        ("tenant", world.tenant.slug),
        ("pool", str(world.pool.pk)),
    ):
        pull(client, scope, target, confirmed="1")

    assert offered == {"tenant", "account", "domain", "receiver", "pool", "campaign"}
    assert stops.standing().count() == before


def test_lifting_asks_for_a_reason_and_for_a_second_person_where_two_are_needed(nothing_stopped, as_chief):
    pull(as_chief, "domain", nothing_stopped.mailboxes[0].domain.name, confirmed="1")
    pull(as_chief, "platform", confirmed="1")
    of_domain, of_all = stops.standing().get(scope="domain"), stops.standing().get(scope="platform")

    act(as_chief, of_domain, "lift", confirmed="1", reason="it is clean")
    page = act(as_chief, of_all, "lift", confirmed="1", reason="over")

    assert list(stops.standing()) == [of_all]
    assert "needs a second person" in page.content.decode()
    act(as_chief, of_all, "lift", confirmed="1", reason="over", second_person="The key is changed")
    assert Approval.objects.get(act="stop.lift").terms == {"scope": "platform", "stopped_because": "complaints"}
    assert list(stops.standing()) == [of_all]


def test_pages_link_to_the_stop_of_their_row(world, as_chief, as_analyst):
    box = world.mailboxes[0]
    for name, row, links in (
        ("campaigns_campaign", world.campaign, [("campaign", world.campaign.pk)]),
        ("mailboxes_pool", world.pool, [("pool", world.pool.pk)]),
        ("mailboxes_sendingdomain", box.domain, [("domain", box.domain_id)]),
        ("mailboxes_provideraccount", box.home, [("account", box.home_id)]),
        ("mailboxes_mailbox", box, [("domain", box.domain_id), ("account", box.home_id), ("pool", box.pool_id)]),
        ("tenants_tenant", world.tenant, [("tenant", world.tenant.pk)]),
        ("mailboxes_quotagroup", QuotaGroup.objects.get(), [("organisation", QuotaGroup.objects.get().pk)]),
    ):
        address = reverse(f"admin:{name}_change", args=[row.pk])
        page = as_chief.get(address).content.decode()
        for scope, pk in links:
            assert f"{reverse(PULL)}?scope={scope}&amp;target={pk}" in page, name
        assert reverse(PULL) not in as_analyst.get(address).content.decode()
        form = as_chief.get(reverse(PULL), {"scope": links[0][0], "target": links[0][1]}).context["form"]
        assert form["target"].value() == str(links[0][1])


def test_what_stands_still_altogether_is_said_on_every_page(nothing_stopped, second_world, as_chief):
    Stop.objects.update(lifted_at=now())
    theirs = client_of(person("viewer@example.com", "client_viewer", second_world.tenant))
    ours = client_of(person("operator@example.com", "operator", nothing_stopped.tenant))
    stops.pull("tenant", nothing_stopped.tenant, actor=SYSTEM, reason="blackmail")
    stopped = f"{nothing_stopped.tenant} stands still since"

    for client, sees in ((as_chief, True), (ours, True), (theirs, False)):
        for page in ("/console/", reverse("admin:campaigns_campaign_changelist")):
            assert (stopped in client.get(page).content.decode()) is sees

    stops.pull("platform", actor=SYSTEM, reason="key of tenant seven lost")
    from outreach.common import freshness

    freshness.forget()
    for client, told in ((as_chief, True), (theirs, False)):
        page = client.get(reverse("admin:campaigns_campaign_changelist")).content.decode()
        assert "Everything stands still since" in page
        assert ("tenant seven" in page) is told


def test_the_start_page_counts_the_smaller_stops(world, as_chief):
    page = as_chief.get("/console/").content.decode()

    assert "1 stop holds mail back." in page
    for value, found in (("yes", 1), ("no", 0)):
        assert len(as_chief.get(f"{reverse(LIST)}?holds={value}").context["cl"].result_list) == found
