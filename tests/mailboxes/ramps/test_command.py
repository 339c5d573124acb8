"""manage.py ramp."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils.timezone import now

from mailboxes.models import DomainRampDay, Mailbox, RampDay, RampPlan
from mailboxes.services import ramp
from tenants.models import Approval, ApprovalPolicy
from tenants.services import approvals
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = pytest.mark.django_db


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("ramp", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue().strip()


def test_start_makes_the_standard_plan_and_takes_a_whole_pool(tenant):
    boxes = factories.fleet(tenant, 3, daily_cap=40)
    Mailbox.objects.filter(pk=boxes[0].pk).update(state="retired")

    assert said("start", "--pool", boxes[0].pool.name, "--tenant", tenant.slug) == "act=start done=2 refused=0"

    assert list(Mailbox.objects.order_by("pk").values_list("ramp_cap", flat=True)) == [None, 10, 10]
    assert RampPlan.objects.get().name == "standard"


def test_show_says_the_cap_and_why(tenant):
    box = factories.mailbox(tenant, daily_cap=40)
    said("start", box.address.upper(), "--tenant", tenant.slug)

    found = json.loads(said("show", box.address, "--tenant", tenant.slug, "--json"))["mailboxes"][0]

    assert (found["cap"], found["daily_cap"], found["plan"], found["decision"]) == (10, 40, "standard", "start")
    assert found["why"] == "put on the ramp"


def test_a_rehearsal_changes_nothing(tenant):
    box = factories.mailbox(tenant)

    assert said("start", box.address, "--tenant", tenant.slug, "--dry-run") == "act=start done=1 refused=0"

    box.refresh_from_db()
    assert (box.ramp_id, RampPlan.objects.count(), RampDay.objects.count()) == (None, 0, 0)


def test_what_was_refused_ends_with_two_and_the_rest_is_done(tenant):
    boxes = factories.fleet(tenant, 2, daily_cap=40)
    said("start", boxes[0].address, "--tenant", tenant.slug)

    with pytest.raises(CommandError) as refusal:
        said("start", "--pool", boxes[0].pool.name, "--tenant", tenant.slug)

    assert refusal.value.returncode == 2
    assert Mailbox.objects.filter(ramp_cap=10).count() == 2


def test_stopping_early_asks_a_second_person(tenant):
    box = factories.mailbox(tenant, daily_cap=40)
    ramp.start_ramp(box, ramp.add_plan(tenant, "slow", actor=SYSTEM), actor=SYSTEM)
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)

    with pytest.raises(CommandError, match="needs a second person"):
        said("stop", box.address, "--tenant", tenant.slug, "--ask", "moved here with its history")

    box.refresh_from_db()
    assert (box.ramp_cap, Approval.objects.get().act) == (10, "mailbox.leave_ramp")
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=None)
    assert said("stop", box.address, "--tenant", tenant.slug) == "act=stop done=1 refused=0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["start"], "Name addresses"), (["show", "no@where.example"], "has no mailbox"), (["show", "--pool", "No"],
     "has no pool"), (["start", "BOX", "--plan", "none"], "has no ramp plan"), (["stop", "BOX"], "on no ramp")],
)  # fmt: skip
def test_what_is_not_there_is_named(tenant, arguments, words):
    box = factories.mailbox(tenant)
    given = [box.address if value == "BOX" else value for value in arguments]

    with pytest.raises(CommandError, match=words):
        said(*given, "--tenant", tenant.slug)
    assert RampDay.objects.count() == 0


# --- domains ----------------------------------------------------------------------------------------------


def test_domains_start_on_a_plan_of_their_own_and_say_where_they_stand(tenant):
    first, second = factories.domain(tenant), factories.domain(tenant, registered_on=now().date())

    told = said("start", "--domain", first.name.upper(), f"{second.name}.", "--tenant", tenant.slug)
    found = json.loads(said("show", "--domain", first.name, second.name, "--tenant", tenant.slug, "--json"))["domains"]

    assert told == "act=start done=2 refused=0"
    assert (RampPlan.objects.get().name, RampPlan.objects.get().ceiling) == ("domains", 500)
    assert [(row["domain"], row["cap"], row["daily_cap"], row["why"]) for row in found] == [
        (first.name, 50, None, "put on the ramp"),
        (second.name, 50, None, "put on the ramp"),
    ]
    assert [row["sends_from"] for row in found] == [None, (now().date() + timedelta(days=14)).isoformat()]
    assert f"domain={first.name} state=verified plan=domains" in said(
        "show", "--domain", first.name, "--tenant", tenant.slug
    )


def test_a_domain_that_stops_early_asks_a_second_person(tenant):
    domain = factories.domain(tenant)
    said("start", "--domain", domain.name, "--tenant", tenant.slug)
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=50)

    with pytest.raises(CommandError, match="needs a second person"):
        said("stop", "--domain", domain.name, "--tenant", tenant.slug, "--ask", "it is years old")

    domain.refresh_from_db()
    asked = Approval.objects.get()
    assert (domain.ramp_cap, asked.act, asked.terms) == (50, "domain.leave_ramp", {"daily_cap": None})
    assert approvals.in_words(asked.terms) == "daily cap without limit"
    ApprovalPolicy.objects.filter(tenant=tenant).update(cap_above=None)
    assert said("stop", "--domain", domain.name, "--tenant", tenant.slug) == "act=stop done=1 refused=0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["start", "--domain", "no.example"], "has no sending domain"), (["show", "a@b.example", "--domain", "DOMAIN"],
     "Name addresses"), (["start", "--domain", "DOMAIN", "--plan", "none"], "has no ramp plan"),
     (["stop", "--domain", "DOMAIN"], "on no ramp"), (["start", "--domain", "THEIRS"], "has no sending domain")],
)  # fmt: skip
def test_what_is_wrong_with_domains_is_named(tenant, arguments, words):
    names = {"DOMAIN": factories.domain(tenant).name, "THEIRS": factories.domain(factories.tenant()).name}

    with pytest.raises(CommandError, match=words):
        said(*(names.get(value, value) for value in arguments), "--tenant", tenant.slug)
    assert not DomainRampDay.objects.exists()
