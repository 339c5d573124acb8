"""The end of a mailbox is a checklist: address, late answers, threads, and what of it is still open."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.timezone import now

from campaigns.models import Enrolment
from mailboxes.models import Allowance, Mailbox, QuarantineCase, Retirement
from mailboxes.services import mailboxes, quarantine, ramp, reserves, retiring
from outreach.common.errors import BadInput, InvalidMove, NotAllowed, NotReady
from tenants.models import AuditEntry
from tenants.services import actors, members
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.pools import BOUND, Pool, untouched, where

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool():
    return Pool()


def sent_on(box: Mailbox, days_ago: int) -> None:
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
    Allowance.objects.create(
        tenant=box.tenant, scope="mailbox_day", key=box.pk, period_start=midnight - timedelta(days=days_ago), cap=40,
        reserved=3,
    )  # fmt: skip


def retired(box: Mailbox, **changes) -> Retirement:
    mailboxes.retire(box, actor=SYSTEM, reason="sold", **factories.answers(**changes))
    return Retirement.objects.get(mailbox=box)


def test_what_was_answered_is_kept(pool):
    sent_on(pool.sick, 10)
    until = ramp.day_of(pool.tenant) + timedelta(days=80)

    made = retired(pool.sick, keep_until=until, kept_as="mailbox")

    pool.sick.refresh_from_db()
    assert (pool.sick.state, pool.sick.state_reason) == ("retired", "sold")
    assert (made.kept_as, made.keep_until, made.replies_to, made.threads) == (
        "mailbox", until, "late@example.com", "stop",
    )  # fmt: skip
    assert made.last_sent_on == ramp.day_of(pool.tenant) - timedelta(days=10)
    assert AuditEntry.objects.latest("pk").action == "mailbox.retired"


@pytest.mark.parametrize(
    ("days_ago", "days", "allowed"), [(0, 59, False), (0, 60, True), (50, 9, False), (50, 10, True), (None, 0, True)]
)
def test_the_address_stays_at_least_sixty_days_after_the_last_mail(pool, days_ago, days, allowed):
    if days_ago is not None:
        sent_on(pool.sick, days_ago)
    until = ramp.day_of(pool.tenant) + timedelta(days=days)

    if allowed:
        assert retired(pool.sick, keep_until=until).keep_until == until
    else:
        with pytest.raises(BadInput) as refused:
            retired(pool.sick, keep_until=until)
        assert refused.value.details == {"field": "keep_until"}
        pool.sick.refresh_from_db()
        assert (pool.sick.state, Retirement.objects.count(), AuditEntry.objects.count()) == ("active", 0, 0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"replies_to": " "}, "replies_to"), ({"replies_to": "a\0b@example.com"}, "replies_to"),
        ({"replies_to": "nobody"}, None), ({"kept_as": "lost"}, "kept_as"), ({"threads": "wait"}, "threads"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(pool, changes, field):
    with pytest.raises(BadInput) as refused:
        retired(pool.sick, **changes)

    assert field is None or refused.value.details["field"] == field
    pool.sick.refresh_from_db()
    assert (pool.sick.state, Retirement.objects.count()) == ("active", 0)


def test_late_answers_cannot_go_to_the_mailbox_that_ends(pool):
    with pytest.raises(BadInput, match="itself"):
        retired(pool.sick, replies_to=pool.sick.address.upper())

    assert Retirement.objects.count() == 0


def test_late_answers_go_to_a_person_who_may_see_the_mailbox(pool):
    ours, stranger = factories.user("ours@example.com"), factories.user("theirs@example.com")
    members.grant(ours, "operator", pool.tenant.pk, actor=SYSTEM)
    members.grant(stranger, "operator", factories.tenant().pk, actor=SYSTEM)

    mine = retired(pool.sick, replies_to="Ours@Example.com")
    other = retired(pool.other, replies_to="theirs@example.com")

    assert (mine.replies_to_user, mine.replies_to) == (ours, "")
    assert (other.replies_to_user, other.replies_to) == (None, "theirs@example.com")


def test_threads_that_would_wait_end_or_go_on_with_another_mailbox(pool):
    people = {policy: pool.everybody(pool.campaign(policy)) for policy in ("wait", "new_thread", "stop")}

    made = retired(pool.sick, threads="new_thread")

    ended = {name: where(people["stop"])[name][1:3] for name in BOUND}
    assert ended == dict.fromkeys(BOUND, ("stopped", "handover"))
    for policy in ("wait", "new_thread"):
        assert {where(people[policy])[name][0] for name in BOUND} == {pool.other.pk}
        untouched(people[policy], pool.sick.pk)
    assert (made.successor_id, made.promoted, made.handed_over) == (pool.other.pk, False, 3 * len(BOUND))
    pool.reserve.refresh_from_db()
    assert pool.reserve.state == "reserve"


def test_threads_that_would_wait_may_end(pool):
    people = pool.everybody(pool.campaign("wait"))

    made = retired(pool.sick, threads="stop")

    assert {where(people)[name][1:3] for name in BOUND} == {("stopped", "handover")}
    assert made.handed_over == len(BOUND)


def test_a_reserve_takes_its_place_if_wanted(pool):
    people = pool.everybody(pool.campaign("new_thread"))

    made = retired(pool.sick, promote=True)

    pool.reserve.refresh_from_db()
    assert (pool.reserve.state, made.successor_id, made.promoted) == ("active", pool.reserve.pk, True)
    assert {where(people)[name][0] for name in BOUND} == {pool.reserve.pk}
    assert reserves.brake_of(pool.pool.pk).used == 1


def test_the_swap_brake_holds_for_retirements_too(pool):
    factories.fleet(pool.tenant, 1, pool=pool.pool, state="reserve")
    for box in factories.fleet(pool.tenant, 2, pool=pool.pool):
        mailboxes.quarantine(box, actor=SYSTEM, reason="bounces", promote=False)

    with pytest.raises(NotReady, match="swap brake"):
        retired(pool.sick, promote=True)

    pool.sick.refresh_from_db()
    assert (pool.sick.state, Mailbox.objects.filter(state="reserve").count()) == ("active", 2)
    assert retired(pool.sick).promoted is False


@pytest.mark.parametrize("promote", [True, False])
def test_nobody_to_go_on_is_said_before_anything_happens(promote):
    pool = Pool(reserve=False)
    Mailbox.objects.filter(pk=pool.other.pk).update(hold="locked")
    people = pool.everybody(pool.campaign("new_thread"))
    before = where(people)

    with pytest.raises(NotReady, match="no reserve" if promote else "could go on with 6 threads"):
        retired(pool.sick, promote=promote)

    pool.sick.refresh_from_db()
    assert (pool.sick.state, where(people)) == ("active", before)


def test_an_open_quarantine_ends_with_the_mailbox(pool):
    mailboxes.quarantine(pool.sick, actor=SYSTEM, reason="bounces")

    retired(pool.sick)

    assert QuarantineCase.objects.get().outcome == "retired"


@pytest.mark.parametrize("role", ["operator", "client_key"])
def test_who_may_not_release_may_not_retire(pool, role):
    who = actors.of_grants("user", role, [(pool.tenant.pk, role)])

    with pytest.raises(NotAllowed):
        mailboxes.retire(pool.sick, actor=who, reason="x", **factories.answers())

    pool.sick.refresh_from_db()
    assert (pool.sick.state, Retirement.objects.count()) == ("active", 0)


# --- What is still open ---------------------------------------------------------------------------------------


def test_what_is_open_and_until_when(pool):
    people = pool.everybody(pool.campaign("wait"))
    made = retired(pool.sick)
    assert [point["key"] for point in retiring.open_points(made)] == ["address", "under_way"]
    late = people["past the dot"].messages.get()
    late.status, late.claim, late.lease_until, late.tries = "deferred", None, None, 1
    late.save()

    points = {point["key"]: point for point in retiring.open_points(made)}
    assert points["address"]["until"] == made.keep_until
    assert points["address"]["text"] == "the address is an alias; late answers go to late@example.com."
    assert points["threads"]["text"].startswith("1 people still wait")
    assert points["under_way"]["text"].startswith("1 mails may have gone out")

    assert quarantine.hand_over(pool.sick, actor=SYSTEM, reason="it came back") == 1

    people["past the dot"].refresh_from_db()
    assert people["past the dot"].stop_reason == "handover"
    assert [point["key"] for point in retiring.open_points(made)] == ["address", "under_way"]


def test_an_address_is_given_up_on_its_day_and_not_before(pool):
    made = retired(pool.sick)
    with pytest.raises(NotReady, match="stays until"):
        retiring.give_up_address(made, actor=SYSTEM)
    made.refresh_from_db()
    assert made.given_up_at is None
    Retirement.objects.update(keep_until=ramp.day_of(pool.tenant))

    retiring.give_up_address(made, actor=SYSTEM, reason="90 days are over")

    made.refresh_from_db()
    assert made.given_up_at is not None
    assert retiring.open_points(made) == []
    with pytest.raises(InvalidMove):
        retiring.give_up_address(made, actor=SYSTEM)


def test_late_answers_go_to_somebody_else_later(pool):
    made = retired(pool.sick)
    with pytest.raises(NotAllowed):
        retiring.assign(
            made, actor=actors.of_grants("user", "operator", [(None, "operator")]), replies_to="a@b.example"
        )

    retiring.assign(made, actor=SYSTEM, replies_to="new@example.com", reason="holidays")

    made.refresh_from_db()
    assert made.replies_to == "new@example.com"


def test_threads_of_a_mailbox_in_use_are_its_own(pool):
    pool.everybody(pool.campaign("stop"))

    with pytest.raises(InvalidMove):
        quarantine.hand_over(pool.sick, actor=SYSTEM)

    assert Enrolment.objects.filter(status="active").count() == 10
