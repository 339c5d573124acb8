"""Sender mailboxes: one From address with its cap, weight, health and sign-in."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common import sealed_fields
from outreach.common.moves import Moves
from tenants.models import TenantForeignKey, TenantOwned, history

# What sending changes all the time; the history keeps what people and verdicts decide.
RUNNING = (
    "seal_ref", "health", "last_dot_at", "held_by", "held_until", "blocked_until", "feed_seen_at", "failures",
    "standby",
)  # fmt: skip


@history.track(without=RUNNING, secrets=("sealed_password",))
class Mailbox(Moves, TenantOwned):
    """One From address. The verdicts about it are columns here; planner and sender only read them.

    `held_by` and `held_until` let one sender at a time use the mailbox in the whole system;
    `last_dot_at` keeps the gap between real mails; `failures` counts connections that broke
    in a row, and `blocked_until` is the pause that follows from them or from the host's answer.
    `daily_cap` is a person's; `ramp_cap` is written by the ramp alone (mailboxes.services.ramp).
    """

    class State(models.TextChoices):
        RESERVE = "reserve", _("reserve")
        RAMPING = "ramping", _("ramping")
        ACTIVE = "active", _("active")
        QUARANTINED = "quarantined", _("quarantined")
        PROBING = "probing", _("probing")
        RETIRED = "retired", _("retired")

    class Hold(models.TextChoices):
        NONE = "none", _("none")
        LOCKED = "locked", _("locked")
        SIGN_IN_FAILED = "sign_in_failed", _("sign-in failed")

    STATE_FIELD = "state"
    MOVES = {
        "reserve": frozenset({"ramping", "active", "quarantined", "retired"}),
        "ramping": frozenset({"active", "quarantined", "reserve", "retired"}),
        "active": frozenset({"quarantined", "reserve", "retired", "ramping"}),
        "quarantined": frozenset({"probing", "ramping", "active", "retired"}),
        "probing": frozenset({"ramping", "active", "quarantined", "retired"}),
        "retired": frozenset(),
    }
    SENDABLE = ("ramping", "active", "probing", "reserve")

    pool = TenantForeignKey("mailboxes.Pool", related_name="mailboxes")
    domain = TenantForeignKey("mailboxes.SendingDomain", related_name="mailboxes")
    home = TenantForeignKey("mailboxes.ProviderAccount", related_name="mailboxes")
    standby = TenantForeignKey(
        "mailboxes.ProviderAccount",
        related_name="guests",
        null=True,
        blank=True,
        help_text=_("By which it leaves while its own account is out."),
    )

    address = models.CharField(max_length=254, help_text=_("As it stands in From."))
    address_key = models.CharField(max_length=254, unique=True, editable=False)
    display_name = models.CharField(max_length=200, blank=True)
    signature = models.TextField(max_length=2000, blank=True, help_text=_("Plain text, below every mail."))
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    hold = models.CharField(max_length=16, choices=Hold, default=Hold.NONE)
    state_reason = models.CharField(max_length=500, blank=True)

    username = models.CharField(max_length=254, blank=True)
    sealed_password = models.BinaryField(default=b"", editable=False)
    seal_ref = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)

    daily_cap = models.PositiveIntegerField(default=40, help_text=_("Messages per day of the tenant's time zone."))
    ramp = TenantForeignKey("mailboxes.RampPlan", related_name="mailboxes", null=True, blank=True)
    ramp_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Messages per day that the ramp allows; the smaller cap of the two holds.")
    )
    min_gap_seconds = models.PositiveIntegerField(default=60)
    weight = models.FloatField(default=1.0, help_text=_("Twice the weight, twice the mail."))
    health = models.FloatField(default=1.0, editable=False)
    quota_group = models.ForeignKey(
        "mailboxes.QuotaGroup",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="mailboxes",
        db_index=False,
        help_text=_("Empty: that of its account."),
    )
    reserve_share = models.FloatField(default=0.2, help_text=_("Part of its cap that a reserve takes."))

    last_dot_at = models.DateTimeField(null=True, blank=True, editable=False)
    held_by = models.UUIDField(null=True, blank=True, editable=False)
    held_until = models.DateTimeField(null=True, blank=True, editable=False)
    blocked_until = models.DateTimeField(null=True, blank=True)
    feed_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False, help_text=_("Connections failed in a row."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("address_key",)
        verbose_name = _("mailbox")
        verbose_name_plural = _("mailboxes")
        indexes = [
            models.Index(fields=["pool", "state"], name="mailbox_pool_state"),
            models.Index(fields=["domain"], name="mailbox_domain"),
            models.Index(fields=["home"], name="mailbox_home"),
            models.Index(fields=["standby"], condition=Q(standby__isnull=False), name="mailbox_standby"),
            models.Index(fields=["held_by"], condition=Q(held_by__isnull=False), name="mailbox_held"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["reserve", "ramping", "active", "quarantined", "probing", "retired"]),
                name="mailbox_state_known",
            ),
            models.CheckConstraint(
                condition=Q(hold__in=["none", "locked", "sign_in_failed"]), name="mailbox_hold_known"
            ),
            models.CheckConstraint(condition=Q(weight__gt=0), name="mailbox_weight_positive"),
            models.CheckConstraint(condition=Q(health__gte=0, health__lte=1), name="mailbox_health_is_share"),
            models.CheckConstraint(
                condition=Q(reserve_share__gte=0, reserve_share__lte=1), name="mailbox_reserve_share_is_share"
            ),
            models.CheckConstraint(
                condition=Q(held_by=None, held_until=None) | Q(held_by__isnull=False, held_until__isnull=False),
                name="mailbox_hold_has_end",
            ),
            models.CheckConstraint(
                condition=Q(ramp=None, ramp_cap=None) | Q(ramp__isnull=False, ramp_cap__isnull=False),
                name="mailbox_ramp_has_cap",
            ),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def cap_of_day(self) -> int:
        """Messages a day at most: the smaller of its own cap and the ramp's. A reserve takes its share of that."""
        return self.daily_cap if self.ramp_cap is None else min(self.daily_cap, self.ramp_cap)


MAILBOX_PASSWORD = sealed_fields.register("mailboxes.Mailbox", "sealed_password", "smtp_password")
