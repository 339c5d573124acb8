"""Wishes, tags, signatures and images: what becomes of one mailbox, without a database."""

from __future__ import annotations

import math

import pytest

from mailboxes import edits, labels
from mailboxes.edits import Plan, Wish
from outreach.common.errors import BadInput
from tests.console.naughty import STRINGS

PLANS = {1: Plan(10, 40), 2: Plan(20, 80)}


def image(**changes) -> edits.Image:
    return {
        "pool_id": 5, "daily_cap": 40, "ramp_id": None, "ramp_cap": None, "state": "active", "tags": [],
        "signature": "", "weight": 1.0, "min_gap_seconds": 60, "reserve_share": 0.2,
    } | changes  # fmt: skip


def changed(before, **wish) -> edits.Image | str:
    after = edits.wished(before, Wish.of(**wish), PLANS)
    if isinstance(after, str):
        return after
    return {name: after[name] for name in edits.EDITED if after[name] != before[name]}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, ""), ({"daily_cap": -1}, "daily_cap"), ({"daily_cap": 100_001}, "daily_cap"), ({"weight": 0}, "weight"),
        ({"weight": math.nan}, "weight"), ({"weight": math.inf}, "weight"), ({"reserve_share": 1.1}, "reserve_share"),
        ({"min_gap_seconds": 86_401}, "min_gap_seconds"), ({"state": "quarantined"}, "state"),
        ({"ramp": 1, "leave_ramp": True}, "ramp"), ({"tags": ["a"], "add_tags": ["b"]}, "tags"),
        ({"add_tags": ["a"], "remove_tags": ["A"]}, "tags"), ({"add_tags": ["<b>"]}, "tags"),
        ({"signature": "x" * 2001}, "signature"), ({"signature": "a\x00b"}, "signature"),
    ],
)  # fmt: skip
def test_a_wish_that_makes_no_sense_is_refused_at_its_field(wish, field):
    with pytest.raises(BadInput) as refused:
        Wish.of(**wish)
    assert refused.value.details["field"] == field


@pytest.mark.parametrize(
    "wish", [{"daily_cap": 0}, {"tags": []}, {"signature": ""}, {"add_tags": ["b", "A"], "ramp": 2, "weight": 2.5}]
)
def test_a_wish_survives_its_storage(wish):
    made = Wish.of(**wish)
    assert Wish.from_json(made.as_json()) == made
    assert set(made.as_json()) == set(wish)


def test_numbers_are_set_and_what_is_so_already_is_no_change():
    assert changed(image(), daily_cap=30, weight=2.0, min_gap_seconds=0) == {
        "daily_cap": 30, "weight": 2.0, "min_gap_seconds": 0,
    }  # fmt: skip
    assert changed(image(), daily_cap=40, pool=5) == {}


def test_tags_are_added_taken_away_and_replaced():
    before = image(tags=["b", "c"])
    assert changed(before, add_tags=["A", "c"]) == {"tags": ["a", "b", "c"]}
    assert changed(before, remove_tags=["c", "z"]) == {"tags": ["b"]}
    assert changed(before, tags=[]) == {"tags": []}
    assert changed(before, add_tags=["b"]) == {}
    full = image(tags=[f"t{n}" for n in range(20)])
    assert changed(full, add_tags=["more"]) == "would have 21 tags, and 20 is the most"


def test_a_ramp_begins_at_its_start_and_a_switch_keeps_the_cap():
    assert changed(image(), ramp=1) == {"ramp_id": 1, "ramp_cap": 10, "state": "ramping"}
    on = image(ramp_id=1, ramp_cap=25, state="ramping")
    assert changed(on, ramp=2) == {"ramp_id": 2}
    assert changed(on, ramp=1) == {}
    assert changed(on, leave_ramp=True) == {"ramp_id": None, "ramp_cap": None, "state": "active"}
    assert changed(image(), leave_ramp=True, daily_cap=9) == {"daily_cap": 9}
    assert changed(image(), ramp=1, daily_cap=8) == {"daily_cap": 8, "ramp_id": 1, "ramp_cap": 10}
    assert changed(image(state="reserve"), ramp=1) == {"ramp_id": 1, "ramp_cap": 10}


