"""Test mail: the addresses outside the company that may get some, and what was sent to whom."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantOwned


class SeedAddress(TenantOwned):
    """An address that may get a tenant's test mail once whoever reads it has given back the code of a first mail.

    No code is stored: it follows from `code_nonce` and a key that the database does not have. It holds until
    `code_until`, and a few wrong tries end it.
    """

    address = models.CharField(_("address"), max_length=254)
    address_key = models.CharField(max_length=254, editable=False)
    note = models.CharField(_("note"), max_length=200, blank=True, help_text=_("Whose it is, or what it shows."))
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("added by"), help_text=_("Empty: a key or a command."),
    )  # fmt: skip
    created_at = models.DateTimeField(_("added at"), auto_now_add=True)
    code_nonce = models.UUIDField(null=True, blank=True, editable=False)
    code_until = models.DateTimeField(_("code holds until"), null=True, blank=True)
    code_tries = models.PositiveSmallIntegerField(_("wrong codes"), default=0)
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)

    class Meta:
        ordering = ("address_key", "pk")
        verbose_name = _("seed address")
        verbose_name_plural = _("seed addresses")
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "address_key"], condition=Q(archived_at=None), name="seedaddress_once"
            ),
            models.CheckConstraint(
                condition=Q(code_nonce=None, code_until=None) | Q(code_nonce__isnull=False, code_until__isnull=False),
                name="seedaddress_code_has_end",
            ),
        ]

    def __str__(self) -> str:
        return self.address


class TestSend(TenantOwned):
    """One mail to a tester: a step as a contact of the list would get it, or the code for a seed address.

    It is no message of the ledger: no enrolment, no contact of it, counts or waits for it. Like there, the row alone
    says whether the mail went out; `committing` is durable before the final dot, and what is uncertain stays so.
    """

    __test__ = False  # no test of ours, whatever its name

    class Kind(models.TextChoices):
        TEST = "test", _("test")
        CONFIRMATION = "confirmation", _("confirmation of an address")

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        SENDING = "sending", _("being sent")
        COMMITTING = "committing", _("at the final dot")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        UNCERTAIN = "uncertain", _("uncertain")

    OPEN = (State.QUEUED, State.SENDING, State.COMMITTING)

    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.QUEUED)
    campaign = TenantForeignKey("campaigns.Campaign", null=True, blank=True, related_name="tests")
    step = TenantForeignKey("campaigns.Step", null=True, blank=True, related_name="tests")
    contact_ref = models.BigIntegerField(null=True, blank=True)  # no key, since contacts may go
    mailbox = TenantForeignKey("mailboxes.Mailbox", related_name="tests")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("to one of us"),
    )  # fmt: skip
    seed = TenantForeignKey("campaigns.SeedAddress", null=True, blank=True, related_name="tests")
    hint = models.CharField(_("to"), max_length=260, help_text=_("The address, masked."))
    message_id = models.CharField(_("Message-ID"), max_length=300, unique=True)
    by_kind = models.CharField(_("by"), max_length=10)
    by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("person"),
    )  # fmt: skip
    by_key_id = models.BigIntegerField(_("key"), null=True, blank=True)
    day_on = models.DateField(_("day"), help_text=_("On which it counts against the cap of its mailbox."))
    claim = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    reason = models.CharField(_("reason"), max_length=60, blank=True)
    answer = models.CharField(_("answer"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("asked at"), auto_now_add=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("test mail")
        verbose_name_plural = _("test mails")
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["queued", "sending", "committing", "sent", "failed", "uncertain"]),
                name="testsend_state_known",
            ),
            models.CheckConstraint(
                condition=Q(user=None, seed__isnull=False) | Q(user__isnull=False, seed=None),
                name="testsend_goes_to_one",
            ),
            models.CheckConstraint(
                condition=Q(kind="test", campaign__isnull=False, step__isnull=False, contact_ref__isnull=False)
                | Q(kind="confirmation", campaign=None, step=None, contact_ref=None, seed__isnull=False),
                name="testsend_kind_fits",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["sending", "committing"]) | Q(claim__isnull=False, lease_until__isnull=False),
                name="testsend_held_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "sending", "committing"]) ^ Q(done_at__isnull=False),
                name="testsend_done_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["campaign", "-id"], name="testsend_campaign"),
            models.Index(fields=["tenant", "created_at"], name="testsend_tenant"),
            models.Index(fields=["mailbox", "day_on"], name="testsend_mailbox_day"),
            models.Index(
                fields=["tenant", "id"], condition=Q(state__in=["queued", "sending", "committing"]),
                name="testsend_open",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.hint} ({self.get_state_display()})"
