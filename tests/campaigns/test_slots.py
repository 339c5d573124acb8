"""Stride scheduling against the plain way: deal slots one by one to the least key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.pipeline import slots
from campaigns.pipeline.slots import Limit, Seat

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def seat(mailbox_id: int, weight: float = 1, virtual_time: float = 0, room: int = 1000, **changes) -> Seat:
    fields = {"pool_id": 1, "first_at": NOW, "gap": timedelta(seconds=1), "taken": 0}
    return Seat(mailbox_id=mailbox_id, weight=weight, virtual_time=virtual_time, room=room, **fields | changes)


def dealt(seats: list[Seat], wanted: int, lefts: dict[Limit, int]) -> dict[int, int]:
    """The definition: each slot goes to the seat with the least key that has room, and of whose limits some is left."""
    counts = {s.mailbox_id: 0 for s in seats}
    left = {limit: most - sum(s.taken for s in seats if limit in s.limits) for limit, most in lefts.items()}
    for _ in range(wanted):
        able = [
            s
            for s in seats
            if s.taken + counts[s.mailbox_id] < s.room and all(left.get(limit, 1) > 0 for limit in s.limits)
        ]
        if not able:
            break
        best = min(able, key=lambda s: (s.key(s.taken + counts[s.mailbox_id]), s.mailbox_id))
        counts[best.mailbox_id] += 1
        for limit in best.limits:
            if limit in left:
                left[limit] -= 1
    return {pk: count for pk, count in counts.items() if count}


seats = st.lists(
    st.builds(
        lambda weight, virtual, room, taken, domain: (weight, virtual, room, min(taken, room), domain),
        st.sampled_from([0.5, 1.0, 2.0, 3.0, 40.0]), st.floats(0, 20), st.integers(0, 40), st.integers(0, 5),
        st.integers(0, 3),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


amounts = st.one_of(st.none(), st.integers(0, 60))


def fleet_of(rows: list, crossing: bool) -> list[Seat]:
    """Seats of four domains; an account has two of them, and a quota both accounts, unless they are to cross."""
    return [
        seat(
            n, weight, virtual, room, taken=taken,
            limits=(("domain", domain), ("account", n % 3 if crossing else domain // 2), ("quota", 1)),
        )
        for n, (weight, virtual, room, taken, domain) in enumerate(rows)
    ]  # fmt: skip


@given(rows=seats, most=st.lists(amounts, min_size=7, max_size=7), wanted=st.integers(0, 200))
def test_share_deals_as_slot_by_slot(rows, most, wanted):
    limits = [*(("domain", n) for n in range(4)), ("account", 0), ("account", 1), ("quota", 1)]
    lefts = {limit: amount for limit, amount in zip(limits, most, strict=True) if amount is not None}
    fleet = fleet_of(rows, crossing=False)

    shared, plain = slots.share(fleet, wanted, lefts), dealt(fleet, wanted, lefts)

    assert sum(shared.values()) == sum(plain.values())
    ties = len({(s.virtual_time, s.weight) for s in fleet}) < len(fleet)
    for s in fleet:  # equal keys may be dealt in either order, so a seat may differ by the slots that tie
        assert abs(shared.get(s.mailbox_id, 0) - plain.get(s.mailbox_id, 0)) <= (3 if ties else 1)
        assert s.taken + shared.get(s.mailbox_id, 0) <= max(s.room, s.taken)


@given(rows=seats, most=st.lists(amounts, min_size=8, max_size=8), wanted=st.integers(0, 200))
def test_no_limit_is_passed_where_limits_cross(rows, most, wanted):
    limits = [*(("domain", n) for n in range(4)), *(("account", n) for n in range(3)), ("quota", 1)]
    lefts = {limit: amount for limit, amount in zip(limits, most, strict=True) if amount is not None}
    fleet = fleet_of(rows, crossing=True)

    shared = slots.share(fleet, wanted, lefts)

    assert sum(shared.values()) <= wanted
    for limit, left in lefts.items():
        taken = sum(s.taken for s in fleet if limit in s.limits)
        assert sum(shared.get(s.mailbox_id, 0) for s in fleet if limit in s.limits) <= max(left - taken, 0)


def test_shares_follow_weights_over_many_runs():
    fleet = {1: seat(1, weight=2), 2: seat(2, weight=1), 3: seat(3, weight=1)}
    total = {1: 0, 2: 0, 3: 0}
    for _ in range(100):
        for pk, count in slots.share(list(fleet.values()), 7).items():
            total[pk] += count
            fleet[pk] = seat(pk, fleet[pk].weight, fleet[pk].virtual_time + count / fleet[pk].weight)

    assert total == {1: 350, 2: 175, 3: 175}


def test_who_joins_starts_at_the_least_of_those_who_went_on():
    fleet = [seat(1, virtual_time=100), seat(2, virtual_time=103), seat(3, virtual_time=0)]

    joined = slots.join(fleet, {1: True, 2: True, 3: False})

    assert [s.virtual_time for s in joined] == [100, 103, 100]
    assert slots.share(joined, 9) == {1: 4, 2: 1, 3: 4}


def test_who_returns_from_far_ahead_is_not_pulled_back():
    joined = slots.join([seat(1, virtual_time=5), seat(2, virtual_time=50)], {1: True, 2: False})

    assert [s.virtual_time for s in joined] == [5, 50]


def test_a_new_day_starts_level():
    joined = slots.join([seat(1, virtual_time=5), seat(2, virtual_time=50)], {1: False, 2: False})

    assert [s.virtual_time for s in joined] == [50, 50]


@pytest.mark.parametrize(
    ("first", "gap_seconds", "cap_left", "expected"),
    [
        (0, 60, 100, 15),
        (0, 60, 10, 10),
        (899, 60, 10, 1),
        (900, 60, 10, 0),
        (0, 0, 7, 7),
        (0, 60, 0, 0),
        (30, 60, 99, 15),
    ],
)
def test_room_ends_before_the_limit(first, gap_seconds, cap_left, expected):
    limit = NOW + timedelta(seconds=900)

    assert slots.room(NOW + timedelta(seconds=first), limit, timedelta(seconds=gap_seconds), cap_left) == expected


def test_an_even_pace_makes_the_cap_last():
    assert slots.gap(timedelta(seconds=60), timedelta(hours=8), 40) == timedelta(minutes=12)
    assert slots.gap(timedelta(seconds=60), timedelta(minutes=10), 40) == timedelta(seconds=60)
    assert slots.gap(timedelta(seconds=60), None, 40) == timedelta(seconds=60)
