"""Who was asked to join, as what, and what became of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import history
from tenants.models.members import ROLE_CHOICES
from tenants.permissions import FOR_EVERY_TENANT, OF_PEOPLE


@history.track(secrets=("token_hash",))
class Invitation(models.Model):
    """A role that waits for the person with that address; its link works once and for a limited time.

    Only the SHA-256 of the link's token is kept, so that nobody who reads the database can join by it.
    `tenant` None: the company's own staff, in every tenant. `invited_by` None: the system.
    """

    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    email = models.EmailField(_("email address"))
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)
    membership_expires_at = models.DateTimeField(null=True, blank=True)
    token_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.CheckConstraint(condition=Q(role__in=OF_PEOPLE), name="invitation_role_known"),
            models.CheckConstraint(
                condition=Q(tenant__isnull=False) | Q(role__in=FOR_EVERY_TENANT), name="invitation_tenant_for_clients"
            ),
            models.CheckConstraint(
                condition=Q(accepted_at=None, accepted_by=None)
                | Q(accepted_at__isnull=False, accepted_by__isnull=False),
                name="invitation_accepted_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(accepted_at=None) | Q(revoked_at=None), name="invitation_accepted_or_revoked"
            ),
        ]
        indexes = [models.Index(fields=["tenant"], name="invitation_tenant")]

    def __str__(self) -> str:
        return f"{self.email}: {self.role}"
