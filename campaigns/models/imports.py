"""Imports of contacts: which file brought whom."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common.moves import Moves
from tenants.models import TenantForeignKey, TenantOwned


class ContactImport(Moves, TenantOwned):
    """One file of contacts that was taken into a tenant and a list.

    `source` says where such files come from, `columns` which column of theirs is which of ours.
    """

    class State(models.TextChoices):
        DONE = "done", _("done")
        ROLLED_BACK = "rolled_back", _("rolled back")

    STATE_FIELD = "state"
    MOVES = {"done": frozenset({"rolled_back"}), "rolled_back": frozenset()}

    contact_list = TenantForeignKey("campaigns.ContactList", related_name="imports")
    file_name = models.CharField(_("file"), max_length=255)
    file_hash = models.CharField(_("SHA-256"), max_length=64, blank=True)
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
    suppressed = models.PositiveIntegerField(_("suppressed"), default=0)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)
    undo_until = models.DateTimeField(_("can be rolled back until"), null=True, blank=True)
    rolled_back_at = models.DateTimeField(_("rolled back at"), null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("contact import")
        verbose_name_plural = _("contact imports")
        indexes = [
            models.Index(fields=["tenant", "source", "-id"], name="contactimport_source"),
            models.Index(fields=["undo_until"], condition=Q(undo_until__isnull=False), name="contactimport_undo"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=["done", "rolled_back"]), name="contactimport_state_known"),
            models.CheckConstraint(
                condition=~Q(state="rolled_back") ^ Q(rolled_back_at__isnull=False),
                name="contactimport_rolled_back_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.file_name})"
