"""What workers do with the fleet, as functions that take ids and give back a word."""

from __future__ import annotations

from mailboxes.services import upload_work


def work_on_upload(tenant_id: int, upload_id: int) -> str:
    """Check, import or sign in what somebody uploaded; safe to run twice."""
    return upload_work.work_on(tenant_id, upload_id)
