"""Why one person gets mail or none: every gate with its value, and the one that decides.

The gates are the planner's (explain_gates); this page puts a value and words to each, in the order in which they are
asked. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils.translation import gettext as _

from campaigns.models import Contact, Enrolment
from campaigns.pipeline import explain_gates, explain_words
from campaigns.pipeline.explain_gates import Verdict
from campaigns.pipeline.explain_person import Person, Place
from outreach.common import isolation
from outreach.common.links import Link
from tenants.models import Tenant

SHOWN = 50  # campaigns of one person, those under way first


@dataclass(frozen=True, slots=True)
class Check:
    """One gate: whether it lets the mail pass, and the value that it looked at. `decides`: the first that holds."""

    name: str
    title: str
    passes: bool
    value: str
    decides: bool = False
    until: datetime | None = None
    link: Link | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "title": self.title, "passes": self.passes, "value": self.value,
            "decides": self.decides, "until": self.until,
        }  # fmt: skip


@dataclass(slots=True)
class Part:
    """One campaign of a person, or one message: what decides, when it is asked again, and all checks."""

    id: int
    name: str
    gate: str
    sentence: str
    next_at: datetime | None = None
    checks: list[Check] = field(default_factory=list)
    facts: list[tuple[str, str, str]] = field(default_factory=list)
    link: Link | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id, "name": self.name, "gate": self.gate, "sentence": self.sentence, "next_at": self.next_at,
            "checks": [check.as_dict() for check in self.checks],
            "facts": {key: value for key, _label, value in self.facts},
        }  # fmt: skip


@dataclass(slots=True)
class Story:
    """An answer about one person or one message at a moment; times are told in `zone`."""

    subject: str
    id: int
    name: str
    at: datetime
    zone: str
    sentence: str
    parts: list[Part]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; times are datetimes."""
        return {
            "subject": self.subject, "id": self.id, "name": self.name, "at": self.at, "sentence": self.sentence,
            "parts": [part.as_dict() for part in self.parts],
        }  # fmt: skip


@transaction.atomic
def contact(row: Contact, now: datetime, *, knows_platform: bool = True) -> Story:
    """Of one person in each campaign. Without `knows_platform` an entry of the platform is told without reason."""
    tenant = Tenant.objects.get(pk=row.tenant_id)
    zone = ZoneInfo(tenant.time_zone)
    rows = list(
        Enrolment.objects.filter(contact=row)
        .select_related("campaign", "mailbox")
        .order_by("status", "-pk")[:SHOWN]  # active, done, stopped
    )
    with connection.cursor() as cursor, isolation.tenants([tenant.pk], platform=True):
        verdicts = explain_gates.of_enrolments(cursor, tenant, [each.pk for each in rows], now)
        person = Person.load(cursor, tenant, row, now, zone, knows_platform=knows_platform)
        parts = [_part(each, verdicts[each.pk], person, now, zone) for each in rows]
    return Story("contact", row.pk, row.email, now, tenant.time_zone, _of_person(parts, person), parts)


def _part(row: Enrolment, verdict: Verdict, person: Person, now: datetime, zone: ZoneInfo) -> Part:
    checks = _checks(Place.of(row, now), verdict, person)
    decides = next((check for check in checks if check.decides), None)
    until = verdict.until or (decides.until if decides else None)
    return Part(
        id=row.pk,
        name=row.campaign.name,
        gate=verdict.gate,
        sentence=_sentence(row, verdict, until, now, zone),
        next_at=until,
        checks=checks,
        link=Link("campaigns_enrolment", pk=row.pk),
    )


def _checks(place: Place, verdict: Verdict, person: Person) -> list[Check]:
    asked = [*place.asked(), *person.asked(place)]
    names = [name for name, *_rest in asked]
    decided = verdict.gate if verdict.gate in names else ""
    return [
        Check(name, title, passes and name != decided, value, name == decided, until, link)
        for name, title, passes, value, until, link in asked
    ]


def _sentence(row: Enrolment, verdict: Verdict, until: datetime | None, now: datetime, zone: ZoneInfo) -> str:
    if row.status == Enrolment.Status.DONE:
        return _("All steps were sent.")
    if row.status == Enrolment.Status.STOPPED:
        return _("Ended before step %(step)s: %(reason)s.") % {
            "step": row.step, "reason": verdict.gate.replace("_", " "),
        }  # fmt: skip
    if verdict.gate == "message":
        return _("The mail of step %s is under way; the message says how it stands.") % row.step
    if verdict.gate == "slot":
        box = row.mailbox.address if row.mailbox else _("a mailbox of the pool")
        return _("Step %(step)s passes every gate and waits for room in %(box)s.") % {"step": row.step, "box": box}
    title = _title(verdict.gate)
    if until is None:
        return _("Step %(step)s waits for %(title)s.") % {"step": row.step, "title": title}
    return _("Step %(step)s waits for %(title)s, and is asked again %(at)s.") % {
        "step": row.step, "title": title, "at": explain_words.moment(until, now, zone),
    }  # fmt: skip


def _title(gate: str) -> str:
    if gate == "campaign":
        return _("its campaign, which does not run")
    if gate == "window":
        return explain_words.words("window", "closed")[0]
    return explain_words.words("gate", gate)[0]


def _of_person(parts: Sequence[Part], person: Person) -> str:
    if not parts:
        said = _("Is in no campaign.")
    else:
        waiting = sum(part.gate == "slot" for part in parts)
        said = _("In %(all)s campaigns; in %(ready)s of them a mail goes as soon as there is room.") % {
            "all": len(parts), "ready": waiting,
        }  # fmt: skip
    refused = [check[1] for check in person.asked(None) if not check[2]]
    return f"{said} {_('Whoever writes to this person meets:')} {', '.join(refused)}." if refused else said
