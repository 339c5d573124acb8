"""Counted limits, and what is given back to them."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Allowance(models.Model):
    """How much of a cap is reserved in one period.

    `key` is the id of what the scope names; for a receiver it stands for an organisational
    sending domain and an operator, which `label` names. A rolling day is the sum of its
    hours. No tenant: several share it. `period_start` is the UTC hour, or for a day the date
    in the tenant's zone written as midnight UTC: a label, so that a tenant who changes zone
    does not split a day in two. A campaign's total has one period, which began with 1970.
    Only the planner writes here, under its tenant's advisory lock and, for what is shared, a
    lock of that; everybody else leaves an AllowanceReturn.
    """

    class Scope(models.TextChoices):
        MAILBOX_DAY = "mailbox_day", _("mailbox per day")
        MAILBOX_HOUR = "mailbox_hour", _("mailbox per hour")
        DOMAIN_HOUR = "domain_hour", _("sending domain per hour")
        DOMAIN_DAY = "domain_day", _("sending domain per day")
        ACCOUNT_HOUR = "account_hour", _("account per hour")
        QUOTA_HOUR = "quota_hour", _("quota group per hour")
        RECEIVER_HOUR = "receiver_hour", _("receiver per hour")
        TENANT_DAY = "tenant_day", _("tenant per day")
        CAMPAIGN_DAY = "campaign_day", _("campaign per day")
        CAMPAIGN_TOTAL = "campaign_total", _("campaign in all")

    tenant = models.ForeignKey(
        "tenants.Tenant", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    scope = models.CharField(max_length=16, choices=Scope)
    key = models.BigIntegerField()
    period_start = models.DateTimeField()
    label = models.CharField(max_length=280, blank=True, db_default="")
    cap = models.PositiveIntegerField()
    reserved = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-period_start", "scope", "key")
        verbose_name = _("allowance")
        verbose_name_plural = _("allowances")
        constraints = [
            models.UniqueConstraint(fields=["scope", "key", "period_start"], name="allowance_once"),
            models.CheckConstraint(condition=Q(reserved__lte=F("cap")), name="allowance_within_cap"),
            models.CheckConstraint(
                condition=Q(
                    scope__in=[
                        "mailbox_day",
                        "mailbox_hour",
                        "domain_hour",
                        "domain_day",
                        "account_hour",
                        "quota_hour",
                        "receiver_hour",
                        "tenant_day",
                        "campaign_day",
                        "campaign_total",
                    ]
                ),
                name="allowance_scope_known",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "period_start"], name="allowance_period")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}: {self.reserved}/{self.cap}"


class AllowanceReturn(models.Model):
    """Reservations given back by a stop or a missed period, until the next planner run books them.

    Written in the transaction that frees the messages, so nobody but the planner has to
    lock an allowance and nothing is counted twice or forgotten.
    """

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    scope = models.CharField(max_length=16, choices=Allowance.Scope)
    key = models.BigIntegerField()
    period_start = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("returned reservation")
        verbose_name_plural = _("returned reservations")
        indexes = [models.Index(fields=["tenant"], name="allowancereturn_tenant")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}: {self.count} back"
