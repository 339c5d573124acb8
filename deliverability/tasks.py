"""What workers do, as functions that take ids and give back a word."""

from __future__ import annotations

from django.utils.timezone import now

from campaigns.services.validity import Choice
from deliverability.services import checks, receivers, validation, verifying
from outreach.common import isolation, queues
from tenants.models import Tenant
from tenants.services.actors import SYSTEM

VALIDATE_SECONDS = 200.0  # of one job; what is left then gets a job of its own


def check_domains(tenant_id: int) -> str:
    """Check the tenant's domains whose turn it is; safe to run twice, since each is taken by one run only."""
    with isolation.tenants([tenant_id], platform=True):
        done = checks.run_due(tenant_id, actor=SYSTEM, now=now())
    return f"{done.checked} checked, {len(done.verified)} verified, {len(done.degraded)} degraded"


def find_receivers(tenant_id: int) -> str:
    """Ask who runs the mail of the tenant's contacts, where nobody knows yet; safe to run twice."""
    with isolation.tenants([tenant_id], platform=True):
        learned = receivers.learn(Tenant.objects.get(pk=tenant_id), checks.resolver, actor=SYSTEM, now=now())
    return f"{learned.asked} domains asked, {learned.contacts} contacts told"


def validate_contacts(tenant_id: int) -> str:
    """Judge the tenant's contacts that have no verdict yet; safe to run twice."""
    return _validate(tenant_id, "new", "deliverability.tasks.validate_contacts")


def revalidate_contacts(tenant_id: int) -> str:
    """Look again at unknown verdicts, and at old ones of people about to be mailed; safe to run twice."""
    again = "deliverability.tasks.revalidate_contacts"
    return "; ".join(_validate(tenant_id, which, again) for which in ("open", "old"))


def verify_contacts(tenant_id: int) -> str:
    """Ask the paid verifier about the tenant's doubtful addresses, as far as its limits go; safe to run twice."""
    with isolation.tenants([tenant_id], platform=True):
        done = verifying.run(Tenant.objects.get(pk=tenant_id), actor=SYSTEM, now=now())
    return f"{done.asked} asked, {done.answered} answered"


def _validate(tenant_id: int, which: str, again: str) -> str:
    with isolation.tenants([tenant_id], platform=True):
        tenant = Tenant.objects.get(pk=tenant_id)
        choice, resolver = Choice(which), checks.resolver()
        progress = validation.last(
            validation.run(tenant, resolver, actor=SYSTEM, now=now(), choice=choice, seconds=VALIDATE_SECONDS)
        )
    if not progress.is_over:
        queues.ring(again, tenant_id, queue="checks")
    return f"{which}: {progress.judged} judged, {progress.asked} domains asked"
