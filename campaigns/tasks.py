"""What workers do, as functions that take ids and give back a word."""

from __future__ import annotations

from campaigns.pipeline import sender


def send_batches(tenant_id: int, batch_ids: list[int]) -> str:
    """Send the due messages of these batches of one tenant; safe to run twice."""
    return sender.send_batches(tenant_id, batch_ids)
