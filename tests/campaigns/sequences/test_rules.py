"""The rules of a sequence: when the next step may go, and which word about a mail stays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from campaigns import sequences
from campaigns.models import Message
from outreach.common.intervals import Share

WEEK = frozenset({0, 1, 2, 3, 4})
HOLIDAY = date(2027, 3, 8)


def at(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    return datetime(2027, month, day, hour, minute, tzinfo=UTC)


def calendar(**changes) -> sequences.Calendar:
    return sequences.Calendar(**{"zone": ZoneInfo("UTC"), "opens": time(9), "weekdays": WEEK} | changes)


@pytest.mark.parametrize(
    ("sent", "hours", "days", "changes", "due"),
    [
        (at(1, 10), 0, 0, {}, at(1, 10)),
        (at(1, 10), 72, 0, {}, at(4, 10)),
        (at(1, 16, 59), 0, 1, {}, at(2, 9)),  # Monday evening: Tuesday, when the window opens
        (at(5, 10), 0, 2, {}, at(9, 9)),  # Friday: Monday, Tuesday
        (at(6, 10), 0, 1, {}, at(8, 9)),  # Saturday: Monday
        (at(5, 10), 0, 1, {"holidays": {HOLIDAY}}, at(9, 9)),  # Monday is a holiday
        (at(5, 20), 12, 1, {}, at(8, 9)),  # twelve hours lead to Saturday
        (at(1, 23, 30), 0, 1, {"zone": ZoneInfo("Europe/Kyiv")}, at(3, 7)),  # it is Tuesday there already
        (at(1, 2), 0, 1, {"zone": ZoneInfo("America/New_York")}, at(1, 14)),  # it is Sunday there still
        (at(26, 10), 0, 1, {"zone": ZoneInfo("Europe/Kyiv")}, at(29, 6)),  # the clocks change in between
        (at(1, 10), 0, 3, {"weekdays": frozenset()}, at(4, 9)),  # no days chosen: every day
        (at(1, 10), 0, 2, {"weekdays": frozenset({0})}, at(15, 9)),  # Mondays only
    ],
)
def test_the_next_step_waits_as_long_as_it_says(sent, hours, days, changes, due):
    assert sequences.due_at(sent, hours, days, calendar(**changes)) == due


def test_a_return_on_a_closed_day_is_one_on_the_next_open_one():
    assert calendar().opening(date(2027, 3, 6)) == at(8, 9)
    assert calendar(holidays={HOLIDAY}).opening(date(2027, 3, 6)) == at(9, 9)
    assert calendar().opening(date(2027, 3, 10)) == at(10, 9)


def test_a_calendar_that_never_opens_ends_all_the_same():
    closed = calendar(weekdays=frozenset({7}))

    assert closed.opening(date(2027, 3, 1)) == datetime(2030, 3, 3, 9, tzinfo=UTC)


def test_the_stronger_word_stays():
    order = ["", "delivered", "replied", "bounced", "complained"]

    for weaker, stronger in zip(order, order[1:], strict=False):
        assert sequences.outweighs(stronger, weaker)
        assert not sequences.outweighs(weaker, stronger)
        assert not sequences.outweighs(stronger, stronger)


def test_rules_and_rows_have_the_same_words():
    assert tuple(Message.Outcome.values) == sequences.OUTCOMES


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (5, 100, 0.0215, 0.1118), (3, 100, 0.0103, 0.0845), (10, 10, 0.7225, 1.0)],
)
def test_a_share_comes_with_wilsons_interval(hits, total, low, high):
    """By hand, and for none and all of them."""
    share = Share(hits, total)

    assert (round(share.low, 4), round(share.high, 4)) == (low, high)
    assert share.value == (hits / total if total else None)
