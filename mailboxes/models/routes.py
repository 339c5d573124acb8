"""By which other accounts a domain's mail may leave while its own is out, and what each account's results were."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantOwned, history

FOUND = ("ready", "ready_reason", "ready_at")  # what checks find, not people


@history.track(without=FOUND)
class Standby(TenantOwned):
    """One account of a domain's route. The first one, by position, that may carry the mail stands in.

    `ready` is whether receivers would take its mail for the domain's own (SPF or DKIM aligned with From), as the last
    check of the domain found it; null: nobody could tell yet, and it does not stand in.
    """

    domain = TenantForeignKey("mailboxes.SendingDomain", related_name="standbys")
    account = TenantForeignKey("mailboxes.ProviderAccount", related_name="routes")
    position = models.PositiveSmallIntegerField(help_text=_("The lowest comes first."))
    ready = models.BooleanField(null=True, editable=False)
    ready_reason = models.CharField(max_length=500, blank=True, editable=False)
    ready_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("domain", "position")
        verbose_name = _("standby account")
        verbose_name_plural = _("standby accounts")
        constraints = [
            models.UniqueConstraint(fields=["domain", "account"], name="standby_once"),
            models.UniqueConstraint(
                fields=["domain", "position"], name="standby_in_order", deferrable=models.Deferrable.DEFERRED
            ),
        ]
        indexes = [models.Index(fields=["account"], name="standby_account")]

    def __str__(self) -> str:
        return f"{self.domain_id}/{self.position}: {self.account_id}"


class AccountMinute(TenantOwned):
    """What an account's tries of one minute came to. `broken` are those that say something about the account itself."""

    account = TenantForeignKey("mailboxes.ProviderAccount", related_name="minutes")
    minute = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    broken = models.PositiveIntegerField(default=0, help_text=_("No connection, no answer, an error of the service."))
    total_ms = models.PositiveBigIntegerField(default=0)
    longest_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-minute",)
        verbose_name = _("minute of an account")
        verbose_name_plural = _("minutes of accounts")
        constraints = [
            models.UniqueConstraint(fields=["account", "minute"], name="account_minute_once"),
            models.CheckConstraint(condition=Q(broken__lte=models.F("tries")), name="account_minute_part"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.minute:%H:%M}"
