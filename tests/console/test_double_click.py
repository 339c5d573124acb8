"""A campaign's start is asked for twice at the same moment: one transition wins, each person gets one mail."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from campaigns.models import Enrolment
from outreach.demo.sink_process import SinkProcess
from tests import factories
from tests.api.conftest import Api, is_problem, key_of
from tests.campaigns.test_sending import work_off
from tests.console.conftest import client_of, person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.attack("A41")]
PEOPLE = 20
DONE = "Done for 1 row."


@pytest.fixture
def sink(tmp_path, settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    with SinkProcess(tmp_path / "book.jsonl") as running:
        yield running


@pytest.fixture
def draft(sink):
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, PEOPLE)
    boxes = factories.fleet(tenant, 2, host=sink.host, port=sink.port)
    return factories.campaign(tenant, boxes[0].pool, listed)


def both(*acts):
    """Do two things at once; what each gave."""
    together, answers = threading.Barrier(2), []

    def run(act):
        try:
            together.wait(30)
            answers.append(act())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 2
    return answers


def twin(client: Client) -> Client:
    """Another tab of the same browser."""
    other = Client()
    other.cookies.load({name: morsel.value for name, morsel in client.cookies.items()})
    return other


def press(client, campaign):
    """The start button of the campaign's page."""
    url = reverse("admin:campaigns_campaign_changelist")
    form = {"action": "start", "_selected_action": campaign.pk, "index": "0", "from_detail": "1"}
    return lambda: client.post(url, form, follow=True)


def said(answer, draft):
    """Which of the two sentences the page shows; its context would be mixed with the other thread's."""
    page = answer.content.decode()
    return [sentence for sentence in (DONE, conflict(draft)) if sentence in page]


def conflict(draft):
    return f"{draft.name} is running, so it cannot become running."


def assert_started_once(draft, sink, as_role):
    draft.refresh_from_db()
    assert draft.status == "running"
    assert Enrolment.objects.filter(campaign=draft).count() == PEOPLE
    with as_role("worker"):
        work_off(draft)
    assert Counter(Counter(entry.recipient for entry in sink.read_book().accepted).values()) == {1: PEOPLE}


@pytest.mark.parametrize("people", [1, 2])
def test_the_button_is_pressed_twice(draft, sink, as_role, people):
    first = client_of(person("first@example.com", "operator"))
    second = twin(first) if people == 1 else client_of(person("second@example.com", "operator"))

    answers = both(press(first, draft), press(second, draft))

    assert [answer.status_code for answer in answers] == [200, 200]
    # the two tabs of one browser share what is said, and either may show it
    assert sorted(said(answers[0], draft) + said(answers[1], draft)) == sorted([DONE, conflict(draft)])
    assert_started_once(draft, sink, as_role)


def test_it_is_started_twice_through_the_api(draft, sink, as_role):
    place = f"campaigns/{draft.pk}/start/"
    first, second = Api(key_of(draft.tenant)), Api(key_of(draft.tenant))

    won, lost = sorted(
        both(lambda: first.post(place), lambda: second.post(place)), key=lambda answer: answer.status_code
    )

    assert (won.status_code, won.json()["status"]) == (200, "running")
    is_problem(lost, 409, "invalid_move")
    assert_started_once(draft, sink, as_role)


def test_the_button_and_the_api_at_once(draft, sink, as_role):
    client, api = client_of(person("first@example.com", "operator")), Api(key_of(draft.tenant))

    answers = both(press(client, draft), lambda: api.post(f"campaigns/{draft.pk}/start/"))

    api_answer = next(answer for answer in answers if answer.headers["Content-Type"].startswith("application/"))
    page = next(answer for answer in answers if answer is not api_answer)
    if api_answer.status_code == 200:
        assert said(page, draft) == [conflict(draft)]
    else:
        is_problem(api_answer, 409, "invalid_move")
        assert said(page, draft) == [DONE]
    assert_started_once(draft, sink, as_role)
