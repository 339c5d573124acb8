"""stop SCOPE, stop --lift, and what `stop` alone shows."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from campaigns.models import Message, Stop
from tests.campaigns.test_stops import House
from tests.console.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


@pytest.fixture
def house():
    made = House()
    made.plan()
    return made


def told(*arguments):
    out = io.StringIO()
    call_command("stop", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_stop_is_pulled_listed_and_lifted(house):
    slug = house.tenant.slug
    made = told("pool", house.box.pool.name, "--tenant", slug, "--reason", "late list", "--until", "4h")

    assert (made["scope"], made["tenant"], made["taken_back"], made["messages"]) == ("pool", slug, 24, 24)
    stop = Stop.objects.get(pk=made["stop"])
    assert timedelta(hours=3) < stop.until - now() <= timedelta(hours=4)
    assert [row["stop"] for row in told()["stops"]] == [stop.pk]
    assert [row["stop"] for row in told("--tenant", house.other.slug)["stops"]] == []

    told("--lift", str(stop.pk), "--reason", "the list is right")

    assert told()["stops"] == []


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [(["platform"], 72), (["tenant", "--tenant", "SLUG"], 48), (["tenant:SLUG"], 48),
     (["organisation", "contoso.example"], 48),
     (["account", "127.0.0.1:2525", "--tenant", "SLUG"], 24), (["domain:DOMAIN"], 12), (["receiver", "google"], 36),
     (["receiver", "google", "--organisational", "DOMAIN", "--tenant", "SLUG"], 6),
     (["campaign", "CAMPAIGN", "--tenant", "SLUG"], 24)],
)  # fmt: skip
def test_every_scope_has_its_call(house, arguments, taken):
    names = {"SLUG": house.tenant.slug, "DOMAIN": house.box.domain.name, "CAMPAIGN": house.first.name}
    for name, value in names.items():
        arguments = [argument.replace(name, value) for argument in arguments]

    assert told(*arguments, "--reason", "complaints")["taken_back"] == taken
    assert Message.objects.count() == 72 - taken


def test_a_dry_run_counts_and_stops_nothing(house):
    assert told("platform", "--reason", "drill", "--dry-run")["taken_back"] == 72
    assert (Stop.objects.count(), Message.objects.count()) == (0, 72)


@pytest.mark.parametrize(
    "arguments",
    [["mailbox", "x"], ["pool", "nothing"], ["platform", "x"], ["domain"], ["receiver", "a b"], ["--lift", "7"],
     ["platform", "--until", "soon"], ["platform", "--reason", ""]],
)  # fmt: skip
def test_what_can_not_be_done_is_refused(house, arguments):
    with pytest.raises(CommandError) as refused:
        call_command("stop", *(["--reason", "drill", *arguments]), stdout=io.StringIO())

    assert refused.value.returncode == 1
    assert (Stop.objects.count(), Message.objects.count()) == (0, 72)


def test_a_stop_of_all_is_lifted_with_an_approval_only(house):
    made = told("platform", "--reason", "key lost")

    with pytest.raises(CommandError, match="second person"):
        call_command("stop", "--lift", str(made["stop"]), "--reason", "over", stdout=io.StringIO())

    assert Stop.objects.get().lifted_at is None


def test_a_manager_of_one_tenant_stops_no_other(house, as_role):
    person("manager@example.com", "ops_manager", house.other)
    for arguments in (["platform"], ["tenant", house.tenant.slug], ["pool", str(house.box.pool_id)]):
        with pytest.raises(CommandError):
            call_command("stop", *arguments, "--reason", "envy", "--actor", "manager@example.com", stdout=io.StringIO())

    assert (Stop.objects.count(), Message.objects.count()) == (0, 72)
