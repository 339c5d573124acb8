"""People in the middle of sequences, row by row, for tests that need no sending."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from django.utils.timezone import now

from campaigns.models import Campaign, Contact, Enrolment, Message
from tests import factories

TOKEN = uuid4()


class World:
    """A tenant with a mailbox, and campaigns of three steps with people in them."""

    def __init__(self) -> None:
        self.tenant = factories.tenant()
        self.box = factories.mailbox(self.tenant)

    def campaign(self, *, steps: int = 3, **changes) -> Campaign:
        made = factories.campaign(
            self.tenant, self.box.pool, factories.contact_list(self.tenant), steps=steps,
            **{"status": "running", "started_at": now(), "zones": ["UTC"]} | changes,
        )  # fmt: skip
        made.steps.filter(position__gt=1).update(delay_hours=48)
        return made

    def person(self, **changes) -> Contact:
        return factories.people(self.tenant, None, 1, **changes)[0]

    def enrolled(self, campaign: Campaign, contact: Contact, *, step: int = 1, due_in=None, **changes) -> Enrolment:
        """Waiting for its step: due that long from now, or with a message under way."""
        due = {"due_at": None, "waits_for": "message"} if due_in is None else {"due_at": now() + due_in}
        return Enrolment.objects.create(
            **{"tenant": self.tenant, "campaign": campaign, "contact": contact, "step": step, "zone": "UTC",
               "mailbox": self.box} | due | changes
        )  # fmt: skip

    def message(self, enrolment: Enrolment, status: str, *, step: int | None = None, **changes) -> Message:
        """A message of the enrolment's step, or of another one."""
        held = {"claim": TOKEN, "lease_until": now() + timedelta(minutes=2)}
        fields = {
            "tenant": self.tenant, "campaign": enrolment.campaign, "enrolment": enrolment, "mailbox": self.box,
            "contact": enrolment.contact, "step": enrolment.campaign.steps.get(position=step or enrolment.step),
            "status": status, "due_at": now(), "not_after": now() + timedelta(hours=1), "day_on": now().date(),
            "message_id": f"{uuid4().hex}@x.example", "sent_at": now() if status == "sent" else None,
            **(held if status in ("claimed", "committing") else {}),
        }  # fmt: skip
        return Message.objects.create(**fields | changes)

    def written_to(self, campaign: Campaign, contact: Contact, **changes) -> Message:
        """Got the first step; the second one waits for its time, or is as `changes` say."""
        enrolment = self.enrolled(campaign, contact, step=2, **{"due_in": timedelta(days=2)} | changes)
        return self.message(enrolment, "sent", step=1)


def where(enrolment: Enrolment) -> tuple[str, str, str]:
    """How an enrolment stands: status, reason, what it waits for."""
    enrolment.refresh_from_db()
    return enrolment.status, enrolment.stop_reason, enrolment.waits_for
