"""Domains of From addresses."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common import public_suffixes
from outreach.common.moves import Moves
from tenants.models import TenantForeignKey, TenantOwned, history


class OrganisationalName(models.CharField):
    """The organisational domain of the row's `name`: written with each save, so that nobody has to think of it."""

    def pre_save(self, model_instance: Any, add: bool) -> str:
        value = public_suffixes.organisational(model_instance.name)
        setattr(model_instance, self.attname, value)
        return value


@history.track(without=("checked_at", "check_due_at"))
class SendingDomain(Moves, TenantOwned):
    """A domain or subdomain that mail is sent from; belongs to exactly one tenant.

    It becomes verified by a check of its DNS records only, also after a block was lifted. `daily_cap` is a person's,
    `ramp_cap` the ramp's. Receivers see all domains below one `organisational` domain as one sender, so their caps are
    counted there.
    """

    class State(models.TextChoices):
        NEW = "new", _("new")
        VERIFIED = "verified", _("verified")
        DEGRADED = "degraded", _("degraded")
        BLOCKED = "blocked", _("blocked")
        RETIRED = "retired", _("retired")

    STATE_FIELD = "state"
    MOVES = {
        "new": frozenset({"verified", "blocked", "retired"}),
        "verified": frozenset({"degraded", "blocked", "retired"}),
        "degraded": frozenset({"verified", "blocked", "retired"}),
        "blocked": frozenset({"new", "retired"}),
        "retired": frozenset(),
    }
    SENDABLE = ("verified", "degraded")

    name = models.CharField(
        max_length=253, unique=True, help_text=_("Lower case, internationalised labels as A-labels.")
    )
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    hourly_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Messages per UTC hour; empty: no limit.")
    )
    daily_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Messages per day of the tenant's time zone; empty: no limit.")
    )
    ramp = TenantForeignKey("mailboxes.RampPlan", related_name="domains", null=True, blank=True)
    ramp_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Messages per day that the ramp allows; the smaller cap of the two holds.")
    )
    organisational = OrganisationalName(max_length=253, editable=False, default="")

    state_reason = models.CharField(max_length=500, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    check_due_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("When its records are looked at next; empty: at once.")
    )
    dkim_selectors = ArrayField(
        models.CharField(max_length=63), default=list, blank=True, help_text=_("Of the keys that sign its mail.")
    )
    tracking_host = models.CharField(
        max_length=253, null=True, blank=True, unique=True, help_text=_("Host of unsubscribe and click links.")
    )
    return_path = models.CharField(
        max_length=253, blank=True, help_text=_("Domain of the envelope sender; empty: the domain itself.")
    )
    registrar = models.CharField(max_length=100, blank=True)
    registered_on = models.DateField(null=True, blank=True)
    renews_on = models.DateField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("sending domain")
        verbose_name_plural = _("sending domains")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["new", "verified", "degraded", "blocked", "retired"]), name="domain_state_known"
            ),
            models.CheckConstraint(
                condition=Q(ramp=None, ramp_cap=None) | Q(ramp__isnull=False, ramp_cap__isnull=False),
                name="domain_ramp_has_cap",
            ),
        ]
        indexes = [
            models.Index(fields=["organisational"], name="domain_organisational"),
            models.Index(fields=["check_due_at"], condition=~Q(state="retired"), name="domain_check_due"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def cap_of_day(self) -> int | None:
        """Messages a day at most: the smaller of its own cap and the ramp's; None: no limit."""
        caps = [cap for cap in (self.daily_cap, self.ramp_cap) if cap is not None]
        return min(caps, default=None)
