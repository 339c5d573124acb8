"""One contact's way through one campaign."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantImplied


class Enrolment(TenantImplied):
    """Where one contact stands in one campaign.

    `due_at` is set exactly while the enrolment waits to be planned; while a message of it is
    under way it is null and `waits_for` says "message". The demand indexes start with the
    zone, so that people outside their window are never read, however many and however old; who
    belongs to a mailbox stands in others, so that no crowd of first steps hides a follow-up.
    Where another mailbox took over in the middle of a sequence, `thread_from` is the step that it
    began with: its mails are a thread of their own and never claim to answer the earlier ones.
    Between two steps `due_at` is when the next one may go. People whom a conversation holds back
    wait for "conversation" and are looked at again each day, or at once when it ends.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", _("active")
        DONE = "done", _("done")
        STOPPED = "stopped", _("stopped")

    campaign = TenantForeignKey("campaigns.Campaign", related_name="enrolments")
    contact = TenantForeignKey("campaigns.Contact", related_name="enrolments")
    mailbox = TenantForeignKey("mailboxes.Mailbox", null=True, blank=True, related_name="enrolments")
    step = models.PositiveSmallIntegerField(default=1, help_text=_("Position of the next step to send."))
    thread_from = models.PositiveSmallIntegerField(
        default=1,
        db_default=1,
        help_text=_("Position of the step with which its thread began; nothing refers to earlier mail."),
    )
    status = models.CharField(max_length=8, choices=Status, default=Status.ACTIVE)
    stop_reason = models.CharField(max_length=40, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    waits_for = models.CharField(max_length=20, blank=True)
    away_until = models.DateTimeField(
        null=True, blank=True, help_text=_("The person's own mailbox says that nobody reads it before.")
    )
    zone = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)
        verbose_name = _("enrolment")
        verbose_name_plural = _("enrolments")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "contact"], name="enrolment_once"),
            models.CheckConstraint(
                condition=Q(status__in=["active", "done", "stopped"]), name="enrolment_status_known"
            ),
            models.CheckConstraint(
                condition=Q(due_at=None) | Q(status="active"), name="enrolment_due_only_while_active"
            ),
            models.CheckConstraint(
                condition=~Q(status="active", due_at=None, waits_for=""), name="enrolment_active_waits_for_something"
            ),
        ]
        indexes = [
            models.Index(
                fields=["campaign", "zone", "due_at"],
                condition=Q(due_at__isnull=False, mailbox=None),
                name="enrolment_first",
            ),
            models.Index(
                fields=["campaign", "zone", "due_at"],
                condition=Q(due_at__isnull=False, mailbox__isnull=False),
                name="enrolment_next",
            ),
            models.Index(fields=["contact"], name="enrolment_contact"),
            models.Index(
                fields=["mailbox", "due_at"],
                condition=Q(due_at__isnull=False, mailbox__isnull=False),
                name="enrolment_of_mailbox",
            ),
            models.Index(fields=["campaign", "stop_reason"], condition=Q(status="stopped"), name="enrolment_stopped"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}/{self.contact_id}"
