"""Many mailboxes edited in the browser: a form, the page of the difference, the act, and back."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from campaigns.models import Message
from mailboxes.models import BulkEdit, Mailbox, RampPlan
from outreach.common import isolation
from tenants.models import Approval, ApprovalPolicy
from tenants.services import approvals
from tests import factories
from tests.console.conftest import World, client_of, person
from tests.console.naughty import STRINGS
from tests.console.test_actions import said
from tests.console.test_pages import inline_scripts
from tests.mailboxes.editing.conftest import stored
from tests.tenants.approvals.cases import somebody

LIST = "/console/mailboxes/mailbox/"


def ask(client, boxes, *, across="0", query="", **values):
    """Send the form; follow to wherever that leads."""
    form = {"action": "edit", "_selected_action": [box.pk for box in boxes], "index": "0", "confirmed": "1"}
    return client.post(f"{LIST}{query}", form | {"select_across": across} | values, follow=True)


def confirm(client, page, name="apply"):
    """Press the button on the page of the difference."""
    text = page.content.decode()
    digest = re.search(r'name="digest" value="(\w+)"', text).group(1)
    url = re.search(rf'action="(/console/mailboxes/bulkedit/\d+/{name}/)"', text).group(1)
    return client.post(url, {"digest": digest}, follow=True)


@pytest.fixture
def fresh(world):
    """The world without the edits that it comes with, so that the newest is ours."""
    world.plan = RampPlan.objects.get(tenant=world.tenant)
    return world


def newest() -> BulkEdit:
    return BulkEdit.objects.order_by("pk").last()


def test_from_the_list_to_the_form_the_difference_and_back(fresh, as_chief):
    boxes = fresh.mailboxes[:3]
    before = stored(boxes)
    form = {"action": "edit", "_selected_action": [box.pk for box in boxes], "index": "0"}
    page = as_chief.post(LIST, form).content.decode()
    assert "3 mailboxes of" in page
    assert 'name="add_tags"' in page
    assert inline_scripts(page) == []
    count = BulkEdit.objects.count()

    page = ask(as_chief, boxes, daily_cap="30", add_tags="Warm, eu", ramp=fresh.plan.pk)

    assert stored(boxes) == before
    assert BulkEdit.objects.count() == count + 1
    text = page.content.decode()
    assert inline_scripts(text) == []
    for box in boxes:
        assert box.address in text
    assert ">1,000</span> → 30" in text
    assert "eu; warm" in text
    waiting = Message.objects.filter(mailbox__in=boxes, status__in=("planned", "claimed")).count()
    assert f"{waiting} waiting messages go back" in text

    answer = confirm(as_chief, page)

    assert "3 mailboxes were changed." in said(answer)
    assert {(row["daily_cap"], tuple(row["tags"]), row["ramp_id"]) for row in stored(boxes)} == {
        (30, ("eu", "warm"), fresh.plan.pk)
    }
    done = newest()
    assert (done.state, done.by_user.email, done.taken_back) == ("done", "chief@example.com", waiting)

    answer = confirm(as_chief, as_chief.get(reverse("admin:mailboxes_bulkedit_undo", args=[done.pk])), "undo")

    assert "3 mailboxes have back what they had." in said(answer)
    assert stored(boxes) == before


def test_a_form_that_says_nothing_or_nonsense_is_shown_again(fresh, as_chief):
    count = BulkEdit.objects.count()
    for values in (
        {}, {"daily_cap": "-1"}, {"weight": "nan"}, {"add_tags": "<script>"}, {"signature": "not ticked"},
        {"ramp": fresh.plan.pk, "leave_ramp": "on"}, {"pool": "999999"}, {"state": "retired"},
    ):  # fmt: skip
        page = ask(as_chief, fresh.mailboxes, **values)
        assert page.status_code == 200
        assert page.context["form"].errors, values
    assert BulkEdit.objects.count() == count


@pytest.mark.attack("A29", "A26")
def test_pools_and_plans_of_another_tenant_are_no_choice(fresh, second_world, as_chief):
    count = BulkEdit.objects.count()
    for name, row in (("pool", second_world.pool), ("ramp", RampPlan.objects.get(tenant=second_world.tenant))):
        assert ask(as_chief, fresh.mailboxes, **{name: row.pk}).context["form"].errors
    answer = ask(as_chief, [fresh.mailboxes[0], second_world.mailboxes[0]], daily_cap="1")

    assert "Choose mailboxes of one tenant" in said(answer)
    assert BulkEdit.objects.count() == count


@pytest.mark.attack("A29")
@pytest.mark.parametrize("across", ["0", "1"])
def test_a_hand_made_post_of_foreign_ids_changes_nothing_of_theirs(fresh, across):
    own = World(people=9, mailboxes=2)
    client = client_of(person("manager@example.net", "ops_manager", own.tenant))
    theirs = stored(fresh.mailboxes)

    page = ask(client, [*fresh.mailboxes, own.mailboxes[0]], across=across, daily_cap="1")
    confirm(client, page)

    with isolation.everything():
        assert stored(fresh.mailboxes) == theirs
        assert [row["daily_cap"] for row in stored(own.mailboxes)] == [1, 1 if across == "1" else 1000]
        theirs_edit = BulkEdit.objects.filter(tenant=fresh.tenant, state="draft").get()
    for page in ("change", "apply", "undo"):
        url = reverse(f"admin:mailboxes_bulkedit_{page}", args=[theirs_edit.pk])
        assert client.post(url, {"digest": "x"}).status_code in (403, 404)
    with isolation.everything():
        assert stored(fresh.mailboxes) == theirs


@pytest.mark.attack("A29")
@pytest.mark.parametrize("role", ["analyst", "operator"])
def test_who_may_not_edit_has_no_way_in(fresh, role):
    client = client_of(person("reader@example.com", role))
    edit = BulkEdit.objects.filter(state="draft").get()
    before, count = stored(fresh.mailboxes), BulkEdit.objects.count()

    ask(client, fresh.mailboxes, daily_cap="1")
    page = client.get(reverse("admin:mailboxes_bulkedit_change", args=[edit.pk])).content.decode()
    assert 'name="digest"' not in page
    for name in ("apply", "undo"):
        assert client.post(reverse(f"admin:mailboxes_bulkedit_{name}", args=[edit.pk])).status_code == 403

    assert stored(fresh.mailboxes) == before
    assert BulkEdit.objects.count() == count


def test_all_rows_of_a_filter_are_all_rows_of_it(fresh, as_chief):
    Mailbox.objects.filter(pk__in=[box.pk for box in fresh.mailboxes[:2]]).update(tags=["warm"])

    confirm(as_chief, ask(as_chief, fresh.mailboxes[:1], across="1", query="?tag=warm", daily_cap="7"))

    assert [row["daily_cap"] for row in stored(fresh.mailboxes)] == [7, 7, 1000, 1000]


def test_a_page_that_is_no_longer_true_changes_nothing(fresh, as_chief):
    page = ask(as_chief, fresh.mailboxes, daily_cap="30")
    Mailbox.objects.filter(pk=fresh.mailboxes[0].pk).update(daily_cap=55)
    before = stored(fresh.mailboxes)

    answer = confirm(as_chief, page)

    assert "no longer as they were" in said(answer)
    assert stored(fresh.mailboxes) == before
    assert ">55</span> → 30" in answer.content.decode()
    url = reverse("admin:mailboxes_bulkedit_apply", args=[newest().pk])
    as_chief.post(url, {"digest": ""})
    as_chief.get(url)
    assert stored(fresh.mailboxes) == before


def test_a_raise_beyond_the_line_asks_a_second_person_who_sees_the_difference(fresh, as_chief):
    boxes = fresh.mailboxes
    Mailbox.objects.filter(tenant=fresh.tenant).update(daily_cap=40)
    ApprovalPolicy.objects.filter(tenant=fresh.tenant).update(cap_above=50)
    second = somebody(fresh.tenant)
    page = ask(as_chief, boxes, daily_cap="80")
    assert "a second person has to agree" in page.content.decode()
    edit = newest()

    page = confirm(as_chief, page)
    assert "This needs a second person" in page.content.decode()
    again = dict(page.context["again"])
    url = reverse("admin:mailboxes_bulkedit_apply", args=[edit.pk])
    as_chief.post(url, again | {"second_person": "The fair"})
    assert {row["daily_cap"] for row in stored(boxes)} == {40}
    asked = Approval.objects.get(act="mailboxes.bulk_raise_cap")
    listed = as_chief.get(reverse("admin:tenants_approval_changelist")).content.decode()
    assert reverse("admin:mailboxes_bulkedit_change", args=[edit.pk]) in listed
    approvals.grant(asked, actor=second)

    confirm(as_chief, as_chief.get(reverse("admin:mailboxes_bulkedit_change", args=[edit.pk])))

    assert {row["daily_cap"] for row in stored(boxes)} == {80}


def test_a_difference_of_1200_mailboxes_is_one_page(as_chief):
    tenant = factories.tenant()
    factories.fleet(tenant, 1200, daily_cap=40)
    page = ask(as_chief, [], across="1", query=f"?tenant__id__exact={tenant.pk}", daily_cap="30")
    assert page.status_code == 200  # nothing was ticked
    first = Mailbox.objects.filter(tenant=tenant).first()

    page = ask(as_chief, [first], across="1", query=f"?tenant__id__exact={tenant.pk}", daily_cap="30")

    text = page.content.decode()
    assert text.count("→ 30") == 1201  # each, and the sum of all
    assert "<b>1,200</b> × daily cap" in text
    with CaptureQueriesContext(connection) as queries:
        answer = confirm(as_chief, page)
    assert "1,200 mailboxes were changed." in said(answer)
    assert len(queries) < 120
    assert Mailbox.objects.filter(tenant=tenant, daily_cap=30).count() == 1200


@pytest.mark.attack("A44", "A01")
def test_odd_signatures_and_tags_are_kept_or_refused_and_pages_render(fresh, as_chief):
    boxes = fresh.mailboxes[:1]
    texts = [text for text in STRINGS if not any("\ud800" <= c <= "\udfff" for c in text)][::12]
    for text in [*texts, "<script>alert(1)</script>", "Ann\r\nBcc: x@y.example", "{{ 7*7 }}"]:
        Mailbox.objects.filter(pk=boxes[0].pk).update(signature="before")
        page = ask(as_chief, boxes, change_signature="on", signature=text, remove_tags="none")
        assert page.status_code == 200
        if page.context.get("form") and page.context["form"].errors:
            continue
        assert "<script>alert(1)" not in page.content.decode()
        confirm(as_chief, page)
        assert stored(boxes)[0]["signature"] == text.replace("\r\n", "\n").strip(), text
        assert as_chief.get(reverse("admin:mailboxes_mailbox_change", args=[boxes[0].pk])).status_code == 200
    for text in texts:
        assert ask(as_chief, boxes, add_tags=text).status_code == 200
        assert as_chief.get(LIST, {"tag": text}).status_code == 200


def test_tags_narrow_the_list_and_are_found(fresh, as_chief):
    Mailbox.objects.filter(pk=fresh.mailboxes[0].pk).update(tags=["eu", "warm"])

    for query in ({"tag": "warm"}, {"q": "warm"}):
        rows = as_chief.get(LIST, query).context["cl"].result_list
        assert [row.pk for row in rows] == [fresh.mailboxes[0].pk]
    page = as_chief.get(LIST).content.decode()
    assert "eu, warm" in page
    assert "?tag=warm" in page


@pytest.mark.attack("A26")
def test_the_filter_knows_no_tags_of_others(fresh):
    Mailbox.objects.filter(pk=fresh.mailboxes[0].pk).update(tags=["secret project"])
    own = World(people=9, mailboxes=2)

    page = client_of(person("manager@example.net", "ops_manager", own.tenant)).get(LIST).content.decode()

    assert "secret project" not in page


def test_the_list_gives_a_file(fresh, as_chief):
    form = {"action": "export", "_selected_action": [box.pk for box in fresh.mailboxes], "index": "0"}

    answer = as_chief.post(LIST, form)

    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert answer.headers["Content-Type"] == "text/csv"
    assert lines[0].startswith('"address","pool","smtp_host"')
    assert len(lines) == 1 + len(fresh.mailboxes)
