"""Named lists of contacts; a campaign takes a snapshot of one."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.models import TenantForeignKey, TenantImplied, TenantOwned, history


@history.track()
class ContactList(TenantOwned):
    """A named set of contacts."""

    name = models.CharField(max_length=200)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("contact list")
        verbose_name_plural = _("contact lists")
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="contactlist_name_once")]

    def __str__(self) -> str:
        return self.name


class ListEntry(TenantImplied):
    """A contact's place in a list."""

    contact_list = TenantForeignKey("campaigns.ContactList", related_name="entries")
    contact = TenantForeignKey("campaigns.Contact", related_name="entries")

    class Meta:
        verbose_name = _("list entry")
        verbose_name_plural = _("list entries")
        constraints = [models.UniqueConstraint(fields=["contact_list", "contact"], name="listentry_once")]
        indexes = [models.Index(fields=["contact"], name="listentry_contact")]

    def __str__(self) -> str:
        return f"{self.contact_list_id}/{self.contact_id}"
