"""Imports of mailboxes and of sending domains, and what it takes to undo one."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common import sealed_fields
from outreach.common.moves import Moves
from tenants.models import TenantForeignKey, TenantOwned


class Import(Moves, TenantOwned):
    """One file that was taken into a tenant. `source` says where such files come from, `columns` how to read them.

    `made` holds the ids of the pools, domains and accounts that came into being for it. Without `undo_until` the
    rows that could undo it are gone.
    """

    class Kind(models.TextChoices):
        MAILBOXES = "mailboxes", _("mailboxes")
        DOMAINS = "domains", _("sending domains")

    class State(models.TextChoices):
        DONE = "done", _("done")
        ROLLED_BACK = "rolled_back", _("rolled back")

    STATE_FIELD = "state"
    MOVES = {"done": frozenset({"rolled_back"}), "rolled_back": frozenset()}

    kind = models.CharField(_("what"), max_length=10, choices=Kind, default=Kind.MAILBOXES, db_default="mailboxes")
    file_name = models.CharField(_("file"), max_length=255)
    file_hash = models.CharField(_("SHA-256"), max_length=64)
    source = models.CharField(_("source"), max_length=100, blank=True)
    columns = models.JSONField(_("columns"), default=dict, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.DONE)
    by_kind = models.CharField(_("by"), max_length=10)
    by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("person"),
    )  # fmt: skip
    by_key_id = models.BigIntegerField(_("key"), null=True, blank=True)
    created = models.PositiveIntegerField(_("new"), default=0)
    updated = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    made = models.JSONField(default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)
    undo_until = models.DateTimeField(_("can be rolled back until"), null=True, blank=True)
    rolled_back_at = models.DateTimeField(_("rolled back at"), null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        indexes = [
            models.Index(fields=["tenant", "source", "-id"], name="import_source"),
            models.Index(fields=["undo_until"], condition=Q(undo_until__isnull=False), name="import_undo"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=["done", "rolled_back"]), name="import_state_known"),
            models.CheckConstraint(condition=Q(kind__in=["mailboxes", "domains"]), name="import_kind_known"),
            models.CheckConstraint(
                condition=~Q(state="rolled_back") ^ Q(rolled_back_at__isnull=False), name="import_rolled_back_has_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.file_name})"


class ImportedRow(TenantOwned):
    """What one row of a file made of one mailbox or one domain, to be undone. Rows that changed nothing have none.

    `mailbox_ref` and `domain_ref` are no keys, since the row may go when the import is undone. A password of before
    is sealed to this row; of the one that the import left there is a digest of the sealed bytes.
    """

    of = TenantForeignKey("mailboxes.Import", on_delete=models.CASCADE, related_name="rows", verbose_name=_("import"))
    line = models.PositiveIntegerField(_("line"))
    mailbox_ref = models.BigIntegerField(_("mailbox"), null=True, blank=True)
    domain_ref = models.BigIntegerField(_("sending domain"), null=True, blank=True)
    is_new = models.BooleanField(_("new"))
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    sealed_before = models.BinaryField(default=b"", editable=False)
    seal_ref = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    digest_after = models.BinaryField(default=b"", editable=False)

    class Meta:
        ordering = ("of", "line")
        verbose_name = _("imported row")
        verbose_name_plural = _("imported rows")
        indexes = [
            models.Index(fields=["of", "line"], name="importedrow_of"),
            models.Index(fields=["mailbox_ref", "of"], name="importedrow_mailbox"),
            models.Index(fields=["domain_ref", "of"], condition=Q(domain_ref__isnull=False), name="importedrow_domain"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(mailbox_ref=None) ^ Q(domain_ref=None), name="importedrow_of_one_kind")
        ]

    def __str__(self) -> str:
        return f"{self.of_id}, {self.line}"

    @property
    def ref(self) -> int:
        """The id of the mailbox or domain."""
        return self.mailbox_ref or self.domain_ref or 0


PASSWORD_BEFORE = sealed_fields.register("mailboxes.ImportedRow", "sealed_before", "smtp_password")
