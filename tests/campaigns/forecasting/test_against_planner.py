"""The forecast against the real planner: the same rows, forecast at the start, then lived through day by day."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from campaigns.models import Message
from campaigns.pipeline.forecasting import loading
from mailboxes.services import ramp
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.forecasting.days import launched, work_off

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

MONDAY = datetime(2026, 3, 9, 6, tzinfo=UTC)  # the clocks of Kyiv and London change on the 29th
WEEKDAYS = [0, 1, 2, 3, 4]


@pytest.fixture
def tenant():
    return factories.tenant(time_zone="Europe/Kyiv")


@pytest.fixture
def growing(tenant):
    """A pool of 12 mailboxes at the start of their ramp, with three reserves."""
    plan = ramp.add_plan(tenant, "standard", actor=SYSTEM)
    boxes = factories.fleet(
        tenant, 15, daily_cap=40, min_gap_seconds=120, each=lambda i: {"state": "reserve" if i >= 12 else "active"}
    )
    for box in boxes:
        ramp.start_ramp(box, plan, actor=SYSTEM, day=MONDAY.date())
    return boxes[0].pool


@pytest.fixture
def grown(tenant):
    """A pool of 6 mailboxes with their full cap, on one domain with an hourly cap."""
    boxes = factories.fleet(tenant, 6, daily_cap=30, min_gap_seconds=600, domains=1)
    boxes[0].domain.hourly_cap = 15
    boxes[0].domain.save()
    return boxes[0].pool


def test_the_finishing_days_of_three_campaigns_are_met_by_the_planner(tenant, growing, grown, capsys):
    """Two campaigns share a growing pool; windows, weekends, zones, follow-ups, a domain's hour, a campaign's day."""
    three = [
        launched(
            tenant, growing, 600, MONDAY, delays=(72, 96), zones=("Europe/Kyiv", "Europe/London"), pace="even",
            window_from="09:00", window_until="17:00", window_days=WEEKDAYS,
        ),
        launched(
            tenant, growing, 500, MONDAY, zones=("Europe/Kyiv",), pace="even", daily_cap=40, window_from="08:00",
            window_until="20:00",
        ),
        launched(
            tenant, grown, 420, MONDAY, delays=(48,), zones=("Europe/Kyiv", "America/New_York"),
            window_from="10:00", window_until="16:00", window_days=WEEKDAYS,
        ),
    ]  # fmt: skip
    found = {one.id: one for one in loading.forecast(tenant, MONDAY).campaigns}

    done = work_off(tenant, MONDAY)

    off: dict[str, int] = {}
    with capsys.disabled():
        for campaign in three:
            told, real = found[campaign.pk], done[campaign.pk]
            assert told.done_on is not None
            off[campaign.name] = (told.done_on - real).days
            days = off[campaign.name]
            sys.stdout.write(f"\n{campaign.name}: forecast {told.done_on}, real {real}, off by {days} days\n")
    assert [abs(days) <= 1 for days in off.values()] == [True] * 3
    assert Message.objects.filter(status="sent").count() == sum(one.total for one in found.values()) == 3140
