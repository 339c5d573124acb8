"""The History page: what became of a row, told to whoever may see the row."""

from __future__ import annotations

import json

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from campaigns.models import Campaign, Contact
from mailboxes.models import Mailbox, Pool
from outreach import logs
from outreach.common import circumstances
from tenants.admin import history
from tenants.models import Tenant, User
from tests import factories
from tests.console.conftest import CANARY, client_of, person
from tests.console.test_pages import inline_scripts

TRACKED = sorted(
    (model for model in admin.site._registry if history.event_model(model)), key=lambda model: model._meta.label
)


def url_of(row) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_history", args=[row.pk])


def changes_on(answer) -> list[tuple[str, str, str]]:
    """Field, before and after, newest first."""
    return [
        (change["title"], str(change["before"]), str(change["after"]))
        for line in answer.context["lines"]
        if line["label"] == "update"
        for change in line["changes"]
        if not change.get("secret")
    ]


def test_every_table_of_events_is_shown_on_the_page_of_its_row():
    from tests.rules.test_tenancy import events

    assert {history.event_model(model) for model in TRACKED} == set(events())


@pytest.mark.parametrize("model", TRACKED, ids=lambda model: model._meta.label)
def test_the_page_of_each_kind_of_row_answers(model, everything, as_chief):
    row = model._base_manager.order_by("pk").first()

    answer = as_chief.get(url_of(row))

    assert answer.status_code == 200
    assert [line["label"] for line in answer.context["lines"]][-1] == "insert"
    page = answer.content.decode()
    assert inline_scripts(page) == []
    assert CANARY not in page
    assert "md5$" not in page
    detail = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
    assert url_of(row) in as_chief.get(detail).content.decode()


def test_a_row_without_history_has_no_such_page(world, as_chief):
    contact = Contact.objects.first()

    assert as_chief.get(url_of(contact)).status_code == 404


def test_what_changed_stands_there_with_names_of_rows_and_words_for_choices(world, as_chief):
    box, other = world.mailboxes[0], factories.pool(world.tenant, name="The other")
    Mailbox.objects.filter(pk=box.pk).update(pool=other, state="retired", daily_cap=0)

    answer = as_chief.get(url_of(box))

    assert sorted(changes_on(answer))[:1] == [("Daily cap", "1000", "0")]
    page = answer.content.decode()
    assert f'href="{reverse("admin:mailboxes_pool_change", args=[other.pk])}">The other</a>' in page
    assert ("State", "active", "retired") in changes_on(answer)


def test_of_a_password_the_page_says_that_it_changed(world, as_chief):
    box = world.mailboxes[1]
    Mailbox.objects.filter(pk=box.pk).update(sealed_password=factories.seal_password(world.tenant.pk, box.seal_ref))

    answer = as_chief.get(url_of(box))

    assert answer.context["lines"][0]["changes"] == [{"title": "Sealed password", "secret": True}]


def test_text_from_outside_is_escaped(world, as_chief):
    Pool.objects.filter(pk=world.pool.pk).update(name="<script>alert(1)</script>")

    assert b"<script>alert(1)" not in as_chief.get(url_of(world.pool)).content


def test_of_long_texts_the_page_shows_where_they_part(world, as_chief):
    Tenant.objects.filter(pk=world.tenant.pk).update(postal_address="a" * 900 + "old" + "z" * 900)
    Tenant.objects.filter(pk=world.tenant.pk).update(postal_address="a" * 900 + "new" + "z" * 900)

    ((_title, before, after), *_rest) = changes_on(as_chief.get(url_of(world.tenant)))

    assert (before[:44], after[:44]) == ("…" + "a" * 40 + "old", "…" + "a" * 40 + "new")
    assert len(after) <= history.SHOWN_CHARACTERS + 1


