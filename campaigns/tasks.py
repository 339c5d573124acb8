"""What workers do, as functions that take ids and give back a word."""

from __future__ import annotations

from campaigns.pipeline import sender, testing
from campaigns.services import sharing, upload_work


def send_batches(tenant_id: int, batch_ids: list[int]) -> str:
    """Send the due messages of these batches of one tenant; safe to run twice."""
    return sender.send_batches(tenant_id, batch_ids)


def send_test(tenant_id: int, test_id: int) -> str:
    """Send one queued test mail; safe to run twice."""
    return testing.send(tenant_id, test_id)


def work_on_upload(tenant_id: int, upload_id: int) -> str:
    """Check or import a file of contacts that somebody uploaded; safe to run twice."""
    return upload_work.work_on(tenant_id, upload_id)


def close_shared() -> str:
    """Close what waits for people who opted out of another tenant's mail, where both share; safe to run twice."""
    return f"closed {sharing.close_everywhere()}"
