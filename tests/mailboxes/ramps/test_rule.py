"""The rule of the ramp by itself: what the cap does on each day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes import ramp
from mailboxes.ramp import Day, Decision, Kind, Plan, Reason, Signals

FIRST = date(2026, 3, 2)  # a Monday
STANDARD = Plan()
WELL = Signals()

plans = st.builds(
    lambda start, more, **rest: Plan(start=start, ceiling=start + more, **rest),
    start=st.integers(1, 60), more=st.integers(0, 400), growth_percent=st.integers(10, 20),
    every_days=st.integers(3, 4), step_back_percent=st.integers(10, 50), idle_days=st.integers(7, 30),
)  # fmt: skip
uses = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), min_size=1, max_size=90)


def lived(plan, days, *, share=lambda n: 1.0, signals=lambda n: WELL):
    """The decisions of so many days, of a mailbox that sends that share of its cap on day n."""
    history, made = [], []
    for n in range(days):
        today = FIRST + timedelta(days=n)
        decision = ramp.decide(history[-32:], signals(n), plan, today)
        made.append(decision)
        history.append(Day(today, decision.cap, decision.cap, int(decision.cap * share(n)), decision.kind))
    return made


def test_sixty_days_of_full_use_follow_the_curve():
    caps = [decision.cap for decision in lived(STANDARD, 60)]

    assert caps == ramp.curve(STANDARD, 60)
    assert caps[::3] == [10, 12, 14, 16, 18, 21, 24, 28, 32, 37] + [40] * 10
    assert ramp.days_to_ceiling(STANDARD) == 30


@given(plans)
def test_the_closed_formula_differs_by_rounding_alone(plan):
    plan = replace(plan, start=max(plan.start, 5), ceiling=max(plan.ceiling, 5))
    caps = [decision.cap for decision in lived(plan, 60)]

    for n, cap in enumerate(caps):
        assert abs(cap - ramp.formula(plan, n)) <= ramp.rounding_bound(plan, n) + 1e-9


def test_the_formula_of_the_standard_plan_is_met_within_two_mails():
    assert max(abs(ramp.cap_on(STANDARD, n) - ramp.formula(STANDARD, n)) for n in range(60)) < 2


@pytest.mark.parametrize(
    ("current", "growth", "then"), [(1, 10, 2), (4, 10, 5), (10, 15, 12), (30, 15, 35), (39, 15, 40), (40, 15, 40)]
)
def test_a_step_is_at_least_one_and_ends_at_the_ceiling(current, growth, then):
    assert ramp.next_cap(current, replace(STANDARD, growth_percent=growth)) == then


@given(plans, uses)
def test_the_cap_stays_between_its_bounds_whatever_happens(plan, days):
    made = lived(
        plan, len(days), share=lambda n: days[n][0],
        signals=lambda n: Signals(bad="bounces" if days[n][1] else "", stopped=days[n][2]),
    )  # fmt: skip

    for before, now in zip(made, made[1:], strict=False):
        assert 1 <= now.cap <= plan.ceiling
        if now.cap < min(before.cap, plan.start):
            assert now.kind == Kind.STEP_BACK
        if now.cap > before.cap:
            assert now.kind == Kind.RISE
            assert now.cap == ramp.next_cap(before.cap, plan)
    assert made[0] == Decision(Kind.START, plan.start, Reason.STARTED, FIRST + timedelta(days=plan.every_days))


@given(plans, st.integers(1, 120))
def test_full_use_never_lowers_and_two_rises_keep_their_distance(plan, days):
    made = lived(plan, days)
    rises = [n for n, decision in enumerate(made) if decision.kind == Kind.RISE]

    assert all(before.cap <= now.cap for before, now in zip(made, made[1:], strict=False))
    assert all(later - earlier >= plan.every_days for earlier, later in zip([0, *rises], rises, strict=False))


@given(plans)
def test_without_mail_no_cap_rises(plan):
    assert {decision.cap for decision in lived(plan, 90, share=lambda n: 0.0)} == {plan.start}


@pytest.mark.parametrize(("shares", "rises"), [((1, 1, 0), True), ((0.7, 0, 0.7), True), ((1, 0.5, 0.5), False)])
def test_two_of_three_days_have_to_be_used(shares, rises):
    made = lived(STANDARD, 4, share=lambda n: shares[n] if n < 3 else 0)

    expected = (Kind.RISE, 12, Reason.USED) if rises else (Kind.HOLD, 10, Reason.UNUSED)
    assert (made[3].kind, made[3].cap, made[3].reason) == expected


def test_days_without_mail_neither_help_nor_hurt():
    """A weekend between two days of mail."""
    made = lived(STANDARD, 8, share=lambda n: 0 if n in (1, 2, 3, 4) else 1)

    assert [decision.cap for decision in made] == [10, 10, 10, 10, 10, 10, 12, 12]


def test_a_held_cap_rises_on_the_day_after_it_was_used():
    made = lived(STANDARD, 9, share=lambda n: 0.3 if n < 5 else 1)

    assert [decision.kind for decision in made[3:8]] == [Kind.HOLD] * 4 + [Kind.RISE]


def test_a_bad_signal_steps_back_once_and_what_came_before_proves_nothing():
    made = lived(STANDARD, 20, signals=lambda n: Signals(bad="bounces") if n in (10, 11, 12) else WELL)

    assert made[9].cap == 16
    assert made[10] == Decision(Kind.STEP_BACK, 11, Reason.BAD, FIRST + timedelta(days=13))
    assert made[11] == Decision(Kind.HOLD, 11, Reason.SIGNAL, FIRST + timedelta(days=13))
    assert [decision.cap for decision in made[12:17]] == [11, 13, 13, 13, 15]


def test_a_signal_that_stays_bad_steps_back_every_three_days_down_to_one():
    made = lived(STANDARD, 40, signals=lambda n: Signals(bad="bounces") if n else WELL)

    assert [decision.cap for decision in made[:8]] == [10, 7, 7, 7, 5, 5, 5, 4]
    assert made[-1] == Decision(Kind.HOLD, 1, Reason.SIGNAL)


def test_what_is_stopped_does_not_rise():
    made = lived(STANDARD, 9, signals=lambda n: Signals(stopped=n >= 2))

    assert {decision.cap for decision in made} == {10}
    assert made[-1] == Decision(Kind.HOLD, 10, Reason.STOPPED)


def test_thirty_idle_days_begin_again_and_only_once():
    made = lived(STANDARD, 100, share=lambda n: 1 if n < 31 else 0)

    assert made[59] == Decision(Kind.DONE, 40, Reason.CEILING)
    assert made[60] == Decision(Kind.RESTART, 10, Reason.IDLE, FIRST + timedelta(days=63))
    assert {decision.cap for decision in made[60:]} == {10}


def test_idle_days_do_not_lift_a_cap_that_was_lower():
    low = [Day(FIRST, 4, 4, 4, Kind.STEP_BACK)]

    assert ramp.decide(low, WELL, STANDARD, FIRST + timedelta(days=40)) == Decision(Kind.HOLD, 4, Reason.IDLE)


def test_the_mailboxs_own_cap_ends_the_ramp_where_it_is():
    own = Signals(own_cap=17)
    made = lived(STANDARD, 15, signals=lambda n: own)

    assert made[12] == Decision(Kind.RISE, 17, Reason.USED, FIRST + timedelta(days=15))
    assert made[13] == Decision(Kind.DONE, 17, Reason.OWN_CAP)


def test_a_lowered_ceiling_takes_the_cap_with_it():
    high = [Day(FIRST, 40, 40, 40, Kind.DONE)]

    made = ramp.decide(high, WELL, replace(STANDARD, ceiling=25), FIRST + timedelta(days=1))
    assert (made.kind, made.cap, made.reason) == (Kind.STEP_BACK, 25, Reason.LOWERED)
