"""Imports of contacts: which file brought whom, and what it takes to undo one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from outreach.common import sealed_fields
from outreach.common.moves import Moves
from tenants.models import FilePart, FileUpload, TenantForeignKey, TenantImplied, TenantOwned


class ContactImport(Moves, TenantOwned):
    """One file of contacts that was taken into a tenant and a list.

    `source` says where such files come from, `columns` which column of theirs is which of ours. Its list entries are
    those of the list between `entries_after` and `entries_until`: no other import of the tenant ran meanwhile. Whom it
    brought first has it as `first_import`; what it changed of others stands in its rows until `undo_until`.
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
    entries_after = models.BigIntegerField(default=0, db_default=0, editable=False)
    entries_until = models.BigIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(_("at"), auto_now_add=True)
    undo_until = models.DateTimeField(_("can be rolled back until"), null=True, blank=True)
    rolled_back_at = models.DateTimeField(_("rolled back at"), null=True, blank=True)
    removed = models.PositiveIntegerField(_("removed again"), default=0, db_default=0)
    restored = models.PositiveIntegerField(_("restored"), default=0, db_default=0)
    kept = models.PositiveIntegerField(_("kept"), default=0, db_default=0)

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


class ImportedContact(TenantImplied):
    """What an import changed of a contact that was there before, to be undone; new contacts have no row.

    `before` and `after` have the same keys, those that changed: a column's name, `basis` for all that belongs to the
    ground, `fields.NAME` and `tags.TAG`; null where there was none. `contact_ref` is no key, since contacts may go.
    """

    of = TenantForeignKey(
        "campaigns.ContactImport", on_delete=models.CASCADE, related_name="rows", verbose_name=_("import")
    )
    contact_ref = models.BigIntegerField(_("contact"))
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)

    class Meta:
        ordering = ("pk",)
        verbose_name = _("changed contact")
        verbose_name_plural = _("changed contacts")
        constraints = [models.UniqueConstraint(fields=["of", "contact_ref"], name="importedcontact_once")]
        indexes = [models.Index(fields=["contact_ref", "of"], name="importedcontact_contact")]

    def __str__(self) -> str:
        return f"{self.of_id}, {self.contact_ref}"


class ContactUpload(FileUpload):
    """One file of contacts on its way into the list `list_name`, which is made if need be."""

    PERMISSION, TASK = "campaigns.import_contacts", "campaigns.tasks.work_on_upload"
    SEAL = sealed_fields.register("campaigns.ContactUpload", "sealed_key", "upload_key")

    list_name = models.CharField(_("list"), max_length=200)
    done = TenantForeignKey(
        "campaigns.ContactImport", null=True, blank=True, related_name="uploads", verbose_name=_("import")
    )

    class Meta(FileUpload.Meta):
        verbose_name = _("upload of contacts")
        verbose_name_plural = _("uploads of contacts")


class ContactUploadPart(FilePart):
    """A piece of an upload of contacts."""

    of = TenantForeignKey(
        "campaigns.ContactUpload", on_delete=models.CASCADE, related_name="parts", verbose_name=_("upload")
    )

    class Meta(FilePart.Meta):
        verbose_name = _("part of an upload of contacts")
        verbose_name_plural = _("parts of uploads of contacts")
