"""The first few mails of a campaign, on which the rest depends."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common.moves import Moves
from tenants.models import TenantForeignKey, TenantOwned


class Canary(Moves, TenantOwned):
    """A campaign to people of whom nobody was ever written to begins with `size` of them; the rest waits.

    `groups` are the imports that were never mailed, or whose canaries did not pass (0: contacts of none). Who is among
    the first is decided by a hash of campaign and contact that is at most `threshold`, so that it is neither the top of
    a file nor anybody's choice.
    Mail planned from `since` on counts; after a failure that a person saw to, it begins anew with others.
    """

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        PASSED = "passed", _("passed")
        FAILED = "failed", _("failed")

    STATE_FIELD = "state"
    MOVES = {
        "running": frozenset({"passed", "failed"}),
        "failed": frozenset({"running"}),
        "passed": frozenset(),
    }

    campaign = TenantForeignKey("campaigns.Campaign", related_name="canaries")
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.RUNNING)
    size = models.PositiveIntegerField(_("size"), help_text=_("People."))
    hours = models.PositiveSmallIntegerField(_("hours"), help_text=_("From the last of the first mails on."))
    groups = ArrayField(models.BigIntegerField(), default=list)
    threshold = models.BigIntegerField()
    since = models.DateTimeField(_("since"))
    held_until = models.DateTimeField(help_text=_("When the others are looked at again, unless it is decided before."))
    full_at = models.DateTimeField(_("complete at"), null=True, blank=True)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    sent = models.PositiveIntegerField(_("sent"), default=0)
    bounced = models.PositiveIntegerField(_("bounced"), default=0)
    complained = models.PositiveIntegerField(_("complained"), default=0)
    reason = models.CharField(_("reason"), max_length=300, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("canary")
        verbose_name_plural = _("canaries")
        constraints = [
            models.UniqueConstraint(fields=["campaign"], name="canary_once"),
            models.CheckConstraint(condition=Q(state__in=["running", "passed", "failed"]), name="canary_state_known"),
            models.CheckConstraint(
                condition=Q(state="running", decided_at=None) | (~Q(state="running") & Q(decided_at__isnull=False)),
                name="canary_decided_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant"], condition=Q(state="running"), name="canary_running"),
            models.Index(fields=["tenant", "id"], name="canary_tenant_page"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id} ({self.get_state_display()})"
