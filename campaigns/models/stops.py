"""Stops that people pull, and the rests that receivers ask for."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import history


@history.track()
class Stop(models.Model):
    """Nothing leaves that the scope covers, until it is lifted or its time is over.

    `key` is the id of what the scope names; platform has none, and a receiver is named by `operator` alone or, with
    `organisational`, as one sending domain's mail to it. No tenant: it holds for every tenant.
    """

    class Scope(models.TextChoices):
        PLATFORM = "platform", _("everything")
        TENANT = "tenant", _("tenant")
        ORGANISATION = "organisation", _("quota group at a host")
        ACCOUNT = "account", _("provider account")
        DOMAIN = "domain", _("sending domain")
        RECEIVER = "receiver", _("receiver operator")
        POOL = "pool", _("pool")
        CAMPAIGN = "campaign", _("campaign")

    class Cause(models.TextChoices):
        LEVER = "lever", _("somebody pulled it")
        ANSWER = "answer", _("a receiver asked for it")

    taken_back = 0  # messages; told to who pulled it, and kept in the audit

    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    scope = models.CharField(max_length=12, choices=Scope)
    key = models.BigIntegerField(null=True, blank=True)
    operator = models.CharField(max_length=16, blank=True)
    organisational = models.CharField(max_length=253, blank=True)
    label = models.CharField(max_length=280, help_text=_("What it stops, for people."))
    cause = models.CharField(max_length=8, choices=Cause, default=Cause.LEVER)
    reason = models.CharField(max_length=500)
    since = models.DateTimeField(auto_now_add=True)
    until = models.DateTimeField(null=True, blank=True, help_text=_("Empty: until somebody lifts it."))
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("stop")
        verbose_name_plural = _("stops")
        constraints = [
            models.CheckConstraint(condition=Q(cause__in=["lever", "answer"]), name="stop_cause_known"),
            models.CheckConstraint(
                condition=Q(scope="platform", key=None, operator="", organisational="")
                | Q(scope="receiver", key=None) & ~Q(operator="")
                | Q(
                    scope__in=["tenant", "organisation", "account", "domain", "pool", "campaign"],
                    key__isnull=False,
                    operator="",
                    organisational="",
                ),
                name="stop_names_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(scope__in=["platform", "organisation"], tenant=None)
                | Q(scope="receiver")
                | Q(scope__in=["tenant", "account", "domain", "pool", "campaign"], tenant__isnull=False),
                name="stop_tenant_fits",
            ),
        ]
        indexes = [models.Index(fields=["tenant"], condition=Q(lifted_at=None), name="stop_open")]

    def __str__(self) -> str:
        return self.label

    def is_open(self, at: datetime) -> bool:
        """Whether it holds at that instant."""
        return self.lifted_at is None and (self.until is None or self.until > at)
