"""The doors by which mail is made or moved, each with an attempt to bring it to somebody who is suppressed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from campaigns import tasks
from campaigns.models import Batch, Campaign, ContactList, Enrolment, Message, Stop, Suppression
from campaigns.pipeline import batcher, planner
from campaigns.services import campaigns, stops, suppression, suppression_lists
from mailboxes.models import Mailbox
from outreach import cron
from outreach.demo.sink import Book
from tenants.models import Approval, ApprovalPolicy
from tenants.services import approvals, records
from tenants.services.actors import SYSTEM, of_grants
from tests import factories
from tests.api.conftest import Api, key_of
from tests.campaigns import doors_of_launches, doors_of_tests
from tests.console.conftest import client_of, person
from tests.console.test_actions import act

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("outreach", "tenants", "mailboxes", "campaigns", "deliverability")
NUMBERS = itertools.count(1)


class World:
    """Ann must not be mailed, Bob may; both are in a campaign that has not begun."""

    def __init__(self, sink, tmp_path):
        self.sink, self.tmp_path, self.n = sink, tmp_path, next(NUMBERS)
        self.ann, self.bob = f"ann{self.n}@acme.example", f"bob{self.n}@acme.example"
        self.tenant = factories.tenant()
        self.box, self.other = factories.fleet(self.tenant, 2, host=sink.host, port=sink.port)
        self.pool = self.box.pool
        self.list = factories.contact_list(self.tenant)
        emails = (self.ann, self.bob)
        factories.people(self.tenant, self.list, 2, each=lambda number: {"email": emails[number]})
        self.campaign = factories.campaign(self.tenant, self.pool, self.list)
        self.where = ("--tenant", self.tenant.slug)

    @property
    def api(self) -> Api:
        return Api(key_of(self.tenant))

    @property
    def client(self):
        return client_of(person(f"chief{self.n}@example.com", "platform_admin", is_superuser=True))

    def suppress(self) -> None:
        """The bare row: as if it had come in a moment in which nobody could be told."""
        row = suppression.entry(self.ann, suppression.hasher())
        row.tenant, row.scope, row.reason, row.via = self.tenant, "tenant", "opt_out", "test"
        row.suppression_list = suppression_lists.of_opt_outs(self.tenant)
        row.save()

    def plan(self) -> None:
        planner.run(self.tenant, cron.now())

    def started(self) -> None:
        campaigns.start(self.campaign, actor=SYSTEM)

    def planned(self, **changes) -> None:
        """Both have a message that waits; `changes` say in which state."""
        self.started()
        self.plan()
        assert Message.objects.filter(tenant=self.tenant, status="planned").count() == 2
        if changes:
            Message.objects.filter(tenant=self.tenant).update(**changes)

    def stopped(self) -> Stop:
        return stops.pull("tenant", self.tenant, actor=SYSTEM, reason="A look at the list")

    def run(self) -> set[str]:
        """What periodic work and workers do; who got mail."""
        for _ in range(3):
            self.plan()
            batcher.run(self.tenant.pk)
            for pk in Batch.objects.filter(tenant=self.tenant, done_at=None).values_list("pk", flat=True):
                assert tasks.send_batches(self.tenant.pk, [pk])
        mine = {self.ann, self.bob}
        return {entry.recipient for entry in Book.read(self.sink.path).accepted} & mine


def command(*arguments) -> None:
    call_command(*map(str, arguments), verbosity=0)


# --- The probes ------------------------------------------------------------------------------------------------


def campaign_create_and_start(world):
    """Through a file and by command, to the list in which Ann stands."""
    world.suppress()
    path = world.tmp_path / "campaign.yaml"
    path.write_text(
        f"name: By file\npool: {world.pool.name}\nlist: {world.list.name}\nsubject: A question\n"
        "window: {from: '00:00', until: '00:00'}\npace: prompt\ntext: |\n  May I ask you something?\n"
    )
    command("campaign", "create", path, *world.where)
    command("campaign", "start", "By file", *world.where)


def command_start(world):
    world.suppress()
    command("campaign", "start", world.campaign.pk, *world.where)


def command_resume(world):
    world.planned()
    world.suppress()
    command("campaign", "pause", world.campaign.pk, *world.where)
    command("campaign", "resume", world.campaign.pk, *world.where)


def import_again(world):
    """Another spelling, another list, every flag that the import has."""
    world.suppress()
    path = world.tmp_path / "again.csv"
    rows = "".join(f"{email},individual,fair,consent,2026-01-02\n" for email in (world.ann.upper(), world.bob))
    path.write_text("email,person_kind,source,lawful_basis,basis_date\n" + rows)
    command("import_contacts", path, *world.where, "--list", "Again", "--refused", world.tmp_path / "refused.csv")
    listed = ContactList.objects.get(tenant=world.tenant, name="Again")
    campaigns.start(factories.campaign(world.tenant, world.pool, listed), actor=SYSTEM)


def lift_one_of_two(world):
    """Lifting one entry leaves the other."""
    world.suppress()
    suppression.suppress(world.tenant, [world.ann], actor=SYSTEM, reason="manual", via="test")
    command("lift_suppression", f"#{Suppression.objects.get(reason='manual').pk}", *world.where, "--reason", "x")
    world.started()


def remove_a_list(world):
    world.suppress()
    row = suppression_lists.create(world.tenant, "Customers", kind="customers", actor=SYSTEM)
    suppression.suppress(world.tenant, [world.ann], actor=SYSTEM, reason="manual", via="test", suppression_list=row)
    command("suppression_list", "remove", "Customers", *world.where, "--reason", "It ended")
    world.started()


def remove_the_opt_outs(world):
    world.suppress()
    name = suppression_lists.of_opt_outs(world.tenant).name
    with pytest.raises(CommandError):
        command("suppression_list", "remove", name, *world.where, "--reason", "Clean slate")
    world.started()


def handover(world):
    """A deferred message goes to another mailbox with its person."""
    Campaign.objects.filter(pk=world.campaign.pk).update(handover="new_thread")
    world.planned(status="deferred", mailbox=world.box, tries=1)
    Enrolment.objects.filter(tenant=world.tenant).update(mailbox=world.box)
    Mailbox.objects.filter(pk=world.other.pk).update(state="reserve")
    world.suppress()
    command("mailbox", "quarantine", world.box.address, *world.where, "--reason", "bounces")
    command("mailbox", "handover", world.box.address, *world.where)


def release(world):
    world.planned()
    world.suppress()
    Mailbox.objects.filter(tenant=world.tenant).update(state="quarantined")
    for box in (world.box, world.other):
        command("mailbox", "release", box.address, *world.where, "--reason", "clean")


def probe_a_mailbox(world):
    world.started()
    world.suppress()
    command("mailbox", "quarantine", world.box.address, *world.where, "--reason", "bounces")
    command("mailbox", "probe", world.box.address, *world.where, "--reason", "To see")


def raise_a_cap(world):
    world.planned()
    world.suppress()
    command("mailbox", "cap", world.box.address, "60", *world.where)


def lift_a_stop(world):
    world.planned()
    row = world.stopped()
    world.suppress()
    command("stop", "--lift", row.pk, "--reason", "The list is clean")


def retry(world):
    """A message that was deferred gets its new slot."""
    world.planned(status="deferred", tries=1)
    world.suppress()


def claimed_and_given_back(world):
    """A worker took both and vanished; the reaper gives them back."""
    world.planned()
    world.suppress()
    Message.objects.filter(tenant=world.tenant).update(
        status="claimed", claim="00000000-0000-0000-0000-000000000001", lease_until="2026-01-01T00:00Z"
    )
    cron.sweep()


def api_start(world):
    world.suppress()
    assert world.api.post(f"campaigns/{world.campaign.pk}/start/").status_code == 200


def api_pause_and_resume(world):
    world.planned()
    world.suppress()
    assert world.api.post(f"campaigns/{world.campaign.pk}/pause/").status_code == 200
    assert world.api.post(f"campaigns/{world.campaign.pk}/resume/").status_code == 200


def api_suppress_otherwise(world):
    """An entry for another reason, or one there already, opens nothing."""
    world.suppress()
    assert world.api.post("suppressions/", {"entries": [world.ann], "reason": "manual"}).status_code == 201
    row = Suppression.objects.get(tenant=world.tenant, reason="manual")
    assert world.api.post(f"suppressions/{row.pk}/lift/", {"reason": "Not ours"}).status_code == 200
    world.started()


def api_remove_a_list(world):
    world.suppress()
    made = world.api.post("suppression-lists/", {"name": "Customers", "kind": "customers"}).json()
    body = {"entries": [world.ann], "suppression_list": made["id"]}
    assert world.api.post("suppressions/", body).json() == {"added": 1}
    removed = world.api.post(f"suppression-lists/{made['id']}/remove/", {"reason": "It ended"})
    assert removed.json() == {"lifted": 1}
    opt_outs = suppression_lists.of_opt_outs(world.tenant)
    assert world.api.post(f"suppression-lists/{opt_outs.pk}/remove/", {"reason": "Clean"}).status_code == 409
    world.started()


def console_start(world):
    world.suppress()
    act(world.client, world.campaign, "start")


def console_pause_and_resume(world):
    world.planned()
    world.suppress()
    client = world.client
    act(client, world.campaign, "pause")
    act(client, world.campaign, "resume")


def console_settle(world):
    """Somebody says that an uncertain one did not go out: it is not sent again."""
    world.planned()
    Message.objects.filter(tenant=world.tenant, contact__email=world.ann).update(status="uncertain")
    world.suppress()
    row = Message.objects.get(tenant=world.tenant, contact__email=world.ann)
    act(world.client, row, "settle_failed", confirmed="1", evidence="The host's log has nothing")


def console_lift_a_stop(world):
    world.planned()
    row = world.stopped()
    world.suppress()
    act(world.client, row, "lift", confirmed="1", reason="The list is clean")


def console_lift_and_remove(world):
    world.suppress()
    row = suppression_lists.create(world.tenant, "Customers", kind="customers", actor=SYSTEM)
    for more in ({}, {"suppression_list": row}):
        suppression.suppress(world.tenant, [world.ann], actor=SYSTEM, reason="manual", via="test", **more)
    client = world.client
    loose = Suppression.objects.get(tenant=world.tenant, reason="manual", suppression_list=None)
    act(client, loose, "lift", confirmed="1", reason="A mistake")
    act(client, row, "remove", confirmed="1", reason="It ended")
    act(client, suppression_lists.of_opt_outs(world.tenant), "remove", confirmed="1", reason="Clean slate")
    assert Suppression.objects.get(tenant=world.tenant, lifted_at=None).reason == "opt_out"
    world.started()


def console_import_into_a_list(world):
    world.suppress()
    row = suppression_lists.create(world.tenant, "Customers", kind="customers", actor=SYSTEM)
    path = world.tmp_path / "entries.csv"
    path.write_text(f"email,reason\n{world.ann},manual\n")
    with path.open("rb") as file:
        answer = world.client.post(
            reverse("admin:campaigns_suppressionlist_import", args=[row.pk]), {"file": file}, follow=True
        )
    assert "1 entry is new." in " ".join(map(str, answer.context["messages"]))
    world.started()


def console_mailboxes(world):
    """Quarantine with a hand-over, and release."""
    Campaign.objects.filter(pk=world.campaign.pk).update(handover="new_thread")
    world.planned(status="deferred", mailbox=world.box, tries=1)
    Enrolment.objects.filter(tenant=world.tenant).update(mailbox=world.box)
    Mailbox.objects.filter(pk=world.other.pk).update(state="reserve")
    world.suppress()
    client = world.client
    act(client, world.box, "quarantine", confirmed="1", reason="bounces")
    act(client, world.box, "hand_over", confirmed="1", reason="bounces")
    act(client, world.box, "release", confirmed="1", reason="clean")


def agreement(world):
    """A second person agrees to the launch in the console: to these people, and to no lifting."""
    ApprovalPolicy.objects.filter(tenant=world.tenant).update(launch_above=0)
    world.suppress()
    first, second = (person(f"manager{world.n}-{n}@example.com", "ops_manager", world.tenant) for n in "12")
    one = of_grants("user", "ops_manager", [(world.tenant.pk, "ops_manager")], user_id=first.pk)
    wish = approvals.ask(world.campaign, "campaign.launch", actor=one, reason="It is time")
    act(client_of(second), wish, "grant", confirmed="1", note="")
    campaigns.start(world.campaign, actor=one)


def api_agreement(world):
    """A key asks for an agreement; whatever is agreed on, the gates stay."""
    ApprovalPolicy.objects.filter(tenant=world.tenant).update(launch_above=0)
    world.suppress()
    second = person(f"manager{world.n}@example.com", "ops_manager", world.tenant)  # before anybody asks
    api = world.api
    asked = {"act": "campaign.launch", "subject_id": world.campaign.pk, "reason": "It is time"}
    wish = api.post("approvals/", asked)
    assert wish.status_code == 201, wish.content
    actor = of_grants("user", "ops_manager", [(world.tenant.pk, "ops_manager")], user_id=second.pk)
    approvals.grant(Approval.objects.get(tenant=world.tenant), actor=actor)
    assert api.post(f"campaigns/{world.campaign.pk}/start/").status_code == 200


def a_shared_entry(world):
    """What another tenant's person said, where both share."""
    giver = factories.tenant()
    for owner in (giver, world.tenant):
        records.write(owner, {"suppression_sharing_on": "2026-01-01"}, actor=SYSTEM)
    world.planned(status="deferred", tries=1)
    suppression.suppress(giver, [world.ann], actor=SYSTEM, reason="opt_out", via="page")


