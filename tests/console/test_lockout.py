"""Guessing passwords and codes slows down; nobody is kept out for ever, and nobody learns who exists."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.core.cache import caches
from django.test import Client
from django.utils.timezone import now

from outreach.console import lockout
from tests.console.conftest import code_of
from tests.console.test_signing_in import LOGIN, is_in, sign_in


@pytest.fixture(autouse=True)
def _locking(settings):
    settings.AXES_ENABLED = True


def guesses(n: int, email: str, address: str = "192.0.2.1") -> list[int]:
    client = Client(REMOTE_ADDR=address)
    return [client.post(LOGIN, {"username": email, "password": "wrong"}).status_code for _ in range(n)]


def later(seconds: float) -> None:
    """As if the tries so far were that much older."""
    for row in AccessAttempt.objects.all():
        AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=row.attempt_time - timedelta(seconds=seconds))


@pytest.mark.attack("A30")
def test_each_further_guess_costs_twice_the_wait_up_to_an_hour(chief):
    waits = []
    assert guesses(4, chief.email) == [200] * 4
    for _ in range(9):
        client = Client(REMOTE_ADDR="192.0.2.1")
        answer = client.post(LOGIN, {"username": chief.email, "password": "wrong"})
        assert answer.status_code == 429
        waits.append(int(answer["Retry-After"]))
        later(waits[-1])

    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


@pytest.mark.attack("A30")
def test_a_locked_door_opens_for_the_right_person_when_the_time_is_over(chief):
    guesses(5, chief.email)
    client = Client(REMOTE_ADDR="192.0.2.1")

    assert sign_in(client, chief, code_of(chief)).status_code == 429
    later(60)
    assert sign_in(client, chief, code_of(chief)).status_code == 302

    assert is_in(client)
    assert guesses(1, chief.email) == [200]  # and the count began anew


@pytest.mark.attack("A30")
def test_hammering_at_a_locked_door_makes_the_wait_no_longer(chief):
    guesses(30, chief.email)

    assert AccessAttempt.objects.get().failures_since_start == 5


@pytest.mark.attack("A30")
def test_a_strangers_guesses_from_elsewhere_keep_nobody_out(chief):
    guesses(40, chief.email, "198.51.100.9")
    client = Client(REMOTE_ADDR="192.0.2.1")

    sign_in(client, chief, code_of(chief))

    assert is_in(client)


@pytest.mark.attack("A33")
def test_one_place_that_tries_many_accounts_is_refused_for_all_of_them(chief):
    for i in range(50):
        guesses(1, f"person{i}@example.com")
    caches["counters"].clear()

    answer = sign_in(Client(REMOTE_ADDR="192.0.2.1"), chief, code_of(chief))
    assert (answer.status_code, int(answer["Retry-After"]) in range(50, 61)) == (429, True)
    assert sign_in(Client(REMOTE_ADDR="192.0.2.2"), chief, code_of(chief)).status_code == 302


@pytest.mark.attack("A33")
def test_a_thousand_sign_ins_of_one_place_are_held_up_by_the_minute(db):
    answers = [Client(REMOTE_ADDR="192.0.2.1").post(LOGIN, {"username": "", "password": ""}) for _ in range(70)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) in (9, 10)  # a minute may turn in between
    assert refused[0]["Retry-After"] == "60"


@pytest.mark.attack("A30")
def test_wrong_codes_count_like_wrong_passwords(chief):
    client = Client(REMOTE_ADDR="192.0.2.1")

    answers = [sign_in(client, chief, "000000") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert sign_in(client, chief, code_of(chief)).status_code == 429


@pytest.mark.attack("A30")
def test_the_answer_is_the_same_whether_the_account_exists_or_not(chief):
    def said(email: str, **values: str) -> list[str]:
        client = Client(REMOTE_ADDR="192.0.2.1")
        answers = [client.post(LOGIN, {"username": email, "password": "wrong", **values}) for _ in range(5)]
        return [
            f"{answer.status_code} {answer.content.decode().count('The address, the password or the code is wrong')}"
            for answer in answers
        ]

    assert said(chief.email) == said("nobody@example.com") == ["200 1"] * 4 + ["429 0"]


@pytest.mark.attack("A32")
def test_a_made_up_header_does_not_dodge_the_lock(chief):
    for i in range(6):
        client = Client(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=f"203.0.113.{i}")
        answer = client.post(LOGIN, {"username": chief.email, "password": "wrong"})

    assert answer.status_code == 429


def test_an_ipv6_customer_is_one_place(chief):
    for i in range(5):
        guesses(1, chief.email, f"2001:db8:0:1::{i:x}")

    assert lockout.wait(chief.email, "2001:db8:0:1::") > timedelta(seconds=50)
    assert not lockout.wait(chief.email, "2001:db8:0:2::")
    assert AccessAttempt.objects.filter(attempt_time__lte=now()).exists()
