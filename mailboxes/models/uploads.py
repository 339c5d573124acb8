"""Files that people bring in the browser, from the upload to the import; sealed, since they hold passwords."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common import sealed_fields
from outreach.common.moves import Moves
from tenants.models import TenantForeignKey, TenantOwned


class Upload(Moves, TenantOwned):
    """One file on its way in. Its parts are sealed with a key of its own, and that key with the keyring.

    A worker that judges or imports it holds `claim` until `claimed_until`; whoever finds that passed begins again.
    The import and the state `done` are one transaction, so nothing is ever half done.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for the check")
        COLUMNS = "columns", _("needs names for its columns")
        READY = "ready", _("checked, waits for a yes")
        CONFIRMED = "confirmed", _("waits for the import")
        DONE = "done", _("imported")
        FAILED = "failed", _("failed")
        DISCARDED = "discarded", _("thrown away")

    STATE_FIELD = "state"
    MOVES = {
        "waiting": frozenset({"columns", "ready", "failed", "discarded"}),
        "columns": frozenset({"waiting", "discarded"}),
        "ready": frozenset({"confirmed", "waiting", "discarded"}),
        "confirmed": frozenset({"done", "failed", "discarded"}),
        "done": frozenset(),
        "failed": frozenset(),
        "discarded": frozenset(),
    }
    WORKING = (State.WAITING, State.CONFIRMED)  # a worker's turn
    OPEN = (State.WAITING, State.COLUMNS, State.READY, State.CONFIRMED)

    file_name = models.CharField(_("file"), max_length=255)
    file_hash = models.CharField(_("SHA-256"), max_length=64)
    size = models.PositiveIntegerField(_("bytes"))
    source = models.CharField(_("source"), max_length=100, blank=True)
    sheet = models.CharField(_("sheet"), max_length=100, blank=True)
    ramp = models.CharField(_("ramp"), max_length=100, blank=True)
    test_sign_in = models.BooleanField(_("sign in with each"), default=False)
    titles = models.JSONField(default=list, blank=True, editable=False)
    columns = models.JSONField(_("columns"), default=dict, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    reason = models.CharField(_("reason"), max_length=1000, blank=True)
    by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("person"),
    )  # fmt: skip

    claim = models.UUIDField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(_("begun"), default=0)
    rung_at = models.DateTimeField(null=True, blank=True, editable=False)
    read = models.PositiveIntegerField(_("rows read"), default=0)
    bytes_read = models.PositiveIntegerField(default=0, editable=False)

    preview = models.JSONField(default=dict, blank=True, editable=False)  # counts, and the first rows of each verdict
    done = TenantForeignKey("mailboxes.Import", null=True, blank=True, related_name="uploads", verbose_name=_("import"))
    seal_ref = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sealed_key = models.BinaryField(default=b"", editable=False)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        indexes = [
            models.Index(fields=["tenant", "state"], name="upload_tenant_state"),
            models.Index(fields=["done"], name="upload_done"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "columns", "ready", "confirmed", "done", "failed", "discarded"]),
                name="upload_state_known",
            ),
            models.CheckConstraint(
                condition=Q(claim=None, claimed_until=None) | Q(claim__isnull=False, claimed_until__isnull=False),
                name="upload_claim_has_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.file_name})"


class UploadPart(TenantOwned):
    """A piece of an upload, or of the file of rows that its import refused; opens in its place only."""

    class Kind(models.TextChoices):
        FILE = "file", _("the file")
        REFUSED = "refused", _("refused rows")

    of = TenantForeignKey("mailboxes.Upload", on_delete=models.CASCADE, related_name="parts", verbose_name=_("upload"))
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    number = models.PositiveIntegerField(_("number"))
    box = models.BinaryField(editable=False)

    class Meta:
        ordering = ("of", "kind", "number")
        verbose_name = _("part of an upload")
        verbose_name_plural = _("parts of uploads")
        constraints = [models.UniqueConstraint(fields=["of", "kind", "number"], name="uploadpart_once")]

    def __str__(self) -> str:
        return f"{self.of_id}, {self.kind} {self.number}"


UPLOAD_KEY = sealed_fields.register("mailboxes.Upload", "sealed_key", "upload_key")
