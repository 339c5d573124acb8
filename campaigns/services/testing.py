"""Test mail: a step as a contact of the list would get it, to one of us or to a verified seed address.

Here it is asked for; a worker sends it (campaigns.pipeline.testing). No message of the ledger comes of it: the contact
gets nothing, is enrolled in nothing, and nothing is counted for it. What stops campaign mail stops it too.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from campaigns.ledger import trials
from campaigns.models import Campaign, Contact, SeedAddress, Step, TestSend
from campaigns.services import contacts, suppression
from mailboxes.models import Mailbox
from mailboxes.services import ramp
from outreach.common import addresses, queues, yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError, TooMany
from tenants.models import Tenant, User
from tenants.models.members import Membership
from tenants.services import audit
from tenants.services.actors import Actor

PER_HOUR = 20  # test mails of one person in one tenant
HOUR = timedelta(hours=1)
JOB = "campaigns.tasks.send_test"
SHOWN = 10


class Held(OutreachError):
    """A stop, a suppression or a full day stands against a test mail; `reason` says which."""

    code, http_status = "held", 409


@dataclass(frozen=True, slots=True)
class Tester:
    """Who gets it: one of us, or a seed address."""

    address: str
    user_id: int | None = None
    seed_id: int | None = None


@transaction.atomic
def send(
    campaign: Campaign,
    to: str,
    *,
    actor: Actor,
    step: int | None = None,
    contact: str = "",
    mailbox: str = "",
) -> TestSend:
    """Queue a test mail; return its row, which a worker brings to sent, failed or uncertain.

    step: position, by default the first; its newest version is taken. contact: address of somebody on the list, by
    default the first there. mailbox: one of the pool, by default the one that rests longest of those that may send.
    Raises NotAllowed; BadInput that names the field, also for any address but those of `testers`; Held; TooMany.
    """
    actor.require("campaigns.test", campaign)
    campaign = Campaign.objects.select_related("tenant").get(pk=campaign.pk)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=campaign.tenant_id)
    tester = tester_of(tenant, to)
    chosen, person = _step(campaign, step), _contact(campaign, contact)
    box = _mailbox(campaign, mailbox)
    at = now()
    mine = {"by_kind": actor.kind, "by_user_id": actor.user_id, "by_key_id": actor.key_id}
    if TestSend.objects.filter(tenant=tenant, kind="test", created_at__gt=at - HOUR, **mine).count() >= PER_HOUR:
        text = _("You have sent %d test mails within an hour. Wait until the first of them is an hour old.")
        raise TooMany(text % PER_HOUR)
    mailbox_id = way(tenant, tester.address, at=at, campaign=campaign, mailbox_id=box)
    test = enqueue(
        tenant, tester, at=at, mailbox_id=mailbox_id, kind="test", campaign=campaign, step=chosen,
        contact_ref=person.pk, **mine,
    )  # fmt: skip
    audit.record(
        actor, "campaign.tested", campaign, test=test.pk, step=chosen.position, mailbox=mailbox_id,
        user=tester.user_id, seed=tester.seed_id,
    )  # fmt: skip
    return test


# --- Who may get one --------------------------------------------------------------------------------------------


def testers(tenant: Tenant, *, actor: Actor) -> list[str]:
    """The addresses that this actor may choose from: its own, those of whom it sees in the tenant, verified seeds."""
    held = Membership.objects.holding().filter(user__is_active=True, tenant__in=[tenant])
    everywhere = Membership.objects.holding().filter(user__is_active=True, tenant=None)
    people = {row.user.email for row in (held | everywhere).select_related("user")}
    own = User.objects.filter(pk=actor.user_id or 0, is_active=True).values_list("email", flat=True).first()
    if own and _reaches(actor.user_id, tenant.pk):
        people.discard(own)
        people = {own} | people
    seeds = _seeds(tenant).exclude(verified_at=None).values_list("address", flat=True)
    listed = sorted(people - {own}) + [each for each in seeds if each not in people]
    return ([own] if own in people else []) + listed


def tester_of(tenant: Tenant, to: str) -> Tester:
    """Whom the address belongs to. Raises BadInput for everybody's but those of `testers`."""
    address = addresses.parse(to) if yaml_files.storable(to) else None
    if address is None or address.needs_smtputf8:
        raise BadInput(_("This address can't get test mail."), field="to")
    user = User.objects.filter(email__iexact=to.strip(), is_active=True).first()
    if user is not None and _reaches(user.pk, tenant.pk):
        return Tester(addresses.parse(user.email).wire, user_id=user.pk)
    seed = _seeds(tenant).filter(address_key=address.key).first()
    if seed is None:
        text = _("Test mail goes to people of this console who see the tenant, and to its verified seed addresses.")
        raise BadInput(text, field="to")
    if seed.verified_at is None:
        text = _("This seed address is not verified yet: enter the code of the mail that it got.")
        raise BadInput(text, field="to")
    return Tester(addresses.parse(seed.address).wire, seed_id=seed.pk)


def tester_now(test: TestSend) -> Tester:
    """Whom the row goes to, if it still may. Raises Held."""
    if test.user_id is not None:
        user = User.objects.filter(pk=test.user_id, is_active=True).first()
        if user is not None and _reaches(user.pk, test.tenant_id):
            return Tester(addresses.parse(user.email).wire, user_id=user.pk)
    else:
        seed = SeedAddress.objects.filter(pk=test.seed_id or 0, archived_at=None).first()
        if seed is not None and (seed.verified_at or test.kind == TestSend.Kind.CONFIRMATION):
            return Tester(addresses.parse(seed.address).wire, seed_id=seed.pk)
    raise Held(_("The address may get no test mail any more."), reason="not_allowed")


