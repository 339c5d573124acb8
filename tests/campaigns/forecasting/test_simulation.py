"""The simulation on plain values: days, limits, follow-ups, shortfalls, each with its exact numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from campaigns import calendars
from campaigns.pipeline.forecasting import openings, results, wording
from campaigns.pipeline.forecasting.terms import Demand, Limit, Work, World
from campaigns.pipeline.windows import Window
from mailboxes import capacity
from mailboxes import ramp as rule

TODAY = date(2026, 3, 9)  # a Monday
NOW = datetime(2026, 3, 9, tzinfo=UTC)
DAYS = capacity.days_from(TODAY, 28)
ALL_DAY = Window(time(0), time(0), frozenset(range(7)))
OFFICE = Window(time(9), time(17), frozenset(range(5)))
BOXES = capacity.Group(pool_id=1, state="active", count=10, daily_cap=10)


def work(people=250, *, pk=1, delays=(0,), zones=("UTC",), **changes) -> Work:
    demand = tuple(Demand(zone, 0, people // len(zones), NOW) for zone in zones)
    return Work(
        **{"id": pk, "name": f"Campaign {pk}", "pool_id": 1, "window": ALL_DAY, "delays": delays, "demand": demand}
        | changes
    )


def world(*campaigns: Work, groups=(BOXES,), limits=None, **changes) -> World:
    pools = {1: "Sales"}
    return World(ZoneInfo("UTC"), campaigns, capacity.Fleet(tuple(groups), limits or {}), pools=pools, **changes)


def told(*campaigns: Work, now=NOW, **changes):
    return results.forecast(world(*campaigns, **changes), now, DAYS)


def sent(found, days=5, n=0) -> list[int]:
    return [day.sent for day in found.campaigns[n].days[:days]]


def test_a_campaign_is_done_when_its_mailboxes_caps_have_carried_it():
    found = told(work(250))

    (one,) = found.campaigns
    assert (sent(found), one.done_on, one.left, one.total) == ([100, 100, 50, 0, 0], date(2026, 3, 11), 0, 250)
    assert (one.days[0].limit, one.days[0].waiting, one.limit) == (Limit.MAILBOXES, 150, Limit.MAILBOXES)
    assert one.days[2].limit == Limit.NONE


def test_what_does_not_fit_into_the_days_is_not_done():
    (one,) = told(work(5000)).campaigns

    assert (one.done_on, one.left) == (None, 2200)
    assert wording.done(one, 28) == "not within 28 days"


def test_nothing_goes_out_while_the_window_is_closed():
    found = told(work(550, window=OFFICE))

    assert sent(found, 8) == [100, 100, 100, 100, 100, 0, 0, 50]
    assert found.campaigns[0].days[5].limit == Limit.WINDOW


def test_a_holiday_of_the_place_opens_no_window():
    """The 11th is a day off in Lithuania, and in one campaign half of the people live there."""
    found = told(work(250, zones=("UTC LT",), window=OFFICE))
    half = told(work(250, zones=("UTC LT", "UTC"), window=OFFICE))

    assert sent(found) == [100, 100, 0, 50, 0]
    assert found.campaigns[0].days[2].limit == Limit.WINDOW
    assert sent(half) == [100, 100, 25, 25, 0]


def test_what_is_left_of_today_is_what_today_can_carry():
    """At 13:00 half of the window is over and 80 of the 100 are reserved; an even pace spreads the rest."""
    found = told(work(250, window=OFFICE), now=NOW + timedelta(hours=13), groups=(replace(BOXES, reserved=80),))

    assert sent(found) == [20, 100, 100, 30, 0]


def test_follow_ups_come_so_many_hours_after_the_step_before():
    found = told(work(100, delays=(0, 72, 24)))

    assert sent(found, 6) == [100, 0, 0, 100, 100, 0]
    assert found.campaigns[0].done_on == date(2026, 3, 13)
    assert found.campaigns[0].days[1].limit == Limit.FOLLOW_UPS


def test_working_days_after_the_step_before_are_days_on_which_the_campaign_is_open():
    one = work(100, delays=(0, 0, 0), delay_days=(0, 3, 1), window=OFFICE)

    assert sent(told(one), 6) == [100, 0, 0, 100, 100, 0]


def test_first_steps_that_are_due_longer_come_before_follow_ups():
    """As in the planner, which serves whoever is due longest; the total is what the caps carry."""
    found = told(work(200, delays=(0, 24)))

    assert sent(found, 5) == [100, 100, 100, 100, 0]


def test_messages_with_a_slot_go_out_today_and_take_no_further_room():
    booked = (Demand("UTC", 0, 60, NOW + timedelta(hours=1)),)
    one = work(100, delays=(0, 48), booked=booked)

    found = told(one, groups=(replace(BOXES, reserved=60),))

    assert sent(found, 4) == [100, 60, 100, 60]


def test_campaigns_of_a_pool_share_its_slots():
    found = told(work(100, pk=1), work(400, pk=2))

    assert (sent(found), sent(found, n=1)) == ([50, 50, 0, 0, 0], [50, 50, 100, 100, 100])


@pytest.mark.parametrize(
    ("changes", "whole", "limit", "per_day"),
    [
        ({"daily_cap": 30}, {}, Limit.CAMPAIGN, 30),
        ({}, {"daily_cap": 40}, Limit.TENANT, 40),
        ({"daily_cap": 40, "reserved": 40}, {}, Limit.CAMPAIGN, 0),
        ({"prompt": True, "window": Window(time(9), time(10), frozenset(range(7)))}, {"gap": 600}, Limit.GAP, 60),
        ({"prompt": True}, {"gap": 600}, Limit.MAILBOXES, 100),
        ({}, {"stopped": True}, Limit.NO_MAILBOX, 0),
        ({}, {"hourly": 2}, Limit.SHARED, 48),
        ({}, {"daily": 70}, Limit.SHARED, 70),
    ],
)
def test_what_limits_is_named(changes, whole, limit, per_day):
    group = replace(BOXES, min_gap_seconds=whole.pop("gap", 0), stopped=whole.pop("stopped", False))
    limits = {}
    if {"hourly", "daily"} & set(whole):
        limits = {("domain", 7): capacity.Limit("out.example", **whole)}
        group, whole = replace(group, limits=(("domain", 7),)), {}

    found = told(work(5000, **changes), groups=(group,), limits=limits, **whole)

    first = found.campaigns[0].days[0]
    assert (first.sent, first.limit) == (per_day, limit)
    assert first.limit_name == ("out.example" if limits else "")


def test_limits_are_put_into_words():
    assert wording.limit(Limit.SHARED, "out.example") == "the limit of out.example"
    assert wording.limit(Limit.MAILBOXES, "") == "the mailboxes' daily caps"
    assert {str(text) for kind, text in wording.LIMITS.items() if kind} >= {"the window is closed"}
    assert set(wording.LIMITS) == set(Limit)


def test_people_of_stopped_mailboxes_keep_a_campaign_from_its_end():
    (one,) = told(work(50, stopped=7)).campaigns

    assert (one.done_on, one.left, one.limit) == (None, 7, Limit.STOPPED)


def test_follow_ups_stay_with_their_mailboxes():
    """All 40 belong to one mailbox with a cap of 10, whatever the nine others could carry."""
    alone, others = replace(BOXES, count=1), replace(BOXES, count=9, daily_cap=11)
    one = work(0, delays=(0, 24), demand=(Demand("UTC", 1, 40, NOW),), bound={0: 40})

    assert sent(told(one, groups=(alone, others))) == [10, 10, 10, 10, 0]


def test_a_ramp_grows_by_days_on_which_it_was_used():
    ramping = replace(BOXES, state="ramping", daily_cap=40, ramp=capacity.Ramp(rule.Plan(), 10, TODAY, TODAY))

    busy, idle = told(work(5000), groups=(ramping,)), told(work(5000, daily_cap=20), groups=(ramping,))

    assert sent(busy, 7) == [100, 100, 100, 120, 120, 120, 140]
    assert [day.capacity for day in idle.pools[0].days[:7]] == [100] * 7


def test_zones_are_open_at_their_own_times():
    """New York opens five hours after London here; both together fill the pool's day."""
    one = work(160, window=OFFICE, zones=("Europe/London", "America/New_York"), prompt=True)

    found = told(one, groups=(replace(BOXES, min_gap_seconds=3600, daily_cap=100),))

    assert sent(found, 2) == [120, 40]


