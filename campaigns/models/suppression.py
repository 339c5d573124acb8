"""What must not be mailed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey


class Suppression(models.Model):
    """An address, domain or wildcard that must not be mailed.

    The entry is a keyed hash (outreach.common.hashing), so it outlives an erasure; `hint` is
    the masked address for people, `domain` the plain name of domain and wildcard entries.
    No tenant means platform scope. An opt-out is always tenant scope.
    """

    class Scope(models.TextChoices):
        PLATFORM = "platform", _("platform")
        TENANT = "tenant", _("tenant")
        CAMPAIGN = "campaign", _("campaign")

    class Kind(models.TextChoices):
        ADDRESS = "address", _("address")
        DOMAIN = "domain", _("domain")
        WILDCARD = "wildcard", _("domain and all below it")

    class Reason(models.TextChoices):
        OPT_OUT = "opt_out", _("opted out")
        HARD_BOUNCE = "hard_bounce", _("hard bounce")
        COMPLAINT = "complaint", _("complaint")
        IMPORT = "import", _("imported")
        MANUAL = "manual", _("entered by staff")

    tenant = models.ForeignKey("tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    campaign = TenantForeignKey("campaigns.Campaign", null=True, blank=True, related_name="suppressions")
    scope = models.CharField(max_length=8, choices=Scope)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.ADDRESS)
    hash = models.BinaryField(editable=False)
    hint = models.CharField(max_length=254, blank=True)
    domain = models.CharField(max_length=253, blank=True)
    reason = models.CharField(max_length=12, choices=Reason)
    via = models.CharField(max_length=100, blank=True, help_text=_("The door it came through."))
    message_ref = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = [
            models.UniqueConstraint(
                fields=["hash", "tenant", "campaign"],
                condition=Q(lifted_at=None),
                nulls_distinct=False,
                name="suppression_once",
            ),
            models.CheckConstraint(
                condition=Q(scope="platform", tenant=None, campaign=None)
                | Q(scope="tenant", tenant__isnull=False, campaign=None)
                | Q(scope="campaign", tenant__isnull=False, campaign__isnull=False),
                name="suppression_scope_fits",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["address", "domain", "wildcard"]), name="suppression_kind_known"
            ),
            models.CheckConstraint(
                condition=~Q(reason="opt_out") | Q(scope="tenant"), name="suppression_opt_out_is_tenant_scope"
            ),
        ]
        indexes = [
            models.Index(fields=["kind"], condition=~Q(kind="address"), name="suppression_wide"),
        ]

    def __str__(self) -> str:
        return self.hint or self.domain
