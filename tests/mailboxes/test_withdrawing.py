"""Mailboxes and accounts taken out of use and put back."""

from __future__ import annotations

import pytest

from mailboxes.services import mailboxes, providers
from outreach.common import hooks
from outreach.common.errors import BadInput, InvalidMove, NotAllowed
from tenants.services import actors
from tenants.services.actors import SYSTEM, Actor
from tests import factories


@pytest.fixture
def calls(monkeypatch):
    """What reaches the apps above, in their place."""
    found = []
    for name in ("mailboxes.withdrawn", "mailboxes.cap_lowered"):
        monkeypatch.setitem(
            hooks._HOOKS,
            name,
            [lambda name=name, **given: found.append((name.split(".")[1], given["mailbox_ids"]))],
        )
    return found


@pytest.fixture
def box(db):
    return factories.mailbox(factories.tenant())


def actor(role: str, tenant_id: int | None = None) -> Actor:
    return actors.of_grants("user", role, [(tenant_id, role)])


def test_quarantine_withdraws_and_says_why(box, calls):
    made = mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    box.refresh_from_db()
    assert (box.state, box.state_reason, made.state) == ("quarantined", "bounces", "quarantined")
    assert calls == [("withdrawn", [box.pk])]


def test_what_the_hook_refuses_did_not_happen(box, monkeypatch):
    def refuse(**given):
        raise BadInput("no")

    monkeypatch.setitem(hooks._HOOKS, "mailboxes.withdrawn", [refuse])

    with pytest.raises(BadInput):
        mailboxes.quarantine(box, actor=SYSTEM, reason="bounces")

    box.refresh_from_db()
    assert box.state == "active"


def test_release_counts_from_zero_and_is_for_the_quarantined_only(box, calls):
    with pytest.raises(InvalidMove):
        mailboxes.release(box, actor=SYSTEM)
    mailboxes.quarantine(box, actor=SYSTEM, reason="x")
    type(box).objects.update(failures=3)

    mailboxes.release(box, actor=SYSTEM, reason="the list was bad, not the mailbox")

    box.refresh_from_db()
    assert (box.state, box.failures) == ("active", 0)
    assert box.state_reason == "the list was bad, not the mailbox"


def test_there_is_no_way_back_from_retirement(box, calls):
    mailboxes.retire(box, actor=SYSTEM, reason="sold", **factories.answers())

    for verb in (mailboxes.quarantine, mailboxes.probe, mailboxes.release):
        with pytest.raises(InvalidMove):
            verb(box, actor=SYSTEM, reason="x")
    with pytest.raises(InvalidMove):
        mailboxes.retire(box, actor=SYSTEM, reason="x", **factories.answers())
    assert calls == [("withdrawn", [box.pk])]


def test_a_hold_stops_and_lifting_it_forgets_failures(box, calls):
    mailboxes.set_hold(box, "locked", actor=SYSTEM, reason="asked")
    with pytest.raises(InvalidMove):
        mailboxes.set_hold(box, "locked", actor=SYSTEM)
    with pytest.raises(BadInput):
        mailboxes.set_hold(box, "frozen", actor=SYSTEM)
    type(box).objects.update(failures=3)

    mailboxes.set_hold(box, "none", actor=SYSTEM)

    box.refresh_from_db()
    assert (box.hold, box.failures, box.state) == ("none", 0, "active")
    assert calls == [("withdrawn", [box.pk])]


def test_only_a_lower_cap_takes_mail_back(box, calls):
    mailboxes.set_cap(box, 2000, actor=SYSTEM)
    assert calls == []

    mailboxes.set_cap(box, 10, actor=SYSTEM)

    box.refresh_from_db()
    assert box.daily_cap == 10
    assert calls == [("cap_lowered", [box.pk])]


@pytest.mark.parametrize(
    ("role", "verb", "allowed"),
    [
        ("analyst", "quarantine", False), ("operator", "quarantine", True), ("operator", "retire", False),
        ("operator", "set_cap", False), ("ops_manager", "set_cap", True), ("analyst", "set_hold", False),
        ("client_key", "quarantine", False), ("ops_manager", "retire", True),
    ],
)  # fmt: skip
def test_each_verb_has_its_permission(role, verb, allowed, box, calls):
    arguments = {"set_cap": (5,), "set_hold": ("locked",)}.get(verb, ())
    keywords = {} if verb == "set_cap" else {"reason": "x"}
    keywords |= factories.answers() if verb == "retire" else {}
    before = type(box).objects.values().get(pk=box.pk)

    if allowed:
        getattr(mailboxes, verb)(box, *arguments, actor=actor(role), **keywords)
        assert type(box).objects.values().get(pk=box.pk) != before
    else:
        with pytest.raises(NotAllowed):
            getattr(mailboxes, verb)(box, *arguments, actor=actor(role), **keywords)
        assert type(box).objects.values().get(pk=box.pk) == before
        assert calls == []


def test_a_manager_of_another_tenant_may_nothing(box, calls):
    with pytest.raises(NotAllowed):
        mailboxes.quarantine(box, actor=actor("ops_manager", box.tenant_id + 1), reason="x")


def test_an_account_stops_with_all_its_mailboxes_and_starts_again(db, calls):
    boxes = factories.fleet(factories.tenant(), 3)
    account = boxes[0].home

    providers.pause(account, actor=SYSTEM, reason="maintenance")
    assert calls == [("withdrawn", sorted(box.pk for box in boxes))]
    with pytest.raises(InvalidMove):
        providers.pause(account, actor=SYSTEM, reason="again")
    providers.suspend(account, actor=SYSTEM, reason="closed")
    providers.activate(account, actor=SYSTEM, reason="ticket 7: open again")

    account.refresh_from_db()
    assert (account.state, account.state_reason) == ("active", "ticket 7: open again")


def test_an_operator_may_not_change_an_account(db, calls):
    account = factories.mailbox(factories.tenant()).home

    with pytest.raises(NotAllowed):
        providers.pause(account, actor=actor("operator"), reason="x")

    account.refresh_from_db()
    assert account.state == "active"
