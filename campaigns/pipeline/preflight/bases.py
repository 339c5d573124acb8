"""By which lawful bases the accounts of a pool may send, from what their owners entered of the hosts' terms."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mailboxes.models import Mailbox


@dataclass(frozen=True, slots=True)
class Route:
    """An account that mailboxes of the pool leave by: which bases its host's terms allow, and how many mailboxes."""

    account_id: int
    name: str
    allowed: frozenset[str]
    mailboxes: int


def routes(pool_id: int) -> list[Route]:
    """The accounts behind a pool's mailboxes, retired ones left out."""
    boxes = Mailbox.objects.filter(pool=pool_id).exclude(state=Mailbox.State.RETIRED).select_related("home")
    counts: Counter[int] = Counter()
    homes = {}
    for box in boxes.only("home__id", "home__host", "home__port", "home__allowed_bases"):
        counts[box.home_id] += 1
        homes[box.home_id] = box.home
    return [Route(pk, str(home), frozenset(home.allowed_bases), counts[pk]) for pk, home in sorted(homes.items())]
