"""Mailboxes that a file puts on a ramp, and accounts whose mailboxes are read."""

from __future__ import annotations

import csv

import pytest

from mailboxes.models import Import, Mailbox, ProviderAccount, RampDay, RampPlan
from mailboxes.services import importing, imports, ramp
from outreach.common.errors import InvalidMove, NotAllowed
from tenants.models import ApprovalPolicy
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.mailboxes.importing.files import COLUMNS, opened, reasons, row, run

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
MORE = f"{COLUMNS},ramp,imap_host,imap_port"


def more(address="ann@sender.example", ramp="", imap_host="", imap_port="", **changes) -> str:
    return row(address, **changes) + f",{ramp},{imap_host},{imap_port}"


def standing() -> list[tuple]:
    rows = Mailbox.objects.order_by("address_key")
    return list(rows.values_list("address", "state", "ramp__name", "ramp_cap", "daily_cap"))


def undone(report) -> Import:
    return imports.roll_back(Import.objects.get(pk=report.import_id), actor=SYSTEM)


# --- Ramps -------------------------------------------------------------------------------------------------


def test_the_option_puts_all_on_the_ramp_whose_rows_name_none(tenant, write):
    slow = ramp.add_plan(tenant, "slow", actor=SYSTEM, start=5)
    path = write(
        more(), more("bob@sender.example", ramp="slow"), more("res@sender.example", reserve="yes"), columns=MORE
    )

    assert run(tenant, path, ramp="standard").created == 3

    assert standing() == [
        ("ann@sender.example", "ramping", "standard", 10, 50),
        ("bob@sender.example", "ramping", "slow", slow.start, 50),
        ("res@sender.example", "reserve", "standard", 10, 50),
    ]
    days = RampDay.objects.order_by("mailbox__address_key").values_list("day", "cap", "allowed", "kind", "reason")
    today = ramp.day_of(tenant)
    assert list(days) == [(today, cap, n, "start", "started") for cap, n in ((10, 10), (5, 5), (10, 2))]


def test_a_plan_that_is_not_there_refuses_the_row(tenant, write):
    ramp.add_plan(tenant, "slow", actor=SYSTEM)
    other = ramp.add_plan(factories.tenant(), "theirs", actor=SYSTEM)

    report = run(tenant, write(more(ramp="fast"), more("bob@sender.example", ramp="theirs"), columns=MORE))

    assert reasons(report) == [(2, "ramp"), (3, "ramp")]
    assert report.refusals[0].reason == "is no ramp plan of this tenant; there are: slow"
    assert not Mailbox.objects.exists()
    assert not RampDay.objects.filter(mailbox__ramp=other).exists()


def test_a_known_mailbox_begins_a_ramp_once_and_its_cap_falls(tenant, write):
    run(tenant, write(row()))
    path = write(more(ramp="standard"), columns=MORE)
    ramp.add_plan(tenant, "standard", actor=SYSTEM)

    assert [run(tenant, path).updated, run(tenant, path).unchanged] == [1, 1]

    assert standing() == [("ann@sender.example", "ramping", "standard", 10, 50)]
    assert RampDay.objects.count() == 1


def test_who_may_import_but_not_ramp_changes_nothing(tenant, write):
    clerk = Actor("user", "clerk", everywhere=frozenset({"mailboxes.import"}))
    with pytest.raises(NotAllowed):
        list(importing.import_mailboxes(tenant, write(row()), actor=clerk, ramp="standard"))

    assert not Mailbox.objects.exists()
    assert not RampPlan.objects.exists()


def test_taken_back_there_is_neither_ramp_nor_plan(tenant, write):
    run(tenant, write(row(), row("res@sender.example", reserve="yes")))
    before = standing()
    path = write(row(), row("res@sender.example", reserve="yes"), row("new@sender.example"))
    report = run(tenant, path, ramp="standard")
    assert {state for _, state, *_ in standing()} == {"ramping", "reserve"}

    undone(report)

    assert standing() == before
    assert not RampDay.objects.exists()
    assert not RampPlan.objects.exists()


