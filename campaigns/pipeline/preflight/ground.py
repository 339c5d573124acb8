"""What the checks look at, read once and only when one asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from campaigns import templating
from campaigns.models import Campaign
from campaigns.pipeline import windows
from outreach.common.errors import OutreachError
from outreach.common.links import Link
from tenants.models import TenantRecord
from tenants.services import records

CENSUS = """
SELECT ct.validity, ct.lawful_basis, ct.country, ct.collected_directly,
    coalesce(ct.basis_expires_on < %(day)s, FALSE), count(*)
FROM campaigns_listentry le JOIN campaigns_contact ct ON ct.id = le.contact_id
WHERE le.contact_list_id = %(contact_list)s
GROUP BY 1, 2, 3, 4, 5"""


@dataclass(frozen=True, slots=True)
class Wording:
    """What is sent as one step: its own text, or that of one of its variants. `name` is how sentences call it."""

    position: int
    name: str
    subject: str
    text: str
    html: str

    @property
    def is_first(self) -> bool:
        return self.position == 1

    def compiled(self) -> templating.CompiledStep:
        """Raises BadInput or TemplateTooCostly with step, part, line and remedy."""
        return templating.compile_step(self.subject, self.text, self.html, step=self.name, is_first=self.is_first)


@dataclass(frozen=True, slots=True)
class Group:
    """People of the list who are alike in what the checks ask about."""

    validity: str
    basis: str
    country: str
    collected_directly: bool
    expired: bool
    count: int


class Ground:
    """A campaign, its tenant, its list and its wordings at one moment."""

    def __init__(self, campaign: Campaign, now: datetime) -> None:
        self.campaign, self.tenant, self.now = campaign, campaign.tenant, now

    @cached_property
    def today(self) -> date:
        return windows.day_of(self.now, ZoneInfo(self.tenant.time_zone))

    @cached_property
    def record(self) -> TenantRecord:
        return records.of(self.tenant)

    @cached_property
    def wordings(self) -> list[Wording]:
        """Of the newest version of each step, in the order of the sequence."""
        newest = self.campaign.steps.order_by("position", "-version").distinct("position").prefetch_related("variants")
        found = []
        for step in newest:
            name = f"Step {step.position}"
            variants = sorted(step.variants.all(), key=lambda variant: variant.label)
            found += [
                Wording(step.position, f"{name}, variant {each.label}", each.subject, each.text_body, each.html_body)
                for each in variants
            ] or [Wording(step.position, name, step.subject, step.text_body, step.html_body)]
        return found

    @cached_property
    def sound(self) -> list[tuple[Wording, templating.CompiledStep]]:
        """The wordings that can be parsed; the others are errors of their own."""
        found = []
        for each in self.wordings:
            try:
                found.append((each, each.compiled()))
            except OutreachError:
                continue
        return found

    @cached_property
    def census(self) -> list[Group]:
        """The people of the list, counted in one pass."""
        if self.campaign.contact_list_id is None:
            return []
        with connection.cursor() as cursor:
            cursor.execute(CENSUS, {"contact_list": self.campaign.contact_list_id, "day": self.today})
            return [Group(*row) for row in cursor.fetchall()]

    @cached_property
    def people(self) -> int:
        """How many are in the list."""
        return sum(group.count for group in self.census)

    def count(self, whether: Callable[[Group], Any]) -> int:
        return sum(group.count for group in self.census if whether(group))

    def by(self, name: str, whether: Callable[[Group], Any] = lambda group: True) -> Counter[str]:
        """People by one of the group's columns."""
        counts: Counter[str] = Counter()
        for group in self.census:
            if whether(group):
                counts[getattr(group, name)] += group.count
        return counts

    def members(self, only: str = "") -> Link:
        """The people of the list, or those of them whom `only` describes (campaigns.admin.narrowing)."""
        lookups: dict[str, Any] = {"contact_list__id__exact": self.campaign.contact_list_id}
        return Link("campaigns_listentry", lookups | ({"only": only} if only else {}))

    @property
    def own_page(self) -> Link:
        return Link("campaigns_campaign", pk=self.campaign.pk)
