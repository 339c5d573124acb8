"""A stop that lost a deadlock is begun again; whoever asked for it sees nothing of that."""

from __future__ import annotations

import threading

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from mailboxes.models import Mailbox
from outreach.common import hooks, repeating
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]
RAISE = "DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = %s; END $$"


def failing(sqlstate: str, times: int):
    """A function that the database refuses so many times, and the calls it has had."""
    calls: list[int] = []

    def act() -> str:
        calls.append(1)
        if len(calls) <= times:
            with connection.cursor() as cursor:
                cursor.execute(RAISE, [sqlstate])
        return "done"

    return act, calls


@pytest.mark.parametrize(("sqlstate", "times", "expected"), [("40P01", 3, 4), ("40001", 1, 2)])
def test_what_passes_by_itself_is_repeated(sqlstate, times, expected):
    act, calls = failing(sqlstate, times)

    assert repeating.atomic(act)() == "done"
    assert len(calls) == expected


@pytest.mark.parametrize(("sqlstate", "times", "expected"), [("40P01", 9, repeating.TRIES), ("23505", 1, 1)])
def test_the_rest_is_raised(sqlstate, times, expected):
    act, calls = failing(sqlstate, times)

    with pytest.raises(DatabaseError):
        repeating.atomic(act)()

    assert len(calls) == expected


def test_inside_another_transaction_nothing_is_repeated():
    act, calls = failing("40P01", 1)

    with pytest.raises(DatabaseError), transaction.atomic():
        repeating.atomic(act)()

    assert len(calls) == 1


def test_two_that_lock_each_other_out_both_come_through():
    first, second = factories.fleet(factories.tenant(), 2)
    both_hold_one = threading.Barrier(2)
    errors: list[BaseException] = []

    def touch(*boxes):
        waited = []

        @repeating.atomic
        def act():
            for box in boxes:
                Mailbox.objects.filter(pk=box.pk).update(daily_cap=F("daily_cap") + 1)
                if not waited:
                    waited.append(True)
                    both_hold_one.wait(10)

        try:
            act()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=touch, args=pair) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert errors == []
    assert set(Mailbox.objects.values_list("daily_cap", flat=True)) == {1002}


def test_a_command_repeats_as_the_console_does_and_its_dry_run_changes_nothing(monkeypatch):
    box = factories.mailbox(factories.tenant(), daily_cap=40)
    act, calls = failing("40P01", 2)
    monkeypatch.setitem(hooks._HOOKS, "mailboxes.cap_lowered", [lambda **given: act()])

    call_command("mailbox", "cap", box.address, "10", tenant=box.tenant.slug)
    call_command("mailbox", "cap", box.address, "5", tenant=box.tenant.slug, dry_run=True)

    box.refresh_from_db()
    assert (box.daily_cap, len(calls)) == (10, 4)
