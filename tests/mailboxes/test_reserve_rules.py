"""The numbers of quarantine, brake and reserves, as a calculation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes import ramp, reserves
from mailboxes.reserves import Growing, Leaver, Reserve

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(("number", "rests"), [(1, 24), (2, 72), (3, 168), (4, None), (9, None)])
def test_each_quarantine_rests_longer_and_after_the_third_a_person_decides(number, rests):
    assert reserves.cool_until(number, NOON) == (None if rests is None else NOON + timedelta(hours=rests))


@pytest.mark.parametrize(("size", "allowed"), [(0, 2), (1, 2), (20, 2), (29, 2), (30, 3), (100, 10), (1200, 120)])
def test_the_brake_is_two_or_a_tenth_of_the_pool(size, allowed):
    assert reserves.brake(size) == allowed


WELL = Leaver(domain_id=1, domain_is_well=True, kind="smtp", host="a.example")
SICK = Leaver(domain_id=1, domain_is_well=False, kind="smtp", host="a.example")


@pytest.mark.parametrize(
    ("leaver", "candidates", "chosen"),
    [
        (WELL, [], None),
        (WELL, [Reserve(5, 1, "smtp", "a.example", 3), Reserve(4, 1, "smtp", "a.example", 3)], 4),
        (WELL, [Reserve(4, 1, "smtp", "a.example", 3), Reserve(5, 1, "smtp", "a.example", 9)], 5),
        (WELL, [Reserve(4, 2, "smtp", "b.example", 99), Reserve(5, 1, "smtp", "a.example", 1)], 5),
        (WELL, [Reserve(4, 2, "ses", "a.example", 99), Reserve(5, 1, "smtp", "b.example", 1)], 5),
        (SICK, [Reserve(4, 1, "smtp", "a.example", 99), Reserve(5, 2, "ses", "b.example", 1)], 5),
        (SICK, [Reserve(4, 1, "smtp", "a.example", 1)], 4),
    ],
    ids=[
        "none", "oldest of equals", "most left today", "same host before rest", "same kind before same host",
        "another domain than the sick one first of all", "the sick domain if there is no other",
    ],
)  # fmt: skip
def test_who_steps_in(leaver, candidates, chosen):
    assert reserves.choose(leaver, candidates) == chosen


some_reserve = st.builds(
    Reserve, st.integers(1, 99), st.integers(1, 3), st.sampled_from(["smtp", "ses"]), st.sampled_from("ab"),
    st.integers(0, 40),
)  # fmt: skip


@given(st.booleans(), st.lists(some_reserve, max_size=8, unique_by=lambda one: one.id), st.randoms())
def test_the_choice_does_not_depend_on_the_order(well, candidates, dice):
    leaver = Leaver(1, well, "smtp", "a")
    shuffled = dice.sample(candidates, len(candidates))

    assert reserves.choose(leaver, shuffled) == reserves.choose(leaver, candidates)


@pytest.mark.parametrize(
    ("clean", "days", "lacking"),
    [
        (20, 3, []),
        (19, 3, ["19 of 20 mails in a row went out clean."]),
        (20, 2, ["It has been probing for 48 of 72 hours."]),
        (0, 0, ["0 of 20 mails in a row went out clean.", "It has been probing for 0 of 72 hours."]),
        (20, None, ["It has not been probed yet."]),
    ],
)
def test_the_exit_wants_twenty_clean_mails_and_three_days(clean, days, lacking):
    assert reserves.lacking(clean, None if days is None else timedelta(days=days)) == lacking


@pytest.mark.parametrize(
    ("policy", "has_successor", "instead", "deed"),
    [
        ("wait", True, "", "wait"), ("wait", False, "", "wait"), ("new_thread", True, "", "new_thread"),
        ("new_thread", False, "", "wait"), ("stop", True, "", "stop"), ("stop", False, "", "stop"),
        ("wait", True, "new_thread", "new_thread"), ("wait", False, "stop", "stop"),
        ("stop", True, "new_thread", "stop"), ("new_thread", True, "stop", "new_thread"),
    ],
)  # fmt: skip
def test_what_becomes_of_threads(policy, has_successor, instead, deed):
    assert reserves.handled(policy, has_successor, instead) == deed


PLAN = ramp.Plan(start=10, growth_percent=15, every_days=3, ceiling=40)


def test_a_gap_closes_on_the_day_that_the_ramp_reaches_it():
    stand_in = Growing(cap=30, own_cap=100, plan=PLAN, rises_in=2)

    assert [stand_in.after(days) for days in (0, 1, 2, 4, 5, 99)] == [30, 30, 35, 35, 40, 40]
    assert (reserves.gap(40, [stand_in]), reserves.closes_in(40, [stand_in])) == (10, 5)
    assert reserves.closes_in(30, [stand_in]) == 0


def test_a_gap_that_no_ramp_closes_stays_open():
    assert reserves.closes_in(41, [Growing(30, 100, PLAN, 1)]) is None
    assert reserves.closes_in(40, [Growing(30, 35, PLAN, 1)]) is None  # its own cap is below the ramp's end
    assert reserves.closes_in(40, [Growing(30, 30)]) is None
    assert reserves.closes_in(1, []) is None


@given(
    st.integers(10, 40), st.integers(1, 60), st.integers(0, 3),
    st.builds(ramp.Plan, st.integers(1, 10), st.integers(10, 20), st.integers(3, 4), st.integers(10, 60)),
    st.integers(0, 60),
)  # fmt: skip
def test_no_forecast_passes_the_ramp_or_the_own_cap(cap, own_cap, rises_in, plan, days):
    cap = min(cap, own_cap, plan.ceiling)
    caps = [Growing(cap, own_cap, plan, rises_in).after(n) for n in range(days + 1)]

    assert caps == sorted(caps)
    assert max(caps) <= min(own_cap, plan.ceiling)
