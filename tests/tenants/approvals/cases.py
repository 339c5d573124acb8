"""The acts that wait for a second person, each with a row it is done to, and somebody to do it."""

from __future__ import annotations

import itertools
from datetime import timedelta

from django.utils.timezone import now

from campaigns.models import BasisRule, Campaign, Enrolment, Step, Suppression
from campaigns.services import bases, campaigns, specs, steps, stops, suppression, suppression_lists
from mailboxes.edits import Wish
from mailboxes.models import Mailbox, ProviderAccount, RampPlan
from mailboxes.services import domain_ramp, editing, exporting, mailboxes, providers, ramp
from tenants import permissions
from tenants.models import AuditEntry
from tenants.services import approvals, members
from tenants.services.actors import SYSTEM, Actor, of_grants
from tests import factories

PORTS = itertools.count(2525)


def somebody(tenant, role="ops_manager") -> Actor:
    user = factories.user()
    if role in permissions.OF_PEOPLE:
        members.grant(user, role, tenant.pk, actor=SYSTEM)
    return of_grants("user", role, [(tenant.pk, role)], user_id=user.pk)


class Case:
    """One act with its subject: `act` does it, `done` says whether it happened."""

    def __init__(self, tenant, name):
        self.name, self.given, self.asks = name, {}, {}
        getattr(self, f"_{name.replace('.', '_')}")(tenant)

    def _campaign_launch(self, tenant):
        listed = factories.contact_list(tenant)
        factories.people(tenant, listed, 6)
        box = factories.mailbox(tenant)
        self.subject = factories.campaign(tenant, box.pool, listed)
        self.service, self.done = campaigns.start, lambda row: row.status == "running"

    def _campaign_revise(self, tenant):
        listed = factories.contact_list(tenant)
        draft = factories.campaign(tenant, factories.mailbox(tenant).pool, listed)
        Step.objects.filter(campaign=draft).update(frozen_at=now())
        Campaign.objects.filter(pk=draft.pk).update(status="running", started_at=now())
        for person in factories.people(tenant, listed, 6):
            Enrolment.objects.create(tenant=tenant, campaign=draft, contact=person, zone="UTC", due_at=now())
        block = {"subject": "Another question", "text": "Hello again"}
        self.subject = Campaign.objects.get(pk=draft.pk)
        self.asks = {"step": 1, "wording": specs.digest(specs.read_step(block, 1))}
        self.service = lambda row, **more: steps.revise(row, 1, block, **more)
        self.done = lambda row: row.steps.filter(version=2).exists()

    def _mailbox_raise_cap(self, tenant):
        self.subject, self.given = factories.mailbox(tenant, daily_cap=40), {"daily_cap": 80}
        self.service, self.done = mailboxes.set_cap, lambda row: row.daily_cap == 80

    def _mailbox_leave_ramp(self, tenant):
        plan = RampPlan.objects.get_or_create(tenant=tenant, name="standard")[0]
        self.subject = factories.mailbox(tenant, daily_cap=80, ramp=plan, ramp_cap=10, state=Mailbox.State.RAMPING)
        self.service = lambda row, **more: ramp.leave_ramp(row, reason="Warm elsewhere", **more)
        self.done = lambda row: row.ramp_id is None

    def _domain_leave_ramp(self, tenant):
        plan = RampPlan.objects.get_or_create(tenant=tenant, name="standard")[0]
        self.subject = factories.domain(tenant, daily_cap=80, ramp=plan, ramp_cap=10)
        self.service = lambda row, **more: domain_ramp.leave_domain_ramp(row, reason="Warm elsewhere", **more)
        self.done = lambda row: row.ramp_id is None

    def _mailbox_release(self, tenant):
        self.subject = factories.mailbox(tenant, state=Mailbox.State.QUARANTINED)
        self.service, self.done = mailboxes.release, lambda row: row.state == "active"

    def _mailboxes_bulk_raise_cap(self, tenant):
        boxes = factories.fleet(tenant, 2, daily_cap=40)
        wish = Wish.of(daily_cap=80)
        self.subject = editing.draft(tenant, [box.pk for box in boxes], wish, actor=SYSTEM)
        digest = editing.preview(self.subject).digest
        self.service = lambda row, **more: editing.apply(row, digest=digest, **more)
        self.done = lambda row: row.state == "done"

    def _mailboxes_export(self, tenant):
        factories.fleet(tenant, 5)
        self.subject, self.asks = tenant, {"rows": 5}
        rows = Mailbox.objects.filter(tenant=tenant)
        self.service = lambda row, **more: exporting.export_mailboxes(rows, **more).close()
        self.done = lambda row: AuditEntry.objects.filter(tenant=row, action="mailboxes.exported").exists()

    def _account_reopen(self, tenant):
        self.subject = factories.account(tenant, port=next(PORTS), state=ProviderAccount.State.SUSPENDED)
        self.service = lambda row, **more: providers.activate(row, reason="The host wrote: open again", **more)
        self.done = lambda row: row.state == "active"

    def _account_allow_bases(self, tenant):
        self.subject = factories.account(tenant, port=next(PORTS), allowed_bases=["consent"])
        self.asks, terms = {"bases": ["consent", "opt_out"]}, {"link": "https://host.example/terms", "on": now().date()}
        self.service = lambda row, **more: providers.set_bases(row, ["consent", "opt_out"], **terms, **more)
        self.done = lambda row: row.allowed_bases == ["consent", "opt_out"]

    def _bases_loosen(self, tenant):
        self.subject, grounds = tenant, [{"basis": "consent"}, {"basis": "legitimate_interest"}]
        country = ("DE", "AT", "DK", "IT", "PL")[next(PORTS) % 5]
        self.asks = {"country": country, "person_kind": "", "grounds": grounds, "valid_from": now().date()}
        self.service = lambda row, **more: bases.set_rule(row, country, grounds, reason="Counsel says so", **more)
        self.done = lambda row: BasisRule.objects.filter(tenant=row).exists()

    def _suppression_lift(self, tenant):
        suppression.suppress(tenant, [f"gone{next(PORTS)}@example.net"], actor=SYSTEM, reason="opt_out", via="test")
        self.subject = Suppression.objects.filter(tenant=tenant).latest("pk")
        self.service = lambda row, **more: suppression.lift(row, reason="They wrote again", **more)
        self.done = lambda row: row.lifted_at is not None

    def _suppression_list_remove(self, tenant):
        self.subject = suppression_lists.create(tenant, f"Customers {next(PORTS)}", kind="customers", actor=SYSTEM)
        suppression.suppress(
            tenant, [f"gone{next(PORTS)}@example.net"], actor=SYSTEM, reason="manual", via="test",
            suppression_list=self.subject,
        )  # fmt: skip
        self.service = lambda row, **more: suppression_lists.remove(row, reason="The contract ended", **more)
        self.done = lambda row: row.removed_at is not None

    def _stop_lift(self, tenant):
        longer = now() + timedelta(days=next(PORTS))  # than any before: as much twice is refused
        self.subject = stops.pull("tenant", tenant, actor=SYSTEM, reason="Complaints", until=longer)
        self.service = lambda row, **more: stops.lift(row, reason="The list is clean", **more)
        self.done = lambda row: row.lifted_at is not None

    def do(self, actor, **more):
        return self.service(self.subject, actor=actor, **self.given, **more)

    def ask(self, actor, reason="The client wants it"):
        return approvals.ask(self.subject, self.name, actor=actor, reason=reason, **self.given, **self.asks)

    @property
    def happened(self):
        self.subject.refresh_from_db()
        return self.done(self.subject)