def test_from_one_ramp_to_another_and_back(tenant, write):
    ramp.add_plan(tenant, "slow", actor=SYSTEM, start=5)
    run(tenant, write(row()), ramp="slow")
    before = standing()
    report = run(tenant, write(row()), ramp="standard")
    assert standing() == [("ann@sender.example", "ramping", "standard", 5, 50)]

    undone(report)

    assert standing() == before
    assert RampDay.objects.count() == 1


def test_no_import_is_a_way_off_a_ramp_past_the_second_person(tenant, write):
    run(tenant, write(row(daily_cap="90")))
    report = run(tenant, write(row(daily_cap="90")), ramp="standard")
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)

    with pytest.raises(InvalidMove, match="leaving it early needs a second person"):
        undone(report)

    assert standing() == [("ann@sender.example", "ramping", "standard", 10, 90)]


# --- Where mail is read ------------------------------------------------------------------------------------


def readers() -> list[tuple]:
    return list(ProviderAccount.objects.order_by("port").values_list("port", "imap_host", "imap_port"))


def test_a_new_account_is_read_where_its_row_says(tenant, write):
    two = more("b@sender.example", smtp_port="2526", imap_host="127.0.0.1", imap_port="143")
    path = write(more(imap_host="localhost"), two, more("c@sender.example"), columns=MORE)

    assert run(tenant, path).created == 3

    assert readers() == [(2525, "localhost", 993), (2526, "127.0.0.1", 143)]


@pytest.mark.parametrize(
    ("cells", "column", "words"),
    [
        ({"imap_host": "127.0.0.1", "imap_port": "x"}, "imap_port", "port number"),
        ({"imap_host": "127.0.0.1", "imap_port": "0"}, "imap_port", "port number"),
        ({"imap_port": "993"}, "imap_port", "stands without an imap_host"),
        ({"imap_host": "10.0.0.1"}, "imap_host", "no address on the public internet"),
        ({"imap_host": "8.8.8.8", "imap_port": "25"}, "imap_host", "Port 25 is not one of the allowed ports 143, 993"),
    ],
)
def test_a_wrong_reader_is_named(tenant, write, cells, column, words):
    report = run(tenant, write(more(**cells), columns=MORE))

    assert reasons(report) == [(2, column)]
    assert words in report.refusals[0].reason
    assert not ProviderAccount.objects.exists()


def test_two_readers_for_one_server_refuse_the_second_row(tenant, write):
    report = run(
        tenant, write(more(imap_host="localhost"), more("b@sender.example", imap_host="127.0.0.2"), columns=MORE)
    )

    assert report.refusals[0].reason == "is localhost port 993 for this server already"
    assert (report.created, readers()) == (1, [(2525, "localhost", 993)])


@pytest.mark.attack("A06")
def test_stored_passwords_get_no_reader_of_another_house(tenant, write):
    run(tenant, write(row()))

    report = run(tenant, write(more("eve@sender.example", imap_host="127.0.0.2"), columns=MORE))
    assert "of another house than smtp_host" in report.refusals[0].reason
    assert readers() == [(2525, "", 993)]

    new = more("eve@sender.example", smtp_port="2526", imap_host="127.0.0.2")
    report = run(tenant, write(new, row(smtp_port="2526", smtp_password="") + ",,,", columns=MORE))
    assert reasons(report) == [(3, "smtp_password")]
    assert Mailbox.objects.get(address="ann@sender.example").home.port == 2525
    assert opened(Mailbox.objects.get(address="ann@sender.example")) == next(csv.reader([row()]))[8]


def test_a_known_account_is_read_in_the_same_house_until_that_is_taken_back(tenant, write):
    run(tenant, write(row()))
    report = run(tenant, write(more("bob@sender.example", imap_host="127.0.0.1", imap_port="143"), columns=MORE))
    assert readers() == [(2525, "127.0.0.1", 143)]

    undone(report)

    assert readers() == [(2525, "", 993)]
