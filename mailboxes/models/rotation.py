"""The planner's own notes on each mailbox."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantOwned


class Rotation(TenantOwned):
    """Where a mailbox stands in its pool's rotation.

    A table of its own, written by the planner alone: a long planner run must not hold the
    mailbox row that senders stamp with every mail. `virtual_time` is messages served
    divided by weight, summed from run to run; `planned_in` is the last run that had it on.
    """

    mailbox = TenantForeignKey("mailboxes.Mailbox", related_name="rotation")
    virtual_time = models.FloatField(default=0.0)
    next_free_at = models.DateTimeField(null=True, blank=True)
    planned_in = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("rotation")
        verbose_name_plural = _("rotations")
        constraints = [models.UniqueConstraint(fields=["mailbox"], name="rotation_once")]

    def __str__(self) -> str:
        return f"{self.mailbox_id}: {self.virtual_time:.3f}"
