"""Files that people bring in the browser, from the upload to the import; sealed, as they hold people or passwords."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common.moves import Moves
from outreach.common.sealed_fields import SealedField
from tenants.models.base import TenantOwned


class FileUpload(Moves, TenantOwned):
    """One file on its way in. Its parts are sealed with a key of its own, and that key with the keyring.

    A worker that judges or imports it holds `claim` until `claimed_until`; whoever finds that passed begins again.
    The import and the state `done` are one transaction, so nothing is ever half done. A model of its own for each kind
    of file has `done`, the import that came of it, and parts in `parts`; `PERMISSION` is what every act on it takes,
    `TASK` what a worker is called with.
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

    PERMISSION: ClassVar[str]
    TASK: ClassVar[str]
    SEAL: ClassVar[SealedField]
    objects: ClassVar[models.Manager[Any]]
    parts: Any
    done: Any
    done_id: int | None

    file_name = models.CharField(_("file"), max_length=255)
    file_hash = models.CharField(_("SHA-256"), max_length=64)
    size = models.PositiveIntegerField(_("bytes"))
    source = models.CharField(_("source"), max_length=100, blank=True)
    sheet = models.CharField(_("sheet"), max_length=100, blank=True)
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
    seal_ref = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sealed_key = models.BinaryField(default=b"", editable=False)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        abstract = True
        ordering = ("-pk",)
        indexes = [
            models.Index(fields=["tenant", "state"], name="%(class)s_tenant_state"),
            models.Index(fields=["done"], name="%(class)s_done"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "columns", "ready", "confirmed", "done", "failed", "discarded"]),
                name="%(class)s_state_known",
            ),
            models.CheckConstraint(
                condition=Q(claim=None, claimed_until=None) | Q(claim__isnull=False, claimed_until__isnull=False),
                name="%(class)s_claim_has_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.file_name})"

    @classmethod
    def further_turns(cls) -> Q | None:
        """Which of those that are done still want a worker; None: none ever does."""
        return None


class FilePart(TenantOwned):
    """A piece of an upload, or of the file of rows that its import refused; opens in its place only. `of` is whose."""

    class Kind(models.TextChoices):
        FILE = "file", _("the file")
        REFUSED = "refused", _("refused rows")

    of_id: int
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    number = models.PositiveIntegerField(_("number"))
    box = models.BinaryField(editable=False)

    class Meta:
        abstract = True
        ordering = ("of", "kind", "number")
        constraints = [models.UniqueConstraint(fields=["of", "kind", "number"], name="%(class)s_once")]

    def __str__(self) -> str:
        return f"{self.of_id}, {self.kind} {self.number}"
