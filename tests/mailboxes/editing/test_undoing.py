"""An edit taken back: everything is as it was, and what was changed since stays and is named."""

from __future__ import annotations

import pytest

from campaigns.models import Message
from mailboxes.models import BulkEdit, Mailbox
from mailboxes.services import editing
from outreach.common.errors import InvalidMove, NeedsApproval, NotAllowed
from tenants.models import ApprovalPolicy, AuditEntry
from tenants.services import approvals
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.test_planner import plan as planned
from tests.campaigns.test_planner import running
from tests.mailboxes.editing.conftest import applied, stored
from tests.tenants.approvals.cases import somebody

pytestmark = pytest.mark.django_db


def test_the_state_after_is_the_state_before_row_by_row(boxes, tenant, plan):
    Mailbox.objects.filter(pk=boxes[0].pk).update(tags=["old"], signature="Before", weight=3.0)
    Mailbox.objects.filter(pk=boxes[1].pk).update(ramp=plan, ramp_cap=25, state="ramping")
    Mailbox.objects.filter(pk=boxes[2].pk).update(state="reserve", daily_cap=10)
    before = stored(boxes)
    edit = applied(
        boxes, daily_cap=30, pool=factories.pool(tenant).pk, leave_ramp=True, state="active", tags=["new"],
        signature="After", weight=1.5, min_gap_seconds=7, reserve_share=0.9,
    )  # fmt: skip
    assert all(old != new for old, new in zip(before, stored(boxes), strict=True))

    undone = editing.undo_edit(edit, actor=SYSTEM, reason="wrong file")

    assert stored(boxes) == before
    assert (undone.state, undone.kept, undone.undo_until) == ("undone", 0, None)
    entry = AuditEntry.objects.get(action="mailboxes.edit_undone")
    assert (entry.reason, entry.subject_id, entry.facts["mailboxes"]) == (
        "wrong file", edit.pk, [box.pk for box in boxes],
    )  # fmt: skip


def test_who_was_changed_since_stays_and_is_named(boxes):
    edit = applied(boxes, daily_cap=30, add_tags=["warm"])
    Mailbox.objects.filter(pk=boxes[0].pk).update(daily_cap=35)
    Mailbox.objects.filter(pk=boxes[1].pk).update(health=0.3, state="quarantined")

    undone = editing.undo_edit(edit, actor=SYSTEM)

    assert [(row["daily_cap"], row["tags"]) for row in stored(boxes)] == [
        (35, ["warm"]), (40, []), (40, []), (40, []),
    ]  # fmt: skip
    assert undone.kept == 1
    assert dict(edit.rows.exclude(kept="").values_list("mailbox_ref", "kept")) == {
        boxes[0].pk: "was changed since: daily_cap"
    }
    assert stored(boxes)[1]["state"] == "quarantined"


def test_a_ramp_that_went_on_goes_all_the_same(boxes, plan):
    edit = applied(boxes, ramp=plan.pk)
    Mailbox.objects.filter(pk=boxes[0].pk).update(ramp_cap=14)

    editing.undo_edit(edit, actor=SYSTEM)

    assert [(row["ramp_id"], row["ramp_cap"], row["state"]) for row in stored(boxes)] == [(None, None, "active")] * 4


def test_later_edits_are_undone_first(boxes):
    first = applied(boxes, daily_cap=30)
    second = applied(boxes, daily_cap=20)
    with pytest.raises(InvalidMove, match="was changed since: daily_cap"):
        editing.undo_edit(first, actor=SYSTEM)
    assert BulkEdit.objects.get(pk=first.pk).state == "done"

    editing.undo_edit(second, actor=SYSTEM)
    editing.undo_edit(first, actor=SYSTEM)

    assert {row["daily_cap"] for row in stored(boxes)} == {40}
    with pytest.raises(InvalidMove, match="cannot become undone"):
        editing.undo_edit(first, actor=SYSTEM)


def test_a_stale_page_undoes_nothing(boxes):
    edit = applied(boxes, daily_cap=30)
    digest = editing.preview(edit).digest
    Mailbox.objects.filter(pk=boxes[0].pk).update(daily_cap=35)

    with pytest.raises(InvalidMove, match="no longer as they were"):
        editing.undo_edit(edit, actor=SYSTEM, digest=digest)

    assert [row["daily_cap"] for row in stored(boxes)] == [35, 30, 30, 30]


def test_going_back_up_beyond_the_line_waits_for_a_second_person(boxes, tenant):
    Mailbox.objects.filter(tenant=tenant).update(daily_cap=90)
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)
    first, second = somebody(tenant), somebody(tenant)
    edit = applied(boxes, actor=first, daily_cap=30)

    with pytest.raises(NeedsApproval) as refused:
        editing.undo_edit(edit, actor=first)
    assert {row["daily_cap"] for row in stored(boxes)} == {30}
    approvals.grant(approvals.ask_for(refused.value, actor=first, reason="Wrong pool"), actor=second)

    editing.undo_edit(edit, actor=first)

    assert {row["daily_cap"] for row in stored(boxes)} == {90}


def test_going_back_to_less_takes_waiting_mail_back():
    campaign, boxes = running(20, 4)
    edit = applied(boxes, daily_cap=2000)
    planned(campaign)
    assert Message.objects.count() == 20

    assert editing.undo_edit(edit, actor=SYSTEM).taken_back == 20

    assert not Message.objects.exists()


def test_who_may_not_edit_undoes_nothing(boxes, tenant):
    edit = applied(boxes, daily_cap=30)
    with pytest.raises(NotAllowed):
        editing.undo_edit(edit, actor=Actor("user", "x", within={tenant.pk: frozenset({"mailboxes.edit"})}))
    assert {row["daily_cap"] for row in stored(boxes)} == {30}


def test_a_mailbox_that_is_gone_is_named(boxes):
    edit = applied(boxes, daily_cap=30)
    Mailbox.objects.filter(pk=boxes[0].pk).delete()

    undone = editing.undo_edit(edit, actor=SYSTEM)

    assert undone.kept == 1
    assert edit.rows.get(mailbox_ref=boxes[0].pk).kept == "is gone"
