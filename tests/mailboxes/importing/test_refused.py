"""Mailboxes from files: what is refused, with line, column and reason."""

from __future__ import annotations

import pytest

from mailboxes.models import Mailbox, ProviderAccount
from outreach.common.errors import BadInput
from tenants.models import ApprovalPolicy
from tests import factories
from tests.mailboxes.importing.files import COLUMNS, reasons, row, run

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


@pytest.mark.parametrize(
    ("changes", "column", "words"),
    [
        ({"address": "not an address"}, "address", "not an address"),
        ({"address": ""}, "address", "is empty"),
        ({"address": "їжак@sender.example"}, "address", "not ASCII before the @"),
        ({"address": "a@b.example\r\nRCPT TO:<x@y.example>"}, "address", "line break"),
        ({"address": "<a@b.example> SIZE=1"}, "address", "not an address"),
        ({"display_name": "Ann\nBcc: x@y.example"}, "display_name", "line break"),
        ({"display_name": "Ann\rBcc"}, "display_name", "line break"),
        ({"display_name": "=HYPERLINK(1)"}, "display_name", "begins like a formula"),
        ({"display_name": "x" * 201}, "display_name", "the limit is 200"),
        ({"pool": ""}, "pool", "is empty"),
        ({"pool": "x" * 101}, "pool", "the limit is 100"),
        ({"reserve": "maybe"}, "reserve", "yes or no"),
        ({"smtp_host": ""}, "smtp_host", "is empty"),
        ({"smtp_port": "smtp"}, "smtp_port", "port number"),
        ({"smtp_port": "0"}, "smtp_port", "port number"),
        ({"smtp_port": "70000"}, "smtp_port", "port number"),
        ({"smtp_security": "ssl"}, "smtp_security", "tls or starttls"),
        ({"smtp_password": ""}, "smtp_password", "is empty"),
        ({"smtp_password": "a\nb"}, "smtp_password", "line break"),
        ({"daily_cap": "-1"}, "daily_cap", "whole number"),
        ({"daily_cap": "many"}, "daily_cap", "whole number"),
        ({"daily_cap": "100001"}, "daily_cap", "whole number"),
        ({"min_gap_seconds": "1.5"}, "min_gap_seconds", "whole number"),
    ],
)
def test_a_wrong_row_is_named_and_the_others_are_taken(tenant, write, changes, column, words):
    report = run(tenant, write(row("good@sender.example"), row(**changes)))

    assert (report.created, report.refused) == (1, 1)
    assert reasons(report)[0] == (3, column)
    assert words in report.refusals[0].reason
    assert list(Mailbox.objects.values_list("address", flat=True)) == ["good@sender.example"]


def test_everything_wrong_with_a_row_is_named_at_once(tenant, write):
    report = run(tenant, write(row("x", reserve="?", daily_cap="?", pool="")))

    assert {column for _, column in reasons(report)} == {"address", "reserve", "daily_cap", "pool"}
    assert report.refused == 1


def test_the_second_of_the_same_address_is_refused(tenant, write):
    report = run(tenant, write(row(), row("ANN@Sender.example", daily_cap="9")))

    assert (report.created, reasons(report)) == (1, [(3, "address")])
    assert report.refusals[0].reason == "is the same address as in line 2"
    assert Mailbox.objects.get().daily_cap == 50


def test_an_address_of_another_tenant_is_refused_and_untouched(tenant, write):
    other = factories.mailbox(factories.tenant())
    before = Mailbox.objects.filter(pk=other.pk).values().get()

    report = run(tenant, write(row(other.address, daily_cap="1")))

    assert reasons(report) == [(2, "address")]
    assert "another tenant" in report.refusals[0].reason
    assert Mailbox.objects.filter(pk=other.pk).values().get() == before
    assert not Mailbox.objects.filter(tenant=tenant).exists()


def test_a_domain_of_another_tenant_is_refused(tenant, write):
    other = factories.domain(factories.tenant())

    report = run(tenant, write(row(f"ann@{other.name}")))

    assert "a domain that belongs to another tenant" in report.refusals[0].reason
    assert not Mailbox.objects.filter(tenant=tenant).exists()


@pytest.mark.attack("A06")
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "2130706433", "[::1]", "localhost"])
def test_a_host_inside_is_refused_and_nobody_learns_more(tenant, write, settings, host):
    settings.SMTP_ALLOW_LOOPBACK = False

    report = run(tenant, write(row(smtp_host=host, smtp_port="587", smtp_security="tls")))

    assert reasons(report) == [(2, "smtp_host")]
    assert "has no address on the public internet" in report.refusals[0].reason


@pytest.mark.parametrize(("host", "allowed"), [("127.0.0.1", False), ("8.8.8.8", True)])
def test_without_tls_only_to_this_machine_and_only_in_development(tenant, write, settings, host, allowed):
    settings.SMTP_ALLOW_LOOPBACK = allowed

    report = run(tenant, write(row(smtp_host=host, smtp_port="587")))

    assert reasons(report) == [(2, "smtp_security")]
    assert "SMTP_ALLOW_LOOPBACK" in report.refusals[0].reason


def test_a_port_that_is_not_for_mail_is_refused(tenant, write):
    report = run(tenant, write(row(smtp_host="8.8.8.8", smtp_port="6379", smtp_security="tls")))

    assert "Port 6379 is not one of the allowed ports" in report.refusals[0].reason


def test_an_unknown_column_refuses_the_file(tenant, write):
    with pytest.raises(BadInput, match="smtp_pasword is not a column"):
        run(tenant, write(row(), columns=COLUMNS.replace("smtp_password", "smtp_pasword")))

    assert not Mailbox.objects.exists()


def test_a_file_does_not_raise_a_cap_beyond_what_one_person_may(tenant, write):
    run(tenant, write(row(), row("bob@sender.example", daily_cap="70")))
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)

    report = run(tenant, write(row(daily_cap="51"), row("bob@sender.example", daily_cap="60")))

    assert reasons(report) == [(2, "daily_cap")]
    assert "needs a second person" in report.refusals[0].reason
    assert dict(Mailbox.objects.values_list("address", "daily_cap")) == {
        "ann@sender.example": 50, "bob@sender.example": 60,
    }  # fmt: skip


def test_a_file_makes_no_mailbox_with_a_cap_beyond_what_one_person_may(tenant, write):
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)

    report = run(
        tenant, write(row(), row("bob@sender.example", daily_cap="51"), row("eve@sender.example", daily_cap=""))
    )

    assert reasons(report) == [(3, "daily_cap")]
    assert list(Mailbox.objects.order_by("pk").values_list("daily_cap", flat=True)) == [50, 40]


def test_a_file_opens_no_other_way_to_a_host_that_was_stopped(tenant, write):
    run(tenant, write(row()))
    ProviderAccount.objects.filter(tenant=tenant).update(state="suspended")
    far = row("eve@sender.example", smtp_host="127.0.0.2")

    report = run(tenant, write(row(smtp_port="2526"), row("bob@sender.example", smtp_port="2526"), far))

    assert reasons(report) == [(2, "smtp_host"), (3, "smtp_host")]
    (opened,) = ProviderAccount.objects.filter(tenant=tenant, state="active")
    assert opened.host == "127.0.0.2"
    assert run(tenant, write(row(display_name="Another"))).updated == 1  # what stays where it is may change