def test_one_field_can_be_asked_for(world, as_chief):
    Campaign.objects.filter(pk=world.campaign.pk).update(batch_size=50)
    Campaign.objects.filter(pk=world.campaign.pk).update(name="Renamed")

    assert changes_on(as_chief.get(url_of(world.campaign), {"field": "batch_size"})) == [("Batch size", "100", "50")]
    assert len(changes_on(as_chief.get(url_of(world.campaign), {"field": "pgh_id"}))) == 2


def test_long_histories_come_in_pages(world, as_chief):
    for cap in range(60):
        Tenant.objects.filter(pk=world.tenant.pk).update(daily_cap=cap)

    first, second = (as_chief.get(url_of(world.tenant), {"p": page}) for page in (1, 2))

    assert len(first.context["lines"]) == history.PER_PAGE
    assert [line["label"] for line in second.context["lines"]][-1] == "insert"
    assert len(second.context["lines"]) == 61 - history.PER_PAGE


def test_more_events_ask_no_more(world, as_chief):
    def asked() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            as_chief.get(url_of(world.campaign))
        return len(queries)

    Campaign.objects.filter(pk=world.campaign.pk).update(batch_size=51)
    asked()  # what the top bar keeps for a moment
    few = asked()
    for size in range(52, 80):
        Campaign.objects.filter(pk=world.campaign.pk).update(batch_size=size)

    assert asked() == few


# --- Who, from where --------------------------------------------------------------------------------------------


def test_the_answer_the_log_and_the_event_name_the_same_request(world, chief, as_chief, capsys):
    logs.configure({"level": "INFO"})
    try:
        answer = as_chief.post(
            reverse("admin:campaigns_campaign_changelist"),
            {
                "action": "pause",
                "_selected_action": [world.campaign.pk],
                "index": "0",
                "confirmed": "1",
                "reason": "late list",
            },
            REMOTE_ADDR="192.0.2.7",
        )
        logged = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    finally:
        logs.configure({"level": "WARNING"})

    request_id = answer.headers["X-Request-Id"]
    (event,) = history.event_model(Campaign).objects.filter(id=world.campaign.pk, pgh_label="update")
    assert event.pgh_before["status"] == "running"
    assert event.pgh_context == {
        "request_id": request_id, "ip": "192.0.2.7", "via": "request",
        "name": "console/campaigns/campaign/", "actor_kind": "user", "user_id": chief.pk,
    }  # fmt: skip
    assert {line["request_id"] for line in logged} == {request_id}
    assert {"campaign.paused", "request"} <= {line["event"] for line in logged}

    page = as_chief.get(url_of(world.campaign)).content.decode()
    assert request_id in page
    assert "192.0.2.7" in page
    assert f'href="{reverse("admin:tenants_user_change", args=[chief.pk])}">{chief.email}</a>' in page


def test_who_may_not_look_at_people_sees_numbers_and_no_addresses(world, chief):
    someone = client_of(person("operator@example.com", "operator", world.tenant))
    here = circumstances.Circumstances("r-1", "192.0.2.7", "request", "console/x/", "user", chief.pk)
    with circumstances.entered(here):
        Pool.objects.filter(pk=world.pool.pk).update(name="Renamed")

    page = someone.get(url_of(world.pool)).content.decode()

    assert f"user {chief.pk}" in page
    assert chief.email not in page
    assert "192.0.2.7" not in page
    assert "r-1" in page


def test_a_made_up_context_is_no_error(world, as_chief):
    for forged in ('{"user_id": "x", "via": [1], "ip": {"a": 1}}', "[1]", '"x"'):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('pghistory.context_metadata', %s, true)", [forged])
            cursor.execute("UPDATE mailboxes_pool SET name = name || 'x' WHERE id = %s", [world.pool.pk])

    assert as_chief.get(url_of(world.pool)).status_code == 200


@pytest.mark.attack("A26")
def test_a_stranger_finds_no_history(world):
    stranger = client_of(person("stranger@example.com", "operator", factories.tenant()))

    for row in (world.tenant, world.pool, world.campaign, world.mailboxes[0]):
        assert stranger.get(url_of(row)).status_code == 404
    assert stranger.get(url_of(User.objects.first())).status_code in (403, 404)
