"""What a tenant's people said holds for others that share, and tells those others nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils.timezone import now

from campaigns import tasks
from campaigns.models import Contact, Enrolment, Message, Suppression
from campaigns.pipeline import batcher, planner, sender
from campaigns.services import campaigns, exporting, importing, importing_suppressions, sharing, suppression
from outreach import cron
from outreach.common import isolation
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.services import records
from tenants.services.actors import SYSTEM
from tests import factories
from tests.tenants.approvals.cases import somebody

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

ANN = "ann@acme.example"


def sharing_tenant(on=None):
    owner = factories.tenant()
    records.write(owner, {"suppression_sharing_on": on or now().date()}, actor=SYSTEM)
    return owner


@pytest.fixture
def pair():
    """Two tenants that share; the second one is about to write to Ann and to Bob."""
    return sharing_tenant(), sharing_tenant()


def launched(owner, *emails, **box):
    listed = factories.contact_list(owner)
    wanted = emails or (ANN, "bob@acme.example")
    factories.people(owner, listed, len(wanted), each=lambda number: {"email": wanted[number]})
    return campaigns.start(factories.campaign(owner, factories.mailbox(owner, **box).pool, listed), actor=SYSTEM)


def told(owner, *entries, reason="opt_out"):
    return suppression.suppress(owner, entries or (ANN,), actor=SYSTEM, reason=reason, via="page")


def planned(owner) -> set[str]:
    with isolation.tenants([owner.pk], platform=True):
        planner.run(owner, cron.now())
        return set(Message.objects.filter(status="planned").values_list("contact__email", flat=True))


# --- Who shares what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", Suppression.Reason.values)
def test_opt_outs_and_complaints_are_shared_and_nothing_else(pair, reason):
    giver, taker = pair
    told(giver, reason=reason)
    launched(taker)

    assert (ANN not in planned(taker)) == (reason in Suppression.SHARED_REASONS)
    assert reason not in Suppression.SHARED_REASONS or Enrolment.objects.get(contact__email=ANN).status == "stopped"


TOMORROW, TODAY = timedelta(days=1), timedelta(0)


@pytest.mark.parametrize(
    ("giver_on", "taker_on", "blocked"),
    [(TODAY, TODAY, True), (None, TODAY, False), (TODAY, None, False), (None, None, False), (TOMORROW, TODAY, False),
     (TODAY, TOMORROW, False)],
)  # fmt: skip
def test_it_takes_both_contracts_and_neither_later_than_today(giver_on, taker_on, blocked):
    giver, taker = factories.tenant(), factories.tenant()
    for owner, delay in ((giver, giver_on), (taker, taker_on)):
        if delay is not None:
            records.write(owner, {"suppression_sharing_on": now().date() + delay}, actor=SYSTEM)
    told(giver)
    launched(taker)

    assert (ANN not in planned(taker)) is blocked


@pytest.mark.parametrize("entry", ["acme.example", "*.acme.example"])
def test_whole_domains_are_not_shared(pair, entry):
    told(pair[0], entry)
    launched(pair[1])
    assert ANN in planned(pair[1])


def test_what_the_giver_lifts_holds_no_longer(pair):
    giver, taker = pair
    told(giver)
    suppression.lift(Suppression.objects.get(), actor=SYSTEM, reason="She asked for it again")
    launched(taker)
    assert ANN in planned(taker)


# --- What waits is closed ------------------------------------------------------------------------------------


def closed(owner) -> dict[str, str]:
    found = Message.objects.filter(tenant=owner).order_by("contact__email")
    return dict(found.values_list("contact__email", "status"))


def test_an_entry_that_arrives_closes_what_waits_in_the_others(pair, empty_queue, django_capture_on_commit_callbacks):
    giver, taker = pair
    launched(taker)
    planned(taker)

    with django_capture_on_commit_callbacks() as callbacks:
        told(giver)
    assert len(callbacks) == 1
    tasks.close_shared()

    assert closed(taker) == {ANN: "suppressed", "bob@acme.example": "planned"}
    assert Enrolment.objects.get(contact__email=ANN).stop_reason == "suppressed"


def test_the_ring_is_the_same_whoever_else_writes_to_the_person(pair, django_capture_on_commit_callbacks):
    giver, taker = pair
    launched(taker)
    planned(taker)
    for person in (ANN, "nobody-writes-to@acme.example"):
        with django_capture_on_commit_callbacks() as callbacks:
            told(giver, person)
        assert len(callbacks) == 1
    with django_capture_on_commit_callbacks() as callbacks:
        told(factories.tenant())
    assert callbacks == []


def test_a_day_that_comes_closes_what_waits_by_the_sweep(pair):
    giver, taker = pair
    records.write(taker, {"suppression_sharing_on": now().date() + TOMORROW}, actor=SYSTEM)
    told(giver)
    launched(taker)
    assert ANN in planned(taker)
    with isolation.everything():
        assert cron.close_shared() == 0

    records.write(taker, {"suppression_sharing_on": now().date()}, actor=SYSTEM)
    with isolation.everything():
        assert cron.close_shared() == 1

    assert closed(taker) == {ANN: "suppressed", "bob@acme.example": "planned"}


def test_a_record_that_lets_share_has_what_waits_looked_at(pair, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        records.write(pair[0], {"suppression_sharing_on": now().date()}, actor=SYSTEM)
    assert len(callbacks) == 1
    with django_capture_on_commit_callbacks() as callbacks:
        records.write(pair[0], {"legal_name": "Acme"}, actor=SYSTEM)
    assert callbacks == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", ["before the claim", "between claim and committing"])
def test_claim_and_committing_look_by_themselves(when, tmp_path, settings, monkeypatch):
    """No push, no planner: the gates alone keep the mail back."""
    settings.SMTP_ALLOW_LOOPBACK = True
    giver, taker = sharing_tenant(), sharing_tenant()
    with SinkProcess(tmp_path / "book.jsonl") as sink:
        listed = factories.contact_list(taker)
        factories.people(taker, listed, 2, each=lambda number: {"email": (ANN, "bob@acme.example")[number]})
        (box,) = factories.fleet(taker, 1, host=sink.host, port=sink.port)
        campaign = campaigns.start(factories.campaign(taker, box.pool, listed), actor=SYSTEM)
        planned(taker)
        batcher.run(taker.pk)
        if when == "before the claim":
            told(giver)
        else:
            real = sender.moves.claim

            def claim(*args, **kwargs):
                claimed = real(*args, **kwargs)
                assert len(claimed) == 2
                with isolation.everything():
                    told(giver)
                return claimed

            monkeypatch.setattr(sender.moves, "claim", claim)
        sender.send_batches(taker.pk, list(campaign.batches.values_list("pk", flat=True)))
        assert [entry.recipient for entry in Book.read(sink.path).accepted] == ["bob@acme.example"]

    assert closed(taker) == {ANN: "suppressed", "bob@acme.example": "sent"}


# --- Nobody learns of another ---------------------------------------------------------------------------------


def test_the_function_answers_for_ones_own_tenant_and_for_named_hashes_only(pair):
    giver, taker = pair
    told(giver)
    keyed = suppression.hasher()
    asked = [keyed.address(ANN), keyed.address("bob@acme.example")]

    def answer(receiver):
        with connection.cursor() as cursor:
            cursor.execute("SELECT campaigns_shared_suppressed(%s, %s)", [receiver, asked])
            return [bytes(found) for (found,) in cursor.fetchall()]

    stranger = factories.tenant()
    with isolation.tenants([taker.pk], platform=True):
        assert not Suppression.objects.exists()
        assert answer(taker.pk) == [asked[0]]
        assert answer(giver.pk) == answer(stranger.pk) == answer(None) == []
    with isolation.tenants([stranger.pk]):
        assert answer(taker.pk) == answer(stranger.pk) == []


@pytest.mark.django_db(transaction=True)
def test_an_import_answers_as_if_the_other_tenant_were_not_there(pair, tmp_path):
    giver, taker = pair
    told(giver)
    people = tmp_path / "people.csv"
    people.write_text(
        f"email,person_kind,source,lawful_basis,basis_date\n{ANN},individual,fair,consent,2026-01-02\n"
        "new@acme.example,individual,fair,consent,2026-01-02\n"
    )
    entries = tmp_path / "entries.csv"
    entries.write_text(f"email\n{ANN}\nnew@acme.example\n")

    with isolation.tenants([taker.pk]):
        *_, report = importing.import_contacts(taker, people, list_name="All", actor=SYSTEM)
        assert (report.created, report.updated, report.suppressed) == (2, 0, 0)
        *_, report = importing_suppressions.import_suppressions(taker, entries, actor=SYSTEM)
        assert (report.created, report.unchanged) == (2, 0)


def test_a_person_of_the_other_tenant_sees_a_platform_limit_and_no_more(pair):
    giver, taker = pair
    told(giver)
    launched(taker)
    manager = somebody(taker)
    ann, bob = Contact.objects.filter(tenant=taker).order_by("email")

    with manager.scope():
        assert suppression.standing(ann) == ([], True)
        assert suppression.standing(bob) == ([], False)
        assert not Suppression.objects.exists()
        with exporting.export_suppressions(Suppression.objects.all(), actor=manager) as file:
            assert len(file.read().decode().splitlines()) == 1
    with isolation.everything():
        suppression.suppress(None, ["bob@acme.example"], actor=SYSTEM, reason="manual", via="test")
    with manager.scope():
        assert suppression.standing(bob) == suppression.standing(ann)


def test_closing_looks_at_nothing_while_only_one_tenant_shares():
    told(sharing_tenant())
    assert sharing.close_everywhere() == 0
