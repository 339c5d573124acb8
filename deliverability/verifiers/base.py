"""What an adapter to a verifier is, and what may come out of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

VERDICTS = ("valid", "risky", "invalid", "unknown")
REASON_CHARS = 15  # with verifier_ in front it fits the contact's column


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a verifier thinks of one address. reason: its own word for why, "" for none."""

    address: str
    verdict: Literal["valid", "risky", "invalid", "unknown"]
    reason: str = ""


class VerifierError(Exception):
    """It gave no opinions. `code`: timeout, unreachable, limited, refused or nonsense."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Verifier(Protocol):
    """One service. `name` stands in the records of its use; `most` is how many addresses one call takes."""

    name: str
    most: int

    def verify(self, addresses: Sequence[str], *, seconds: float) -> list[Opinion]:
        """Ask about these addresses, at most `most`; return within `seconds`. Raises VerifierError.

        Addresses without an opinion may be left out. Nothing is tried again: who calls decides that.
        """


def sound(opinions: Iterable[Opinion], asked: Sequence[str]) -> dict[str, Opinion]:
    """The opinions that answer a question, by address; whatever else a service says is dropped.

    Reasons come back in the alphabet of ours: a-z, 0-9 and _, at most REASON_CHARS.
    """
    wanted, found = set(asked), {}
    for each in opinions:
        if each.address in wanted and each.address not in found and each.verdict in VERDICTS:
            reason = re.sub(r"[^a-z0-9]+", "_", each.reason.lower()).strip("_")[:REASON_CHARS]
            found[each.address] = Opinion(each.address, each.verdict, reason)
    return found
