"""Opting out by the mail program's button and by the page: at once, for good, and only with the right token."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import caches
from django.test import Client
from django.urls import reverse

from campaigns import views
from campaigns.models import Enrolment, Message, Suppression
from campaigns.services import suppression
from outreach.common import tokens
from outreach.common.sealing import Keyring
from tests import factories
from tests.console.conftest import client_of, person

pytestmark = pytest.mark.django_db
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
BUTTON = {"confirm": "yes"}
KEYS = [f"k{n}:" + base64.b64encode(bytes([n]) * 32).decode() for n in range(3)]


@pytest.fixture(autouse=True)
def _fresh(settings):
    settings.TOKEN_KEYS = KEYS[0]
    caches["counters"].clear()


@pytest.fixture
def client():
    """A stranger's browser: no cookie, and CSRF checks as in production."""
    return Client(enforce_csrf_checks=True)


def planned(tenant, contact, campaign, mailbox):
    """A message that waits to be sent."""
    enrolment = Enrolment.objects.create(
        tenant=tenant, campaign=campaign, contact=contact, mailbox=mailbox, zone="UTC", waits_for="message"
    )
    soon = datetime.now(UTC) + timedelta(minutes=5)
    return Message.objects.create(
        tenant=tenant,
        campaign=campaign,
        step=campaign.steps.first(),
        enrolment=enrolment,
        contact=contact,
        mailbox=mailbox,
        due_at=soon,
        not_after=soon + timedelta(hours=8),
        day_on=soon.date(),
        message_id=f"m{enrolment.pk}@sender.example",
    )


@pytest.fixture
def world():
    """One tenant, two people, two campaigns; each person waits for a message of both."""
    tenant = factories.tenant()
    mailbox = factories.mailbox(tenant)
    people = factories.people(tenant, factories.contact_list(tenant), 2)
    made = [factories.campaign(tenant, mailbox.pool) for _ in range(2)]
    return tenant, people, [[planned(tenant, person, campaign, mailbox) for campaign in made] for person in people]


def address(message, keys=KEYS[0]):
    return "/u/" + tokens.sign(Keyring.parse(keys), message.tenant_id, message.pk)


def state():
    """Everything that an opt-out would change."""
    return (
        list(Suppression.objects.order_by("pk").values_list("tenant", "scope", "reason", "via", "message_ref")),
        sorted(Message.objects.values_list("pk", "status")),
        sorted(Enrolment.objects.values_list("pk", "status")),
    )


def test_the_address_in_the_mail_is_the_pages_address(world):
    assert address(world[2][0][0]) == reverse("unsubscribe", args=[address(world[2][0][0])[3:]])


@pytest.mark.attack("A18")
@pytest.mark.parametrize(("form", "via"), [(ONE_CLICK, "one-click"), (BUTTON, "page")])
def test_a_post_opts_out_of_the_whole_tenant_at_once_without_cookie_login_or_redirect(client, world, form, via):
    tenant, people, ((first, second), others) = world

    answer = client.post(address(first), form)

    assert answer.status_code == 200
    assert not answer.cookies
    assert "unsubscribed" in answer.content.decode()
    row = Suppression.objects.get()
    assert (row.tenant_id, row.scope, row.reason, row.via, row.message_ref) == (
        tenant.pk,
        "tenant",
        "opt_out",
        via,
        first.pk,
    )
    assert bytes(row.hash) == suppression.hasher().address(people[0].email_key)
    assert set(Message.objects.filter(contact=people[0]).values_list("status", flat=True)) == {"suppressed"}
    assert set(Message.objects.filter(contact=people[1]).values_list("status", flat=True)) == {"planned"}


