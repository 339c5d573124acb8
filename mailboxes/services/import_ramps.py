"""Ramps that a file names for its mailboxes, chunk by chunk."""

from __future__ import annotations

from typing import Any

from mailboxes.models import Mailbox, RampPlan
from mailboxes.services import ramp
from tenants.models import Tenant
from tenants.services.actors import Actor

COLUMNS = ("ramp", "ramp_cap", "state")  # of a mailbox


class Ramps:
    """The tenant's plans, and which mailboxes of this chunk begin one. `standard` is for rows that name none."""

    def __init__(self, tenant: Tenant, actor: Actor, standard: str) -> None:
        self.standard = standard.strip()
        self.made: list[int] = []
        self._actor, self._tenant, self._day = actor, tenant, ramp.day_of(tenant)
        self._started: list[Mailbox] = []
        if self.standard:
            actor.require("mailboxes.ramp", tenant)
        if self.standard == ramp.STANDARD and not RampPlan.objects.filter(tenant=tenant, name=self.standard).exists():
            self.made.append(ramp.add_plan(tenant, self.standard, actor=actor).pk)
        self._plans = {plan.name: plan for plan in RampPlan.objects.filter(tenant=tenant, archived_at=None)}

    def why_not(self, name: str) -> str:
        """What is wrong with the name of a plan, "" if nothing is."""
        if name in self._plans:
            return ""
        there = ", ".join(sorted(self._plans)[:10]) or "none yet"
        return f"is no ramp plan of this tenant; there are: {there}"

    def put(self, mailbox: Mailbox, name: str) -> dict[str, Any]:
        """Put the mailbox, unsaved, on the plan of that name; return what it had before, nothing if it stays."""
        if not name or mailbox.ramp_id == self._plans[name].pk:
            return {}
        self._actor.require("mailboxes.ramp", self._tenant)
        before = {"ramp_id": mailbox.ramp_id, "ramp_cap": mailbox.ramp_cap, "state": mailbox.state}
        if ramp.put_on(mailbox, self._plans[name]):
            self._started.append(mailbox)
        return before

    def write(self) -> None:
        """Note the day of those that began, once they are saved."""
        ramp.note_starts(self._tenant, self._started, self._day)
        self._started.clear()