def _seeds(tenant: Tenant) -> Any:
    return SeedAddress.objects.filter(tenant=tenant, archived_at=None)


def _reaches(user_id: int | None, tenant_id: int) -> bool:
    """Whether the person holds a role in the tenant; a way in for an hour is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id, role FROM app_grants_of_user(%s)", [user_id])
        return any(held in (None, tenant_id) and role != "break_glass" for held, role in cursor.fetchall())


# --- What stands against it -------------------------------------------------------------------------------------

HELD = {
    "tenant": "The tenant is not active, so nothing is sent for it.",
    "halted": "The campaign is halted. See to its cause and resume it first.",
    "cancelled": "The campaign is cancelled.",
    "stop": "A stop holds: nothing leaves until it is lifted.",
    "suppressed": "The address is suppressed, and that holds for testers too.",
    "mailbox": "No mailbox of the pool may send now: quarantined, held, stopped, or its domain or account is.",
    "receiver": "Whoever runs the tester's mail asked for less; it rests for now.",
    "no_room": "No mailbox has room left now: its own cap, its domain's, its account's or the tenant's is used up.",
}


def way(
    tenant: Tenant,
    address: str,
    *,
    at: datetime,
    campaign: Campaign | None = None,
    mailbox_id: int | None = None,
    test_id: int = 0,
) -> int:
    """The mailbox by which mail may go to that address now. Raises Held with the first reason against it.

    Without a campaign every mailbox of the tenant will do. `test_id` is the row that does not count against itself.
    """
    values = {
        "tenant": tenant.pk,
        "campaign": campaign and campaign.pk,
        "pool": campaign and campaign.pool_id,
        "mailbox": mailbox_id,
        "domain": addresses.parse(address).domain,
        "day": ramp.day_of(tenant, at),
        "hour": at.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
        "self": test_id,
    }
    reason = trials.stopped(values)
    if not reason and is_suppressed(tenant, address, campaign):
        reason = "suppressed"
    found = mailbox_id
    if not reason:
        found, reason = trials.mailbox(values)
    if reason or found is None:
        raise Held(_(HELD[reason]), reason=reason)
    return found


def is_suppressed(tenant: Tenant, address: str, campaign: Campaign | None) -> bool:
    """Whether any entry covers the address, in whatever scope: asked as for a contact of the tenant."""
    own_hash, *others = contacts.hashes(suppression.hasher(), addresses.parse(address))
    person = Contact(tenant=tenant, address_hash=own_hash, domain_hashes=others)
    entries, by_platform = suppression.standing(person, campaign=campaign)
    return bool(entries) or by_platform


# --- Pieces ---------------------------------------------------------------------------------------------------


def enqueue(tenant: Tenant, tester: Tester, *, at: datetime, mailbox_id: int, **values: Any) -> TestSend:
    """A new row, and the hint for a worker once it is committed."""
    domain = Mailbox.objects.values_list("address_key", flat=True).get(pk=mailbox_id).rpartition("@")[2]
    test = TestSend.objects.create(
        tenant=tenant, mailbox_id=mailbox_id, user_id=tester.user_id, seed_id=tester.seed_id,
        hint=suppression.mask(tester.address), message_id=f"test.{secrets.token_hex(13)}@{domain}",
        day_on=ramp.day_of(tenant, at), **values,
    )  # fmt: skip
    queues.ring(JOB, tenant.pk, test.pk)
    return test


def latest(campaign: Campaign, count: int = SHOWN) -> Iterable[TestSend]:
    """The last tests of a campaign, newest first."""
    rows = TestSend.objects.filter(campaign=campaign).select_related("step", "mailbox", "by_user")
    return rows.order_by("-pk")[:count]


def _step(campaign: Campaign, position: int | None) -> Step:
    steps = Step.objects.filter(campaign=campaign).order_by("position", "-version")
    found = (steps if position is None else steps.filter(position=position)).first()
    if found is None:
        raise Missing(_("The campaign has no such step."), field="step")
    return found


def _contact(campaign: Campaign, email: str) -> Contact:
    """Somebody of the list, by address, or the first of it."""
    people = Contact.objects.filter(tenant=campaign.tenant_id, entries__contact_list=campaign.contact_list_id)
    if not email.strip():
        found = people.order_by("pk").first()
        if found is None:
            raise Missing(_("The list of the campaign is empty: there is nobody to write the test for."))
        return found
    found = people.filter(email_key__in=contacts.keys_of(email)).first() if yaml_files.storable(email) else None
    if found is None:
        raise BadInput(_("Nobody of that address is on the list of the campaign."), field="contact")
    return found


def _mailbox(campaign: Campaign, address: str) -> int | None:
    if campaign.pool_id is None:
        raise BadInput(_("The campaign has no pool yet, so no mailbox can send its test."), field="mailbox")
    if not address.strip():
        return None
    key = addresses.parse(address).key if yaml_files.storable(address) else ""
    found = Mailbox.objects.filter(tenant=campaign.tenant_id, pool=campaign.pool_id, address_key=key).first()
    if found is None:
        raise BadInput(_("No mailbox of the campaign's pool has that address."), field="mailbox")
    return found.pk
