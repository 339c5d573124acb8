"""The mailboxes that serve one line of business."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantOwned, history


@history.track()
class Pool(TenantOwned):
    """Mailboxes of one tenant that campaigns of one direction send from."""

    name = models.CharField(max_length=100)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("pool")
        verbose_name_plural = _("pools")
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="pool_name_once")]

    def __str__(self) -> str:
        return self.name
