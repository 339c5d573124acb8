"""What workers do, as functions that take ids and give back a word."""

from __future__ import annotations

from django.utils.timezone import now

from deliverability.services import checks, receivers
from outreach.common import isolation
from tenants.models import Tenant
from tenants.services.actors import SYSTEM


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
