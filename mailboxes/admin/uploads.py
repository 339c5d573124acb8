"""Importing mailboxes in the browser."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count
from django.urls import reverse
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from mailboxes.models import SignInTest, Upload, UploadPart
from mailboxes.services import mailbox_rows, uploads
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled
from tenants.admin.uploads import UploadForm, UploadPages, UploadParts


class MailboxUploadForm(UploadForm):
    """A file of mailboxes, and what else becomes of them."""

    ramp = forms.CharField(
        required=False, max_length=100, label=gettext_lazy("Ramp"), widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Plan for mailboxes whose row names none; empty: no ramp."),
    )  # fmt: skip
    test_sign_in = forms.BooleanField(
        required=False, label=gettext_lazy("Sign in with each"), widget=UnfoldBooleanWidget,
        help_text=gettext_lazy("After the import; a mailbox that its host refuses is held."),
    )  # fmt: skip


@admin.register(Upload)
class UploadAdmin(UploadPages):
    area = "mailboxes"
    shape, take = mailbox_rows.SHAPE, uploads.take
    add_form, add_permission = MailboxUploadForm, "mailboxes.import"
    add_title, subject_title = gettext_lazy("Import mailboxes"), gettext_lazy("mailbox")
    has_secrets = True
    fields = (
        "file_name", "file_hash", "size", "source", "sheet", "ramp", "test_sign_in", "tenant", "by_user", "created_at",
    )  # fmt: skip

    def more_of(self, upload):
        """The sign-ins."""
        tests = sign_in_counts(upload)
        waiting = tests.get(SignInTest.Result.WAITING, 0) + tests.get(SignInTest.Result.RUNNING, 0)
        page = f"{reverse('admin:mailboxes_signintest_changelist')}?import_ref__exact={upload.done_id}&result__exact="
        found = [(value, label, tests.get(value, 0), f"{page}{value}") for value, label in SignInTest.Result.choices]
        return bool(waiting and upload.test_sign_in), [figure for figure in found if figure[2]]


def sign_in_counts(upload: Upload) -> dict[str, int]:
    """How many sign-ins of its import came to what."""
    if upload.done_id is None:
        return {}
    rows: Any = SignInTest.objects.filter(tenant=upload.tenant_id, import_ref=upload.done_id).order_by()
    return dict(rows.values_list("result").annotate(n=Count("pk")))


@admin.register(UploadPart)
class UploadPartAdmin(UploadParts):
    area = "mailboxes"


@admin.register(SignInTest)
class SignInTestAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("mailbox", "door", "host", "result_label", "tries", "text", "at", "tenant")
    list_filter = ("result", "door", "tenant")
    linked_by = ("mailbox__id__exact", "import_ref__exact")
    list_select_related = ("mailbox", "tenant")
    fields = ("mailbox", "door", "host", "result_label", "tries", "text", "at", "import_ref", "tenant")

    result_label = labelled("result", gettext_lazy("result"))
