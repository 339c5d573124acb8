"""Tracking hosts: clients' names under which recipients opt out, and under which nothing else is there."""

from __future__ import annotations

import email
import time
from datetime import timedelta

import pytest
from django.core.cache import caches
from django.test import Client
from django.utils.timezone import now

from campaigns.ledger.moves import Claimed
from campaigns.models import Suppression
from campaigns.pipeline import loading
from mailboxes.models import Mailbox, SendingDomain
from mailboxes.services import tracking
from outreach.common.caching import Brief
from tests import factories
from tests.campaigns.test_unsubscribe import BUTTON, KEYS, ONE_CLICK, address, planned
from tests.console.conftest import client_of, person

pytestmark = pytest.mark.django_db
HOST = "go.client.example"


@pytest.fixture(autouse=True)
def _nothing_known(settings):
    settings.TOKEN_KEYS = KEYS[0]
    tracking.forget()
    caches["counters"].clear()
    yield
    tracking.forget()


@pytest.fixture
def client():
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def message():
    """One that waits, of a tenant whose domain has the tracking host."""
    tenant = factories.tenant()
    box = factories.mailbox(tenant)
    SendingDomain.objects.filter(pk=box.domain_id).update(tracking_host=HOST)
    (person_,) = factories.people(tenant, factories.contact_list(tenant), 1)
    return planned(tenant, person_, factories.campaign(tenant, box.pool), box)


def put(message, *, last_mail_days_ago=None, **changes):
    """Another state of the message's domain."""
    SendingDomain.objects.filter(tracking_host=HOST).update(**changes)
    if last_mail_days_ago is not None:
        at = now() - timedelta(days=last_mail_days_ago)
        Mailbox.objects.filter(pk=message.mailbox_id).update(last_dot_at=at)
    tracking.forget()


def asked(client, name):
    return client.get("/tls/ask", {"domain": name}, headers={"host": "localhost"})


# --- the question of the web server -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"state": "verified"}, 200),
        ({"state": "degraded"}, 200),
        ({"state": "new"}, 404),
        ({"state": "new", "last_mail_days_ago": 1}, 404),
        ({"state": "blocked", "last_mail_days_ago": 1}, 404),
        ({"state": "retired", "last_mail_days_ago": 89}, 200),
        ({"state": "retired", "last_mail_days_ago": 91}, 404),
        ({"state": "retired", "last_mail_days_ago": 91, "retired_at": now()}, 404),
        ({"state": "retired", "retired_at": now() - timedelta(days=89)}, 200),
        ({"state": "retired", "retired_at": now() - timedelta(days=91)}, 404),
        ({"state": "retired"}, 404),
        ({"state": "verified", "tracking_host": "other.client.example"}, 404),
    ],
)
def test_certificates_are_for_hosts_that_links_lead_to(client, message, changes, status):
    put(message, **changes)

    assert asked(client, HOST).status_code == status


def test_the_keep_alive_is_a_setting(client, message, settings):
    settings.KEEP_ALIVE_DAYS = 60
    put(message, state="retired", last_mail_days_ago=61)

    assert asked(client, HOST).status_code == 404


def test_every_refusal_has_the_same_body_and_no_answer_sets_a_cookie(client, message):
    put(message, state="blocked")
    names = [HOST, "nobody.example", "", "x" * 5000, "localhost", "127.0.0.1", "[::1]", "go.client.example\0",
             "gö.example", "*.client.example", "client.example", "a..b",
             "' OR 1=1 --", "console.example.com"]  # fmt: skip

    answers = [asked(client, name) for name in names]

    assert {(answer.status_code, answer.content) for answer in answers} == {(404, b"no\n")}
    assert [answer for answer in answers if answer.cookies] == []


@pytest.mark.parametrize("name", ["GO.Client.Example", "go.client.example."])
def test_names_are_names_however_they_are_written(client, message, name):
    assert asked(client, name).status_code == 200


def test_it_is_a_question_and_no_act(client, message):
    assert client.head("/tls/ask", {"domain": HOST}, headers={"host": "localhost"}).status_code == 200
    assert client.post("/tls/ask", {"domain": HOST}, headers={"host": "localhost"}).status_code == 403
    assert Client().post("/tls/ask", {"domain": HOST}, headers={"host": "localhost"}).status_code == 405


