"""What a paid verifier was asked, and what that costs."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantOwned


class VerifierUse(TenantOwned):
    """One day of one verifier for one tenant. What is asked is counted before it is asked, so that no limit is passed.

    A day is a UTC day. `cost` is what the asked addresses cost by the price that was set then.
    """

    verifier = models.CharField(max_length=40)
    day = models.DateField()
    asked = models.PositiveIntegerField(default=0, help_text=_("Addresses that were handed over."))
    answered = models.PositiveIntegerField(default=0, help_text=_("Of these, opinions that came back."))
    cost = models.DecimalField(max_digits=12, decimal_places=4, default=0)
    currency = models.CharField(max_length=3)

    class Meta:
        ordering = ("-day", "-pk")
        verbose_name = _("use of a verifier")
        verbose_name_plural = _("uses of verifiers")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "verifier", "day"], name="verifieruse_once"),
            models.CheckConstraint(condition=models.Q(answered__lte=models.F("asked")), name="verifieruse_answers_fit"),
        ]

    def __str__(self) -> str:
        return f"{self.verifier} {self.day}"
