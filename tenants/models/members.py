"""What a person may do in a tenant, for how long, and the emergency way in."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from tenants.models import history
from tenants.permissions import FOR_EVERY_TENANT, OF_PEOPLE, ROLE_NAMES

ROLE_CHOICES = [(role, ROLE_NAMES[role]) for role in OF_PEOPLE]


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Questions about roles."""

    def holding(self) -> Self:
        """Those that hold now: neither ended nor run out."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), ended_at=None)


@history.track()
class Membership(models.Model):
    """A role that a person holds in one tenant, or as staff in every tenant (no tenant named), until it ends."""

    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)
    expires_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "tenant", "role"],
                condition=Q(ended_at=None),
                nulls_distinct=False,
                name="membership_once",
            ),
            models.CheckConstraint(condition=Q(role__in=OF_PEOPLE), name="membership_role_known"),
            models.CheckConstraint(
                condition=Q(tenant__isnull=False) | Q(role__in=FOR_EVERY_TENANT), name="membership_tenant_for_clients"
            ),
        ]
        indexes = [models.Index(fields=["tenant"], name="membership_tenant")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.role}"


@history.track()
class BreakGlass(models.Model):
    """A superuser's way into a tenant without a membership: with a reason, for a limited time, on the record."""

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("break-glass access")
        verbose_name_plural = _("break-glass accesses")
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="breakglass_reason_given"),
            models.CheckConstraint(condition=Q(until__gt=F("created_at")), name="breakglass_has_end"),
        ]
        indexes = [models.Index(fields=["tenant"], name="breakglass_tenant")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.tenant_id}"
