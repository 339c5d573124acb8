"""Quarantine, probe, release and retirement in the console: what the questions show, and what the pages say after."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils.timezone import now

from mailboxes.models import Mailbox, QuarantineCase, Retirement
from mailboxes.services import mailboxes
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.pools import Pool
from tests.console.conftest import client_of, person
from tests.console.test_actions import act, said

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool():
    return Pool()


def page_of(client, row) -> str:
    return client.get(reverse(f"admin:mailboxes_{row._meta.model_name}_change", args=[row.pk])).content.decode()


def test_the_question_says_who_is_affected_and_who_steps_in(pool, as_chief):
    for policy in ("new_thread", "stop"):
        pool.everybody(pool.campaign(policy, name=f"Sends {policy}"))

    answer = act(as_chief, pool.sick, "quarantine")

    rows = {row["deed"]: (row["bound"], row["retries"], row["free"]) for row in answer.context["affected"]}
    assert rows == {"get a new thread from another mailbox": (6, 3, 2), "end": (6, 3, 2)}
    page = answer.content.decode()
    assert pool.reserve.address in page
    assert "Sends new_thread" in page
    assert "4 mails may be out already" in page
    assert "pulls the swap brake" not in page
    pool.sick.refresh_from_db()
    assert (pool.sick.state, QuarantineCase.objects.count()) == ("active", 0)


def test_the_question_warns_of_the_brake_and_the_tick_decides(pool, as_chief):
    more = factories.fleet(pool.tenant, 2, pool=pool.pool)
    chosen = [box.pk for box in (pool.sick, pool.other, *more)]
    campaign = pool.campaign("wait")
    url = reverse("admin:mailboxes_mailbox_changelist")
    given = {"action": "quarantine", "_selected_action": chosen, "index": "0"}
    assert "pulls the swap brake" in as_chief.post(url, given).content.decode()

    as_chief.post(url, given | {"confirmed": "1", "reason": "test"})

    campaign.refresh_from_db()
    assert (campaign.status, Mailbox.objects.filter(state="quarantined").count()) == ("running", 4)
    assert set(QuarantineCase.objects.values_list("swap", flat=True)) == {"unwanted"}


def test_with_the_tick_a_reserve_steps_in(pool, as_chief):
    act(as_chief, pool.sick, "quarantine", confirmed="1", reason="many bounces", promote="on")

    pool.reserve.refresh_from_db()
    assert (pool.reserve.state, QuarantineCase.objects.get().promoted_id) == ("active", pool.reserve.pk)


def test_the_mailboxs_page_says_what_is_lacking(pool, as_chief):
    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="many bounces", evidence={"bounced": 5})
    page = page_of(as_chief, pool.sick)
    assert "many bounces" in page
    assert "It has not been probed yet." in page
    assert pool.reserve.address in page

    act(as_chief, pool.sick, "probe", confirmed="1", reason="the list was to blame")

    assert "0 of 20 mails in a row went out clean." in page_of(as_chief, pool.sick)
    assert "bounced: 5" in page_of(as_chief, QuarantineCase.objects.get())


def test_a_release_without_probe_or_reason_is_refused_on_the_page(pool, as_chief):
    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    answer = act(as_chief, pool.sick, "release", confirmed="1", reason="")

    pool.sick.refresh_from_db()
    assert pool.sick.state == "quarantined"
    assert "has not passed its probation" in said(answer)


def test_retiring_wants_the_answers_and_the_page_says_what_is_open(pool, as_chief):
    given = factories.answers()
    act(as_chief, pool.sick, "retire", confirmed="1", reason="sold")
    assert Retirement.objects.count() == 0

    act(
        as_chief, pool.sick, "retire", confirmed="1", reason="sold", kept_as="alias", threads="stop",
        keep_until=given["keep_until"].isoformat(), replies_to="late@example.com",
    )  # fmt: skip

    made = Retirement.objects.get()
    assert made.keep_until == given["keep_until"]
    for page in (page_of(as_chief, pool.sick), page_of(as_chief, made)):
        assert "late answers go to late@example.com" in page
    act(as_chief, made, "assign", confirmed="1", replies_to="other@example.com")
    assert "other@example.com" in page_of(as_chief, pool.sick)
    assert "stays until" in said(act(as_chief, made, "give_up", confirmed="1", reason="gone"))


def test_the_question_before_retiring_says_who_is_affected(pool, as_chief):
    pool.everybody(pool.campaign("wait"))

    answer = act(as_chief, pool.sick, "retire")

    assert [(row["bound"], row["deed"]) for row in answer.context["affected"]] == [(6, "as chosen below")]


def test_the_pools_page_shows_reserves_and_the_gap(pool, as_chief):
    assert "1 in reserve, 1 could step in now with 1000 mails a day" in page_of(as_chief, pool.pool)
    assert "Gap that quarantines have left" not in page_of(as_chief, pool.pool)
    Mailbox.objects.filter(pk=pool.reserve.pk).update(daily_cap=30)
    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    page = page_of(as_chief, pool.pool)
    chart = as_chief.get(reverse("admin:mailboxes_pool_gap", args=[pool.pool.pk])).json()

    assert "970 of 1000 mails a day are missing" in page
    assert "not closed by the ramps alone" in page
    assert chart["lines"] == {"missing": [970] * 28}


def test_another_tenants_gap_is_not_there(pool):
    stranger = client_of(person("stranger@example.net", "ops_manager", factories.tenant()))

    assert stranger.get(reverse("admin:mailboxes_pool_gap", args=[pool.pool.pk])).status_code == 404


@pytest.mark.parametrize("action", ["quarantine", "probe", "release", "hand_over", "retire"])
def test_an_analyst_does_nothing_of_it(pool, as_analyst, action):
    before = Mailbox.objects.values().get(pk=pool.sick.pk)
    given = factories.answers()

    act(as_analyst, pool.sick, action, confirmed="1", reason="x", promote="on", **given)

    assert Mailbox.objects.values().get(pk=pool.sick.pk) == before
    assert (QuarantineCase.objects.count(), Retirement.objects.count()) == (0, 0)


def test_an_operator_may_not_settle_a_retirement(pool):
    mailboxes.retire(pool.sick, actor=SYSTEM, reason="sold", **factories.answers(keep_until=now().date()))
    made = Retirement.objects.get()
    operator = client_of(person("op@example.com", "operator", pool.tenant))

    act(operator, made, "give_up", confirmed="1", reason="x")
    act(operator, made, "assign", confirmed="1", replies_to="mine@example.com")

    made.refresh_from_db()
    assert (made.given_up_at, made.replies_to) == (None, "late@example.com")


def test_a_campaigns_handover_is_changed_on_its_page(pool, as_chief):
    campaign = pool.campaign("wait")

    act(as_chief, campaign, "set_handover", confirmed="1", handover="stop")

    campaign.refresh_from_db()
    assert campaign.handover == "stop"
