"""A client company, which owns everything below it."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common.moves import Moves
from tenants.models import history


@history.track(without=("plan_wanted_at",))
class Tenant(Moves, models.Model):
    """A client company. Only an active one sends."""

    class Status(models.TextChoices):
        ACTIVE = "active", _("active")
        SUSPENDED = "suspended", _("suspended")
        CLOSED = "closed", _("closed")

    MOVES = {
        "active": frozenset({"suspended", "closed"}),
        "suspended": frozenset({"active", "closed"}),
        "closed": frozenset(),
    }

    slug = models.CharField(
        max_length=40,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")],
        help_text=_("Lower-case letters, digits and hyphens; names the tenant in commands and headers."),
    )
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    time_zone = models.CharField(max_length=64, default="UTC", help_text=_("IANA name; a day of caps is a day here."))
    postal_address = models.TextField(
        blank=True, help_text=_("Stands in every message; no campaign starts without it.")
    )
    daily_cap = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages a day over all campaigns."))
    frequency_days = models.PositiveSmallIntegerField(
        default=7, db_default=7, help_text=_("The days in which the two limits below count.")
    )
    frequency_person = models.PositiveSmallIntegerField(
        null=True, blank=True, default=3, db_default=3, help_text=_("Messages to one person; empty: no limit.")
    )
    frequency_company = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text=_("Messages to all people of one company; empty: no limit.")
    )
    plan_wanted_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("slug",)
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["active", "suspended", "closed"]), name="tenant_status_known"
            ),
            models.CheckConstraint(condition=~Q(slug=""), name="tenant_slug_given"),
            models.CheckConstraint(
                condition=Q(frequency_days__gte=1, frequency_days__lte=90), name="tenant_frequency_days"
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.slug
