"""Bulk edits of mailboxes: what was wished, what it changed, and what it takes to undo it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from mailboxes.edits import Wish
from outreach.common.moves import Moves
from tenants.models import TenantForeignKey, TenantOwned


class BulkEdit(Moves, TenantOwned):
    """One change for many mailboxes of a tenant. A draft has changed nothing yet: it is what a second person looks at.

    `wish` is a mailboxes.edits.Wish as JSON, `mailbox_ids` whom it is for. Without `undo_until` the rows that could
    undo it are gone, or it was undone.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        DONE = "done", _("done")
        UNDONE = "undone", _("undone")

    STATE_FIELD = "state"
    MOVES = {"draft": frozenset({"done"}), "done": frozenset({"undone"}), "undone": frozenset()}

    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    wish = models.JSONField(_("wish"), default=dict)
    mailbox_ids = ArrayField(models.BigIntegerField(), verbose_name=_("mailboxes"), default=list)
    by_kind = models.CharField(_("by"), max_length=10)
    by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False,
        verbose_name=_("person"),
    )  # fmt: skip
    by_key_id = models.BigIntegerField(_("key"), null=True, blank=True)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    taken_back = models.PositiveIntegerField(_("messages taken back"), default=0)
    kept = models.PositiveIntegerField(_("not undone"), default=0)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    undo_until = models.DateTimeField(_("can be undone until"), null=True, blank=True)
    undone_at = models.DateTimeField(_("undone at"), null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("bulk edit")
        verbose_name_plural = _("bulk edits")
        indexes = [
            models.Index(fields=["tenant", "-id"], name="bulkedit_tenant"),
            models.Index(fields=["undo_until"], condition=Q(undo_until__isnull=False), name="bulkedit_undo"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=["draft", "done", "undone"]), name="bulkedit_state_known"),
            models.CheckConstraint(
                condition=Q(state="draft") ^ Q(done_at__isnull=False), name="bulkedit_done_has_time"
            ),
            models.CheckConstraint(
                condition=~Q(state="undone") ^ Q(undone_at__isnull=False), name="bulkedit_undone_has_time"
            ),
        ]

    def __str__(self) -> str:
        return _("edit %(number)s of %(count)s mailboxes") % {
            "number": self.pk or "",
            "count": f"{len(self.mailbox_ids):,}",
        }

    @property
    def wanted(self) -> Wish:
        return Wish.from_json(self.wish)


class BulkEditRow(TenantOwned):
    """One mailbox of a bulk edit that was done: the columns that changed, or the reason why it was refused.

    `mailbox_ref` is no key, since a mailbox may go when its import is taken back. After an undo `kept` says why this
    one stayed as it was.
    """

    of = TenantForeignKey(
        "mailboxes.BulkEdit", on_delete=models.CASCADE, related_name="rows", verbose_name=_("bulk edit")
    )
    mailbox_ref = models.BigIntegerField(_("mailbox"))
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    refused = models.CharField(_("refused"), max_length=200, blank=True)
    kept = models.CharField(_("not undone"), max_length=200, blank=True)

    class Meta:
        ordering = ("of", "mailbox_ref")
        verbose_name = _("row of a bulk edit")
        verbose_name_plural = _("rows of bulk edits")
        constraints = [models.UniqueConstraint(fields=["of", "mailbox_ref"], name="bulkeditrow_once")]
        indexes = [models.Index(fields=["mailbox_ref", "of"], name="bulkeditrow_mailbox")]

    def __str__(self) -> str:
        return f"{self.of_id}, {self.mailbox_ref}"