@pytest.mark.attack("A18")
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"),
        ("List-Unsubscribe=One-Click", "application/x-www-form-urlencoded; charset=utf-8"),
        ("List-Unsubscribe=One-Click", "application/x-www-form-urlencoded; charset=us-ascii"),
        ("List-Unsubscribe=One-Click", "application/x-www-form-urlencoded; charset=ISO-8859-1"),
        ("List-Unsubscribe=One-Click", "multipart/form-data"),
        ("List-Unsubscribe=One-Click", "text/plain"),
        ("List-Unsubscribe=One-Click", ""),
        (
            '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_one_click_works_as_mail_programs_write_it(client, world, body, content_type):
    answer = client.post(address(world[2][0][0]), body, content_type=content_type)

    assert (answer.status_code, answer.content) == (200, b"You are unsubscribed.\n")
    assert Suppression.objects.count() == 1


@pytest.mark.attack("A18")
@pytest.mark.parametrize("method", ["get", "head"])
def test_a_link_scanner_unsubscribes_nobody(client, world, method):
    before = state()

    answer = getattr(client, method)(address(world[2][0][0]), ONE_CLICK | BUTTON)

    assert answer.status_code == 200
    assert not answer.cookies
    assert state() == before
    if method == "get":
        assert '<form method="post">' in answer.content.decode()


@pytest.mark.attack("A18")
@pytest.mark.parametrize(
    "form", [{}, {"List-Unsubscribe": "one-click"}, {"List-Unsubscribe": ""}, {"confirm": ""}, {"x": "yes"}]
)
def test_a_post_that_does_not_say_so_shows_the_button_and_changes_nothing(client, world, form):
    before = state()

    answer = client.post(address(world[2][0][0]), form)

    assert answer.status_code == 400
    assert '<form method="post">' in answer.content.decode()
    assert state() == before


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options"])
def test_other_methods_do_nothing(client, world, method):
    assert getattr(client, method)(address(world[2][0][0])).status_code == 405


@pytest.mark.attack("A18")
def test_foreign_cookies_make_no_difference(client, world):
    client.cookies.load({"sessionid": "forged", "csrftoken": "forged"})

    answer = client.post(address(world[2][0][0]), ONE_CLICK)

    assert answer.status_code == 200
    assert Suppression.objects.count() == 1


@pytest.mark.attack("A18")
@pytest.mark.parametrize("of", ["a stranger", "their own"])
def test_who_is_signed_in_to_the_console_is_a_recipient_like_any_other(client, world, of):
    """The session neither narrows what the token opens nor is it wanted, renewed or ended."""
    tenant = world[0] if of == "their own" else factories.tenant()
    signed_in = client_of(person("staff@example.com", "client_viewer", tenant))
    client.cookies.load({name: morsel.value for name, morsel in signed_in.cookies.items()})
    before = state()

    shown = client.get(address(world[2][0][0]))
    assert (shown.status_code, shown.cookies, state()) == (200, {}, before)
    answer = client.post(address(world[2][0][0]), ONE_CLICK)

    assert (answer.status_code, answer.cookies) == (200, {})
    assert Suppression.objects.get().tenant_id == world[0].pk
    assert client.get("/console/").status_code == 200


@pytest.mark.attack("A18")
def test_one_click_says_so_in_the_body_not_in_the_address(client, world):
    before = state()

    answer = client.post(f"{address(world[2][0][0])}?List-Unsubscribe=One-Click&confirm=yes")

    assert answer.status_code == 400
    assert state() == before


def test_a_second_time_says_the_same_and_adds_nothing(client, world):
    first, second = world[2][0]

    answers = {client.post(address(message), ONE_CLICK).content for message in (first, first, second)}

    assert answers == {b"You are unsubscribed.\n"}
    assert Suppression.objects.count() == 1


def test_a_message_whose_row_is_gone_gets_the_same_answer(client, world):
    first = world[2][0][0]
    gone = tokens.sign(Keyring.parse(KEYS[0]), first.tenant_id, first.pk + 1_000_000)

    answer = client.post(f"/u/{gone}", ONE_CLICK)

    assert (answer.status_code, answer.content) == (200, b"You are unsubscribed.\n")
    assert Suppression.objects.count() == 0


@pytest.mark.attack("A17")
def test_a_token_of_another_tenant_message_or_key_changes_nothing_and_tells_nothing(client, world):
    _, people, ((first, _), _) = world
    before = state()
    token = address(first)[3:]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    forged = [
        *(
            token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            for place in range(0, len(token), 5)
        ),
        tokens.sign(Keyring.parse(KEYS[1]), first.tenant_id, first.pk),  # a key that is not listed
        base64.urlsafe_b64encode(raw[:-24] + (first.pk + 1).to_bytes(8, "big") + raw[-16:]).decode().rstrip("="),
        *(token[:-1], token + "A", f"{token}=", "x", "%00", "é", "A" * 500),
    ]

    bodies = set()
    for text in forged:
        caches["counters"].clear()
        for answer in (client.post(f"/u/{text}", ONE_CLICK), client.get(f"/u/{text}")):
            assert answer.status_code == 400
            bodies.add(answer.content)

    assert len(bodies) == 1
    page = bodies.pop().decode()
    assert not any(word in page for word in (people[0].email, people[0].first_name, world[0].name, token))
    assert state() == before


@pytest.mark.attack("A17")
def test_links_of_old_mails_work_after_the_keys_rotate(client, world, settings):
    old = address(world[2][0][0])
    settings.TOKEN_KEYS = f"{KEYS[1]},{KEYS[0]}"

    assert client.post(old, ONE_CLICK).status_code == 200
    assert Suppression.objects.count() == 1


@pytest.mark.attack("A17")
@pytest.mark.attack("A33")
def test_who_guesses_is_slowed_down_and_who_has_a_right_link_is_not(client, world):
    most = views.WRONG_TOKENS_PER_MINUTE

    answers = [client.post(f"/u/guess{number}", ONE_CLICK) for number in range(2 * most + 10)]

    codes = [answer.status_code for answer in answers]
    assert codes[:most] == [400] * most
    assert set(codes) == {400, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)  # a minute may turn in between
    assert refused.headers["Retry-After"] == "60"
    assert client.post(address(world[2][0][0]), ONE_CLICK).status_code == 200


@pytest.mark.attack("A33")
def test_the_buttons_of_a_mail_providers_people_get_through_and_a_flood_is_told_when_to_come_back(
    client, world, monkeypatch
):
    monkeypatch.setattr(views, "RIGHT_TOKENS_PER_MINUTE", 60)
    caches["counters"].clear()
    link = address(world[2][0][0])

    answers = [client.post(link, ONE_CLICK) for _ in range(125)]

    codes = [answer.status_code for answer in answers]
    assert codes[:60] == [200] * 60
    refused = next(answer for answer in answers if answer.status_code == 429)  # a minute may turn in between
    assert refused.headers["Retry-After"] == "60"


@pytest.mark.parametrize(
    ("method", "token", "form"),
    [("get", None, {}), ("post", None, BUTTON), ("post", None, ONE_CLICK), ("get", "x", {})],
)
def test_every_answer_stays_out_of_caches_indexes_and_referrers(client, world, method, token, form):
    answer = getattr(client, method)(f"/u/{token}" if token else address(world[2][0][0]), form)

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe-inline" not in policy
