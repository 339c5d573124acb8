"""Campaigns and their steps."""

from __future__ import annotations

from datetime import time

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common.moves import Moves
from tenants.models import TenantForeignKey, TenantImplied, TenantOwned, history

ALL_DAYS = (0, 1, 2, 3, 4, 5, 6)


def all_days() -> list[int]:
    """Monday is 0, as in datetime.weekday()."""
    return list(ALL_DAYS)


@history.track(without=("zones", "enrolled_to", "enrol_until", "launch_approval", "probes"))
class Campaign(Moves, TenantOwned):
    """A sequence of messages to one list from one pool.

    The window opens at `window_from` and closes at `window_until` on `window_days`, in the
    contact's zone, the tenant's, or a fixed one (`window_zone`: contact, tenant, or an IANA
    name); from equal to until means the whole day. While it is being enrolled, contacts of the
    list up to `enrolled_to` are in and those up to `enrol_until` follow; both null: all are in.
    `zones` are the zones of its enrolments.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        REVIEW = "review", _("in review")
        SCHEDULED = "scheduled", _("scheduled")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        HALTED = "halted", _("halted")
        COMPLETED = "completed", _("completed")
        CANCELLED = "cancelled", _("cancelled")

    class Doubt(models.TextChoices):
        STOP = "stop", _("end")
        GO_ON = "go_on", _("go on as if it had arrived")

    class Pace(models.TextChoices):
        EVEN = "even", _("even: spread over the window")
        PROMPT = "prompt", _("prompt: as fast as the mailboxes' gaps allow")

    class Handover(models.TextChoices):
        WAIT = "wait", _("wait for it")
        NEW_THREAD = "new_thread", _("a new thread from the mailbox that takes its place")
        STOP = "stop", _("end")

    MOVES = {
        "draft": frozenset({"review", "scheduled", "running", "cancelled"}),
        "review": frozenset({"draft", "scheduled", "running", "cancelled"}),
        "scheduled": frozenset({"running", "draft", "review", "cancelled"}),
        "running": frozenset({"paused", "halted", "completed", "cancelled"}),
        "paused": frozenset({"running", "cancelled"}),
        "halted": frozenset({"running", "cancelled"}),
        "completed": frozenset(),
        "cancelled": frozenset(),
    }
    STOPPED = (Status.PAUSED, Status.HALTED)  # what resume takes up again

    name = models.CharField(max_length=200)
    pool = TenantForeignKey("mailboxes.Pool", null=True, blank=True, related_name="campaigns")
    contact_list = TenantForeignKey("campaigns.ContactList", null=True, blank=True, related_name="campaigns")
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    status_reason = models.CharField(max_length=500, blank=True)

    window_from = models.TimeField(default=time(9))
    window_until = models.TimeField(default=time(17))
    window_days = ArrayField(models.PositiveSmallIntegerField(), default=all_days)
    window_zone = models.CharField(max_length=64, default="contact")
    pace = models.CharField(max_length=8, choices=Pace, default=Pace.EVEN)
    batch_size = models.PositiveSmallIntegerField(default=100)
    daily_cap = models.PositiveIntegerField(null=True, blank=True)
    total_cap = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages in all; empty: no limit."))
    holidays = models.BooleanField(
        default=True, db_default=False, help_text=_("Closed on public holidays of the contact's country.")
    )
    handover = models.CharField(
        max_length=10,
        choices=Handover,
        default=Handover.WAIT,
        db_default="wait",
        help_text=_("What becomes of threads whose mailbox is taken out of use."),
    )

    stop_on_colleague = models.BooleanField(
        default=False, db_default=False, help_text=_("A reply from a colleague ends the sequence too.")
    )
    doubt = models.CharField(
        max_length=8,
        choices=Doubt,
        default=Doubt.STOP,
        db_default="stop",
        help_text=_("What becomes of a sequence when nobody knows after 72 hours whether a mail went out."),
    )
    click_tracking = models.BooleanField(default=False, db_default=False)
    canary = models.BooleanField(
        default=True, db_default=False, help_text=_("First a few of each import never mailed before; the rest later.")
    )
    canary_size = models.PositiveIntegerField(default=50, db_default=50)
    canary_hours = models.PositiveSmallIntegerField(default=24, db_default=24)
    balancing_test = models.TextField(
        blank=True, db_default="", help_text=_("Why the legitimate interest outweighs the person's.")
    )
    accepted_warnings = models.JSONField(default=list, db_default=[], blank=True, editable=False)
    scheduled_for = models.DateTimeField(null=True, blank=True)
    launch_approval = models.BigIntegerField(
        null=True, blank=True, editable=False, help_text=_("The second person's yes to the launch at that time.")
    )
    probes = models.JSONField(
        default=dict, db_default={}, blank=True, editable=False, help_text=_("What its links answered last.")
    )
    cloned_from = TenantForeignKey("campaigns.Campaign", null=True, blank=True, editable=False, related_name="clones")

    zones = ArrayField(models.CharField(max_length=64), default=list, blank=True, editable=False)
    enrolled_to = models.BigIntegerField(null=True, blank=True, editable=False)
    enrol_until = models.BigIntegerField(null=True, blank=True, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="campaign_name_once"),
            models.CheckConstraint(condition=Q(batch_size__gte=50, batch_size__lte=200), name="campaign_batch_size"),
            models.CheckConstraint(condition=Q(doubt__in=["stop", "go_on"]), name="campaign_doubt_known"),
            models.CheckConstraint(
                condition=Q(handover__in=["wait", "new_thread", "stop"]), name="campaign_handover_known"
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "draft",
                        "review",
                        "scheduled",
                        "running",
                        "paused",
                        "halted",
                        "completed",
                        "cancelled",
                    ]
                ),
                name="campaign_status_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name


@history.track()
class Step(TenantImplied):
    """One message of a campaign. Frozen at launch: a change afterwards makes a new version."""

    campaign = TenantForeignKey("campaigns.Campaign", related_name="steps")
    position = models.PositiveSmallIntegerField(default=1)
    version = models.PositiveSmallIntegerField(default=1)
    delay_hours = models.PositiveIntegerField(default=0, help_text=_("After the step before."))
    delay_days = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("Working days after the step before, besides the hours.")
    )
    subject = models.CharField(max_length=500)
    text_body = models.TextField()
    html_body = models.TextField(blank=True)
    frozen_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("campaign", "position", "version")
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "position", "version"], name="step_once"),
            models.CheckConstraint(condition=Q(position__gte=1), name="step_position_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.subject}"


@history.track()
class Variant(TenantImplied):
    """One wording of a step. A step with variants sends each to an equal share of people, and not its own wording."""

    step = TenantForeignKey("campaigns.Step", related_name="variants")
    label = models.CharField(max_length=20)
    subject = models.CharField(max_length=500)
    text_body = models.TextField()
    html_body = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("step", "label")
        verbose_name = _("variant")
        verbose_name_plural = _("variants")
        constraints = [
            models.UniqueConstraint(fields=["step", "label"], name="variant_once"),
            models.CheckConstraint(condition=~Q(label=""), name="variant_label_given"),
        ]

    def __str__(self) -> str:
        return f"{self.label}. {self.subject}"