# --- Pools ------------------------------------------------------------------------------------------------


def test_a_pool_that_carries_everything_in_time_is_never_short():
    (pool,) = told(work(2800)).pools

    assert {(day.capacity, day.demand, day.sent, day.shortfall) for day in pool.days} == {(100, 100, 100, 0)}
    assert (pool.short_on, wording.shortfall(pool)) == (None, "")


def test_what_can_not_be_done_in_time_makes_the_pool_short_and_says_how_many_reserves():
    """3500 mails on 28 days of 100: each day would have to carry 125."""
    (pool,) = told(work(3500)).pools

    assert (pool.short_on, pool.short_by, pool.days[0].demand) == (TODAY, 25, 125)
    assert (pool.promotable, pool.reserves, pool.reserves_at_share) == (0, 3, 13)


def test_reserves_that_are_there_are_promoted_first():
    """Five reserves at a fifth of their 10: promoted they add 40, and a day asks for 25 more than the 110."""
    reserves = replace(BOXES, state="reserve", count=5)
    (pool,) = told(work(3780), groups=(BOXES, reserves)).pools

    assert (pool.days[0].capacity, pool.short_by, pool.promotable, pool.reserves) == (110, 25, 25, 0)
    assert wording.shortfall(pool) == (
        "short of 25 mails on 2026-03-09; its reserves, promoted by then, carry 25 of them"
    )


