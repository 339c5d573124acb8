"""Importing mailboxes in the browser: upload, preview, progress, result."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler, StopUpload
from django.db.models import Count
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from mailboxes.models import SignInTest, Upload, UploadPart
from mailboxes.services import mailbox_rows, uploads
from outreach.common.errors import Missing
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to
from tenants.models import Tenant
from tenants.services import actors

FORM_BYTES = 2**20  # what a form may hold beside its file


class UploadForm(forms.Form):
    """Whose, the file, and how to read it."""

    tenant = forms.ModelChoiceField(Tenant.objects.none(), label=gettext_lazy("Tenant"), widget=UnfoldAdminSelectWidget)
    file = forms.FileField(
        label=gettext_lazy("File"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=gettext_lazy("CSV, Excel workbook (.xlsx) or one JSON object a line. It is kept sealed, for a day."),
    )
    source = forms.CharField(
        required=False,
        max_length=100,
        label=gettext_lazy("Source"),
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Where such files come from: what their columns mean is kept under this name."),
    )
    sheet = forms.CharField(
        required=False, max_length=100, label=gettext_lazy("Sheet"), widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Of a workbook; empty: the first."),
    )  # fmt: skip
    ramp = forms.CharField(
        required=False, max_length=100, label=gettext_lazy("Ramp"), widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Plan for mailboxes whose row names none; empty: no ramp."),
    )  # fmt: skip
    test_sign_in = forms.BooleanField(
        required=False, label=gettext_lazy("Sign in with each"), widget=UnfoldBooleanWidget,
        help_text=gettext_lazy("After the import; a mailbox that its host refuses is held."),
    )  # fmt: skip

    def __init__(self, *args: Any, tenants: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].queryset = tenants  # type: ignore[attr-defined]


class ColumnsForm(forms.Form):
    """What each title of the file means; `title-N` is the N-th one."""

    def __init__(self, titles: list[str], columns: dict[str, str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.titles = titles
        known = mailbox_rows.SHAPE.known
        choices = [("", _("(leave out)")), *((name, name) for name in known)]
        for number, title in enumerate(titles):
            guess = title.strip().casefold().replace(" ", "_").replace("-", "_")
            self.fields[f"title-{number}"] = forms.ChoiceField(
                choices=choices,
                required=False,
                label=title[:60],
                initial=columns.get(title, guess if guess in known else ""),
                widget=UnfoldAdminSelectWidget,
            )

    def clean(self) -> dict[str, Any]:
        found = {title: self.cleaned_data.get(f"title-{number}", "") for number, title in enumerate(self.titles)}
        used = [name for name in found.values() if name]
        if missing := [name for name in mailbox_rows.SHAPE.required if name not in used]:
            raise forms.ValidationError(_("No column is named %s.") % ", ".join(missing))
        if twice := sorted({name for name in used if used.count(name) > 1}):
            raise forms.ValidationError(_("Two columns are named %s.") % ", ".join(twice))
        return {"mapping": found}


class InMemory(MemoryFileUploadHandler):
    """Keeps a file in memory, whatever Django would put on a disk in the clear; one that is too large ends it."""

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        self.activated, self.seen = True, 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.seen += len(raw_data)
        if self.seen > uploads.limit_bytes():
            raise StopUpload(connection_reset=True)
        self.file.write(raw_data)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self.file.seek(0)
        return InMemoryUploadedFile(
            self.file, self.field_name, self.file_name, self.content_type, file_size, self.charset
        )


@admin.register(Upload)
class UploadAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("file_name", "created_at", "state_label", "by_user", "tenant", "import_link")
    list_filter = ("state", "tenant")
    list_select_related = ("tenant", "by_user", "done")
    search_fields = ("file_name", "source")
    fields = (
        "file_name", "file_hash", "size", "source", "sheet", "ramp", "test_sign_in", "tenant", "by_user", "created_at",
    )  # fmt: skip
    change_form_outer_before_template = "console/upload.html"
    add_form, add_permission = UploadForm, "mailboxes.import"
    actions = ("confirm", "discard")
    targets = {"confirm": "confirmed", "discard": "discarded"}

    state_label = labelled("state", gettext_lazy("state"))

    @admin.display(description=gettext_lazy("import"))
    def import_link(self, row):
        return link_to("mailboxes_import", row.done_id, id__exact=row.done_id) if row.done_id else "-"

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/panel/", view(self.panel), name="mailboxes_upload_panel"),
            path("<int:pk>/columns/", view(self.columns_view), name="mailboxes_upload_columns"),
            path("<int:pk>/refused.csv", view(self.refused), name="mailboxes_upload_refused"),
            *super().get_urls(),
        ]

    # --- the file ---------------------------------------------------------------------------------------

    @method_decorator(csrf_exempt)  # checked below: whoever checks reads the file, which must not go to a disk
    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if int(request.META.get("CONTENT_LENGTH") or 0) > uploads.limit_bytes() + FORM_BYTES:
            text = _("The file is larger than %d MiB. Split it, or use the command.") % settings.UPLOAD_MIB
            return HttpResponse(text, status=413, content_type="text/plain; charset=utf-8")
        request.upload_handlers = [InMemory(request)]
        return csrf_protect(self._add)(request)

    def _add(self, request: Any) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        tenants = actors.visible_to(request.actor, Tenant.objects.order_by("name"), self.add_permission)
        form = UploadForm(request.POST or None, request.FILES or None, tenants=tenants)

        def save(values: dict[str, Any]) -> Upload:
            file = values.pop("file")
            return uploads.take(values.pop("tenant"), file.name, file.chunks(), actor=request.actor, **values)

        done = _("The file is kept. A worker checks it now; nothing is imported before you say so.")
        return self.form_page(request, form, title=_("Import mailboxes"), save=save, done=done)

    def columns_view(self, request: Any, pk: int) -> HttpResponse:
        upload = self._upload(request, pk)
        if not request.actor.can("mailboxes.import", upload.tenant_id):
            raise PermissionDenied
        form = ColumnsForm(upload.titles, upload.columns, request.POST or None)

        def save(values: dict[str, Any]) -> Upload:
            return uploads.name_columns(upload, values["mapping"], actor=request.actor)

        title = _("What the columns of %s are") % upload.file_name
        return self.form_page(request, form, title=title, save=save, done=_("The file is checked again."))

    # --- acts -------------------------------------------------------------------------------------------

    @admin.action(description=gettext_lazy("Import these mailboxes"), permissions=["import"])
    def confirm(self, request, queryset):
        return self.each(request, queryset, uploads.confirm)

    @admin.action(description=gettext_lazy("Throw the file away"), permissions=["import"])
    def discard(self, request, queryset):
        return self.each(request, queryset, uploads.discard)

    def has_import_permission(self, request):
        return request.actor.can("mailboxes.import")

    # --- what comes of it -------------------------------------------------------------------------------

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        upload = self.get_object(request, object_id)
        if request.method == "GET" and upload is not None:
            extra |= self._told(request, upload)
        return super().change_view(request, object_id, form_url, extra)

    def panel(self, request: Any, pk: int) -> HttpResponse:
        """The part that renews itself; once no worker is needed any more the whole page comes again."""
        upload = self._upload(request, pk)
        told = self._told(request, upload)
        response = TemplateResponse(request, "console/upload_panel.html", told)
        if not told["is_working"]:
            response["HX-Refresh"] = "true"
        return response

    def refused(self, request: Any, pk: int) -> HttpResponse:
        upload = self._upload(request, pk)
        try:
            content = b"".join(uploads.refused_rows(upload, actor=request.actor))
        except Missing as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(self.url_of(upload))
        name = f"import-{upload.done_id}-refused.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
        return HttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)

    def _told(self, request: Any, upload: Upload) -> dict[str, Any]:
        tests = sign_in_counts(upload)
        in_hand = upload.claimed_until is not None and upload.claimed_until > timezone.now()
        may = request.actor.can("mailboxes.import", upload.tenant_id)
        waiting = tests.get(SignInTest.Result.WAITING, 0) + tests.get(SignInTest.Result.RUNNING, 0)
        rows = upload.preview.get("rows", {})
        titles = {"new": _("New"), "changed": _("Changed"), "refused": _("Refused")}
        return {
            "upload": upload,
            "in_hand": in_hand,
            "is_working": upload.state in Upload.WORKING or bool(waiting and upload.test_sign_in),
            "interrupted": upload.state in Upload.WORKING and upload.attempts > int(in_hand),
            "counts": upload.preview.get("counts"),
            "verdicts": [(name, title, rows.get(name, [])) for name, title in titles.items()],
            "columns_url": reverse("admin:mailboxes_upload_columns", args=[upload.pk]) if may else "",
            "panel_url": reverse("admin:mailboxes_upload_panel", args=[upload.pk]),
            "refused_url": self._refused_url(upload) if may else "",
            "tests": [(value, label, tests[value]) for value, label in SignInTest.Result.choices if tests.get(value)],
            "may_roll_back": may and upload.done is not None and upload.done.undo_until is not None,
        }

    def _refused_url(self, upload: Upload) -> str:
        there = upload.parts.filter(kind=UploadPart.Kind.REFUSED).exists()
        return reverse("admin:mailboxes_upload_refused", args=[upload.pk]) if there else ""

    def _upload(self, request: Any, pk: int) -> Upload:
        if not self.has_view_permission(request):
            raise PermissionDenied
        upload = self.get_queryset(request).filter(pk=pk).select_related("done", "tenant").first()
        if upload is None:
            raise Http404
        return upload


def sign_in_counts(upload: Upload) -> dict[str, int]:
    """How many sign-ins of its import came to what."""
    if upload.done_id is None:
        return {}
    rows = SignInTest.objects.filter(tenant=upload.tenant_id, import_ref=upload.done_id).order_by()
    return dict(rows.values_list("result").annotate(n=Count("pk")))


@admin.register(UploadPart)
class UploadPartAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("of", "kind", "number", "tenant")
    list_filter = ("tenant",)
    list_select_related = ("of", "tenant")
    fields = list_display


@admin.register(SignInTest)
class SignInTestAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("mailbox", "door", "host", "result_label", "tries", "text", "at", "tenant")
    list_filter = ("result", "door", "tenant")
    linked_by = ("mailbox__id__exact", "import_ref__exact")
    list_select_related = ("mailbox", "tenant")
    fields = ("mailbox", "door", "host", "result_label", "tries", "text", "at", "import_ref", "tenant")

    result_label = labelled("result", gettext_lazy("result"))
