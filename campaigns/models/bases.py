"""What a tenant's counsel says of a country, where that differs from the defaults."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from campaigns.models.contacts import Contact
from tenants.models import TenantOwned, history


@history.track()
class BasisRule(TenantOwned):
    """One rule of a tenant's own: on what grounds people of a kind in a country may be written to from a day on.

    Rows are not edited: of those that cover somebody the last one holds, by day and then by `version`. No country
    stands for every country without a row, no kind for all kinds. `grounds` as campaigns.bases.as_json writes them;
    an empty list allows nothing, null goes back to the defaults.
    """

    version = models.PositiveIntegerField(help_text=_("Counts the tenant's rules."))
    country = models.CharField(max_length=2, blank=True, help_text=_("Empty: every country without a row."))
    person_kind = models.CharField(max_length=20, choices=Contact.PersonKind, blank=True, help_text=_("Empty: all."))
    grounds = models.JSONField(null=True, blank=True)
    valid_from = models.DateField(help_text=_("A day of the tenant's time zone."))
    reason = models.CharField(max_length=500)
    approval_ref = models.BigIntegerField(_("approval"), null=True, blank=True)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("basis rule")
        verbose_name_plural = _("basis rules")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "version"], name="basisrule_version_once"),
            models.CheckConstraint(
                condition=Q(person_kind__in=["", "corporate_named", "corporate_generic", "individual"]),
                name="basisrule_person_kind_known",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="basisrule_reason_given"),
        ]

    def __str__(self) -> str:
        return f"{self.country or '*'} {self.version}"
