"""What a second person has to agree to, and from which line on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from outreach.common.moves import Moves
from tenants.models import history
from tenants.models.base import TenantOwned


@history.track()
class ApprovalPolicy(TenantOwned):
    """A tenant's lines. A tenant without a row has the defaults, which are the careful ones.

    A number is the most that one person may do alone, empty: any number. A tick means that two are always needed.
    """

    launch_above = models.PositiveIntegerField(
        _("contacts of a launch"), null=True, blank=True, default=10_000,
        help_text=_("A campaign to more contacts than this needs a second person. Empty: none does."),
    )  # fmt: skip
    cap_above = models.PositiveIntegerField(
        _("daily cap of a mailbox"), null=True, blank=True, default=50,
        help_text=_("Raising a mailbox's cap beyond this needs a second person. Empty: no cap does."),
    )  # fmt: skip
    export_above = models.PositiveIntegerField(
        _("contacts of an export"), null=True, blank=True, default=1_000,
        help_text=_("A file with more people than this needs a second person. Empty: none does."),
    )  # fmt: skip
    release = models.BooleanField(_("release from quarantine"), default=True)
    lift = models.BooleanField(_("lifting a suppression"), default=True)
    account = models.BooleanField(_("reopening a provider account"), default=True)
    bases = models.BooleanField(_("more lawful bases for an account or a country"), default=True)
    decide_hours = models.PositiveSmallIntegerField(_("hours to decide"), default=72)
    use_hours = models.PositiveSmallIntegerField(_("hours to use an agreement"), default=24)

    class Meta:
        verbose_name = _("approval policy")
        verbose_name_plural = _("approval policies")
        constraints = [
            models.UniqueConstraint(fields=["tenant"], name="approvalpolicy_once"),
            models.CheckConstraint(
                condition=Q(decide_hours__range=(1, 720), use_hours__range=(1, 720)), name="approvalpolicy_hours"
            ),
        ]

    def __str__(self) -> str:
        return f"policy of {self.tenant_id}"


@history.track()
class Approval(Moves, models.Model):
    """A wish that waits for a second person, or what that person said to it.

    It holds for one act on one row under `terms`, for a time, and once. `subject` is a model's label.
    """

    class State(models.TextChoices):
        ASKED = "asked", _("waiting")
        GRANTED = "granted", _("agreed")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("taken back")
        EXPIRED = "expired", _("run out")
        USED = "used", _("used")

    STATE_FIELD: ClassVar[str] = "state"
    MOVES: ClassVar[Mapping[str, frozenset[str]]] = {
        "asked": frozenset({"granted", "refused", "withdrawn", "expired"}),
        "granted": frozenset({"used", "withdrawn", "expired"}),
    }

    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    act = models.CharField(_("act"), max_length=40)
    subject = models.CharField(max_length=60)
    subject_id = models.BigIntegerField()
    terms = models.JSONField(_("what is agreed on"), default=dict)
    reason = models.CharField(_("reason"), max_length=300)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ASKED)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("asked by"),
    )  # fmt: skip
    asked_by_key_id = models.BigIntegerField(_("asked by the key"), null=True, blank=True)
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    expires_at = models.DateTimeField(_("until"))
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("decided by"),
    )  # fmt: skip
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    note = models.CharField(_("why so"), max_length=300, blank=True)
    used_at = models.DateTimeField(_("used"), null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "act", "subject_id"], condition=Q(state="asked"), nulls_distinct=False,
                name="approval_asked_once",
            ),
            models.CheckConstraint(
                condition=Q(asked_by=None) | Q(decided_by=None) | ~Q(decided_by=F("asked_by")),
                name="approval_two_people",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["granted", "used"]) | Q(decided_by__isnull=False, decided_at__isnull=False),
                name="approval_granted_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="used") | Q(used_at__isnull=False), name="approval_used_has_time"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="approval_reason_given"),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["tenant", "id"], name="approval_tenant"),
            models.Index(fields=["act", "subject_id"], condition=Q(state="granted"), name="approval_granted"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.subject_id}"
