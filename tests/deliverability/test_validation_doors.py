"""Where validation is asked for and shown: command, jobs, cron, the pages of contacts, the API."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from campaigns.models import Contact
from deliverability import tasks
from deliverability.models import VerifierUse
from outreach import cron
from outreach.common import freshness
from tests import factories
from tests.api.conftest import Api, key_of
from tests.console.conftest import client_of, person
from tests.console.test_actions import act, said
from tests.deliverability.test_validation import firm, people, verdicts

pytestmark = pytest.mark.django_db
LIST = "admin:campaigns_contact_changelist"


@pytest.fixture
def nameserver(server, settings) -> str:
    """Two good domains, one that takes no mail; everything asks this server."""
    firm(server, "firm.example", "works.example")
    server.put("null.example", "MX", (0, "."))
    settings.DNS_NAMESERVER = f"127.0.0.1:{server.port}"
    freshness.forget()
    return settings.DNS_NAMESERVER


def command(*arguments: str) -> dict:
    out = io.StringIO()
    call_command("validate_contacts", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.as_worker
def test_the_command_says_what_became_of_whom(nameserver):
    tenant, other = factories.tenant(), factories.tenant()
    people(tenant, "ann@firm.example", "info@works.example", "bob@null.example", "cleo@null.example")
    people(other, "dan@firm.example")

    found = command("--tenant", tenant.slug)

    assert {name: found[name] for name in ("contacts", "valid", "risky", "invalid", "unknown", "left")} == {
        "contacts": 4, "valid": 1, "risky": 1, "invalid": 2, "unknown": 0, "left": 0,
    }  # fmt: skip
    assert (found["domains_asked"], found["reasons"]) == (3, {"null_mx": 2, "role": 1})
    assert verdicts(other) == {"dan@firm.example": ("", "")}
    assert command()["contacts"] == 1  # of all tenants, who is left
    assert command()["contacts"] == 0


@pytest.mark.as_worker
def test_the_command_takes_one_list_and_another_name_server(server, settings):
    firm(server, "firm.example")
    settings.DNS_NAMESERVER = "127.0.0.1:1"
    tenant = factories.tenant()
    listed = factories.contact_list(tenant, name="fair")
    people(tenant, "ann@firm.example", contact_list=listed)
    people(tenant, "bob@firm.example")

    found = command("--tenant", tenant.slug, "--list", "fair", "--nameserver", f"127.0.0.1:{server.port}")

    assert (found["contacts"], found["valid"]) == (1, 1)
    assert verdicts(tenant) == {"ann@firm.example": ("valid", ""), "bob@firm.example": ("", "")}


@pytest.mark.as_worker
@pytest.mark.parametrize("arguments", [("--list", "fair"), ("--tenant", "nobody"), ("--nameserver", "name.example:53")])
def test_the_command_refuses_what_it_cannot_do(nameserver, arguments):
    tenant = factories.tenant()
    people(tenant, "ann@firm.example")

    with pytest.raises(CommandError):
        command(*arguments)

    assert verdicts(tenant) == {"ann@firm.example": ("", "")}


@pytest.mark.as_worker
def test_periodic_work_rings_for_tenants_with_new_contacts_only(nameserver, empty_queue):
    tenant, idle = factories.tenant(), factories.tenant()
    people(tenant, "ann@firm.example")
    factories.people(idle, None, 2)

    assert cron.validate_contacts() == 1
    assert tasks.validate_contacts(tenant.pk) == "new: 1 judged, 1 domains asked"
    assert cron.validate_contacts() == 0
    assert tasks.revalidate_contacts(tenant.pk) == "open: 0 judged, 0 domains asked; old: 0 judged, 0 domains asked"
    assert tasks.verify_contacts(tenant.pk) == "0 asked, 0 answered"

    names = {work.name for work in cron.table()}
    assert {"validate_contacts", "revalidate_contacts", "find_receivers"} <= names
    assert VerifierUse.objects.count() == 0


def test_validate_now_asks_dns_anew_and_says_what_came_of_it(nameserver, server, as_chief):
    tenant = factories.tenant()
    ann, bob = people(tenant, "ann@firm.example", "bob@null.example")
    act(as_chief, ann, "validate_now")
    server.put("firm.example", "MX", (0, "."))

    answer = act(as_chief, ann, "validate_now", _selected_action=[ann.pk, bob.pk])

    assert "2 addresses validated: 2 invalid" in said(answer)
    assert Counter(Contact.objects.values_list("validity_reason", flat=True)) == {"null_mx": 2}


def test_many_are_left_to_the_workers_and_not_mailed_until_then(nameserver, as_chief, empty_queue):
    tenant = factories.tenant()
    rows = factories.people(tenant, None, 17, domain="firm.example")

    answer = act(as_chief, rows[0], "validate_now", _selected_action=[row.pk for row in rows])

    assert "validated by the workers" in said(answer)
    assert set(verdicts(tenant).values()) == {("", "")}
    tasks.validate_contacts(tenant.pk)
    assert set(verdicts(tenant).values()) == {("valid", "")}


def test_analysts_are_not_offered_it(nameserver, as_analyst):
    tenant = factories.tenant()
    (ann,) = people(tenant, "ann@firm.example")

    act(as_analyst, ann, "validate_now")

    assert verdicts(tenant) == {"ann@firm.example": ("", "")}
    assert "validate_now" not in as_analyst.get(reverse(LIST)).content.decode()


def test_numbers_of_the_verdicts_open_their_rows(as_chief):
    freshness.forget()
    tenant = factories.tenant()
    marks = [("valid", ""), ("valid", ""), ("invalid", "null_mx"), ("invalid", "desk"), ("", ""), ("risky", "role")]
    factories.people(
        tenant, None, 6,
        each=lambda i: {"validity": marks[i][0], "validity_reason": marks[i][1]},
    )  # fmt: skip

    page = as_chief.get(reverse("admin:campaigns_contact_verdicts"))

    (row,) = [row for row in page.context["rows"] if row["tenant"] == tenant]
    shown = {each["value"]: each["count"] for each in row["verdicts"]}
    assert (row["total"], shown) == (6, {"new": 1, "valid": 2, "risky": 1, "invalid": 2})
    assert sum(each["width"] for each in row["verdicts"]) == 1000
    for each in row["verdicts"]:
        found = as_chief.get(each["url"]).context["cl"]
        assert found.result_count == each["count"], each["url"]
        for reason in each["reasons"]:
            assert as_chief.get(reason["url"]).context["cl"].result_count == reason["count"], reason["url"]


def test_a_stranger_sees_no_numbers_of_others(as_chief):
    freshness.forget()
    ours, theirs = factories.tenant(), factories.tenant()
    factories.people(theirs, None, 3)

    stranger = client_of(person("viewer@example.com", "client_viewer", ours))
    page = stranger.get(reverse("admin:campaigns_contact_verdicts"))

    assert [row["tenant"] for row in page.context["rows"]] == [ours]


def test_the_api_shows_verdicts_and_takes_none(running_servers):
    tenant = factories.tenant()
    factories.people(tenant, None, 1, validity="risky", validity_reason="role")
    factories.people(tenant, None, 1, validity="")
    api = Api(key_of(tenant))

    found = api.get("contacts/", {"validity": "risky"}).json()["results"]

    assert [(row["validity"], row["validity_reason"], row["validated_at"]) for row in found] == [
        ("risky", "role", None)
    ]
    assert [row["validity"] for row in api.get("contacts/", {"validity": "new"}).json()["results"]] == [""]
    assert api.get("contacts/", {"validity": "splendid"}).status_code == 400
    assert api.post(f"contacts/{found[0]['id']}/", {"validity": "valid"}).status_code == 405
