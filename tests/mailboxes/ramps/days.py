"""Days of a ramp, and mail that went out on them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from campaigns.models import Enrolment, Message
from mailboxes.models import Mailbox, RampDay
from mailboxes.services import ramp
from tenants.services.actors import SYSTEM
from tests import factories

DAY = date(2026, 3, 2)


def day(n: int) -> date:
    return DAY + timedelta(days=n)


class Mail:
    """Mails of a mailbox that went out, each with the day whose allowance it counted against."""

    def __init__(self, box: Mailbox) -> None:
        self.box, self.n = box, 0
        self.campaign = factories.campaign(box.tenant, box.pool, factories.contact_list(box.tenant), status="running")

    def went_out(self, on: date, count: int, status: str = "sent") -> None:
        step = self.campaign.steps.get()
        people = factories.people(self.box.tenant, None, count)
        at = datetime.combine(on, datetime.min.time(), UTC) + timedelta(hours=12)
        for person in people:
            self.n += 1
            enrolment = Enrolment.objects.create(
                tenant=self.box.tenant,
                campaign=self.campaign,
                contact=person,
                zone="UTC",
                mailbox=self.box,
                waits_for="message",
            )
            Message.objects.create(
                tenant=self.box.tenant, campaign=self.campaign, step=step, enrolment=enrolment, contact=person,
                mailbox=self.box, status=status, due_at=at, not_after=at, day_on=on,
                message_id=f"<{self.box.pk}-{self.n}@x.example>", sent_at=at if status == "sent" else None,
            )  # fmt: skip


def run(tenant, n: int):
    return ramp.run_day(tenant, day(n), actor=SYSTEM, at=datetime.combine(day(n), datetime.min.time(), UTC))


def rows(box: Mailbox) -> list[tuple[int, str, str, int, int | None]]:
    found = RampDay.objects.filter(mailbox=box).order_by("day")
    return [((row.day - DAY).days, row.kind, row.reason, row.cap, row.sent) for row in found]
