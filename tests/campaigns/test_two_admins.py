"""Two people press the same button at once: one of them wins, the other is told so, and each person gets one mail."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import connection

from campaigns.models import Campaign, Enrolment
from campaigns.pipeline import planner
from campaigns.services import campaigns
from outreach import cron
from outreach.common.errors import InvalidMove, OutreachError
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_sending import work_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker, pytest.mark.attack("A41")]
PEOPLE = 30


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
    boxes = factories.fleet(tenant, 3, host=sink.host, port=sink.port)
    return factories.campaign(tenant, boxes[0].pool, listed)


def at_once(*acts) -> list[object]:
    """Do all of them at the same moment, each on a connection of its own; what each returned or raised."""
    barrier = threading.Barrier(len(acts))
    found: list[object] = [None] * len(acts)

    def run(place, act):
        try:
            connection.ensure_connection()
            barrier.wait(30)
            found[place] = act()
        except OutreachError as error:
            found[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=entry) for entry in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def won_and_lost(found):
    lost = [entry for entry in found if isinstance(entry, OutreachError)]
    return len(found) - len(lost), lost


def copy_of(campaign):
    """As another request would have loaded it."""
    return Campaign.objects.get(pk=campaign.pk)


def copies(sink):
    return Counter(Counter(entry.recipient for entry in Book.read(sink.path).accepted).values())


def test_of_four_who_start_it_one_does(draft, sink):
    found = at_once(*(lambda: campaigns.start(copy_of(draft), actor=SYSTEM) for _ in range(4)))

    won, lost = won_and_lost(found)
    assert won == 1
    assert {(type(error), error.http_status) for error in lost} == {(InvalidMove, 409)}
    assert {str(error) for error in lost} == {f"{draft.name} is running, so it cannot become running."}
    assert Enrolment.objects.filter(campaign=draft).count() == PEOPLE
    work_off(draft)
    assert copies(sink) == {1: PEOPLE}


def test_of_four_who_pause_and_resume_it_one_does(draft, sink):
    campaigns.start(draft, actor=SYSTEM)
    planner.run(draft.tenant, cron.now())

    won, lost = won_and_lost(
        at_once(*(lambda: campaigns.pause(copy_of(draft), actor=SYSTEM, reason="both") for _ in range(4)))
    )
    assert won == 1
    assert {str(error) for error in lost} == {f"{draft.name} is paused, so it cannot become paused."}
    draft.refresh_from_db()
    assert (draft.status, draft.status_reason) == ("paused", "both")

    won, lost = won_and_lost(at_once(*(lambda: campaigns.resume(copy_of(draft), actor=SYSTEM) for _ in range(4))))
    assert won == 1
    assert {type(error) for error in lost} == {InvalidMove}
    work_off(draft)
    assert copies(sink) == {1: PEOPLE}


def test_a_start_against_a_cancel_sends_nothing(draft, sink):
    found = at_once(
        lambda: campaigns.start(copy_of(draft), actor=SYSTEM),
        lambda: campaigns.cancel(copy_of(draft), actor=SYSTEM, reason="no"),
    )

    draft.refresh_from_db()
    assert draft.status == "cancelled"  # after a start it can be cancelled, after a cancel not started
    assert {type(error) for error in won_and_lost(found)[1]} <= {InvalidMove}
    assert not Enrolment.objects.filter(campaign=draft, status="active").exists()
    planner.run(draft.tenant, cron.now())
    assert not draft.messages.exclude(status="cancelled").exists()
    assert copies(sink) == {}


@pytest.mark.parametrize("stopped", ["paused", "halted"])
def test_a_late_start_does_not_resume_what_somebody_stopped(draft, stopped):
    campaigns.start(draft, actor=SYSTEM)
    Campaign.objects.filter(pk=draft.pk).update(status=stopped)
    before = Campaign.objects.filter(pk=draft.pk).values().get()

    with pytest.raises(InvalidMove, match=f"{draft.name} is {stopped}; resume it"):
        campaigns.start(copy_of(draft), actor=SYSTEM)

    assert Campaign.objects.filter(pk=draft.pk).values().get() == before
