"""The ledger: one row per mail, which alone says whether it went out."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantImplied, TenantOwned


class Batch(TenantImplied):
    """At most `batch_size` due messages of one campaign, handed to a worker as one piece of work."""

    campaign = TenantForeignKey("campaigns.Campaign", related_name="batches")
    size = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    rung_at = models.DateTimeField(null=True, blank=True, help_text=_("When a worker was last told of it."))
    rings = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        indexes = [models.Index(fields=["rung_at"], condition=Q(done_at=None), name="batch_open")]

    def __str__(self) -> str:
        return f"{self.pk}"


class Message(TenantImplied):
    """One mail to one person. This row alone says whether it went out.

    `day_on` and `hour_at` name the allowance periods that hold its reservation: the day in
    the tenant's zone, the UTC hour (null where nothing is counted by the hour).
    """

    class Status(models.TextChoices):
        PLANNED = "planned", _("planned")
        CLAIMED = "claimed", _("claimed")
        COMMITTING = "committing", _("committing")
        SENT = "sent", _("sent")
        DEFERRED = "deferred", _("deferred")
        FAILED = "failed", _("failed")
        SUPPRESSED = "suppressed", _("suppressed")
        CANCELLED = "cancelled", _("cancelled")
        UNCERTAIN = "uncertain", _("uncertain")

    class Outcome(models.TextChoices):
        """From the weakest to the strongest; campaigns.sequences says which one stays."""

        NONE = "", _("nothing heard")
        SOFT_BOUNCED = "soft_bounced", _("not delivered, for now")
        BLOCKED = "blocked", _("refused because of us")
        DELIVERED = "delivered", _("delivered")
        AUTO_REPLIED = "auto_replied", _("answered by a machine")
        UNSUBSCRIBED = "unsubscribed", _("opted out")
        REPLIED = "replied", _("answered")
        BOUNCED = "bounced", _("bounced")
        COMPLAINED = "complained", _("complained")

    MOVES = {
        "planned": frozenset({"claimed", "suppressed", "cancelled", "deferred"}),
        "claimed": frozenset({"committing", "deferred", "failed", "planned", "suppressed", "cancelled"}),
        "committing": frozenset({"sent", "deferred", "failed", "uncertain"}),
        "deferred": frozenset({"planned", "failed", "suppressed", "cancelled"}),
        "uncertain": frozenset({"sent", "failed"}),
        "sent": frozenset(),
        "failed": frozenset(),
        "suppressed": frozenset(),
        "cancelled": frozenset(),
    }

    campaign = TenantForeignKey("campaigns.Campaign", related_name="messages")
    step = TenantForeignKey("campaigns.Step", related_name="messages")
    enrolment = TenantForeignKey("campaigns.Enrolment", related_name="messages")
    variant = TenantForeignKey("campaigns.Variant", null=True, blank=True, related_name="messages")
    contact = TenantForeignKey("campaigns.Contact", related_name="messages")
    mailbox = TenantForeignKey("mailboxes.Mailbox", related_name="messages")
    account_ref = models.BigIntegerField(
        null=True, blank=True, help_text=_("Id of the account by which it leaves, or left; empty: its mailbox's own.")
    )
    batch = TenantForeignKey("campaigns.Batch", null=True, blank=True, related_name="messages")

    status = models.CharField(max_length=10, choices=Status, default=Status.PLANNED)
    reason = models.CharField(max_length=60, blank=True, help_text=_("Why it failed, was suppressed or cancelled."))
    due_at = models.DateTimeField()
    not_after = models.DateTimeField(help_text=_("The window's end; nothing leaves later."))
    day_on = models.DateField()
    hour_at = models.DateTimeField(null=True, blank=True)
    operator = models.CharField(max_length=16, blank=True, db_default="", help_text=_("Who runs the recipient's mail."))
    tries = models.PositiveSmallIntegerField(default=0)

    claim = models.UUIDField(null=True, blank=True)
    last_claim = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    message_id = models.CharField(max_length=300)
    wire_message_id = models.CharField(max_length=300, blank=True)
    content_hash = models.BinaryField(null=True, blank=True)
    reply_text = models.CharField(max_length=500, blank=True, help_text=_("The answer to the final dot."))
    outcome = models.CharField(max_length=12, choices=Outcome, blank=True, help_text=_("What became of a sent mail."))
    outcome_reason = models.CharField(max_length=60, blank=True, db_default="", help_text=_("As the receiver gave it."))
    outcome_at = models.DateTimeField(null=True, blank=True)
    replied_at = models.DateTimeField(null=True, blank=True, help_text=_("When a person answered it."))
    opted_out_at = models.DateTimeField(null=True, blank=True, help_text=_("When its recipient opted out by it."))
    planned_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.UniqueConstraint(fields=["enrolment", "step"], name="message_once_per_step"),
            # Not unique=True: that brings a second index for LIKE, which every change of state would write.
            models.UniqueConstraint(fields=["message_id"], name="message_id_once"),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "planned",
                        "claimed",
                        "committing",
                        "sent",
                        "deferred",
                        "failed",
                        "suppressed",
                        "cancelled",
                        "uncertain",
                    ]
                ),
                name="message_status_known",
            ),
            models.CheckConstraint(
                condition=(
                    Q(status__in=["claimed", "committing"]) & Q(claim__isnull=False) & Q(lease_until__isnull=False)
                )
                | (~Q(status__in=["claimed", "committing"]) & Q(claim=None) & Q(lease_until=None)),
                name="message_claim_iff_held",
            ),
            models.CheckConstraint(
                condition=~Q(status="sent") | Q(sent_at__isnull=False), name="message_sent_has_time"
            ),
            models.CheckConstraint(
                condition=Q(
                    outcome__in=[
                        "",
                        "soft_bounced",
                        "blocked",
                        "delivered",
                        "auto_replied",
                        "unsubscribed",
                        "replied",
                        "bounced",
                        "complained",
                    ]
                ),
                name="message_outcome_known",
            ),
        ]
        indexes = [
            models.Index(
                fields=["tenant", "due_at"], condition=Q(status="planned", batch__isnull=True), name="message_unbatched"
            ),
            models.Index(fields=["mailbox", "due_at"], condition=Q(status="deferred"), name="message_retry"),
            models.Index(fields=["variant"], condition=Q(variant__isnull=False), name="message_variant"),
            models.Index(
                fields=["batch"],
                condition=Q(batch__isnull=False, status__in=["planned", "claimed", "committing"]),
                name="message_batch",
            ),
            models.Index(
                fields=["lease_until"], condition=Q(status__in=["claimed", "committing"]), name="message_lease"
            ),
            models.Index(
                fields=["mailbox"], condition=Q(status__in=["planned", "claimed"]), name="message_mailbox_waiting"
            ),
            models.Index(fields=["contact"], name="message_contact"),
            models.Index(fields=["sent_at"], condition=Q(sent_at__isnull=False), name="message_sent_at"),
            models.Index(fields=["campaign", "status"], name="message_campaign_status"),
            models.Index(fields=["tenant", "id"], name="message_tenant_page"),
        ]

    def __str__(self) -> str:
        return self.message_id


class Attempt(TenantOwned):
    """One try that did not end in a 250. Partitioned by month of `at`; nothing refers to it."""

    message_ref = models.BigIntegerField(help_text=_("Id of the message."))
    mailbox_ref = models.BigIntegerField(help_text=_("Id of the mailbox."))
    account_ref = models.BigIntegerField(null=True, blank=True, help_text=_("Id of the account by which it was tried."))
    at = models.DateTimeField()
    phase = models.CharField(max_length=10)
    code = models.PositiveSmallIntegerField(null=True, blank=True)
    enhanced = models.CharField(max_length=12, blank=True)
    text = models.CharField(max_length=1000, blank=True)
    result = models.CharField(max_length=10, help_text=_("What the message became."))
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        indexes = [
            models.Index(fields=["message_ref"], name="attempt_message"),
            models.Index(fields=["tenant", "id"], name="attempt_tenant_page"),
        ]

    def __str__(self) -> str:
        return f"{self.phase} {self.code or ''} {self.enhanced}".strip()
