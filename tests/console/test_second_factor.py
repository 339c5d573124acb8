"""A second factor is set up by its person at the first sign-in, and nobody gets past that page without it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils.timezone import now
from django_otp.oath import totp

from outreach.common.sealing import SealBroken
from tenants.models import RecoverySheet, SecondFactor, User
from tenants.services import actors, factors, users
from tenants.services.actors import SYSTEM
from tests.console.conftest import PASSWORD, client_of, code_of, person
from tests.console.test_signing_in import LOGIN, is_in, sign_in

SETUP = "/console/second-factor/"
CODE = re.compile(r"<code>([a-z2-7]{5}-[a-z2-7]{5})</code>")
ANOTHER = "quite another password"


@pytest.fixture
def newcomer(db) -> User:
    """Somebody who has a password and nothing else."""
    return User.objects.create_user("newcomer@example.com", PASSWORD, is_staff=True)


def half_in(user: User) -> Client:
    client = Client()
    assert sign_in(client, user, "")["Location"] == "/console/"
    return client


def shown_secret(client: Client) -> str:
    return re.search(r"<pre class=\"source\">([A-Z2-7]{32})</pre>", client.get(SETUP).content.decode())[1]


def code_for(user: User) -> str:
    """Of the newest authenticator, confirmed or not."""
    return f"{SecondFactor.objects.filter(user=user).latest('pk').clock.token():06d}"


def test_the_first_sign_in_leads_to_setting_up_and_then_in(newcomer):
    client = half_in(newcomer)
    page = client.get("/console/", follow=True)
    assert page.redirect_chain[-1][0].startswith(SETUP)
    assert "data:image/svg+xml;base64," in page.content.decode()

    answer = client.post(SETUP, {"code": code_for(newcomer)})

    codes = CODE.findall(answer.content.decode())
    assert len(set(codes)) == 10
    assert answer["Cache-Control"].count("no-store")
    assert is_in(client)
    assert CODE.findall(client.get("/console/account/").content.decode()) == []


@pytest.mark.attack("A30")
def test_half_in_opens_no_other_page_and_changes_nothing(newcomer, world):
    client = half_in(newcomer)

    for page in ("", "account/", "verify/", "password/", "break-glass/", "campaigns/contact/", "live/", "sent.json"):
        for answer in (client.get(f"/console/{page}"), client.post(f"/console/{page}", {"code": "123456"})):
            assert answer.status_code == 302, page
            assert answer["Location"].startswith(LOGIN), page
    assert client.post("/console/account/codes/").status_code == 302
    assert client.get("/api/v1/campaigns/").status_code == 401
    assert not RecoverySheet.objects.filter(user=newcomer).exists()


@pytest.mark.attack("A30")
def test_half_in_lasts_a_quarter_of_an_hour(newcomer):
    from tenants.models import SignedIn

    client = half_in(newcomer)
    SignedIn.objects.filter(user=newcomer).update(created_at=now() - timedelta(minutes=15))

    assert client.get(SETUP)["Location"].startswith(LOGIN)


@pytest.mark.attack("A30")
def test_wrong_codes_set_nothing_up_and_many_are_too_many(newcomer):
    client = half_in(newcomer)
    client.get(SETUP)

    answers = [client.post(SETUP, {"code": "000000"}) for _ in range(11)]

    assert {answer.status_code for answer in answers[:10]} == {200}
    assert (answers[10].status_code, answers[10]["Retry-After"]) == (429, "60")
    assert client.post(SETUP, {"code": code_for(newcomer)}).status_code == 429
    assert not factors.is_set_up(newcomer)


@pytest.mark.attack("A30")
def test_a_secret_that_another_session_saw_is_not_the_one_that_counts(newcomer):
    thief, owner = half_in(newcomer), half_in(newcomer)
    seen = shown_secret(thief)
    own = shown_secret(owner)

    owner.post(SETUP, {"code": code_for(newcomer)})

    assert seen != own
    assert SecondFactor.objects.get(user=newcomer).secret == own
    assert thief.get(SETUP)["Location"].startswith(LOGIN)


@pytest.mark.attack("A30")
def test_who_has_a_second_factor_sets_up_another_only_with_a_fresh_code(chief):
    old = SecondFactor.objects.get(user=chief)
    stale, fresh = client_of(chief, verified_ago=601), client_of(chief)

    assert stale.get(SETUP)["Location"].startswith("/console/verify/")
    assert stale.post(SETUP, {"code": code_of(chief)})["Location"].startswith("/console/verify/")
    fresh.get(SETUP)
    fresh.post(SETUP, {"code": code_for(chief)})

    assert SecondFactor.objects.get(user=chief).pk != old.pk
    assert is_in(fresh)
    assert not is_in(stale)


def test_new_one_use_codes_void_the_old_ones(chief, client):
    old = factors.new_codes(chief, actor=actors.oneself(chief))
    own = client_of(chief)

    new = CODE.findall(own.post("/console/account/codes/").content.decode())

    assert len(new) == 10
    assert is_in(own)
    sign_in(client, chief, old[0])
    assert not is_in(client)
    RecoverySheet.objects.update(throttling_failure_timestamp=None)
    sign_in(client, chief, new[0])
    assert is_in(client)


def test_a_one_use_code_counts_once_also_before_a_dangerous_act(chief):
    codes = factors.new_codes(chief, actor=actors.oneself(chief))

    assert factors.verify(chief, codes[3]) is not None
    assert factors.verify(chief, codes[3]) is None
    assert factors.codes_left(chief) == 9


# --- One-time passwords ------------------------------------------------------------------------------------------


@pytest.mark.attack("A30")
def test_a_one_time_password_leads_to_a_second_factor_and_a_password_of_ones_own(db):
    made = users.create("new@example.com", actor=SYSTEM)
    client = Client()
    sign_in(client, made.user, "", password=made.password)
    client.get(SETUP)
    client.post(SETUP, {"code": code_for(made.user)})

    page = client.get("/console/campaigns/campaign/", follow=True)
    assert page.redirect_chain[-1][0].startswith("/console/password/")
    answer = client.post(
        "/console/password/", {"old_password": made.password, "new_password1": ANOTHER, "new_password2": ANOTHER}
    )

    assert (answer.status_code, answer["Location"]) == (302, "/console/")
    assert is_in(client)
    made.user.refresh_from_db()
    assert (made.user.one_time_until, made.user.check_password(ANOTHER)) == (None, True)


@pytest.mark.attack("A30")
def test_a_new_password_from_an_admin_does_not_skip_the_second_factor(chief, client):
    made = users.new_password(chief, actor=SYSTEM)

    assert sign_in(client, chief, "", password=made.password).status_code == 200
    sign_in(client, chief, "000000", password=made.password)
    assert client.get(SETUP)["Location"].startswith(LOGIN)
    SecondFactor.objects.update(throttling_failure_timestamp=None)
    sign_in(client, chief, code_of(chief), password=made.password)

    assert not is_in(client)
    assert client.get("/console/", follow=True).redirect_chain[-1][0].startswith("/console/password/")


def test_a_one_time_password_lasts_three_days(db, client):
    made = users.create("new@example.com", actor=SYSTEM)
    User.objects.filter(pk=made.user.pk).update(one_time_until=now() - timedelta(seconds=1))

    answer = sign_in(client, made.user, "", password=made.password)

    assert answer.status_code == 200
    assert "wrong" in answer.content.decode()


@pytest.mark.parametrize("password", ["short", "password1234", "chief@example.com", PASSWORD])
def test_a_weak_or_unchanged_password_is_refused(chief, password):
    client = client_of(chief)

    values = {"old_password": PASSWORD, "new_password1": password, "new_password2": password}
    assert client.post("/console/password/", values).status_code == 200

    chief.refresh_from_db()
    assert chief.check_password(PASSWORD)


def test_the_old_password_is_needed_and_tries_are_counted(chief):
    client = client_of(chief)
    values = {"old_password": "wrong", "new_password1": ANOTHER, "new_password2": ANOTHER}

    answers = [client.post("/console/password/", values).status_code for _ in range(11)]

    assert answers == [200] * 10 + [429]
    chief.refresh_from_db()
    assert chief.check_password(PASSWORD)


@pytest.mark.attack("A30")
def test_a_renewed_second_factor_does_not_open_the_door_to_the_old_password(chief, client):
    users.renew_second_factor(chief, actor=SYSTEM)

    assert sign_in(client, chief, "").status_code == 200
    assert client.get(SETUP)["Location"].startswith(LOGIN)


# --- At rest -----------------------------------------------------------------------------------------------------


@pytest.mark.attack("A34")
def test_the_table_holds_neither_the_key_nor_the_codes(chief):
    codes = factors.new_codes(chief, actor=actors.oneself(chief))
    device = SecondFactor.objects.get(user=chief)
    with connection.cursor() as cursor:
        cursor.execute("SELECT f::text, r::text FROM tenants_secondfactor f, tenants_recoverysheet r")
        rows = str(cursor.fetchall())

    assert device.key.hex() not in rows
    assert device.secret not in rows
    for code in codes:
        assert code not in rows
        assert code.replace("-", "").encode().hex() not in rows


@pytest.mark.attack("A35")
def test_a_key_copied_to_another_person_opens_nothing(chief, analyst):
    stolen = SecondFactor.objects.get(user=chief)
    SecondFactor.objects.filter(user=analyst).update(sealed_key=stolen.sealed_key)

    with pytest.raises(SealBroken):
        _ = SecondFactor.objects.get(user=analyst).key


@pytest.mark.attack("A30")
def test_nobody_keeps_a_person_out_for_more_than_an_hour_by_wrong_codes(chief):
    device = SecondFactor.objects.get(user=chief)
    device.throttling_failure_count = 40
    device.throttling_failure_timestamp = now() - timedelta(minutes=59)
    device.save()
    assert factors.verify(chief, code_of(chief)) is None

    SecondFactor.objects.update(throttling_failure_timestamp=now() - timedelta(minutes=60))
    assert factors.verify(chief, code_of(chief)) is not None


def test_the_codes_are_those_of_django_otp(chief):
    """Whoever moves here from its plugin keeps the authenticator."""
    device = SecondFactor.objects.get(user=chief)

    assert device.clock.token() == totp(device.key)
    assert device.config_url.startswith("otpauth://totp/Outreach%3Achief%40example.com?secret=")


def test_nobody_sets_up_anothers_second_factor(chief, analyst):
    from outreach.common.errors import BadInput

    with pytest.raises(BadInput):
        factors.begin(analyst, actor=actors.of_user(chief))
    with pytest.raises(BadInput):
        factors.new_codes(person("third@example.com"), actor=actors.of_user(chief))
