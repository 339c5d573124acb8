"""Every list and detail page answers, shows no secret, deletes nothing, and asks few questions."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_rq.models import Dashboard

from campaigns.models import Campaign, Contact, Message
from outreach.common import freshness
from tenants.models import SecondFactor
from tests.console.conftest import CANARY, PASSWORD, World, client_of, person
from tests.rules.test_tenancy import events

MODELS = sorted(
    (model for model in admin.site._registry if model is not Dashboard), key=lambda model: model._meta.label
)


def ids(model) -> str:
    return model._meta.label


def named(model, page: str, *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


class Scripts(HTMLParser):
    """Collects what a content security policy without unsafe-inline forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attributes) -> None:
        values = dict(attributes)
        if tag == "script" and "src" not in values and values.get("type") != "application/json":
            self.found.append(self.get_starttag_text())
        self.found += [f"{tag} {name}" for name in values if name.startswith("on")]
        self.found += [f"{tag} {name}" for name, value in attributes if str(value).startswith("javascript:")]


def inline_scripts(page: str) -> list[str]:
    parser = Scripts()
    parser.feed(page)
    return parser.found


def test_every_model_of_ours_has_its_pages():
    ours = {"tenants", "mailboxes", "campaigns", "deliverability"}
    models = {model for model in apps.get_models() if model._meta.app_label in ours}
    models -= set(events())  # on the History page of the row that they tell of
    assert models <= set(admin.site._registry)


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_list_and_detail_answer_with_real_rows(model, everything, as_chief):
    rows = list(model._base_manager.order_by("pk")[:3])
    assert rows, f"the world has no {model._meta.label}"

    answer = as_chief.get(named(model, "changelist"))

    assert answer.status_code == 200
    assert answer.context["cl"].result_list, model
    page = answer.content.decode()
    for row in rows[:1]:
        answer = as_chief.get(named(model, "change", row.pk))
        assert answer.status_code == 200, row
        page += answer.content.decode()
    assert inline_scripts(page) == []
    for secret in (CANARY, "canary-post", "canarycode", PASSWORD, SecondFactor.objects.first().secret, "md5$"):
        assert secret not in page, secret


@pytest.mark.parametrize(
    "page", ["", "live/", "sent.json", "sent.json?range=day", "uncertain/", "django_rq/dashboard/"]
)
def test_custom_pages_answer(page, everything, as_chief, running_servers):
    answer = as_chief.get(f"/console/{page}", follow=True, headers={"HX-Request": "true"})

    assert answer.status_code == 200
    if answer["Content-Type"].startswith("text/html") and "django_rq" not in page:
        assert inline_scripts(answer.content.decode()) == []


@pytest.mark.fault("F13")
def test_a_queue_that_is_down_is_a_notice_and_no_error(everything, as_chief, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"

    answer = as_chief.get("/console/")

    assert answer.status_code == 200
    assert "The job queue does not answer." in answer.content.decode()


def test_pages_carry_a_policy_that_lets_no_inline_script_run(everything, as_chief):
    for page in ("/console/", "/console/login/", named(Campaign, "changelist")):
        policy = as_chief.get(page)["Content-Security-Policy"]
        script = next(part for part in policy.split(";") if part.strip().startswith("script-src"))
        assert "'unsafe-inline'" not in script
        assert "http" not in script


@pytest.mark.attack("A22")
def test_text_from_outside_is_escaped(everything, as_chief):
    Contact.objects.filter(pk=everything.people[0].pk).update(first_name="<script>alert(2)</script>")
    Message.objects.filter(pk=everything.messages[0].pk).update(reply_text="<img src=x onerror=alert(3)>")
    everything.step.html_body = "<script>alert(4)</script><p>Hello</p>"
    everything.step.save()

    for page in (
        named(Contact, "change", everything.people[0].pk),
        named(Contact, "changelist"),
        named(Message, "change", everything.messages[0].pk),
        named(Message, "change", everything.messages[4].pk),
        reverse("admin:campaigns_attempt_changelist"),
        reverse("admin:campaigns_step_change", args=[everything.step.pk]),
    ):
        text = as_chief.get(page).content.decode()
        assert inline_scripts(text) == [], page
        assert "<img src=x" not in text
    assert 'sandbox=""' in text


@pytest.mark.parametrize("model", [*MODELS, Dashboard], ids=ids)
def test_nothing_can_be_deleted(model, everything, as_chief, rf):
    assert not admin.site._registry[model].has_delete_permission(rf.get("/"))
    if model is Dashboard:
        return
    row = model._base_manager.order_by("pk").first()
    before = set(model._base_manager.values_list("pk", flat=True))

    for answer in (
        as_chief.post(named(model, "delete", row.pk), {"post": "yes"}),
        as_chief.post(
            named(model, "changelist"), {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
        ),
    ):
        assert answer.status_code in (200, 302, 403, 404)
    assert before <= set(model._base_manager.values_list("pk", flat=True))  # the audit has a new one: the refusal


@pytest.mark.parametrize("model", MODELS, ids=ids)
@pytest.mark.attack("A28")
def test_no_field_can_be_written_by_a_hand_made_post(model, everything, as_chief):
    row = model._base_manager.order_by("pk").first()
    before = model._base_manager.filter(pk=row.pk).values().get()

    answer = as_chief.post(
        named(model, "change", row.pk),
        {"status": "cancelled", "state": "retired", "tenant": "1", "is_superuser": "1", "daily_cap": "9", "name": "x"},
    )

    assert answer.status_code == 403
    assert model._base_manager.filter(pk=row.pk).values().get() == before


@pytest.mark.attack("A27")
@pytest.mark.parametrize(
    "address",
    [
        "tenants/user/?password__startswith=md5",
        "tenants/secondfactor/?sealed_key__startswith=a",
        "mailboxes/mailbox/?sealed_password__startswith=a",
        "campaigns/message/?tenant__postal_address__startswith=a",
        "campaigns/campaign/?tenant__slug__startswith=a",
        "campaigns/message/?claim__isnull=False",
        "tenants/user/?_to_field=password",
    ],
)
def test_a_query_string_feels_out_no_other_column(address, everything, as_chief):
    assert as_chief.get(f"/console/{address}").status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        "campaigns/message/?campaign__id__exact=x",
        "campaigns/message/?campaign__id__exact=99999999999999999999",
        "campaigns/message/?q=%00",
        "campaigns/message/99999999999999999999/",
        "campaigns/contact/?q=%27",
        "campaigns/contact/?p=99999",
        "campaigns/campaign/nothing/",
    ],
)
def test_nonsense_in_an_address_is_no_error(address, everything, as_chief):
    assert as_chief.get(f"/console/{address}").status_code in (200, 302, 404)


