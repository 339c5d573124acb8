"""20 domains and 60 mailboxes from files until they may send, and what waits for whom on the way."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command
from django.urls import reverse

from mailboxes.models import Mailbox, SendingDomain
from tests import factories
from tests.console.conftest import client_of, person
from tests.deliverability.zones import FAULTS, publish

pytestmark = pytest.mark.django_db

NAMES = [f"d{number:02}.acme.example" for number in range(20)]
FAULTY = dict(zip(NAMES[:12], FAULTS, strict=True))


@pytest.fixture
def tenant(tmp_path, settings):
    """A tenant with 20 domains and three mailboxes on each, out of two files."""
    settings.SMTP_ALLOW_LOOPBACK = True
    made = factories.tenant(slug="acme")
    listed, boxes = tmp_path / "domains.csv", tmp_path / "mailboxes.csv"
    rows = [f"{name},s1,registrar one,2024-05-01,2099-05-01" for name in NAMES]
    listed.write_text("\n".join(["domain,dkim_selectors,registrar,registered_on,renews_on", *rows]))
    rows = [f"box{n}@{name},north,127.0.0.1,2525,none,secret" for name in NAMES for n in range(3)]
    boxes.write_text("\n".join(["address,pool,smtp_host,smtp_port,smtp_security,smtp_password", *rows]))
    call_command("import_domains", str(listed), tenant="acme", stdout=io.StringIO())
    call_command("import_mailboxes", str(boxes), tenant="acme", stdout=io.StringIO())
    return made


def check(server):
    """(exit code, what check_domains printed as JSON)"""
    out, code = io.StringIO(), 0
    try:
        call_command("check_domains", tenant="acme", nameserver=f"127.0.0.1:{server.port}", json=True, stdout=out)
    except SystemExit as end:
        code = end.code
    return code, json.loads(out.getvalue())


def states():
    return {name: state for name, state in SendingDomain.objects.values_list("name", "state")}


def page(client, address=""):
    answer = client.get(reverse("admin:waiting") + address)
    assert answer.status_code == 200
    return answer


def turns(answer):
    """{who: {domain: codes}} of the only tenant on the page."""
    (entry,) = answer.context["entries"]
    found = {}
    for turn in entry["turns"]:
        for row in turn["rows"]:
            found.setdefault(turn["who"], {}).setdefault(row.domain.name, []).append(row.finding.code)
    return found


def test_from_files_to_ready(server, tenant):
    chief = client_of(person("chief@example.com", "platform_admin"))
    assert (SendingDomain.objects.count(), Mailbox.objects.count()) == (20, 60)
    assert set(states().values()) == {"new"}
    assert turns(page(chief)) == {"nobody": dict.fromkeys(NAMES, ["unchecked"])}

    publish(server, *NAMES)
    for name, fault in FAULTY.items():
        FAULTS[fault][0](server, name)
    code, told = check(server)

    assert (code, told["checked"], told["sound"], told["failed"], told["unknown"]) == (2, 20, 8, 9, 3)
    assert states() == dict.fromkeys(NAMES[:12], "new") | dict.fromkeys(NAMES[12:], "verified")
    answer = page(chief)
    waits = turns(answer)
    assert set(waits) == {"dns", "nobody"}
    assert set(waits["dns"]) == {name for name in FAULTY if FAULTS[FAULTY[name]][2] == "failed"}
    assert set(waits["nobody"]) == {name for name in FAULTY if FAULTS[FAULTY[name]][2] == "unknown"}
    for name, fault in FAULTY.items():
        _check, level, wanted = FAULTS[fault][1]
        assert wanted in waits["dns" if level == "fail" else "nobody"][name]
    (entry,) = answer.context["entries"]
    assert (entry["not_ready"], entry["idle"], entry["ready"]) == (12, 36, 8)
    assert "Leave the one that signs." not in answer.content.decode()
    assert "Put all of it into one record." in answer.content.decode()

    publish(server, *NAMES)
    code, told = check(server)

    assert (code, told["sound"]) == (0, 20)
    assert set(states().values()) == {"verified"}
    assert page(chief).context["done"]
    assert turns(page(chief, "?tenant=acme")) == {}


def test_people_see_what_waits_in_their_tenants_only(tenant):
    other = factories.tenant(slug="other")
    factories.domain(other, name="other.example", state="new")
    stranger = client_of(person("stranger@example.com", "operator", other))

    body = page(stranger).content.decode()
    assert "other.example" in body
    assert "acme" not in body
    assert stranger.get(reverse("admin:waiting") + "?tenant=acme").status_code == 404
    assert stranger.get(reverse("admin:waiting_records", args=["acme", "csv"])).status_code == 404
    viewer = client_of(person("viewer@example.com", "client_viewer", tenant))
    assert viewer.get(reverse("admin:waiting")).status_code == 403


def test_mailboxes_accounts_renewals_and_blocks_wait_for_somebody_as_well(tenant):
    rows = SendingDomain.objects.order_by("name")
    rows.update(state="verified")
    SendingDomain.objects.filter(name=NAMES[0]).update(renews_on="2026-01-01")
    SendingDomain.objects.filter(name=NAMES[1]).update(state="blocked", state_reason="listed")
    Mailbox.objects.filter(domain__name=NAMES[2]).update(hold="sign_in_failed")
    Mailbox.objects.filter(domain__name=NAMES[3]).update(state="quarantined")
    Mailbox.objects.first().home.__class__.objects.update(state="paused", state_reason="5.7.705")
    chief = client_of(person("chief@example.com", "platform_admin"))

    answer = page(chief)
    assert turns(answer) == {"registrar": {NAMES[0]: ["renewal"]}, "ops": {NAMES[1]: ["blocked"]}}
    ops = next(turn for turn in answer.context["entries"][0]["turns"] if turn["who"] == "ops")
    assert [held["count"] for held in ops["held"]] == [3, 3, 60]
    for held in ops["held"]:
        listed = chief.get(held["url"])
        assert (listed.status_code, listed.context["cl"].result_count) == (200, held["count"])


def test_the_client_gets_all_records_in_one_file(tenant):
    chief = client_of(person("chief@example.com", "platform_admin"))

    zone = chief.get(reverse("admin:waiting_records", args=["acme", "zone"]))
    lines = b"".join(zone.streaming_content).decode().splitlines()
    assert zone["Content-Disposition"] == 'attachment; filename="records-acme.zone"'
    assert sum(not line.startswith(";") and bool(line) for line in lines) == 40
    assert f'{NAMES[0]}. 3600 IN TXT "v=spf1 ip4:127.0.0.1 ~all"' in lines


def test_the_page_of_a_domain_shows_findings_records_and_files(server, tenant, settings):
    settings.DNS_NAMESERVER = f"127.0.0.1:{server.port}"
    chief = client_of(person("chief@example.com", "platform_admin"))
    domain = SendingDomain.objects.get(name=NAMES[0])
    address = reverse("admin:mailboxes_sendingdomain_change", args=[domain.pk])
    assert "It was not checked yet." in chief.get(address).content.decode()

    publish(server, NAMES[0])
    listed = reverse("admin:mailboxes_sendingdomain_changelist")
    answer = chief.post(listed, {"action": "check_now", "_selected_action": domain.pk, "from_detail": "1"})

    assert (answer.status_code, answer["Location"]) == (302, address)
    domain.refresh_from_db()
    assert domain.state == "verified"
    body = chief.get(address).content.decode()
    assert "SPF of d00.acme.example for 127.0.0.1 is pass." in body
    assert f'<code class="evidence">s1._domainkey.{NAMES[0]}</code>' in body
    answer = chief.get(reverse("admin:mailboxes_sendingdomain_records", args=[domain.pk, "csv"]))
    assert b"".join(answer.streaming_content).decode("utf-8-sig").startswith('"domain","check","name","type"')