def test_a_reserve_becomes_active_or_goes_on_with_its_ramp():
    assert changed(image(state="reserve"), state="active") == {"state": "active"}
    assert changed(image(state="reserve", ramp_id=1, ramp_cap=20), state="active") == {"state": "ramping"}
    assert changed(image(state="ramping", ramp_id=1, ramp_cap=20), state="reserve") == {"state": "reserve"}
    assert changed(image(state="ramping", ramp_id=1, ramp_cap=20), state="active") == {}


@pytest.mark.parametrize("state", ["quarantined", "probing"])
def test_no_edit_lets_a_judged_mailbox_out(state):
    assert changed(image(state=state), state="active") == f"is {state}: release it first"
    assert changed(image(state=state), state="reserve") == f"is {state}: release it first"
    assert changed(image(state=state), daily_cap=5) == {"daily_cap": 5}
    assert changed(image(state=state), ramp=1) == {"ramp_id": 1, "ramp_cap": 10}


def test_a_retired_mailbox_is_refused():
    assert changed(image(state="retired"), add_tags=["x"]) == "is retired, and there is no way back"


def test_what_counts_as_less_and_as_a_raise():
    assert edits.allowed(image(state="reserve", daily_cap=41)) == 8
    assert edits.allowed(image(ramp_id=1, ramp_cap=12)) == 12
    assert edits.raised(50, image(), image(daily_cap=51))
    assert not edits.raised(50, image(), image(daily_cap=50))
    assert not edits.raised(50, image(daily_cap=90), image(daily_cap=80))
    assert not edits.raised(None, image(), image(daily_cap=5000))
    assert edits.raised(50, image(ramp_id=1, ramp_cap=12), image())
    assert not edits.raised(50, image(ramp_id=1, ramp_cap=40), image())


def test_an_undo_gives_back_what_is_as_it_was_left():
    before, after = {"daily_cap": 40, "tags": []}, {"daily_cap": 30, "tags": ["a"]}
    now = image(daily_cap=30, tags=["a"], weight=3.0)
    assert edits.restored(now, before, after) == image(weight=3.0)
    assert edits.restored(now | {"tags": ["a", "b"]}, before, after) == "was changed since: tags"


def test_a_ramp_that_went_on_is_no_change_for_an_undo():
    before = {"ramp_id": None, "ramp_cap": None, "state": "active"}
    after = {"ramp_id": 1, "ramp_cap": 10, "state": "ramping"}
    assert edits.restored(image(ramp_id=1, ramp_cap=14, state="ramping"), before, after) == image()
    assert edits.restored(image(ramp_id=1, ramp_cap=40, state="active"), before, after) == image()
    held = image(ramp_id=1, ramp_cap=14, state="quarantined")
    assert edits.restored(held, before, after) == image(state="quarantined")
    assert edits.restored(image(ramp_id=2, ramp_cap=14), before, after) == "was changed since: ramp"
    switched = edits.restored(image(ramp_id=2, ramp_cap=30), {"ramp_id": 1}, {"ramp_id": 2})
    assert switched == image(ramp_id=1, ramp_cap=30)


@pytest.mark.attack("A44")
def test_tags_take_words_and_refuse_the_rest():
    assert labels.split(" Warm ;  EU  north,\n2026-q1; warm") == ["2026-q1", "eu north", "warm"]
    assert labels.split(labels.joined(["a b", "c"])) == ["a b", "c"]
    assert labels.tag("Київ") == "київ"
    for text in ("", "=1+1", "+1", "-1", "@x", "a<b>", 'a"b', "a\x00", "a\u202eb", "_x", "x" * 41, "a'b", "a{{b}}"):
        with pytest.raises(BadInput):
            labels.tag(text)


@pytest.mark.attack("A44", "A24")
def test_odd_texts_are_tags_that_harm_nothing_or_none():
    for text in STRINGS:
        try:
            found = labels.split(text)
        except BadInput:
            continue
        assert labels.split(labels.joined(found)) == found
        assert not any(set(tag) & set("<>\"'&{}%\\\x00") or tag[0] in "=+-@" for tag in found)


@pytest.mark.attack("A01")
def test_a_signature_has_plain_lines_only():
    assert labels.signature("  Ann\r\nLee\rSales  ") == "Ann\nLee\nSales"
    for text in ("a\x00", "a\x1b[2J", "a\u202eb", "a\u2028b", "=?utf-8?q?=0ABcc:x?=", "\ud800"):
        with pytest.raises(BadInput) as refused:
            labels.signature(text)
        assert refused.value.details["field"] == "signature"
