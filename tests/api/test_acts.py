"""What a key does: the services' acts, once, and nothing that was not asked for."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from campaigns.models import Campaign, Contact, Enrolment, Message, Suppression
from tenants.models import ApiKey, Tenant, User
from tests import factories
from tests.api.conftest import Api, is_problem, key_of


def test_a_campaign_is_started_paused_resumed_and_cancelled(ours, api):
    draft = factories.campaign(ours.tenant, ours.pool, ours.list)
    place = f"campaigns/{draft.pk}/"

    is_problem(api.post(place + "start/"), 409, "warnings_not_accepted")  # its domain has no SPF record
    told = api.get(place + "preflight/").json()
    assert (told["ready"], told["errors"], [each["code"] for each in told["warnings"]]) == (
        False, [], ["dns:spf_missing"],
    )  # fmt: skip
    assert api.post(place + "start/", {"accept": ["dns:spf_missing"]}).json()["status"] == "running"
    assert Enrolment.objects.filter(campaign=draft).count() == len(ours.people)
    paused = api.post(place + "pause/", {"reason": "late list"}).json()
    assert (paused["status"], paused["status_reason"]) == ("paused", "late list")
    assert api.post(place + "resume/").json()["status"] == "running"
    assert api.post(place + "cancel/", {"reason": "over"}).json()["status"] == "cancelled"
    is_problem(api.post(place + "cancel/"), 409, "invalid_move")


def test_a_key_that_may_only_act_learns_the_state_and_nothing_else(ours):
    acting = Api(key_of(ours.tenant, "campaigns.pause", "campaigns.resume"))
    place = f"campaigns/{ours.campaign.pk}/"

    answer = acting.post(place + "pause/", {"reason": "late list"})

    assert (answer.status_code, answer.json()) == (200, {"id": ours.campaign.pk, "status": "paused"})
    is_problem(acting.get(place), 403, "not_allowed")
    is_problem(acting.get("campaigns/"), 403, "not_allowed")


def test_the_history_knows_the_key_and_the_request(ours, api):
    answer = api.post(f"campaigns/{ours.campaign.pk}/pause/", {"reason": "late list"})

    (event,) = Campaign.pgh_event_model.objects.filter(id=ours.campaign.pk, pgh_label="update")
    assert event.pgh_context == {
        "request_id": answer.headers["X-Request-Id"],
        "ip": "127.0.0.1",
        "via": "api",
        "name": event.pgh_context["name"],
        "actor_kind": "key",
        "key_id": ApiKey.objects.get(name="A system", tenant=ours.tenant).pk,
    }
    assert str(ours.campaign.pk) not in event.pgh_context["name"]


def test_suppressions_stop_what_waits(ours, api):
    person = next(row for row in ours.messages if row.status == "planned").contact
    body = {"entries": [person.email, "*.nowhere.example", "gone@example.net"], "reason": "opt_out"}

    answer = api.post("suppressions/", body)

    assert (answer.status_code, answer.json()) == (201, {"added": 3})  # for one there is a word of staff already
    assert Message.objects.filter(contact=person, status="planned").count() == 0
    made = Suppression.objects.filter(via="api")
    assert {(row.tenant_id, row.scope, row.reason) for row in made} == {(ours.tenant.pk, "tenant", "opt_out")}
    assert api.post("suppressions/", body).json() == {"added": 0}


@pytest.mark.parametrize("entries", [[], None, "a@example.net", {}, [None], [["a@example.net"]], ["x"] * 1001, [""]])
def test_entries_are_a_list_of_one_to_a_thousand_texts(ours, api, entries):
    before = Suppression.objects.count()
    is_problem(api.post("suppressions/", {"entries": entries}), 400, "bad_input")
    assert Suppression.objects.count() == before


def test_a_thousand_entries_fit(ours, api):
    entries = [f"person{i}@out.example" for i in range(1000)]
    assert api.post("suppressions/", {"entries": entries}).json() == {"added": 1000}


@pytest.mark.attack("A28")
@pytest.mark.parametrize(
    ("field", "value"),
    [("tenant", 1), ("tenant_id", 1), ("role", "platform_admin"), ("is_superuser", True), ("daily_cap", 1),
     ("created_by", 1), ("status", "running"), ("scope", "platform"), ("pk", 1), ("campaign", 1), ("__class__", "x")],
)  # fmt: skip
def test_fields_that_an_act_does_not_take_are_refused_and_change_nothing(ours, theirs, api, field, value):
    value = theirs.tenant.pk if field in ("tenant", "tenant_id") else value
    tables = (Tenant, User, Campaign, Suppression, Contact)
    before = [list(model.objects.order_by("pk").values()) for model in tables]

    for place, body in (
        (f"campaigns/{ours.campaign.pk}/pause/", {"reason": "x"}),
        (f"campaigns/{ours.campaign.pk}/cancel/", {}),
        (f"campaigns/{ours.campaign.pk}/start/", {}),
        ("suppressions/", {"entries": ["a@example.net"]}),
    ):
        problem = is_problem(api.post(place, {**body, field: value}), 400, "bad_input")
        assert problem["errors"] == {field: ["There is no such field."]}

    assert [list(model.objects.order_by("pk").values()) for model in tables] == before


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post"])
def test_rows_are_neither_made_nor_changed_nor_deleted(ours, api, method):
    tables = (Campaign, Contact, Tenant)
    before = [list(model.objects.order_by("pk").values()) for model in tables]
    for place in (f"campaigns/{ours.campaign.pk}/", f"contacts/{ours.people[0].pk}/", f"tenants/{ours.tenant.pk}/"):
        answer = getattr(api.client, method)(
            f"/api/v1/{place}", {"name": "x"}, content_type="application/json", headers=api.headers
        )
        is_problem(answer, 405, "method_not_allowed")
    is_problem(api.post("campaigns/", {"name": "x"}), 405, "method_not_allowed")

    assert [list(model.objects.order_by("pk").values()) for model in tables] == before


@pytest.mark.attack("A41")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("act", "state"), [("start", "draft"), ("pause", "running"), ("cancel", "running")])
def test_of_two_at_once_one_wins_and_the_other_is_told(act, state):
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 20)
    campaign = factories.campaign(tenant, factories.fleet(tenant, 1)[0].pool, listed, status=state)
    keys = [key_of(tenant), key_of(tenant)]
    together, answers = threading.Barrier(2), []

    def run(key: str) -> None:
        try:
            together.wait(30)
            answers.append(Api(key).post(f"campaigns/{campaign.pk}/{act}/"))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[key]) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert won.status_code == 200
    is_problem(lost, 409, "invalid_move")
    assert Enrolment.objects.filter(campaign=campaign).count() == (20 if act == "start" else 0)


def test_an_answer_is_marked_and_the_conversation_released(ours, api):
    message = next(row for row in ours.messages if row.status == "sent")
    place = f"contacts/{message.contact_id}/"

    told = api.post(place + "answered/", {"message": message.pk}).json()
    assert (told["id"], told["conversation_via"], told["quiet_until"]) == (message.contact_id, "api", None)
    assert api.get(place).json()["conversation_since"] == told["conversation_since"]
    talking = api.get("contacts/?in_conversation=true").json()["results"]
    assert [row["id"] for row in talking] == [message.contact_id, ours.people[-1].pk]
    message.refresh_from_db()
    assert message.outcome == "replied"
    free = api.post(place + "release/", {"reason": "bought", "quiet_days": 2}).json()
    assert (free["conversation_since"], free["quiet_until"] is not None) == (None, True)
    api.post(place + "release/")
    is_problem(api.post(place + "release/"), 409, "invalid_move")


def test_who_is_not_interested_is_left_alone(ours, api):
    message = next(row for row in ours.messages if row.status == "sent")

    told = api.post(f"contacts/{message.contact_id}/not-interested/", {"message": message.pk, "quiet_days": 10}).json()

    assert (told["conversation_since"], told["quiet_until"] is not None) == (None, True)
    assert Enrolment.objects.get(pk=message.enrolment_id).stop_reason == "not_interested"


def test_an_answer_to_somebody_elses_mail_is_no_answer(ours, api):
    message, other = ours.messages[:2]

    answer = api.post(f"contacts/{message.contact_id}/answered/", {"message": other.pk})

    is_problem(answer, 404, "missing")
    assert not Contact.objects.filter(conversation_via="api").exists()


def test_a_key_that_may_not_talk_with_people_marks_nothing(ours):
    looking = Api(key_of(ours.tenant, "campaigns.view"))

    is_problem(looking.post(f"contacts/{ours.people[0].pk}/answered/"), 403, "not_allowed")

    assert not Contact.objects.filter(conversation_via="api").exists()


def test_a_step_of_a_launched_campaign_is_revised(ours, api):
    body = {"position": 1, "step": {"subject": "Better", "text": "Hello"}, "reason": "a typo"}

    answer = api.post(f"campaigns/{ours.campaign.pk}/revise/", body)

    assert (answer.status_code, answer.json()["version"], answer.json()["variants"]) == (201, 2, [])
    is_problem(api.post(f"campaigns/{ours.campaign.pk}/revise/", body | {"position": 7}), 404, "missing")
    is_problem(api.post(f"campaigns/{ours.campaign.pk}/revise/", body | {"step": {"colour": "red"}}), 400, "bad_input")
