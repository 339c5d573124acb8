"""What each planner run looked at and did."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantOwned


class PlanRun(TenantOwned):
    """One run of the planner for one tenant."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    seconds = models.FloatField()
    looked_at = models.PositiveIntegerField(default=0)
    planned = models.PositiveIntegerField(default=0)
    retries = models.PositiveIntegerField(default=0)
    returned = models.PositiveIntegerField(default=0, help_text=_("Reservations given back."))
    taken_back = models.PositiveIntegerField(default=0, help_text=_("Planned rows whose period or window was over."))
    refused = models.JSONField(default=dict, blank=True, help_text=_("Gate: how many it refused."))
    limits = models.JSONField(default=dict, blank=True, help_text=_("What bounded this run."))

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("planner run")
        verbose_name_plural = _("planner runs")
        indexes = [models.Index(fields=["tenant", "-started_at"], name="planrun_latest")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S}"
