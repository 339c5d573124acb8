"""Nobody gets in without the second factor."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from outreach.console.site import ConsoleSite
from tests.console.conftest import PASSWORD

LOGIN = "/console/login/"


def code_of(user) -> str:
    device = TOTPDevice.objects.filter(user=user).first()
    return f"{totp(device.bin_key):06d}"


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
def test_a_person_without_a_device_stays_out(chief, client):
    TOTPDevice.objects.all().delete()

    assert sign_in(client, chief, "123456").status_code == 200
    assert not is_in(client)


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
    StaticDevice.objects.create(user=chief, name="Sheet").token_set.create(token="abcd2345")

    sign_in(client, chief, "abcd 2345")

    assert is_in(client)
    other = Client()
    sign_in(other, chief, "abcd2345")
    assert not is_in(other)


def test_only_who_has_two_authenticators_is_asked_which(chief, client):
    TOTPDevice.objects.create(user=chief, name="Old phone")

    page = sign_in(client, chief, code_of(chief)).content.decode()

    assert "Old phone" in page
    assert not is_in(client)
    sign_in(client, chief, code_of(chief), otp_device=TOTPDevice.objects.filter(user=chief).first().persistent_id)
    assert is_in(client)


@pytest.mark.attack("A30")
def test_another_persons_device_does_not_count(chief, analyst, client):
    device = TOTPDevice.objects.get(user=analyst)

    sign_in(client, chief, code_of(analyst), otp_device=device.persistent_id)

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
    assert "Too many wrong passwords" in answer.content.decode()
    assert sign_in(client, chief, code_of(chief)).status_code == 429
    assert not is_in(client)


def test_who_is_no_staff_stays_out(chief, client):
    chief.is_staff = chief.is_superuser = False
    chief.save()

    sign_in(client, chief, code_of(chief))

    assert not is_in(client)
