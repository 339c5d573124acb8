"""What several accounts share at their host, and what receivers take: limits of the platform, of no tenant."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mailboxes import quotas


class QuotaGroup(models.Model):
    """Accounts and mailboxes that share one quota at their host, of whichever tenants.

    All its numbers are of rolling 24 hours, counted in whole UTC hours. An empty one is what `mailboxes.quotas` says
    for the kind; what has none there either is not limited.
    """

    class Kind(models.TextChoices):
        WORKSPACE = "workspace", _("Google Workspace organisation")
        MICROSOFT = "microsoft", _("Microsoft 365 tenant")
        SES = "ses", _("Amazon SES account")
        NODE = "node", _("own SMTP node")
        OTHER = "other", _("other host")

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.OTHER)
    licences = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Of a Microsoft 365 tenant: its quota follows from them.")
    )
    is_trial = models.BooleanField(default=False, help_text=_("Trial limits of the host hold."))
    daily_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Messages per 24 hours of all together; empty: what the kind says.")
    )
    user_daily_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Messages per 24 hours of one mailbox; empty: what the kind says.")
    )
    per_second = models.FloatField(null=True, blank=True, help_text=_("Messages per second of all together."))
    next_free_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("Until when its messages per second are planned already.")
    )
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("quota group")
        verbose_name_plural = _("quota groups")
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["workspace", "microsoft", "ses", "node", "other"]), name="quotagroup_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(per_second=None) | Q(per_second__gt=0), name="quotagroup_rate_is_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def quota(self) -> quotas.Quota:
        """What holds: its own numbers, and those of its kind where it has none."""
        return quotas.of(
            self.kind, licences=self.licences, is_trial=self.is_trial, daily_cap=self.daily_cap,
            user_daily_cap=self.user_daily_cap, per_second=self.per_second,
        )  # fmt: skip


class ReceiverLimit(models.Model):
    """How much one organisational sending domain may send to one receiver operator; empty: no limit."""

    operator = models.CharField(max_length=16, unique=True)
    hourly_cap = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages per UTC hour."))
    daily_cap = models.PositiveIntegerField(null=True, blank=True, help_text=_("Messages per 24 hours."))

    class Meta:
        ordering = ("operator",)
        verbose_name = _("limit of a receiver")
        verbose_name_plural = _("limits of receivers")

    def __str__(self) -> str:
        return self.operator


class ReceiverDomain(models.Model):
    """What DNS says of a recipients' domain: where its mail goes and who runs it; of no tenant, since DNS is public.

    One row is one look-up for all tenants. While `asking_until` lies ahead somebody asks, and nobody else does. An
    answer holds until `due_at`; after trouble (a time-out, SERVFAIL) what was known stays, and the pauses grow with
    `failures` in a row. `mail` is empty where nobody could tell yet.
    """

    class Mail(models.TextChoices):
        UNKNOWN = "", _("not known")
        MX = "mx", _("has an MX")
        ADDRESS = "address", _("no MX, an address of its own")
        NULL_MX = "null_mx", _("takes no mail (null MX)")
        NO_MX = "no_mx", _("neither MX nor address")
        DEAD_MX = "dead_mx", _("the hosts of its MX have no address")
        NO_DOMAIN = "no_domain", _("does not exist")

    name = models.CharField(max_length=253, unique=True)
    operator = models.CharField(max_length=16)
    checked_at = models.DateTimeField()
    mail = models.CharField(max_length=10, choices=Mail, blank=True, db_default="")
    trouble = models.CharField(
        max_length=10, blank=True, db_default="", help_text=_("What stood in the way of the last answer.")
    )
    failures = models.PositiveSmallIntegerField(db_default=0, help_text=_("Look-ups without an answer, in a row."))
    answered_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(db_default=Now(), help_text=_("From then on it is asked again if need be."))
    asking_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name",)
        verbose_name = _("recipients' domain")
        verbose_name_plural = _("recipients' domains")
        indexes = [models.Index(fields=["due_at"], condition=Q(failures__gt=0), name="receiverdomain_trouble")]
        constraints = [
            models.CheckConstraint(
                condition=Q(mail__in=["", "mx", "address", "null_mx", "no_mx", "dead_mx", "no_domain"]),
                name="receiverdomain_mail_known",
            ),
            models.CheckConstraint(
                condition=Q(mail="") | Q(answered_at__isnull=False), name="receiverdomain_answer_has_time"
            ),
        ]

    def __str__(self) -> str:
        return self.name
