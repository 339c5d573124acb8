"""The pages of bases: the table that holds, rules of a tenant's own, and what an account allows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.timezone import now

from campaigns.models import BasisRule
from tenants.models import Approval, ApprovalPolicy
from tests.console.conftest import client_of, person
from tests.console.wall import named

pytestmark = pytest.mark.django_db
TABLE = "/console/campaigns/basisrule/table/"


@pytest.fixture
def manager(world):
    ApprovalPolicy.objects.filter(tenant=world.tenant).update(bases=True)
    Approval.objects.all().delete()
    return client_of(person("manager@example.com", "ops_manager", world.tenant))


def rule(world, **changes):
    fields = {"tenant": world.tenant.pk, "country": "FR", "what": "nothing", "reason": "Counsel, 3 May"}
    return {**fields, **changes}


def add(client, data):
    return client.post(reverse("admin:campaigns_basisrule_add"), data, follow=True)


def lines(client, world, **asked):
    answer = client.get(TABLE, {"tenant": world.tenant.slug, **asked})
    assert answer.status_code == 200
    return {(line.country, line.people): line for line in answer.context["lines"]}, answer.content.decode()


def test_the_table_shows_every_row_with_its_origin(world, manager):
    found, page = lines(manager, world)
    germany, strictest = found["DE", "all"], found["", "all"]
    assert (germany.is_own, germany.number, germany.source) == (True, 1, "Counsel <b>wants</b> proof")
    assert [cell.state for cell in germany.cells] == ["paused", "no", "no", "no", "no"]
    assert strictest.cells[0].lines == ("with evidence, with a postal address in the mail",)
    assert [cell.state for cell in found["GB", "individual"].cells] == ["yes", "no", "no", "no", "no"]
    assert set(found["CA", "all"].cells[3].lines) == {
        "from an enquiry, for 6 months",
        "from a purchase or contract, for 24 months",
    }
    assert "<b>wants</b>" not in page
    assert "to be confirmed" in page


def test_a_tighter_rule_is_set_on_the_page_and_holds(world, manager):
    answer = add(manager, rule(world, person_kind="individual"))
    assert answer.status_code == 200
    made = BasisRule.objects.get(country="FR")
    assert (made.version, made.person_kind, made.grounds, made.reason) == (2, "individual", [], "Counsel, 3 May")
    found, _page = lines(manager, world)
    assert {cell.state for cell in found["FR", "individual"].cells} == {"no"}
    assert found["FR", "individual"].is_own


def test_a_looser_rule_asks_a_second_person_first(world, manager):
    data = rule(world, what="own", grounds="consent\nlegitimate_interest evidence")
    page = add(manager, data)
    assert "This needs a second person" in page.content.decode()
    assert not Approval.objects.exists()
    add(manager, {**data, "second_person": "They asked their counsel"})
    asked = Approval.objects.get()
    assert (asked.act, asked.terms["allowed"]) == ("bases.loosen", "consent; legitimate_interest/evidence")
    assert not BasisRule.objects.filter(country="FR").exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"what": "own", "grounds": ""}, "grounds"),
        ({"what": "own", "grounds": "karma"}, "grounds"),
        ({"what": "nothing", "grounds": "consent"}, "grounds"),
        ({"country": "XX"}, "country"),
        ({"valid_from": "2020-01-01"}, "valid_from"),
        ({"reason": ""}, "reason"),
    ],
)
def test_a_wrong_rule_is_told_at_its_field(world, manager, changes, field):
    answer = add(manager, rule(world, **changes))
    assert field in answer.context["form"].errors
    assert not BasisRule.objects.exclude(country="DE").exists()


def test_a_rule_to_come_is_listed_and_its_day_can_be_looked_at(world, manager):
    day = now().date() + timedelta(days=9)
    add(manager, rule(world, valid_from=day.isoformat()))
    found, page = lines(manager, world)
    assert not found["FR", "individual"].is_own
    assert f"day={day.isoformat()}" in page
    found, _page = lines(manager, world, day=day.isoformat())
    assert found["FR", "all"].is_own
    assert manager.get(TABLE, {"day": "soon"}).status_code == 404


def test_an_analyst_sees_the_table_and_sets_nothing_and_a_stranger_sees_none(world, second_world, as_analyst):
    _found, page = lines(as_analyst, world)
    assert "Set a rule" not in page
    assert add(as_analyst, rule(world)).status_code == 403
    stranger = client_of(person("stranger@example.com", "ops_manager", second_world.tenant))
    assert stranger.get(TABLE, {"tenant": world.tenant.slug}).status_code == 404
    assert "tenant" in add(stranger, rule(world)).context["form"].errors
    assert not BasisRule.objects.filter(country="FR").exists()


def test_what_an_account_allows_is_set_on_its_page(world, manager):
    account = world.mailboxes[0].home
    choice = {"action": "set_bases", "_selected_action": [account.pk], "index": "0", "from_detail": "1"}
    page = manager.post(named(type(account), "changelist"), choice).content.decode()
    assert "A pool carries only what all its accounts allow." in page
    given = {"confirmed": "1", "bases": ["consent"], "link": "https://host.example/terms", "on": "2026-05-04"}
    manager.post(named(type(account), "changelist"), {**choice, **given}, follow=True)
    account.refresh_from_db()
    assert (account.allowed_bases, account.bases_link) == (["consent"], "https://host.example/terms")

    more = {**choice, **given, "bases": ["consent", "opt_out"]}
    page = manager.post(named(type(account), "changelist"), more)
    assert "This needs a second person" in page.content.decode()
    manager.post(named(type(account), "changelist"), {**more, "second_person": "Read again"})
    assert Approval.objects.get().terms == {"bases": "consent, opt_out"}
    account.refresh_from_db()
    assert account.allowed_bases == ["consent"]
