"""What the comparison of both books must notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from outreach.demo.books import Box, Ledger, Row, judge
from outreach.demo.sink import Book, Entry

DAY = date(2027, 3, 1)
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC).timestamp()
BOXES = ("anna@sender.example", "bram@sender.example")


def entry(kind: str, number: int, mailbox: str = BOXES[0]) -> Entry:
    name = "" if kind == "refused" else f"<{number}@sender.example>"
    return Entry(kind, NOON + number, "s", mailbox, mailbox, f"person{number}@world.example", message_id=name)


def row(number: int, status: str = "sent", mailbox: str = BOXES[0], suppressed: bool = False) -> Row:
    return Row(f"{number}@sender.example", status, number, f"person{number}@world.example", mailbox, DAY, suppressed)


def books() -> tuple[Book, Ledger]:
    """Person 1 and 2 got a mail, 3 was refused, 4 is uncertain and got none, 5 was stopped before planning."""
    book = Book(
        accepted=[entry("accepted", 1), entry("accepted", 2, BOXES[1])],
        refused=[entry("refused", 3)],
    )
    ledger = Ledger(
        rows=[row(1), row(2, mailbox=BOXES[1]), row(3, "failed", suppressed=True), row(4, "uncertain", BOXES[1])],
        boxes={address: Box(2, ZoneInfo("Europe/Kyiv")) for address in BOXES},
        contacts={1, 2, 3, 4, 5},
        stopped={5},
        overdrawn=[],
        plan_seconds=0.5,
    )
    return book, ledger


def test_books_that_agree_have_no_problem():
    report = judge(*books())

    assert report.problems == []
    assert (report.planned, report.sent, report.failed, report.uncertain, report.deferred) == (4, 2, 1, 1, 0)
    assert (report.sink_accepted, report.copies_max, report.lost, report.caps_exceeded) == (2, 1, 0, 0)
    assert (report.mailboxes_used, report.send_seconds, report.messages_per_second) == (2, 1.0, 2.0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda book, ledger: book.accepted.append(entry("accepted", 1)), "more than one copy"),
        (lambda book, ledger: book.stored.append(entry("stored", 2)), "more than one copy"),
        (
            lambda book, ledger: book.accepted.append(replace(entry("accepted", 1), message_id="<new@x>")),
            "more than one",
        ),
        (lambda book, ledger: book.accepted.append(entry("accepted", 9)), "does not count as gone"),
        (lambda book, ledger: book.accepted.append(entry("accepted", 3)), "does not count as gone"),
        (lambda book, ledger: book.accepted.pop(), "never got"),
        (lambda book, ledger: ledger.contacts.add(6), "1 contacts are in no state"),
        (lambda book, ledger: ledger.rows.append(row(5, "deferred")), "not at their end"),
        (lambda book, ledger: ledger.rows.extend([row(6), row(7)]), "Over the cap"),
        (lambda book, ledger: ledger.overdrawn.append("tenant_day 1: 3/2"), "Over the cap"),
        (lambda book, ledger: book.refused.append(entry("refused", 3)), "tried again"),
        (lambda book, ledger: book.refused.append(entry("refused", 2)), "have not failed"),
        (lambda book, ledger: ledger.rows.__setitem__(2, row(3, "failed")), "are not suppressed"),
        (lambda book, ledger: [book.accepted.clear(), ledger.rows.pop(0), ledger.rows.pop(0)], "should have been"),
    ],
)
def test_every_difference_is_a_problem(change, problem):
    book, ledger = books()
    change(book, ledger)

    report = judge(book, ledger)

    assert any(problem in sentence for sentence in report.problems), report.problems


def test_a_day_of_the_sinks_mail_is_a_day_in_the_tenants_zone():
    """23:30 in Kyiv and half past midnight there are one UTC day, and two days of the cap."""
    book, ledger = books()
    late = datetime(2027, 3, 1, 21, 30, tzinfo=UTC).timestamp()
    for number in (6, 7):
        before, after = entry("accepted", number), entry("accepted", number + 10)
        book.accepted += [replace(before, at=late), replace(after, at=late + 3600)]
        ledger.rows.append(replace(row(number), day=DAY))
        ledger.rows.append(replace(row(number + 10), day=date(2027, 3, 2)))
    ledger = replace(ledger, boxes={address: Box(4, ZoneInfo("Europe/Kyiv")) for address in BOXES})

    assert judge(book, ledger).caps_exceeded == 0
