"""What an explanation is made of. Values only: words, links and templates are put to them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from outreach.common.links import Link

# In the order in which a mail meets them; of two that hold as much the first is told first.
KINDS = ("stop", "approval", "domain", "circuit", "cap", "gate", "window", "holiday", "worker", "queue", "pace")
# What of them is the fleet's or the platform's own business, not that of a client who watches a campaign.
OF_THE_FLEET = frozenset({"domain", "circuit", "worker", "queue", "pace"})
CAPS_OF_CLIENTS = frozenset({"campaign_day", "campaign_total", "tenant_day"})


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that holds mail.

    `count` is how much it holds, `decides` how much of that nothing before it holds, so that these add up to all that
    waits. `used` and `cap` are the numbers of a limit. `next_at` is when the first of it can go, None: not by itself.
    `link` leads to what holds it, `rows` to whom or what it holds, or where that is not told row by row, to those
    among whom they are.
    """

    kind: str
    name: str
    title: str
    count: int
    decides: int
    remedy: str = ""
    since: datetime | None = None
    next_at: datetime | None = None
    used: int | None = None
    cap: int | None = None
    link: Link | None = None
    rows: Link | None = None
    is_estimate: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "title": self.title,
            "count": self.count,
            "decides": self.decides,
            "since": self.since,
            "next_at": self.next_at,
            "used": self.used,
            "cap": self.cap,
            "remedy": self.remedy,
            "is_estimate": self.is_estimate,
        }


def rank(cause: Cause) -> tuple[int, int, int, str]:
    """The order of causes: by messages held, then as the mail meets them."""
    return -cause.decides, -cause.count, KINDS.index(cause.kind), cause.name


@dataclass(frozen=True, slots=True)
class Number:
    """A count of today with the rows that it counts."""

    name: str
    label: str
    count: int
    link: Link


@dataclass(slots=True)
class Explanation:
    """Why a campaign, a mailbox or a tenant sent what it sent today, and what holds the rest.

    `ready` of those who wait have a slot in the next planner run, at `ready_at`; `overdue` of them are planned and did
    not leave. `facts` are key, label and value, `figures` tables below the causes.
    """

    subject: str
    id: int
    name: str
    at: datetime
    zone: str
    today: list[Number]
    waiting: int
    ready: int
    ready_at: datetime | None
    causes: list[Cause]
    overdue: int = 0
    ended: list[Number] = field(default_factory=list)
    sentence: str = ""
    is_estimate: bool = False
    facts: list[tuple[str, str, str]] = field(default_factory=list)
    figures: list[Table] = field(default_factory=list)

    def number(self, name: str) -> int:
        return next((each.count for each in self.today if each.name == name), 0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; times are datetimes."""
        return {
            "subject": self.subject,
            "id": self.id,
            "name": self.name,
            "at": self.at,
            "sentence": self.sentence,
            "today": {each.name: each.count for each in self.today},
            "waiting": self.waiting,
            "ready": self.ready,
            "ready_at": self.ready_at,
            "causes": [cause.as_dict() for cause in self.causes],
            "ended": {each.name: each.count for each in self.ended},
            "is_estimate": self.is_estimate,
            "facts": {key: value for key, _, value in self.facts},
            "figures": {table.name: table.as_dicts() for table in self.figures},
        }


@dataclass(frozen=True, slots=True)
class Table:
    """A small table: `columns` are key and heading; a row's link opens what it stands for."""

    name: str
    title: str
    columns: tuple[tuple[str, str], ...]
    rows: Sequence[tuple[tuple[Any, ...], Link | None]]

    def as_dicts(self) -> list[dict[str, Any]]:
        return [dict(zip((key for key, _ in self.columns), values, strict=True)) for values, _ in self.rows]
