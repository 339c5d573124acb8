"""A seed address gets test mail only after somebody who reads it has told the code."""

from __future__ import annotations

import re

import pytest

from campaigns.models import SeedAddress, TestSend
from campaigns.services import seeds, suppression, testing
from outreach.common.errors import BadInput, InvalidMove, NotAllowed, TooMany
from tenants.models import AuditEntry
from tenants.services import actors
from tenants.services.actors import SYSTEM
from tests.console.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
ADDRESS = "inbox@panel.example"


def test_the_code_of_the_first_mail_opens_it(draft):
    seed = seeds.add(draft.tenant, ADDRESS, actor=draft.actor, note="Panel")
    with pytest.raises(BadInput, match="not verified"):
        testing.send(draft.campaign, ADDRESS, actor=draft.actor)

    assert draft.work() == "sent"
    _sender, recipient, mail = draft.host.mails[0]
    code = re.search(r"\b\d{6}\b", mail.get_content()).group()
    seeds.confirm(seed, f" {code[:3]} {code[3:]} ", actor=draft.actor)
    testing.send(draft.campaign, ADDRESS, actor=draft.actor)
    draft.work()

    assert recipient == ADDRESS
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "A question" not in mail.as_string()
    assert [mail[2]["Subject"] for mail in draft.host.mails] == ["Code for test mail", "[Test] A question, Ann"]
    assert list(AuditEntry.objects.filter(subject="campaigns.SeedAddress").order_by("pk").values_list("action")) == [
        ("seed.added",), ("seed.verified",),
    ]  # fmt: skip
    assert draft.untouched()


def test_wrong_codes_end_it(draft):
    seed = seeds.add(draft.tenant, ADDRESS, actor=draft.actor)
    code = draft.code_of(seed)
    wrong = f"{(int(code) + 1) % 10**6:06d}"

    for _ in range(seeds.MOST_TRIES):
        with pytest.raises(BadInput):
            seeds.confirm(seed, wrong, actor=draft.actor)
    with pytest.raises(InvalidMove, match="Too many"):
        seeds.confirm(seed, code, actor=draft.actor)

    assert SeedAddress.objects.get().verified_at is None
    seeds.ask_again(seed, actor=draft.actor)
    assert draft.code_of(seed) != code
    assert seeds.confirm(seed, draft.code_of(seed), actor=draft.actor).verified_at is not None


def test_an_old_code_opens_nothing(draft):
    seed = seeds.add(draft.tenant, ADDRESS, actor=draft.actor)
    code = draft.code_of(seed)
    SeedAddress.objects.update(code_until="2026-01-01T00:00Z")

    with pytest.raises(InvalidMove):
        seeds.confirm(seed, code, actor=draft.actor)

    assert SeedAddress.objects.get().verified_at is None


def test_an_address_gets_three_codes_a_day_and_a_tenant_asks_ten_an_hour(draft):
    seed = seeds.add(draft.tenant, ADDRESS, actor=draft.actor)
    seeds.ask_again(seed, actor=draft.actor)
    seeds.archive(seed, actor=draft.actor)
    again = seeds.add(draft.tenant, ADDRESS, actor=draft.actor)
    with pytest.raises(TooMany):
        seeds.ask_again(again, actor=draft.actor)
    for n in range(seeds.PER_HOUR - 3):
        seeds.add(draft.tenant, f"panel{n}@panel.example", actor=draft.actor)

    with pytest.raises(TooMany):
        seeds.add(draft.tenant, "more@panel.example", actor=draft.actor)

    assert TestSend.objects.count() == seeds.PER_HOUR
    assert not SeedAddress.objects.filter(address="more@panel.example").exists()


def test_a_suppressed_address_is_not_asked(draft):
    suppression.suppress(draft.tenant, [ADDRESS], actor=SYSTEM, reason="opt_out", via="page")

    with pytest.raises(testing.Held):
        seeds.add(draft.tenant, ADDRESS, actor=draft.actor)

    assert (SeedAddress.objects.count(), TestSend.objects.count()) == (0, 0)


@pytest.mark.parametrize("address", ["no address", "a@b.example\nBcc: x@y.example", "", "ü@panel.example"])
def test_what_is_no_address_is_refused(draft, address):
    with pytest.raises(BadInput):
        seeds.add(draft.tenant, address, actor=draft.actor)

    assert SeedAddress.objects.count() == 0


def test_an_address_stands_there_once(draft):
    seeds.add(draft.tenant, ADDRESS, actor=draft.actor)

    with pytest.raises(InvalidMove):
        seeds.add(draft.tenant, ADDRESS.upper(), actor=draft.actor)

    assert SeedAddress.objects.count() == TestSend.objects.count() == 1


def test_an_analyst_does_nothing_with_them(draft):
    who = actors.of_user(person("analyst@agency.example", "analyst", draft.tenant))
    seed = draft.seed(verified=False)

    for act in (seeds.ask_again, seeds.archive):
        with pytest.raises(NotAllowed):
            act(seed, actor=who)
    with pytest.raises(NotAllowed):
        seeds.add(draft.tenant, ADDRESS, actor=who)
    with pytest.raises(NotAllowed):
        seeds.confirm(seed, "000000", actor=who)

    assert SeedAddress.objects.filter(verified_at=None, archived_at=None, code_tries=0).count() == 1
    assert TestSend.objects.count() == 0
