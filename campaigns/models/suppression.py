"""What must not be mailed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, history


@history.track()
class SuppressionList(models.Model):
    """A named set of suppressions that come and go together: a client's do-not-contact list, its customers.

    No tenant: it holds for every tenant. The list of opt-outs makes itself, one for each tenant, and stays: what
    people said for themselves is not taken back by removing a list. A removed list keeps its entries, lifted.
    """

    class Kind(models.TextChoices):
        DO_NOT_CONTACT = "do_not_contact", _("do not contact")
        CUSTOMERS = "customers", _("customers")
        COMPETITORS = "competitors", _("competitors")
        OPT_OUT = "opt_out", _("opt-outs")

    lifted = 0  # entries; told to who removed it, and kept in the audit

    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=Kind)
    owner = models.CharField(max_length=200, blank=True, help_text=_("Who answers for it."))
    source = models.CharField(max_length=500, blank=True, help_text=_("Where it comes from."))
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("suppression list")
        verbose_name_plural = _("suppression lists")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                condition=Q(removed_at=None),
                nulls_distinct=False,
                name="suppressionlist_name_once",
            ),
            models.UniqueConstraint(
                fields=["tenant"], condition=Q(kind="opt_out"), name="suppressionlist_one_of_opt_outs"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["do_not_contact", "customers", "competitors", "opt_out"]),
                name="suppressionlist_kind_known",
            ),
            models.CheckConstraint(
                condition=~Q(kind="opt_out") | Q(tenant__isnull=False, removed_at=None),
                name="suppressionlist_opt_outs_stay",
            ),
            models.CheckConstraint(
                condition=Q(removed_at=None) | ~Q(removed_reason=""), name="suppressionlist_removed_for_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Suppression(models.Model):
    """An address, domain or wildcard that must not be mailed.

    The entry is a keyed hash (outreach.common.hashing), so it outlives an erasure; `hint` is
    the masked address for people, `domain` the plain name of domain and wildcard entries.
    No tenant means platform scope. An opt-out is always tenant scope. It holds until somebody lifts it. What stands
    in two lists, or is there for two reasons, is two entries: each is lifted by itself, and one is enough to block.
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

    # What a tenant's people said to it holds for the others too, where both contracts allow it (decision 0040).
    SHARED_REASONS = (Reason.OPT_OUT, Reason.COMPLAINT)

    tenant = models.ForeignKey("tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    campaign = TenantForeignKey("campaigns.Campaign", null=True, blank=True, related_name="suppressions")
    suppression_list = TenantForeignKey(
        "campaigns.SuppressionList", null=True, blank=True, related_name="entries", verbose_name=_("list")
    )
    scope = models.CharField(max_length=8, choices=Scope)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.ADDRESS)
    hash = models.BinaryField(editable=False)
    hint = models.CharField(max_length=254, blank=True)
    domain = models.CharField(max_length=253, blank=True)
    reason = models.CharField(max_length=12, choices=Reason)
    via = models.CharField(max_length=100, blank=True, help_text=_("The door it came through."))
    source = models.CharField(
        max_length=200, blank=True, db_default="", help_text=_("Where it comes from; empty: as its list.")
    )
    proof = models.CharField(
        max_length=500, blank=True, db_default="", help_text=_("Words, an address or a reference.")
    )
    message_ref = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lift_reason = models.CharField(max_length=300, blank=True, db_default="")

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = [
            models.UniqueConstraint(
                fields=["hash", "tenant", "campaign", "suppression_list", "reason"],
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
            models.Index(
                fields=["suppression_list"], condition=Q(suppression_list__isnull=False), name="suppression_list"
            ),
            models.Index(fields=["hint"], condition=~Q(hint=""), name="suppression_hint"),
        ]

    def __str__(self) -> str:
        return self.hint or self.domain
