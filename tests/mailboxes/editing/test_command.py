"""edit_mailboxes: chooses, shows, does, asks and takes back."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from mailboxes.models import BulkEdit, Mailbox
from tenants.models import Approval, ApprovalPolicy, AuditEntry, User
from tenants.services import approvals
from tests import factories
from tests.mailboxes.editing.conftest import stored
from tests.tenants.approvals.cases import somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def edit(tenant):
    def edit(*arguments: str) -> str:
        out = io.StringIO()
        call_command("edit_mailboxes", "--tenant", tenant.slug, *arguments, stdout=out)
        return out.getvalue()

    return edit


def test_by_pool_everything_in_one_go_and_back(edit, boxes, tenant, plan):
    south = factories.pool(tenant, name="south")
    before = stored(boxes)

    told = edit(
        "--pool", boxes[0].pool.name, "--set", "daily_cap=30", "--set", "weight=2.5", "--set", r"signature=Ann\nLee",
        "--add-tag", "Warm", "--pool-to", "south", "--ramp", "gentle",
    )  # fmt: skip

    done = BulkEdit.objects.get()
    assert f"edit={done.pk} state=done changed=4 unchanged=0 refused=0 taken_back=0" in told
    assert f"{boxes[0].address}: " in told
    for row in stored(boxes):
        assert (row["daily_cap"], row["weight"], row["signature"]) == (30, 2.5, "Ann\nLee")
        assert (row["tags"], row["pool_id"], row["ramp_id"]) == (["warm"], south.pk, plan.pk)

    assert "state=undone changed=4" in edit("--undo", str(done.pk))
    assert stored(boxes) == before


def test_a_dry_run_tells_the_difference_and_leaves_nothing(edit, boxes):
    before = stored(boxes)

    told = json.loads(edit("--address", boxes[1].address, "--set", "daily_cap=30", "--dry-run", "--json"))

    assert told == {
        "edit": None, "state": "draft", "changed": 1, "unchanged": 0, "refused": [], "taken_back": 0, "dry_run": True,
        "changes": [{"address": boxes[1].address, "before": {"daily_cap": 40}, "after": {"daily_cap": 30}}],
    }  # fmt: skip
    assert stored(boxes) == before
    assert not BulkEdit.objects.exists()
    assert not AuditEntry.objects.exists()


def test_by_tag_and_pool_together(edit, boxes, tenant):
    other = factories.pool(tenant, name="other")
    Mailbox.objects.filter(pk__in=[boxes[0].pk, boxes[1].pk]).update(tags=["eu", "warm"])
    Mailbox.objects.filter(pk=boxes[1].pk).update(pool=other)
    Mailbox.objects.filter(pk=boxes[2].pk).update(tags=["warm"], state="retired")

    edit("--tag", "warm", "--pool", "other", "--remove-tag", "eu", "--set", "state=reserve")
    edit("--tag", "warm", "--tags", "")

    assert [(row["tags"], row["state"]) for row in stored(boxes)] == [
        ([], "active"), ([], "reserve"), (["warm"], "retired"), ([], "active"),
    ]  # fmt: skip


def test_refused_mailboxes_are_named_and_the_others_done(edit, boxes):
    Mailbox.objects.filter(pk=boxes[0].pk).update(state="quarantined")

    with pytest.raises(CommandError, match=f"{boxes[0].address} is quarantined: release it first") as ended:
        edit("--pool", boxes[0].pool.name, "--set", "state=reserve")

    assert ended.value.returncode == 2
    assert [row["state"] for row in stored(boxes)] == ["quarantined", "reserve", "reserve", "reserve"]


def test_a_second_person_is_asked_and_then_the_draft_applied(edit, boxes, tenant):
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)
    first, second = somebody(tenant), somebody(tenant)
    who = User.objects.get(pk=first.user_id).email
    wish = ("--pool", boxes[0].pool.name, "--set", "daily_cap=80", "--actor", who)

    with pytest.raises(CommandError, match="Asked: approval"):
        edit(*wish, "--ask", "The fair")
    assert {row["daily_cap"] for row in stored(boxes)} == {40}
    asked, draft = Approval.objects.get(), BulkEdit.objects.get()
    assert (asked.subject_id, asked.terms["mailboxes"], asked.terms["daily_cap"]) == (draft.pk, 4, 80)
    approvals.grant(asked, actor=second)

    edit("--apply", str(draft.pk), "--approval", str(asked.pk), "--actor", who)

    assert {row["daily_cap"] for row in stored(boxes)} == {80}
    asked.refresh_from_db()
    assert asked.state == "used"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "daily_cap=3"], "Choose mailboxes"), (["--tag", "none"], "Say what is to change"),
        (["--tag", "none", "--set", "daily_cap=3"], "at least one mailbox"),
        (["--tag", "a", "--set", "daily_cap=many"], "takes a number"),
        (["--tag", "a", "--set", "health=1"], "--set takes"), (["--tag", "a", "--set", "daily_cap"], "--set takes"),
        (["--tag", "a", "--set", "weight=nan"], "weight is from 0"),
        (["--tag", "=1", "--set", "weight=1"], "is no tag"), (["--tag", "a", "--add-tag", "<b>"], "is no tag"),
        (["--tag", "a", "--pool-to", "nowhere"], "has no pool"), (["--tag", "a", "--ramp", "nowhere"], "no ramp plan"),
        (["--tag", "a", "--ramp", "\x00"], "no ramp plan"), (["--pool", "\ud800", "--leave-ramp"], "has no pool"),
        (["--address", "bad", "--leave-ramp"], "address"), (["--undo", "999999"], "There is no edit"),
        (["--undo", "1", "--apply", "1"], "two acts"), (["--tag", "a", "--set", "signature=\x00"], "control character"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_nothing_is_changed(edit, boxes, arguments, says):
    before = stored(boxes)

    with pytest.raises(CommandError, match=says) as ended:
        edit(*arguments)

    assert ended.value.returncode == 1
    assert stored(boxes) == before
    assert not BulkEdit.objects.exists()


def test_an_edit_of_another_tenant_is_not_there(edit, boxes):
    edit("--pool", boxes[0].pool.name, "--set", "daily_cap=30")
    done = BulkEdit.objects.get()

    with pytest.raises(CommandError, match="There is no edit"):
        call_command("edit_mailboxes", "--tenant", factories.tenant().slug, "--undo", str(done.pk))

    assert BulkEdit.objects.get().state == "done"
