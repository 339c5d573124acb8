"""People whom a public holiday holds, told apart from those whose hours are over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from campaigns.models import Campaign
from campaigns.pipeline import explain
from tests.campaigns.explaining.situations import LISTENING, Scene

pytestmark = pytest.mark.django_db
OFFICE = {"window_zone": "contact", "window_from": "09:00", "window_until": "17:00", "holidays": True}
CHRISTMAS = datetime(2027, 12, 25, 12, tzinfo=UTC)


def countries(n: int) -> dict[str, str]:
    return {"country": "DE" if n < 12 else "UA"}


def test_a_holiday_is_named_with_its_end():
    scene = Scene(now=CHRISTMAS, changes=OFFICE, each=countries)

    found = explain.campaign(scene.campaign, scene.now, queue=LISTENING)

    (cause,) = found.causes
    assert (cause.kind, cause.name, cause.count, cause.decides) == ("holiday", "closed", 12, 12)
    assert cause.title == "a holiday to end (Christmas Day; Europe/Berlin DE)"
    assert cause.next_at == datetime(2027, 12, 27, 8, tzinfo=UTC)
    assert cause.since == datetime(2027, 12, 24, 16, tzinfo=UTC)
    assert cause.rows.lookups["zone__in"] == "Europe/Berlin DE"
    assert found.ready == 8
    assert found.sentence == (
        "0 of 20 sent today. 20 wait: 12 for a holiday to end (Christmas Day; Europe/Berlin DE) until 27 Dec 08:00; "
        "8 for the planner's next run."
    )


def test_the_end_of_office_hours_is_no_holiday():
    evening = CHRISTMAS.replace(hour=18)
    scene = Scene(now=evening, changes=OFFICE, each=countries)

    found = explain.campaign(scene.campaign, scene.now, queue=LISTENING)

    held = {cause.kind: (cause.decides, cause.next_at) for cause in found.causes}
    assert held == {
        "holiday": (12, datetime(2027, 12, 27, 8, tzinfo=UTC)),
        "window": (8, datetime(2027, 12, 26, 7, tzinfo=UTC)),
    }


def test_behind_a_stop_the_holiday_is_told_as_well():
    scene = Scene(now=CHRISTMAS, changes=OFFICE, each=countries)
    scene.change(Campaign, status="paused")

    found = explain.campaign(scene.campaign, scene.now, queue=LISTENING)

    assert [(cause.kind, cause.decides, cause.count) for cause in found.causes] == [
        ("stop", 20, 20),
        ("holiday", 0, 12),
    ]