def test_plain_http_is_answered_and_not_sent_elsewhere(client, message, settings):
    settings.SECURE_SSL_REDIRECT = True

    assert asked(client, HOST).status_code == 200


# --- what a tracking host answers --------------------------------------------------------------------------


@pytest.mark.attack("A18")
@pytest.mark.parametrize("form", [ONE_CLICK, BUTTON])
def test_a_recipient_opts_out_on_a_tracking_host(client, message, form):
    answer = client.post(address(message), form, headers={"host": HOST})

    assert (answer.status_code, answer.cookies) == (200, {})
    assert Suppression.objects.get().tenant_id == message.tenant_id


@pytest.mark.parametrize("host", [f"{HOST}:8443", HOST.upper(), f"{HOST}."])
def test_a_host_may_have_a_port_and_any_spelling(client, message, host):
    assert client.get(address(message), headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/console/", "/console/login/", "/api/v1/", "/api/v1/campaigns/", "/alive", "/tls/ask?domain=" + HOST,
     "/static/console/console.css", "/u", "/c", "/u/../console/", "/U/x", "/favicon.ico"],
)  # fmt: skip
def test_nothing_but_recipients_pages_is_there(client, message, path):
    answer = client.get(path, headers={"host": HOST})

    assert (answer.status_code, answer.content) == (404, b"There is nothing here.\n")
    assert not answer.cookies


def test_the_place_of_clicks_is_reserved_and_empty(client, message, settings):
    settings.DEBUG = False

    answer = client.get("/c/anything", headers={"host": HOST})

    assert (answer.status_code, answer.content) == (404, b"There is nothing here.\n")


@pytest.mark.parametrize(
    "host", ["evil.example", "go.client.example.evil.example", "evil.example:80", f"x.{HOST}", "client.example",
             f"{HOST}@evil.example", f"{HOST}/", f"{HOST},localhost", "", "127.0.0.2", f"{HOST}\t"],
)  # fmt: skip
def test_a_forged_host_is_refused_everywhere(client, message, host):
    for path in (address(message), "/console/login/", "/static/console/console.css", "/tls/ask?domain=" + HOST):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 400
    assert client.post(address(message), ONE_CLICK, headers={"host": host}).status_code == 400
    assert not Suppression.objects.exists()


def test_what_a_proxy_says_about_the_host_makes_no_host(client, message):
    answer = client.get("/console/login/", headers={"host": "evil.example", "x-forwarded-host": "localhost"})
    assert answer.status_code == 400

    answer = client.get(address(message), headers={"host": "localhost", "x-forwarded-host": HOST})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"state": "degraded"}, 200),
        ({"state": "blocked", "last_mail_days_ago": 89}, 200),
        ({"state": "blocked", "last_mail_days_ago": 91}, 400),
        ({"state": "new", "last_mail_days_ago": 1}, 200),
        ({"state": "new"}, 400),
        ({"state": "retired", "last_mail_days_ago": 89}, 200),
        ({"state": "retired", "last_mail_days_ago": 91}, 400),
    ],
)
def test_who_got_mail_may_opt_out_as_long_as_the_keep_alive_lasts(client, message, changes, status):
    """Also where the domain was stopped meanwhile: the links are out."""
    put(message, **changes)

    assert client.get(address(message), headers={"host": HOST}).status_code == status
    assert client.get("/static/console/console.css", headers={"host": HOST}).status_code in (400, 404)


@pytest.mark.attack("A17")
def test_on_another_tenants_host_a_token_opens_its_own_tenant_and_nothing_of_the_other(client, message):
    other = factories.tenant()
    factories.domain(other, tracking_host="go.other.example")

    answer = client.post(address(message), ONE_CLICK, headers={"host": "go.other.example"})

    assert answer.status_code == 200
    assert [row.tenant_id for row in Suppression.objects.all()] == [message.tenant_id]


@pytest.mark.attack("A17")
def test_sessions_are_neither_read_nor_made_there(message):
    signed_in = client_of(person("chief@example.com", "platform_admin", is_superuser=True))
    before = signed_in.session.items()

    shown = signed_in.get(address(message), headers={"host": HOST})
    hidden = signed_in.get("/console/", headers={"host": HOST})

    assert (shown.status_code, shown.cookies, hidden.status_code, hidden.cookies) == (200, {}, 404, {})
    assert not shown.wsgi_request.user.is_authenticated
    assert "Cookie" not in shown.headers.get("Vary", "") or not shown.cookies
    assert signed_in.session.items() == before
    assert signed_in.get("/console/").status_code == 200


