"""Checks of sending domains: what DNS said, and when."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantOwned


class DomainCheck(TenantOwned):
    """One look at all records of one domain. `findings` are those of `deliverability.dns.findings`, as they were.

    `level` is the worst of them. `outcome` is what follows for sending, from SPF, DKIM, DMARC and MX alone.
    """

    class Level(models.TextChoices):
        PASS = "pass", _("in order")
        WARN = "warn", _("could be better")
        FAIL = "fail", _("wrong")
        UNKNOWN = "unknown", _("not known")

    class Outcome(models.TextChoices):
        SOUND = "sound", _("may send")
        FAILED = "failed", _("fails")
        UNKNOWN = "unknown", _("nobody can tell")

    domain = TenantForeignKey("mailboxes.SendingDomain", on_delete=models.CASCADE, related_name="checks")
    at = models.DateTimeField()
    level = models.CharField(max_length=8, choices=Level)
    outcome = models.CharField(max_length=8, choices=Outcome)
    findings = models.JSONField(default=list)

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name = _("check of a domain")
        verbose_name_plural = _("checks of domains")
        indexes = [
            models.Index(fields=["domain", "-at"], name="domaincheck_domain"),
            models.Index(fields=["at"], name="domaincheck_at"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(level__in=["pass", "warn", "fail", "unknown"]), name="domaincheck_level_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["sound", "failed", "unknown"]), name="domaincheck_outcome_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.domain} {self.at:%Y-%m-%d %H:%M}"
