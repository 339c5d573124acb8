"""A bulk edit is done as it was shown, wholly or not at all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns.models import Message
from mailboxes.edits import Wish
from mailboxes.models import BulkEdit, BulkEditRow, Mailbox, RampDay
from mailboxes.services import editing, ramp
from outreach.common.errors import BadInput, InvalidMove, Missing, NeedsApproval, NotAllowed
from tenants import permissions
from tenants.models import ApprovalPolicy, AuditEntry
from tenants.services import approvals
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.test_planner import plan as planned
from tests.campaigns.test_planner import running
from tests.mailboxes.editing.conftest import applied, drafted, stored
from tests.tenants.approvals.cases import somebody

pytestmark = pytest.mark.django_db


def actor(tenant, *names: str) -> Actor:
    return Actor("user", "somebody", within={tenant.pk: frozenset(names)}, user_id=1)


def test_a_draft_changes_nothing_and_shows_what_would(boxes, tenant):
    before = stored(boxes)
    Mailbox.objects.filter(pk=boxes[1].pk).update(daily_cap=30)
    Mailbox.objects.filter(pk=boxes[2].pk).update(state="retired")

    found = editing.preview(drafted(boxes, daily_cap=30))

    assert [(each.address, each.before, each.after) for each in found.changes] == [
        (boxes[0].address, {"daily_cap": 40}, {"daily_cap": 30}),
        (boxes[3].address, {"daily_cap": 40}, {"daily_cap": 30}),
    ]
    assert found.unchanged == 1
    assert [tuple(each) for each in found.refused] == [
        (boxes[2].pk, boxes[2].address, "is retired, and there is no way back")
    ]
    assert [row["daily_cap"] for row in stored(boxes)] == [40, 30, 40, 40]
    assert before[0] == stored(boxes)[0]


def test_everything_at_once(boxes, tenant, plan):
    pool = factories.pool(tenant)

    edit = applied(
        boxes, daily_cap=30, pool=pool.pk, ramp=plan.pk, signature="Ann\nLee", add_tags=["warm"], weight=2.0,
        min_gap_seconds=90, reserve_share=0.5,
    )  # fmt: skip

    for row in stored(boxes):
        assert (row["daily_cap"], row["pool_id"], row["ramp_id"], row["ramp_cap"]) == (30, pool.pk, plan.pk, 10)
        assert (row["signature"], row["tags"], row["weight"]) == ("Ann\nLee", ["warm"], 2.0)
        assert (row["min_gap_seconds"], row["reserve_share"], row["state"]) == (90, 0.5, "ramping")
    assert (edit.state, edit.changed, edit.unchanged, edit.refused) == ("done", 4, 0, 0)
    day = RampDay.objects.filter(mailbox=boxes[0]).get()
    assert (day.day, day.cap, day.allowed, day.kind) == (ramp.day_of(tenant), 10, 10, "start")
    entry = AuditEntry.objects.get(action="mailboxes.edited")
    assert entry.facts["mailboxes"] == [box.pk for box in boxes]
    assert "signature" in entry.facts["fields"]
    assert "Lee" not in str(AuditEntry.objects.values_list("facts", "before", "after"))


def test_the_days_job_does_not_decide_again(boxes, tenant, plan):
    applied(boxes, ramp=plan.pk)

    assert ramp.run_day(tenant, ramp.day_of(tenant), actor=SYSTEM).decided == 0


def test_a_stale_preview_is_refused(boxes):
    edit = drafted(boxes, daily_cap=30)
    digest = editing.preview(edit).digest
    Mailbox.objects.filter(pk=boxes[0].pk).update(daily_cap=35)
    before = stored(boxes)

    with pytest.raises(InvalidMove, match="no longer as they were"):
        editing.apply(edit, actor=SYSTEM, digest=digest)

    assert stored(boxes) == before
    assert BulkEdit.objects.get().state == "draft"
    assert not BulkEditRow.objects.exists()
    editing.apply(edit, actor=SYSTEM, digest=editing.preview(edit).digest)
    assert {row["daily_cap"] for row in stored(boxes)} == {30}


def test_a_change_that_the_page_did_not_show_is_no_obstacle(boxes):
    edit = drafted(boxes, daily_cap=30)
    digest = editing.preview(edit).digest
    Mailbox.objects.filter(pk=boxes[0].pk).update(health=0.4, weight=3.0)

    editing.apply(edit, actor=SYSTEM, digest=digest)

    assert [(row["daily_cap"], row["weight"], row["health"]) for row in stored(boxes)][0] == (30, 3.0, 0.4)


def test_a_draft_is_applied_once_and_not_for_nothing(boxes):
    edit = applied(boxes, daily_cap=30)
    with pytest.raises(InvalidMove, match="cannot become done"):
        editing.apply(edit, actor=SYSTEM, digest=editing.preview(edit).digest)
    again = drafted(boxes, daily_cap=30)
    with pytest.raises(InvalidMove, match="Nothing would change"):
        editing.apply(again, actor=SYSTEM, digest=editing.preview(again).digest)


@pytest.mark.parametrize("what", ["pool", "ramp"])
def test_another_tenants_pool_or_plan_is_refused(boxes, tenant, plan, what):
    other = factories.tenant()
    theirs = factories.pool(other) if what == "pool" else ramp.add_plan(other, "theirs", actor=SYSTEM)

    with pytest.raises(BadInput, match="another tenant's") as refused:
        drafted(boxes, **{what: theirs.pk})

    assert refused.value.details["field"] == what
    assert not BulkEdit.objects.exists()


@pytest.mark.attack("A29")
def test_mailboxes_of_others_are_left_out(boxes, tenant):
    (foreign,) = factories.fleet(factories.tenant(), 1, daily_cap=40)
    edit = editing.draft(tenant, [boxes[0].pk, foreign.pk, 999_999], Wish.of(daily_cap=9), actor=SYSTEM)
    editing.apply(edit, actor=SYSTEM, digest=editing.preview(edit).digest)

    assert edit.mailbox_ids == [boxes[0].pk]
    assert [row["daily_cap"] for row in stored([boxes[0], foreign])] == [9, 40]
    with pytest.raises(BadInput, match="at least one"):
        editing.draft(tenant, [foreign.pk], Wish.of(daily_cap=9), actor=SYSTEM)
    with pytest.raises(Missing):
        editing.find(factories.tenant(), edit.pk)


@pytest.mark.parametrize(
    ("held", "wish"),
    [
        ((), {"weight": 2.0}), (("mailboxes.edit",), {"daily_cap": 10}), (("mailboxes.edit",), {"leave_ramp": True}),
        (("mailboxes.set_cap", "mailboxes.ramp"), {"daily_cap": 10}),
    ],
)  # fmt: skip
def test_an_edit_takes_what_its_columns_take_alone(boxes, tenant, held, wish):
    edit = drafted(boxes, **wish)
    before = stored(boxes)

    with pytest.raises(NotAllowed):
        drafted(boxes, actor=actor(tenant, *held), **wish)
    with pytest.raises(NotAllowed):
        editing.apply(edit, actor=actor(tenant, *held), digest=editing.preview(edit).digest)

    assert stored(boxes) == before
    assert BulkEdit.objects.get().state == "draft"


def test_only_managers_edit():
    assert {role for role, held in permissions.ROLES.items() if "mailboxes.edit" in held} == {
        "platform_admin", "break_glass", "ops_manager",
    }  # fmt: skip


def test_raises_beyond_the_line_wait_for_one_second_person(boxes, tenant):
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)
    first, second = somebody(tenant), somebody(tenant)
    Mailbox.objects.filter(pk=boxes[0].pk).update(daily_cap=90)
    edit = drafted(boxes, actor=first, daily_cap=80)

    with pytest.raises(NeedsApproval) as refused:
        editing.apply(edit, actor=first, digest=editing.preview(edit).digest)
    assert {name: refused.value.details["terms"][name] for name in ("mailboxes", "daily_cap")} == {
        "mailboxes": 3, "daily_cap": 80,
    }  # fmt: skip
    assert [row["daily_cap"] for row in stored(boxes)] == [90, 40, 40, 40]
    approvals.grant(approvals.ask_for(refused.value, actor=first, reason="The fair"), actor=second)
    again = drafted(boxes, actor=first, daily_cap=80)

    editing.apply(again, actor=first, digest=editing.preview(again).digest)

    assert again.pk == edit.pk
    assert {row["daily_cap"] for row in stored(boxes)} == {80}


def test_an_agreement_does_not_hold_for_other_mailboxes_that_rise(boxes, tenant):
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)
    first, second = somebody(tenant), somebody(tenant)
    Mailbox.objects.filter(pk=boxes[0].pk).update(daily_cap=80)
    edit = drafted(boxes, actor=first, daily_cap=80)
    approvals.grant(approvals.ask(edit, "mailboxes.bulk_raise_cap", actor=first, reason="The fair"), actor=second)
    Mailbox.objects.filter(pk=boxes[0].pk).update(daily_cap=10)

    with pytest.raises(NeedsApproval):
        editing.apply(edit, actor=first, digest=editing.preview(edit).digest)

    assert [row["daily_cap"] for row in stored(boxes)] == [10, 40, 40, 40]


def test_a_lowered_cap_and_another_pool_take_waiting_mail_back():
    campaign, boxes = running(20, 4)
    planned(campaign)
    assert Message.objects.count() == 20
    lowered, moved, kept = boxes[0], boxes[1], boxes[2:]
    counts = {box.pk: Message.objects.filter(mailbox=box).count() for box in boxes}

    edit = drafted([lowered], daily_cap=1)
    assert editing.preview(edit).waiting == counts[lowered.pk] > 0
    editing.apply(edit, actor=SYSTEM, digest=editing.preview(edit).digest)
    assert Message.objects.filter(mailbox=lowered).count() == 0
    edit = applied([moved], pool=factories.pool(campaign.tenant).pk)

    assert edit.taken_back == counts[moved.pk] > 0
    assert Message.objects.filter(mailbox=moved).count() == 0
    assert [Message.objects.filter(mailbox=box).count() for box in kept] == [counts[box.pk] for box in kept]
    campaign.tenant.refresh_from_db()
    assert campaign.tenant.plan_wanted_at is not None


def test_what_lets_a_mailbox_send_no_less_takes_nothing_back():
    campaign, boxes = running(20, 4)
    planned(campaign)

    edit = applied(boxes, weight=2.0, add_tags=["warm"], signature="Ann", daily_cap=2000)

    assert edit.taken_back == 0
    assert Message.objects.count() == 20


def test_1200_mailboxes_take_as_many_queries_as_12(tenant, plan):
    def asked(count: int) -> int:
        boxes = factories.fleet(tenant, count, daily_cap=40)
        pool = factories.pool(tenant)
        edit = drafted(boxes, daily_cap=30, pool=pool.pk, ramp=plan.pk, add_tags=["warm"], signature="Ann")
        digest = editing.preview(edit).digest
        with CaptureQueriesContext(connection) as queries:
            edit = editing.apply(edit, actor=SYSTEM, digest=digest)
        assert edit.changed == count
        assert Mailbox.objects.filter(pool=pool, ramp=plan, daily_cap=30, tags=["warm"]).count() == count
        with CaptureQueriesContext(connection) as undoing:
            assert editing.undo_edit(edit, actor=SYSTEM).kept == 0
        assert not Mailbox.objects.filter(pool=pool).exists()
        return max(len(queries), len(undoing))

    few = asked(12)

    assert asked(1200) <= few + 2
    assert few <= 45


def test_more_than_the_limit_is_refused(boxes, tenant, monkeypatch):
    monkeypatch.setattr(editing, "MOST", 3)
    with pytest.raises(BadInput, match="at most 3"):
        drafted(boxes, daily_cap=3)


def test_old_drafts_and_rows_are_forgotten(boxes, tenant):
    done = applied(boxes, daily_cap=30)
    drafted(boxes, daily_cap=20)
    assert editing.forget(tenant.pk) == 0
    BulkEdit.objects.update(undo_until=datetime(2026, 1, 1, tzinfo=UTC))

    assert editing.forget(tenant.pk) == 2

    assert list(BulkEdit.objects.values_list("pk", "state")) == [(done.pk, "done")]
    assert not BulkEditRow.objects.exists()
    with pytest.raises(InvalidMove, match="deleted after 30 days"):
        editing.undo_edit(done, actor=SYSTEM)
