"""A pool with a sick mailbox, a reserve, and campaigns with people in the middle of everything."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from django.utils.timezone import now

from campaigns.models import Campaign, Enrolment, Message
from tests import factories


class Pool:
    """A sick mailbox, a reserve, and campaigns that have people in the middle of everything."""

    def __init__(self, reserve: bool = True) -> None:
        self.tenant = factories.tenant()
        self.pool = factories.pool(self.tenant)
        self.sick, self.other = factories.fleet(self.tenant, 2, pool=self.pool)
        self.reserve = factories.fleet(self.tenant, 1, pool=self.pool, state="reserve")[0] if reserve else None

    def campaign(self, handover: str, **changes) -> Campaign:
        return factories.campaign(
            self.tenant, self.pool, factories.contact_list(self.tenant), status="running", handover=handover, steps=2,
            started_at=now(), zones=["UTC"], **changes,
        )  # fmt: skip

    def person(self, campaign: Campaign, step: int, status: str = "", tries: int = 0, **changes) -> Enrolment:
        """Bound to the sick mailbox: due, or with a message of that status."""
        contact = factories.people(self.tenant, None, 1)[0]
        due = {"due_at": now()} if not status else {"due_at": None, "waits_for": "message"}
        who = Enrolment.objects.create(
            **{"tenant": self.tenant, "campaign": campaign, "contact": contact, "mailbox": self.sick, "step": step,
               "zone": "UTC"} | due | changes
        )  # fmt: skip
        if status:
            held = {"claim": uuid4(), "lease_until": now() + timedelta(minutes=2)}
            Message.objects.create(
                tenant=self.tenant, campaign=campaign, enrolment=who, contact=contact, mailbox=self.sick,
                step=campaign.steps.get(position=step), status=status, tries=tries, due_at=now(), day_on=now().date(),
                not_after=now() + timedelta(hours=1), message_id=f"{uuid4()}@x.example",
                sent_at=now() if status == "sent" else None,
                **(held if status in ("claimed", "committing") else {}),
            )  # fmt: skip
        return who

    def everybody(self, campaign: Campaign) -> dict[str, Enrolment]:
        """One of each kind."""
        return {
            "thread": self.person(campaign, 2),
            "thread planned": self.person(campaign, 2, "planned"),
            "thread later": self.person(campaign, 2, due_at=now() + timedelta(days=3)),
            "retry": self.person(campaign, 1, "deferred", 1),
            "retry planned": self.person(campaign, 1, "planned", 1),
            "retry claimed": self.person(campaign, 2, "claimed", 2),
            "new": self.person(campaign, 1, "planned"),
            "new claimed": self.person(campaign, 1, "claimed"),
            "past the dot": self.person(campaign, 1, "committing"),
            "in doubt": self.person(campaign, 2, "uncertain"),
        }


BOUND = ("thread", "thread planned", "thread later", "retry", "retry planned", "retry claimed")
RETRIES = ("retry", "retry planned", "retry claimed")


def where(people: dict[str, Enrolment]) -> dict[str, tuple]:
    """Of each: the mailbox, the status with its reason, and the first step of the thread."""
    found = {}
    for name, who in people.items():
        who.refresh_from_db()
        found[name] = (who.mailbox_id, who.status, who.stop_reason, who.thread_from)
    return found


def untouched(people: dict[str, Enrolment], sick: int) -> None:
    """Who may have got a mail stays as he is; who was not written to is free."""
    for name in ("past the dot", "in doubt"):
        people[name].refresh_from_db()
        message = people[name].messages.get()
        assert (message.mailbox_id, people[name].mailbox_id, people[name].status) == (sick, sick, "active")
        assert message.status == {"past the dot": "committing", "in doubt": "uncertain"}[name]
    for name in ("new", "new claimed"):
        people[name].refresh_from_db()
        assert (people[name].mailbox_id, people[name].status, people[name].messages.count()) == (None, "active", 0)
        assert people[name].due_at is not None
