"""Domains of From addresses."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common.moves import Moves
from tenants.models import TenantOwned, history


@history.track()
class SendingDomain(Moves, TenantOwned):
    """A domain or subdomain that mail is sent from; belongs to exactly one tenant."""

    class State(models.TextChoices):
        NEW = "new", _("new")
        VERIFIED = "verified", _("verified")
        DEGRADED = "degraded", _("degraded")
        BLOCKED = "blocked", _("blocked")
        RETIRED = "retired", _("retired")

    STATE_FIELD = "state"
    MOVES = {
        "new": frozenset({"verified", "degraded", "blocked", "retired"}),
        "verified": frozenset({"degraded", "blocked", "retired"}),
        "degraded": frozenset({"verified", "blocked", "retired"}),
        "blocked": frozenset({"verified", "degraded", "retired"}),
        "retired": frozenset(),
    }
    SENDABLE = ("new", "verified")

    name = models.CharField(
        max_length=253, unique=True, help_text=_("Lower case, internationalised labels as A-labels.")
    )
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    hourly_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Messages per UTC hour; empty: no limit.")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("sending domain")
        verbose_name_plural = _("sending domains")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["new", "verified", "degraded", "blocked", "retired"]), name="domain_state_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name