# Who else gets mail behind a door: Bob, unless the door holds everything.
PROBES = {
    "command campaign create": campaign_create_and_start,
    "command campaign start": command_start,
    "command campaign resume": command_resume,
    "command campaign pause": command_resume,
    "command import_contacts": import_again,
    "command lift_suppression": lift_one_of_two,
    "command suppression_list": remove_a_list,
    "command suppression_list of opt-outs": remove_the_opt_outs,
    "command mailbox quarantine": handover,
    "command mailbox handover": handover,
    "command mailbox release": release,
    "command mailbox probe": probe_a_mailbox,
    "command mailbox cap": raise_a_cap,
    "command stop": lift_a_stop,
    "api campaigns start": api_start,
    "api campaigns pause": api_pause_and_resume,
    "api campaigns resume": api_pause_and_resume,
    "api suppressions create": api_suppress_otherwise,
    "api suppressions lift": api_suppress_otherwise,
    "api suppression-lists create": api_remove_a_list,
    "api suppression-lists remove": api_remove_a_list,
    "api approvals create": api_agreement,
    "console campaigns.Campaign start": console_start,
    "console campaigns.Campaign pause": console_pause_and_resume,
    "console campaigns.Campaign resume": console_pause_and_resume,
    "console campaigns.Message settle_failed": console_settle,
    "console campaigns.Stop lift": console_lift_a_stop,
    "console campaigns.Suppression lift": console_lift_and_remove,
    "console campaigns.Suppression add": console_lift_and_remove,
    "console campaigns.SuppressionList remove": console_lift_and_remove,
    "console campaigns.SuppressionList add": console_lift_and_remove,
    "console campaigns_suppressionlist_import": console_import_into_a_list,
    "console mailboxes.Mailbox quarantine": console_mailboxes,
    "console mailboxes.Mailbox hand_over": console_mailboxes,
    "console mailboxes.Mailbox release": console_mailboxes,
    "console tenants.Approval grant": agreement,
    "cron plan_all": retry,
    "cron plan_wanted": retry,
    "cron batch": retry,
    "cron enrol": command_start,
    "cron sweep": claimed_and_given_back,
    "cron close_shared": a_shared_entry,
    "job close_shared": a_shared_entry,
    "command campaign test": doors_of_tests.command_test,
    "api campaigns test": doors_of_tests.api_test,
    "console campaigns_campaign_test": doors_of_tests.console_test,
    "console campaigns.SeedAddress add": doors_of_tests.console_seeds,
    "console campaigns.SeedAddress ask_again": doors_of_tests.console_seeds,
    "console campaigns.SeedAddress confirm": doors_of_tests.console_seeds,
    "job send_test": doors_of_tests.a_test_that_waits,
    "cron test_sends": doors_of_tests.a_test_that_waits,
    "job send_batches": retry,
    **{
        door: doors_of_launches.clones
        for door in (
            "command campaign clone",
            "api campaigns clone",
            "console campaigns.Campaign clone",
        )
    },
    **{
        door: doors_of_launches.schedules
        for door in (
            "command campaign schedule",
            "command campaign unschedule",
            "api campaigns schedule",
            "api campaigns unschedule",
            "console campaigns.Campaign unschedule",
            "cron start_scheduled",
        )
    },
    **{
        door: doors_of_launches.recalls
        for door in (
            "command campaign recall",
            "api campaigns recall",
            "console campaigns.Campaign recall",
        )
    },
    **{
        door: doors_of_launches.revisions
        for door in (
            "command campaign revise",
            "api campaigns revise",
            "console campaigns.Step revise",
        )
    },
    **{
        door: doors_of_launches.conversations
        for door in (
            "command conversation mark",
            "command conversation release",
            "api contacts answered",
            "api contacts release",
            "console campaigns.Contact mark_answered",
            "console campaigns.Contact release",
        )
    },
    "console campaigns.Campaign set_caps": doors_of_launches.caps,
    "console campaigns.Contact add_to_list": doors_of_launches.lists,
}
