"""Nobody gets in without the second factor."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client

from outreach.console.site import ConsoleSite
from tenants.models import RecoverySheet, SignedIn
from tenants.models.sessions import key_hash
from tests.console.conftest import PASSWORD, client_of, code_of, person

LOGIN = "/console/login/"


def sign_in(client: Client, user, code: str, **changes: str):
    return client.post(
        LOGIN, {"username": user.email, "password": PASSWORD, "otp_token": code, "next": "/console/", **changes}
    )


def is_in(client: Client) -> bool:
    return client.get("/console/").status_code == 200


def test_the_default_site_is_ours():
    assert isinstance(admin.site._wrapped if hasattr(admin.site, "_wrapped") else admin.site, ConsoleSite)
    assert admin.site.name == "admin"


def test_address_password_and_code_in_one_form_let_in(chief, client):
    answer = sign_in(client, chief, code_of(chief))

    assert (answer.status_code, answer["Location"]) == (302, "/console/")
    assert is_in(client)


@pytest.mark.attack("A30")
@pytest.mark.parametrize("code", ["", "000000", "abcdef", "12345678"])
def test_a_superuser_with_the_password_alone_stays_out(chief, client, code):
    answer = sign_in(client, chief, code)

    assert answer.status_code == 200
    assert not is_in(client)
    assert PASSWORD not in answer.content.decode()


@pytest.mark.attack("A30")
def test_a_session_without_the_second_step_opens_no_page(chief, client, world):
    client.force_login(chief, backend="django.contrib.auth.backends.ModelBackend")

    for page in (
        "", "campaigns/campaign/", f"campaigns/campaign/{world.campaign.pk}/", "live/", "sent.json", "search/?s=x",
        "django_rq/dashboard/", "django_rq/dashboard/stats.json", "password_change/", "autocomplete/",
    ):  # fmt: skip
        answer = client.get(f"/console/{page}")
        assert answer.status_code in (302, 404), page
        assert answer.status_code == 404 or answer["Location"].startswith(LOGIN), page


@pytest.mark.attack("A30")
def test_a_code_works_once(chief, client):
    code = code_of(chief)
    sign_in(client, chief, code)

    other = Client()
    assert sign_in(other, chief, code).status_code == 200
    assert not is_in(other)


@pytest.mark.attack("A30")
def test_twenty_wrong_codes_close_the_door_for_the_right_one(chief, client):
    for _ in range(20):
        sign_in(client, chief, "000000")

    sign_in(client, chief, code_of(chief))

    assert not is_in(client)


def test_a_one_use_code_works_once_and_beside_the_authenticator(chief, client):
    sheet = RecoverySheet(user=chief, name="Sheet")
    first, second = sheet.write()[:2]
    sheet.save()

    sign_in(client, chief, f" {first.upper().replace('-', ' ')} ")

    assert is_in(client)
    other = Client()
    sign_in(other, chief, first)
    assert not is_in(other)


@pytest.mark.attack("A30")
def test_another_persons_code_does_not_count(chief, analyst, client):
    sign_in(client, chief, code_of(analyst))

    assert not is_in(client)


@pytest.mark.attack("A30")
def test_next_leads_nowhere_else(chief, client):
    answer = sign_in(client, chief, code_of(chief), next="//evil.example/x")

    assert answer.status_code == 302
    assert "evil" not in answer["Location"]


@pytest.mark.attack("A31")
def test_signing_in_gives_a_new_session(chief, client):
    client.get(LOGIN)
    session = client.session
    session["planted"] = 1
    session.save()
    before = session.session_key

    sign_in(client, chief, code_of(chief))

    assert client.session.session_key != before


@pytest.mark.attack("A30")
def test_five_wrong_passwords_lock_the_door_with_a_page(chief, client, settings):
    settings.AXES_ENABLED = True
    for _ in range(5):
        answer = sign_in(client, chief, "000000", password="wrong")

    assert answer.status_code == 429
    assert "Too many wrong tries" in answer.content.decode()
    assert sign_in(client, chief, code_of(chief)).status_code == 429
    assert not is_in(client)


def test_who_is_no_staff_stays_out(chief, client):
    chief.is_staff = chief.is_superuser = False
    chief.save()

    sign_in(client, chief, code_of(chief))

    assert not is_in(client)


@pytest.mark.parametrize("other", [True, False])
def test_signing_in_where_somebody_is_signed_in_already_ends_that_session(chief, other):
    browser, user = client_of(chief), person("second@example.com", "analyst") if other else chief
    before = browser.session.session_key

    answer = sign_in(browser, user, code_of(user))

    assert answer.status_code == 302
    assert browser.session.session_key != before
    page = browser.get("/console/account/")
    assert (page.status_code, page.context["user"]) == (200, user)
    open_ones = SignedIn.objects.filter(ended_at=None)
    assert [(row.user_id, bytes(row.key_hash)) for row in open_ones] == [
        (user.pk, key_hash(browser.session.session_key))
    ]
