"""What workers do with the fleet, as functions that take ids and give back a word."""

from __future__ import annotations

from mailboxes.services import circuits, upload_work
from tenants.services.actors import SYSTEM


def work_on_upload(tenant_id: int, upload_id: int) -> str:
    """Check, import or sign in what somebody uploaded; safe to run twice."""
    return upload_work.work_on(tenant_id, upload_id)


def probe_account(tenant_id: int, account_id: int) -> str:
    """Try an account whose circuit is open, if its time has come; safe to run twice."""
    return circuits.probe(tenant_id, account_id, actor=SYSTEM)