def test_the_first_day_of_shortfall_is_the_one_on_which_follow_ups_fall_due_together():
    """150 people a day wait for their second mail on the fifth day, and the pool carries 100."""
    demand = tuple(Demand("UTC", 1, 150, NOW + timedelta(days=4, hours=n)) for n in (0, 1))
    (pool,) = told(work(0, delays=(0, 24), demand=demand)).pools

    assert (pool.short_on, pool.short_by) == (date(2026, 3, 13), 200)
    assert (pool.reserves, rule.cap_on(rule.Plan(), 4)) == (17, 12)


def test_a_pool_without_campaigns_has_no_demand():
    found = told()

    assert found.campaigns == ()
    assert {(day.demand, day.sent, day.shortfall) for day in found.pools[0].days} == {(0, 0, 0)}


# --- Stretches --------------------------------------------------------------------------------------------


def test_the_days_are_cut_where_windows_open_and_close_and_at_four_hours():
    lanes, place = openings.lanes(
        [work(10, window=OFFICE, zones=("UTC", "Africa/Abidjan", "Europe/Kyiv"))],
        NOW, NOW + timedelta(days=1),
    )  # fmt: skip

    found = openings.stretches(lanes, openings.day_starts(DAYS[:1], ZoneInfo("UTC")), NOW)

    assert place == {(0, "Africa/Abidjan"): 0, (0, "UTC"): 0, (0, "Europe/Kyiv"): 1}
    assert [lane.zones for lane in lanes] == [2, 1]
    assert [(one.begins.hour, one.ends.hour, len(one.open)) for one in found] == [
        (7, 9, 1), (9, 12, 2), (12, 15, 2), (15, 17, 1),
    ]  # fmt: skip


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens():
    night = Window(time(22), time(2), frozenset({0}))

    assert openings.intervals(night, calendars.parse("UTC"), NOW, NOW + timedelta(days=7)) == [
        (NOW + timedelta(hours=22), NOW + timedelta(hours=26))
    ]


def test_whole_numbers_add_up():
    assert results.whole([0.4, 0.4, 0.4, 2.8]) == [0, 1, 0, 3]
