"""What the gates look at of one person, with values for people to read: in the planner's order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from campaigns import calendars
from campaigns.ledger import gates
from campaigns.models import Contact, Enrolment
from campaigns.pipeline import explain_words, gating, windows
from outreach.common.links import Link
from tenants.models import Tenant

# name, title, whether it lets pass, the value it looked at, until when it holds, where that stands
Asked = tuple[str, str, bool, str, datetime | None, Link | None]

COVERING = """
SELECT s.id, s.scope, s.kind, s.reason, s.created_at, s.campaign_id FROM campaigns_contact ct
CROSS JOIN LATERAL unnest(ct.domain_hashes || ct.address_hash) AS own (hash)
JOIN campaigns_suppression s ON s.hash = own.hash
WHERE ct.id = %(contact)s AND s.lifted_at IS NULL AND (s.tenant_id IS NULL OR s.tenant_id = ct.tenant_id)
ORDER BY s.id"""

OF_PERSON = f"""
SELECT count(*), min(coalesce(m.sent_at, m.due_at)) FROM campaigns_message m
WHERE m.contact_id = %(contact)s AND {gating.MAILED}"""

OF_COMPANY = f"""
SELECT count(*), min(coalesce(m.sent_at, m.due_at)) FROM campaigns_contact ct
JOIN campaigns_message m ON m.contact_id = ct.id
WHERE ct.tenant_id = %(tenant)s AND ct.company_domain = %(company)s AND {gating.MAILED}"""

CAMPAIGN_STOPPED = f"SELECT {gates.CAMPAIGN_STOPPED} FROM campaigns_campaign c WHERE c.id = %s"


@dataclass(frozen=True, slots=True)
class Entry:
    """A suppression entry that covers the person; of the platform's a tenant's people learn only that it holds."""

    id: int
    scope: str
    kind: str
    reason: str
    at: datetime
    campaign_id: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where one enrolment stands: its campaign, its window, its time."""

    row: Enrolment
    opening: windows.Opening
    now: datetime

    @classmethod
    def of(cls, row: Enrolment, now: datetime) -> Place:
        campaign = row.campaign
        window = windows.Window(campaign.window_from, campaign.window_until, frozenset(campaign.window_days))
        return cls(row, windows.opening_in(window, row.zone, now), now)

    def asked(self) -> list[Asked]:
        campaign, row = self.row.campaign, self.row
        at = Link("campaigns_campaign", pk=campaign.pk)
        runs = campaign.status == "running"
        is_open = self.opening.closes_at is not None
        due = row.due_at is None or row.due_at <= self.now
        return [
            ("campaign", _("the campaign runs"), runs, campaign.get_status_display(), None, at),
            ("due", _("its time has come"), due, _moment(row.due_at, self.now, row.zone), row.due_at, None),
            (
                "window", _("the window is open"), is_open,
                _moment(self.opening.closes_at or self.opening.next_opens_at, self.now, row.zone),
                None if is_open else self.opening.next_opens_at, at,
            ),
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """A contact with all that its gates look at."""

    tenant: Tenant
    row: Contact
    now: datetime
    zone: ZoneInfo
    entries: tuple[Entry, ...]
    person_had: tuple[int, datetime | None]
    company_had: tuple[int, datetime | None]
    knows_platform: bool

    @classmethod
    def load(
        cls, cursor: Any, tenant: Tenant, row: Contact, now: datetime, zone: ZoneInfo, *, knows_platform: bool
    ) -> Person:  # fmt: skip
        """Read it; the caller's scope has the rows of the platform."""
        values = {
            "contact": row.pk, "tenant": tenant.pk, "company": row.company_domain, "now": now,
            "days": tenant.frequency_days,
        }  # fmt: skip
        cursor.execute(COVERING, values)
        entries = tuple(Entry(*each) for each in cursor.fetchall())
        cursor.execute(OF_PERSON, values)
        of_person = cursor.fetchone()
        of_company = (0, None)
        if row.company_domain and tenant.frequency_company is not None:
            cursor.execute(OF_COMPANY, values)
            of_company = cursor.fetchone()
        return cls(tenant, row, now, zone, entries, of_person, of_company, knows_platform)

    def asked(self, place: Place | None) -> list[Asked]:
        """The gates about this person in the planner's order; with a place those of its campaign too."""
        row, today = self.row, windows.day_of(self.now, self.zone)
        campaign_id = place.row.campaign_id if place else None
        entry = next((each for each in self.entries if each.campaign_id in (None, campaign_id)), None)
        expired = row.basis_expires_on is not None and row.basis_expires_on < today
        quiet = row.quiet_until is not None and row.quiet_until > self.now
        validity = row.get_validity_display() or _("not validated yet")
        if row.validity_reason:
            validity = f"{validity} ({row.validity_reason.replace('_', ' ')})"
        return [
            (
                "suppressed", _("not suppressed"), entry is None, self._entry(entry), None,
                Link("campaigns_suppression", pk=entry.id) if entry and self._may_see(entry) else None,
            ),
            ("invalid", _("the address can get mail"), row.validity != "invalid", validity, None, None),
            (
                "basis_expired", _("the basis has not expired"), not expired,
                str(row.basis_expires_on or _("no expiry")), None, None,
            ),
            ("validation", _("the address is validated"), row.validity not in ("", "unknown"), validity, None, None),
            self._frequency(),
            (
                "conversation", _("nobody talks with this person"), row.conversation_since is None,
                self._when(row.conversation_since), None, None,
            ),
            ("quiet", _("no time without mail was asked for"), not quiet, self._when(row.quiet_until),
             row.quiet_until if quiet else None, None),
            ("receiver", _("the receiver takes more"), True, row.operator or _("unknown"), None, None),
        ]  # fmt: skip

    def _frequency(self) -> Asked:
        tenant = self.tenant
        of_person, of_company = self.person_had[0], self.company_had[0]
        said, passes, oldest = [], True, None
        for most, count, first, who in (
            (tenant.frequency_person, of_person, self.person_had[1], _("to this person")),
            (tenant.frequency_company, of_company, self.company_had[1], _("to this company")),
        ):
            if most is None or (who == _("to this company") and not self.row.company_domain):
                continue
            said.append(
                _("%(count)s of %(most)s in %(days)s days %(who)s")
                % {"count": count, "most": most, "days": tenant.frequency_days, "who": who}
            )
            if count >= most:
                passes, oldest = False, first
        until = oldest + timedelta(days=tenant.frequency_days) if oldest else None
        return ("frequency", _("not written to too often"), passes, "; ".join(said) or _("no limit"), until, None)

    def _may_see(self, entry: Entry) -> bool:
        return entry.scope != "platform" or self.knows_platform

    def _entry(self, entry: Entry | None) -> str:
        if entry is None:
            return _("no entry covers it")
        if not self._may_see(entry):
            return _("platform limit")
        return f"{entry.scope}, {entry.kind}: {entry.reason.replace('_', ' ')}, {self._when(entry.at)}"

    def _when(self, at: datetime | None) -> str:
        return explain_words.moment(at, self.now, self.zone) if at else "-"


def _moment(at: datetime | None, now: datetime, zone: str) -> str:
    return explain_words.moment(at, now, calendars.parse(zone).zone) if at else "-"
