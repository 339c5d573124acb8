"""Each request, job, command and turn of cron has an id of ours, which its log and its answer carry."""

import json

import django_rq
import pytest
import structlog
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from rest_framework.response import Response

from campaigns.pipeline import sender
from outreach import cron, logs
from outreach.common import circumstances
from outreach.common.circumstances import Circumstances
from outreach.management.commands import worker
from tenants.api.base import TenantViewSet
from tenants.management import acting
from tenants.services import api_keys
from tenants.services.actors import SYSTEM
from tests import factories
from tests.console.conftest import client_of, person

SEEN: list[Circumstances] = []


def look(request, token=""):
    SEEN.append(circumstances.current())
    structlog.get_logger("looking").warning("looked")
    return HttpResponse()


class Looking(TenantViewSet):
    view_permission = "campaigns.view"

    def list(self, request):
        look(request)
        return Response({})


urlpatterns = [path("look/<str:token>/", look), path("keys/", Looking.as_view({"get": "list"}))]


@pytest.fixture(autouse=True)
def _nothing_seen():
    SEEN.clear()


@pytest.fixture
def lines(capsys):
    """A function that acts and returns what it gave and the lines that it logged, parsed."""

    def read(act):
        logs.configure({"level": "INFO"})
        result = act()
        return result, [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield read
    logs.configure({"level": "WARNING"})


@pytest.mark.urls(__name__)
@pytest.mark.django_db
def test_the_answer_and_every_line_of_the_log_carry_the_id_of_the_request(lines):
    answer, logged = lines(lambda: Client().get("/look/secret/"))

    request_id = answer.headers["X-Request-Id"]
    assert SEEN[0].request_id == request_id
    assert [(line["event"], line["request_id"]) for line in logged] == [("looked", request_id), ("request", request_id)]


@pytest.mark.urls(__name__)
@pytest.mark.django_db
def test_a_client_names_no_id_of_ours():
    forged = Client().get("/look/a/", headers={"X-Request-Id": "forged"})
    other = Client().get("/look/a/")

    assert len({forged.headers["X-Request-Id"], other.headers["X-Request-Id"], "forged"}) == 3


@pytest.mark.urls(__name__)
@pytest.mark.django_db
def test_a_request_that_acts_is_known_by_its_route_without_what_stood_in_it():
    Client(REMOTE_ADDR="192.0.2.7").post("/look/secret/")

    (seen,) = SEEN
    assert (seen.via, seen.name, seen.ip, seen.actor_kind, seen.user_id) == (
        "request", "look/<str:token>/", "192.0.2.7", "", None,
    )  # fmt: skip


@pytest.mark.parametrize(("sent", "known"), [("192.0.2.7", "192.0.2.7"), ("2001:DB8::0:1", "2001:db8::1"), ("a\0", "")])
def test_only_a_network_address_stands_as_one(sent, known):
    assert circumstances.address(sent) == known


@pytest.mark.urls(__name__)
@pytest.mark.django_db
def test_who_is_signed_in_is_known():
    someone = person("operator@example.com", "operator")
    client_of(someone).post("/look/secret/")

    (seen,) = SEEN
    assert (seen.via, seen.actor_kind, seen.user_id, seen.key_id) == ("request", "user", someone.pk, None)
    assert circumstances.current() == circumstances.NONE


@pytest.mark.urls(__name__)
@pytest.mark.django_db
def test_the_key_is_known_that_asks_the_api(running_servers):
    key, text = api_keys.issue(factories.tenant(), "A system", ["campaigns.view"], actor=SYSTEM)
    Client().get("/keys/", headers={"Authorization": f"Bearer {text}"})

    (seen,) = SEEN
    assert (seen.via, seen.actor_kind, seen.user_id, seen.key_id) == ("api", "key", None, key.pk)


@pytest.mark.django_db
def test_a_command_is_known_by_its_actor():
    with acting.acting(None):
        here = circumstances.current()

    assert (here.via, here.actor_kind, here.user_id) == ("command", "system", None)
    assert here.request_id


@pytest.mark.django_db(transaction=True)
def test_a_job_is_known_by_its_task_and_its_id(empty_queue, monkeypatch, settings):
    settings.SEND_ONE_CPU = False  # the worker runs in this very process, which other tests need whole
    monkeypatch.setattr(sender, "send_batches", lambda *args: SEEN.append(circumstances.current()))
    job = django_rq.get_queue("send").enqueue_call("campaigns.tasks.send_batches", args=(1, [1]))

    worker.work("send", burst=True)

    assert [Circumstances(job.id, "", "job", "campaigns.tasks.send_batches", "system")] == SEEN


@pytest.mark.django_db
def test_each_turn_of_cron_is_known_by_its_work():
    cron.run_due([cron.Work("sweep", lambda: SEEN.append(circumstances.current()) or 0, 0) for _ in range(2)])

    assert [(seen.via, seen.name, seen.actor_kind) for seen in SEEN] == [("cron", "sweep", "system")] * 2
    assert SEEN[0].request_id != SEEN[1].request_id
