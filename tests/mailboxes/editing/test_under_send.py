"""Edits while mail is planned and sent: caps hold, each person gets one mail, nothing deadlocks."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from campaigns.models import Enrolment, Message
from campaigns.pipeline import planner
from mailboxes.models import Allowance, BulkEdit, Mailbox
from mailboxes.services import editing, mailboxes
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_cap_under_send import (
    PEOPLE,
    Workers,
    assert_one_copy_each,
    planned_and_rung,
    sent_off,
    sink,
    started,
    until,
    went_out,
)
from tests.campaigns.test_planner import NOON, plan, running
from tests.campaigns.test_tenant_cap import waiting
from tests.mailboxes.editing.conftest import applied, drafted

__all__ = ["sink", "started"]  # fixtures
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker, pytest.mark.attack("A41")]


def in_thread(act) -> tuple[threading.Thread, list[BaseException]]:
    broken: list[BaseException] = []

    def run():
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - the test fails by it
            broken.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    return thread, broken


def test_the_caps_of_all_mailboxes_are_lowered_while_two_workers_send(started, sink):
    boxes = list(Mailbox.objects.order_by("pk"))
    with Workers(started.tenant):
        assert planned_and_rung(started) == PEOPLE
        until(lambda: planned_and_rung(started) >= 0 and len(sink.read_book().accepted) >= 8)

        applied(boxes, daily_cap=10)
        allowed = {box.pk: max(10, went_out(mailbox=box)) for box in boxes}

        sent_off(started)

    for box in boxes:
        assert went_out(mailbox=box) == allowed[box.pk]
        assert Allowance.objects.get(scope="mailbox_day", key=box.pk).reserved == allowed[box.pk]
    assert_one_copy_each(sink, sum(allowed.values()))
    assert Enrolment.objects.filter(status="done").count() == sum(allowed.values())


@pytest.mark.parametrize("wish", ["cap", "pool"])
def test_no_plan_made_under_the_old_cap_or_for_the_old_pool_is_left(wish):
    campaign, boxes = running(30, 3)
    edited = boxes[:2]
    values = {"daily_cap": 2} if wish == "cap" else {"pool": factories.pool(campaign.tenant).pk}
    edit = drafted(edited, **values)
    digest = editing.preview(edit).digest
    thread, broken = in_thread(lambda: editing.apply(edit, actor=SYSTEM, digest=digest))

    with transaction.atomic():
        assert planner.run(campaign.tenant, NOON).planned == 30  # not committed yet, so the other can't see it
        thread.start()
        until(lambda: waiting() or not thread.is_alive(), 30)
    thread.join()

    assert broken == []
    assert BulkEdit.objects.get().state == "done"
    assert Message.objects.filter(mailbox__in=edited).count() == 0
    plan(campaign)
    assert Message.objects.filter(mailbox__in=edited).count() <= (4 if wish == "cap" else 0)
    assert Message.objects.count() == 30


def test_edits_in_crossing_orders_and_single_caps_all_come_through():
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 30, daily_cap=40)
    edits = [drafted(part, add_tags=[f"t{n}"]) for n, part in enumerate((boxes, boxes[::-1], boxes[10:]))]
    acts = [lambda edit=edit: editing.apply(edit, actor=SYSTEM, digest=editing.preview(edit).digest) for edit in edits]
    acts += [lambda box=box: mailboxes.set_cap(box, 30, actor=SYSTEM) for box in boxes[::-7]]
    threads = [in_thread(act) for act in acts]

    for thread, _ in threads:
        thread.start()
    for thread, _ in threads:
        thread.join(60)

    # An edit whose preview another one overtook is refused; none may be lost in between.
    assert {type(error).__name__ for _, broken in threads for error in broken} <= {"InvalidMove"}
    done = {edit.pk for edit in BulkEdit.objects.filter(state="done")}
    assert done
    for edit in BulkEdit.objects.all():
        tagged = Mailbox.objects.filter(tags__contains=edit.wish["add_tags"]).count()
        assert tagged == (len(edit.mailbox_ids) if edit.pk in done else 0)
    assert set(Mailbox.objects.filter(pk__in=[box.pk for box in boxes[::-7]]).values_list("daily_cap")) == {(30,)}
