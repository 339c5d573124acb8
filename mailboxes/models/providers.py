"""Ways out: the servers and services that mailboxes leave by."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common import sealed_fields
from outreach.common.moves import Moves
from tenants.models import TenantOwned, history

# What its own results change all the time; the history keeps what people decide.
RUNNING = ("blocked_until", "seal_ref", "circuit", "failures", "probe_at")


@history.track(without=RUNNING, secrets=("sealed_secret",))
class ProviderAccount(Moves, TenantOwned):
    """A way out, of one tenant. Kind smtp: a submission server; the sign-in stays on the mailbox.

    The other kinds are services with a sign-in of their own, told apart by `name`; their `host` is where their API
    answers. `circuit` is what its own results say: open, nothing leaves by it until a probe went well. `state` is a
    person's or its host's word, and nothing but a person changes it back.
    """

    class Kind(models.TextChoices):
        SMTP = "smtp", _("SMTP")
        SES = "ses", _("Amazon SES")
        MAILGUN = "mailgun", _("Mailgun")
        POSTMARK = "postmark", _("Postmark")

    class Circuit(models.TextChoices):
        CLOSED = "closed", _("closed: mail passes")
        OPEN = "open", _("open: nothing passes")
        HALF_OPEN = "half_open", _("half open: a probe is under way")

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
    name = models.CharField(max_length=100, blank=True, db_default="", help_text=_("Of a service; empty for a server."))
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    security = models.CharField(max_length=10, choices=Security, default=Security.STARTTLS)
    region = models.CharField(max_length=40, blank=True, db_default="", help_text=_("Of a service that has several."))
    options = models.JSONField(
        default=dict, db_default={}, blank=True, help_text=_("What else the service is told, by name.")
    )
    sealed_secret = models.BinaryField(default=b"", db_default=b"", editable=False)
    seal_ref = models.UUIDField(default=uuid.uuid4, db_default=RandomUUID(), unique=True, editable=False)
    signs_dkim = models.BooleanField(
        default=False, db_default=False, help_text=_("The console signs its mail, since the server does not.")
    )
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
    circuit = models.CharField(max_length=10, choices=Circuit, default=Circuit.CLOSED, db_default="closed")
    failures = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("Openings of the circuit in a row.")
    )
    probe_at = models.DateTimeField(null=True, blank=True, help_text=_("When an open circuit is tried again."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("host", "port")
        verbose_name = _("provider account")
        verbose_name_plural = _("provider accounts")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "host", "port", "security", "name"], name="provider_once"
            ),
            models.CheckConstraint(
                condition=Q(kind="smtp", name="") | (~Q(kind="smtp") & ~Q(name="")), name="provider_name_of_service"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["smtp", "ses", "mailgun", "postmark"]), name="provider_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(circuit="closed", probe_at=None)
                | Q(circuit__in=["open", "half_open"], probe_at__isnull=False),
                name="provider_circuit_has_probe",
            ),
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
        return self.name or f"{self.host}:{self.port}"


ACCOUNT_SECRET = sealed_fields.register("mailboxes.ProviderAccount", "sealed_secret", "account_secret")
