"""Mailboxes that were taken out of use: for a time, with the way back, or for good, with what stays to be done."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantOwned


class QuarantineCase(TenantOwned):
    """One quarantine of one mailbox, from the reason to the release.

    `number` counts the mailbox's cases; with it the cool-down grows, until `cool_until` is null and a person decides.
    `cap` is what it was allowed a day when it went: what a reserve has to make up for.
    """

    class Outcome(models.TextChoices):
        RELEASED = "released", _("released")
        RELAPSED = "relapsed", _("quarantined again")
        RETIRED = "retired", _("retired")

    class Swap(models.TextChoices):
        PROMOTED = "promoted", _("a reserve took its place")
        UNWANTED = "unwanted", _("no reserve was wanted or needed")
        BRAKED = "braked", _("the swap brake kept the reserves")
        NONE = "none", _("the pool had no reserve that could")

    mailbox = TenantForeignKey("mailboxes.Mailbox", related_name="cases", verbose_name=_("mailbox"))
    pool = TenantForeignKey("mailboxes.Pool", related_name="+", verbose_name=_("pool"))
    number = models.PositiveSmallIntegerField(_("number"))
    reason = models.CharField(_("reason"), max_length=500)
    evidence = models.JSONField(_("evidence"), default=dict, blank=True)
    by_rule = models.BooleanField(_("by a rule"), default=False)
    state_before = models.CharField(_("state before"), max_length=12)
    cap = models.PositiveIntegerField(_("cap before"))
    swap = models.CharField(_("reserve"), max_length=10, choices=Swap)
    promoted = TenantForeignKey(
        "mailboxes.Mailbox", null=True, blank=True, related_name="stands_in_for", verbose_name=_("reserve that came")
    )
    opened_at = models.DateTimeField(_("since"), default=now)
    cool_until = models.DateTimeField(
        _("rests until"), null=True, blank=True, help_text=_("Empty: until a person decides.")
    )
    probing_since = models.DateTimeField(_("probing since"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome, blank=True)
    closed_because = models.CharField(_("closed because"), max_length=500, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("quarantine")
        verbose_name_plural = _("quarantines")
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "number"], name="case_number_once"),
            models.UniqueConstraint(fields=["mailbox"], condition=Q(closed_at=None), name="case_open_once"),
            models.CheckConstraint(
                condition=Q(closed_at=None, outcome="")
                | Q(closed_at__isnull=False, outcome__in=["released", "relapsed", "retired"]),
                name="case_outcome_iff_closed",
            ),
            models.CheckConstraint(
                condition=Q(swap="promoted", promoted__isnull=False)
                | Q(swap__in=["unwanted", "braked", "none"], promoted=None),
                name="case_promoted_iff_swapped",
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="case_number_from_one"),
        ]
        indexes = [models.Index(fields=["pool", "opened_at"], name="case_of_pool")]

    def __str__(self) -> str:
        return f"{self.mailbox} ({self.number})"


class Retirement(TenantOwned):
    """What was settled when a mailbox ended, and what of it is still open.

    Its address stays, itself or as an alias, until the day `keep_until`: people answer late. Those answers go to a
    person of the console or to another address, one of the two.
    """

    class Kept(models.TextChoices):
        MAILBOX = "mailbox", _("the mailbox stays")
        ALIAS = "alias", _("the address is an alias")

    class Threads(models.TextChoices):
        NEW_THREAD = "new_thread", _("another mailbox writes a new thread")
        STOP = "stop", _("they end")

    mailbox = TenantForeignKey("mailboxes.Mailbox", related_name="retirements", verbose_name=_("mailbox"))
    pool = TenantForeignKey("mailboxes.Pool", related_name="+", verbose_name=_("pool"))
    reason = models.CharField(_("reason"), max_length=500)
    kept_as = models.CharField(_("address"), max_length=8, choices=Kept)
    keep_until = models.DateField(_("address stays until"), help_text=_("Of the tenant's time zone."))
    replies_to_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("late answers go to"),
    )  # fmt: skip
    replies_to = models.CharField(_("late answers go to the address"), max_length=254, blank=True)
    threads = models.CharField(_("threads that would wait"), max_length=10, choices=Threads)
    successor = TenantForeignKey(
        "mailboxes.Mailbox", null=True, blank=True, related_name="+", verbose_name=_("mailbox that goes on")
    )
    promoted = models.BooleanField(_("a reserve took its place"), default=False)
    handed_over = models.PositiveIntegerField(_("people handed over"), default=0)
    last_sent_on = models.DateField(_("last mail"), null=True, blank=True)
    retired_at = models.DateTimeField(_("retired at"), default=now)
    given_up_at = models.DateTimeField(_("address given up at"), null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("retirement")
        verbose_name_plural = _("retirements")
        constraints = [
            models.UniqueConstraint(fields=["mailbox"], name="retirement_once"),
            models.CheckConstraint(
                condition=Q(replies_to_user__isnull=False, replies_to="") | Q(replies_to_user=None) & ~Q(replies_to=""),
                name="retirement_answers_go_somewhere",
            ),
            models.CheckConstraint(condition=Q(kept_as__in=["mailbox", "alias"]), name="retirement_kept_known"),
            models.CheckConstraint(condition=Q(threads__in=["new_thread", "stop"]), name="retirement_threads_known"),
            models.CheckConstraint(
                condition=Q(promoted=False) | Q(successor__isnull=False), name="retirement_promoted_is_successor"
            ),
        ]
        indexes = [models.Index(fields=["pool", "retired_at"], name="retirement_of_pool")]

    def __str__(self) -> str:
        return str(self.mailbox)
