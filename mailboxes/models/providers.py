"""Ways out: the servers and services that mailboxes leave by."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common.moves import Moves
from tenants.models import TenantOwned, history


@history.track(without=("blocked_until",))
class ProviderAccount(Moves, TenantOwned):
    """A way out, of one tenant. Kind smtp: a submission server; the sign-in stays on the mailbox."""

    class Kind(models.TextChoices):
        SMTP = "smtp", _("SMTP")

    class Security(models.TextChoices):
        TLS = "tls", _("TLS from the first byte")
        STARTTLS = "starttls", _("STARTTLS, required")
        NONE = "none", _("none (loopback in development only)")

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        PAUSED = "paused", _("paused")
        SUSPENDED = "suspended", _("suspended")

    STATE_FIELD = "state"
    MOVES = {
        "active": frozenset({"paused", "suspended"}),
        "paused": frozenset({"active", "suspended"}),
        "suspended": frozenset({"active"}),
    }

    kind = models.CharField(max_length=10, choices=Kind, default=Kind.SMTP)
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    security = models.CharField(max_length=10, choices=Security, default=Security.STARTTLS)
    quota_group = models.ForeignKey(
        "mailboxes.QuotaGroup",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="accounts",
        db_index=False,
        help_text=_("What it shares with other accounts at its host."),
    )
    hourly_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Messages per UTC hour; empty: no limit.")
    )
    imap_host = models.CharField(max_length=253, blank=True, help_text=_("Where its mailboxes are read."))
    imap_port = models.PositiveIntegerField(default=993)
    spf_terms = ArrayField(
        models.CharField(max_length=253),
        default=list,
        blank=True,
        help_text=_("What a domain's SPF record has to cover: addresses, networks, or include:NAME."),
    )
    allowed_bases = ArrayField(
        models.CharField(max_length=24),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("Lawful bases whose mail the host's terms allow; empty: none."),
    )
    bases_link = models.URLField(max_length=500, blank=True, db_default="", help_text=_("The terms that say so."))
    bases_on = models.DateField(null=True, blank=True, help_text=_("When somebody read them."))
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    state_reason = models.CharField(max_length=500, blank=True)
    blocked_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("host", "port")
        verbose_name = _("provider account")
        verbose_name_plural = _("provider accounts")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "kind", "host", "port", "security"], name="provider_once"),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="provider_port_in_range"),
            models.CheckConstraint(
                condition=Q(imap_port__gte=1, imap_port__lte=65535), name="provider_imap_port_in_range"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["active", "paused", "suspended"]), name="provider_state_known"
            ),
            models.CheckConstraint(
                condition=Q(security__in=["tls", "starttls", "none"]), name="provider_security_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
