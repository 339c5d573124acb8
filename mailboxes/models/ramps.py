"""Ramps: the rule by which the daily cap of a mailbox or a domain grows, and what it did on each day."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from mailboxes import ramp
from tenants.models import TenantForeignKey, TenantOwned, history

# The bounds of RULES ("Ramp") and DESIGN; the database refuses whatever lies outside.
GROWTH_PERCENT = (10, 20)
EVERY_DAYS = (3, 4)
STEP_BACK_PERCENT = (10, 50)
IDLE_DAYS = (7, 30)


def _between(name: str, bounds: tuple[int, int]) -> Any:
    return models.CheckConstraint(
        condition=Q(**{f"{name}__gte": bounds[0], f"{name}__lte": bounds[1]}), name=f"rampplan_{name}_in_bounds"
    )


@history.track()
class RampPlan(TenantOwned):
    """From which cap to which in which steps; many mailboxes or domains follow one plan. Units stand in the names."""

    name = models.CharField(max_length=100, verbose_name=_("name"))
    start = models.PositiveIntegerField(default=10, verbose_name=_("messages a day at the start"))
    growth_percent = models.PositiveSmallIntegerField(default=15, verbose_name=_("growth of a step in per cent"))
    every_days = models.PositiveSmallIntegerField(default=3, verbose_name=_("days from step to step"))
    ceiling = models.PositiveIntegerField(default=40, verbose_name=_("messages a day in the end"))
    step_back_percent = models.PositiveSmallIntegerField(
        default=30, verbose_name=_("step back on a bad signal in per cent")
    )
    idle_days = models.PositiveSmallIntegerField(
        default=30, verbose_name=_("days without a mail after which it begins again")
    )
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("ramp plan")
        verbose_name_plural = _("ramp plans")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="rampplan_name_once"),
            models.CheckConstraint(condition=Q(start__gte=1, ceiling__gte=F("start")), name="rampplan_goes_up"),
            _between("growth_percent", GROWTH_PERCENT),
            _between("every_days", EVERY_DAYS),
            _between("step_back_percent", STEP_BACK_PERCENT),
            _between("idle_days", IDLE_DAYS),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rule(self) -> ramp.Plan:
        """The same as plain numbers."""
        return ramp.Plan(
            start=self.start,
            growth_percent=self.growth_percent,
            every_days=self.every_days,
            ceiling=self.ceiling,
            step_back_percent=self.step_back_percent,
            idle_days=self.idle_days,
        )


class DayOfRamp(TenantOwned):
    """One day on a ramp, in the tenant's zone: the cap, what came of it, and why it is so.

    Its row decides that the day's job was done. `allowed` is what might be sent in all. `planned` and `sent` are filled
    when the day is over; until then `sent` is null.
    """

    class Kind(models.TextChoices):
        START = "start", _("start")
        RISE = "rise", _("rises")
        HOLD = "hold", _("holds")
        STEP_BACK = "step_back", _("steps back")
        RESTART = "restart", _("begins again")
        DONE = "done", _("has arrived")

    day = models.DateField(help_text=_("Of the tenant's time zone."))
    cap = models.PositiveIntegerField()
    allowed = models.PositiveIntegerField()
    planned = models.PositiveIntegerField(null=True, blank=True)
    sent = models.PositiveIntegerField(null=True, blank=True)
    kind = models.CharField(max_length=10, choices=Kind)
    detail = models.CharField(max_length=200, blank=True, help_text=_("The bad signal."))
    until = models.DateField(null=True, blank=True, help_text=_("The cap can't rise before that day."))

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.day}: {self.cap}"

    @property
    def why(self) -> str:
        """The reason as a sentence, with the bad signal."""
        text = self.get_reason_display()  # type: ignore[attr-defined]  # each ramp has reasons of its own
        return f"{text}: {self.detail}" if self.detail else str(text)


class RampDay(DayOfRamp):
    """One day of one mailbox. `allowed` is the smaller cap, of a reserve its share."""

    class Reason(models.TextChoices):
        STARTED = "started", _("put on the ramp")
        RELEASED = "released", _("back from quarantine with half of its cap")
        USED = "used", _("the cap was used, and it was time for a step")
        TOO_SOON = "too_soon", _("the last change is too recent")
        UNUSED = "unused", _("70 % of the cap was sent on fewer than 2 of the last 3 days with mail")
        STOPPED = "stopped", _("in quarantine, on probation, held or blocked")
        SIGNAL = "signal", _("a bad signal; the step back for it was made")
        BAD = "bad", _("a bad signal")
        IDLE = "idle", _("no mail for too long")
        CEILING = "ceiling", _("the plan's end is reached")
        OWN_CAP = "own_cap", _("the mailbox's own daily cap is reached")
        LOWERED = "lowered", _("the plan now ends lower")

    mailbox = TenantForeignKey("mailboxes.Mailbox", related_name="ramp_days")
    reason = models.CharField(max_length=10, choices=Reason)

    class Meta:
        ordering = ("-day", "mailbox")
        verbose_name = _("day of a ramp")
        verbose_name_plural = _("days of ramps")
        indexes = [models.Index(fields=["tenant", "day"], name="rampday_tenant_day")]
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "day"], name="rampday_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["start", "rise", "hold", "step_back", "restart", "done"]),
                name="rampday_kind_known",
            ),
        ]


class DomainRampDay(DayOfRamp):
    """One day of one sending domain. `allowed` is 0 while the domain is too young to send."""

    class Reason(models.TextChoices):
        STARTED = "started", _("put on the ramp")
        USED = "used", _("the cap was used, and it was time for a step")
        TOO_SOON = "too_soon", _("the last change is too recent")
        UNUSED = "unused", _("70 % of the cap was sent on fewer than 2 of the last 3 days with mail")
        STOPPED = "stopped", _("not verified, degraded or blocked")
        YOUNG = "young", _("registered too recently: nothing is sent yet")
        SIGNAL = "signal", _("a bad signal; the step back for it was made")
        BAD = "bad", _("a bad signal")
        IDLE = "idle", _("no mail for too long")
        CEILING = "ceiling", _("the plan's end is reached")
        OWN_CAP = "own_cap", _("the domain's own daily cap is reached")
        LOWERED = "lowered", _("the plan now ends lower")

    domain = TenantForeignKey("mailboxes.SendingDomain", related_name="ramp_days")
    reason = models.CharField(max_length=10, choices=Reason)

    class Meta:
        ordering = ("-day", "domain")
        verbose_name = _("day of a domain's ramp")
        verbose_name_plural = _("days of domains' ramps")
        indexes = [models.Index(fields=["tenant", "day"], name="domainrampday_tenant_day")]
        constraints = [
            models.UniqueConstraint(fields=["domain", "day"], name="domainrampday_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["start", "rise", "hold", "step_back", "restart", "done"]),
                name="domainrampday_kind_known",
            ),
        ]