def test_numbers_open_exactly_their_rows(world, as_chief):
    page = as_chief.get("/console/").content.decode()
    links = re.findall(r'href="(/console/campaigns/message/\?campaign__id__exact=\d+&amp;status__[^"]+)"', page)
    assert len(links) == 8

    for link in links:
        address = link.replace("&amp;", "&")
        states = address.rpartition("=")[2].split(",")
        shown = as_chief.get(address).context["cl"].result_list
        assert {message.pk for message in shown} == {m.pk for m in world.messages if m.status in states}


@pytest.mark.parametrize(
    ("address", "found"),
    [("campaigns/batch/?work=open", 1), ("campaigns/batch/?work=done", 0), ("mailboxes/mailbox/?condition=sending", 4),
     ("mailboxes/mailbox/?condition=stopped", 0), ("mailboxes/mailbox/?condition=held", 0)],
)  # fmt: skip
def test_filters_of_the_start_page_work(address, found, world, as_chief):
    assert len(as_chief.get(f"/console/{address}").context["cl"].result_list) == found


def test_a_message_is_found_by_number_address_and_message_id(world, as_chief):
    message = world.messages[3]
    for term in (message.pk, message.contact.email.upper(), message.message_id, message.message_id.strip("<>")):
        shown = as_chief.get(named(Message, "changelist"), {"q": term}).context["cl"].result_list
        assert [row.pk for row in shown] == [message.pk], term


@pytest.mark.parametrize("model", MODELS, ids=ids)
def test_a_list_asks_no_more_for_more_rows(model, everything, as_chief):
    def asked() -> int:
        freshness.forget()
        with CaptureQueriesContext(connection) as queries:
            assert as_chief.get(named(model, "changelist")).status_code == 200
        return len(queries)

    asked()
    before = asked()
    World(people=36, mailboxes=9)

    assert asked() <= before + 1
    assert before <= 17


def test_the_start_page_asks_no_more_for_more_campaigns(world, as_chief):
    def asked() -> int:
        freshness.forget()
        with CaptureQueriesContext(connection) as queries:
            assert as_chief.get("/console/").status_code == 200
        return len(queries)

    before = asked()
    for _ in range(3):
        World(people=9)

    assert asked() <= before
    assert before <= 29


def test_a_clients_person_sees_campaigns_and_no_fleet(world):
    viewer = person("viewer@client.example", "client_viewer", world.tenant)

    page = client_of(viewer).get("/console/")

    text = page.content.decode()
    assert world.campaign.name in text
    assert "Mailboxes sending" not in text
    assert "Job queues" not in text
    assert page.context["fleet"].total == 0
    assert page.context["needs"] == []


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("tenants/tenant/add/", "Save"), ("tenants/invitation/add/", "Save"), ("tenants/membership/add/", "Save"),
        ("tenants/apikey/add/", "Save"), ("break-glass/", "Break the glass"),
    ],
)  # fmt: skip
def test_the_button_of_a_form_says_what_it_does(page, says, as_chief):
    text = as_chief.get(f"/console/{page}").content.decode()
    form = re.search(r'<form method="post" class="card confirm.*?</form>', text, re.DOTALL)
    buttons = re.findall(r'<button[^>]*type="submit"[^>]*>\s*(.*?)\s*</button>', form.group(), re.DOTALL)
    assert buttons == [says]
