"""When an account counts as out, by numbers alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailboxes.circuits import Count, is_broken, is_out, pause


@pytest.mark.parametrize(
    ("counts", "mailboxes", "has_standby", "out"),
    [
        ([Count(3, 3)], 8, False, True),
        ([Count(2, 2)], 8, True, False),
        ([Count(2, 2)], 2, True, True),
        ([Count(2, 2)], 2, False, False),
        ([Count(1, 1)], 1, True, True),
        ([Count(100, 3)], 8, True, False),
        ([Count(4, 1), Count(2, 2)], 8, True, True),
        ([], 8, True, False),
    ],
)
def test_an_account_is_out_when_most_tries_broke(counts, mailboxes, has_standby, out):
    assert is_out(counts, mailboxes, has_standby=has_standby) is out


@pytest.mark.fault("F05", "F19")
@pytest.mark.parametrize(
    ("result", "phase", "code", "broken"),
    [
        ("deferred", "connect", None, True),
        ("deferred", "dot", 503, True),
        ("deferred", "rcpt", 450, False),
        ("returned", "auth", 535, False),
        ("uncertain", "dot", None, False),
        ("sent", "", None, False),
    ],
)
def test_silence_after_the_mail_had_left_opens_no_way_round(result, phase, code, broken):
    assert is_broken(result, phase, code) is broken


def test_each_opening_in_a_row_doubles_the_pause_up_to_ten_minutes():
    assert [pause(n) for n in (0, 1, 2, 5, 6, 1000)] == [
        timedelta(seconds=20), timedelta(seconds=20), timedelta(seconds=40), timedelta(seconds=320),
        timedelta(minutes=10), timedelta(minutes=10),
    ]  # fmt: skip
