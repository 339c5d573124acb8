"""How one try ended, as plain values: what sender threads say and the ledger writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["sent", "deferred", "failed", "uncertain", "returned", "cancelled"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`returned` means the failure was ours, so the row waits for a new slot; `suppress` goes with a hard refusal.

    `cancelled` means that this person can't get this mail; nobody was asked, and no try counts.
    """

    id: int
    mailbox_id: int
    result: Result
    reason: str = ""
    phase: str = ""
    code: int | None = None
    enhanced: str = ""
    text: str = ""
    provider_id: str = ""
    content_hash: bytes | None = None
    retry_after_seconds: int = 0
    suppress: bool = False
    duration_ms: int = 0