def test_a_redirect_to_https_stays_on_the_host(client, message, settings):
    settings.SECURE_SSL_REDIRECT = True

    answer = client.get(address(message), headers={"host": HOST})

    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://{HOST}{address(message)}")


def test_hosts_that_the_settings_name_stay_what_they_were(client, message, settings):
    settings.ALLOWED_HOSTS = ["localhost", HOST]

    assert client.get("/alive", headers={"host": "localhost"}).status_code == 200
    assert client.get("/alive", headers={"host": HOST}).status_code == 200


@pytest.mark.parametrize("pattern", ["*", ".client.example"])
def test_a_pattern_that_fits_a_tracking_host_does_not_open_the_console_there(client, message, settings, pattern):
    settings.ALLOWED_HOSTS = [pattern]

    assert client.get("/console/login/", headers={"host": HOST}).status_code == 404
    assert client.get(address(message), headers={"host": HOST}).status_code == 200
    assert client.get("/alive", headers={"host": "www.client.example"}).status_code == 200


# --- look-ups ----------------------------------------------------------------------------------------------


def test_a_host_is_looked_up_once_in_a_while(client, message, django_assert_num_queries):
    assert tracking.standing(HOST, place="192.0.2.1", most_a_minute=5) == "open"
    assert tracking.standing("nobody.example", place="192.0.2.1", most_a_minute=5) == ""

    with django_assert_num_queries(0):
        assert tracking.standing(HOST, place="192.0.2.2", most_a_minute=5) == "open"
        assert tracking.standing("nobody.example", place="192.0.2.2", most_a_minute=5) == ""


def test_who_makes_up_names_is_not_looked_up_for_any_more(message, django_assert_num_queries):
    assert tracking.standing(HOST, place="192.0.2.1", most_a_minute=5) == "open"
    with django_assert_num_queries(6):
        for n in range(20):
            tracking.standing(f"guess{n}.example", place="192.0.2.1", most_a_minute=5)

    factories.domain(message.tenant, tracking_host="go.late.example")
    assert tracking.standing("go.late.example", place="192.0.2.1", most_a_minute=5) == ""
    assert tracking.standing("go.late.example", place="192.0.2.9", most_a_minute=5) == "open"
    with django_assert_num_queries(0):
        assert tracking.standing(HOST, place="192.0.2.1", most_a_minute=5) == "open"


def test_what_is_kept_has_its_room_and_its_time(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    kept: Brief[str] = Brief(10, room=3)
    for n in range(5):
        kept.put(n, f"answer {n}")

    assert (len(kept), kept.get(1), kept.get(2)) == (3, None, "answer 2")
    clock[0] += 11
    assert (kept.get(2), kept.get(2, late=5)) == (None, "answer 2")
    kept.drop(2)
    assert kept.get(2, late=5) is None


# --- links in mail -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "base"),
    [
        ({}, f"https://{HOST}/u/"),
        ({"state": "degraded"}, f"https://{HOST}/u/"),
        ({"state": "new"}, "https://console.example.com/u/"),
        ({"tracking_host": None}, "https://console.example.com/u/"),
    ],
)
def test_links_lead_to_the_domains_own_host_once_it_is_verified(message, settings, changes, base):
    settings.PUBLIC_URL = "https://console.example.com"
    put(message, **changes)
    other = factories.mailbox(message.tenant)
    letters = [
        Claimed(message.pk + n, f"m{n}@x.example", message.campaign_id, message.step_id, box, 0, 60, 0, "a@b.example",
                {"first_name": "Ann", "company": "Acme"})
        for n, box in enumerate((message.mailbox_id, other.pk))
    ]  # fmt: skip

    lanes = {lane.mailbox_id: lane for lane in loading.lanes(message.tenant, letters, now(), 0.0)}

    for box, expected in ((message.mailbox_id, base), (other.pk, "https://console.example.com/u/")):
        mail = email.message_from_bytes(lanes[box].letters[0].render()[0])
        text = mail.get_payload(0).get_payload(decode=True).decode()
        assert mail["List-Unsubscribe"].startswith(f"<{expected}")
        assert f"Unsubscribe: {expected}" in text
