"""A verifier that takes and gives JSON. It works as it is, and shows what an adapter to another service has to do.

POST URL    Authorization: Bearer KEY
{"emails": ["ann@example.org", ...]}
200         {"results": [{"email": "ann@example.org", "status": "deliverable", "reason": "accepted_email"}, ...]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from deliverability.verifiers import web
from deliverability.verifiers.base import Opinion, VerifierError

# What services call it; anything else is no opinion.
STATUSES: dict[str, Literal["valid", "risky", "invalid", "unknown"]] = {
    "valid": "valid", "deliverable": "valid", "ok": "valid",
    "risky": "risky", "catch_all": "risky", "accept_all": "risky", "role": "risky", "disposable": "invalid",
    "invalid": "invalid", "undeliverable": "invalid",
    "unknown": "unknown",
}  # fmt: skip


class JsonApi:
    """Asks one address of the web about up to 100 mail addresses at a time."""

    name = "json_api"
    most = 100

    def __init__(self, url: str, key: str, *, allow_loopback: bool = False) -> None:
        self.url, self.key, self.allow_loopback = url, key, allow_loopback

    @classmethod
    def configured(cls, url: str, key: str, *, allow_loopback: bool) -> Self:
        """How the console makes one from its settings."""
        return cls(url, key, allow_loopback=allow_loopback)

    def verify(self, addresses: Sequence[str], *, seconds: float) -> list[Opinion]:
        answer = web.post(
            self.url, {"emails": list(addresses)}, headers={"Authorization": f"Bearer {self.key}"}, seconds=seconds,
            allow_loopback=self.allow_loopback,
        )  # fmt: skip
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list):
            raise VerifierError("nonsense", "The answer has no list of results.")
        return [opinion for each in results if (opinion := _opinion(each)) is not None]


def _opinion(result: Any) -> Opinion | None:
    """None for what is no result that we know."""
    if not isinstance(result, dict):
        return None
    address, status, reason = (result.get(name) or "" for name in ("email", "status", "reason"))
    if not all(isinstance(value, str) for value in (address, status, reason)) or status.lower() not in STATUSES:
        return None
    return Opinion(address, STATUSES[status.lower()], reason)
