"""Files that people bring in the browser: upload, what the columns are, preview, progress, result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler, StopUpload
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from outreach.common.errors import Missing
from outreach.common.tables import Shape, plain_name
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to
from tenants.models import FilePart, FileUpload, Tenant
from tenants.services import actors, uploads

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

    def __init__(self, *args: Any, tenants: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].queryset = tenants  # type: ignore[attr-defined]


class ColumnsForm(forms.Form):
    """What each title of the file means; `title-N` is the N-th one. Free columns may keep their own name."""

    def __init__(self, shape: Shape, titles: list[str], columns: dict[str, str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.titles, self.shape = titles, shape
        for number, title in enumerate(titles):
            guess, own = title.strip().casefold().replace(" ", "_").replace("-", "_"), []
            if shape.free and (name := plain_name(title)) and name not in shape.known:
                own = [(name, _("(a field: %s)") % name)]
            initial = columns.get(title, guess if guess in shape.known else own[0][0] if own else "")
            choices = [("", _("(leave out)")), *own, *((name, name) for name in shape.known)]
            if initial and initial not in dict(choices):
                choices.append((initial, _("(a field: %s)") % initial))
            self.fields[f"title-{number}"] = forms.ChoiceField(
                choices=choices, required=False, label=title[:60], initial=initial, widget=UnfoldAdminSelectWidget
            )

    def clean(self) -> dict[str, Any]:
        found = {title: self.cleaned_data.get(f"title-{number}", "") for number, title in enumerate(self.titles)}
        used = [name for name in found.values() if name]
        if missing := [name for name in self.shape.required if name not in used]:
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


class UploadPages(TenantAdmin):
    """The pages of one kind of file. `take` is the service that keeps it, with the form's further values."""

    shape: ClassVar[Shape]
    take: ClassVar[Callable[..., Any]]
    add_title: ClassVar[Any]
    subject_title: ClassVar[Any]  # whom a row is about
    has_secrets: ClassVar[bool] = False

    list_display: Any = ("file_name", "created_at", "state_label", "by_user", "tenant", "import_link")
    list_filter: Any = ("state", "tenant")
    list_select_related: Any = ("tenant", "by_user", "done")
    search_fields: Any = ("file_name", "source")
    change_form_outer_before_template = "console/upload.html"
    add_form = UploadForm
    actions: Any = ("confirm", "discard")
    targets = {"confirm": "confirmed", "discard": "discarded"}

    state_label = labelled("state", gettext_lazy("state"))

    @property
    def imports(self) -> str:
        """The label of the imports that come of it, as in campaigns_contactimport."""
        target = self.model._meta.get_field("done").related_model._meta
        return f"{target.app_label}_{target.model_name}"

    @admin.display(description=gettext_lazy("import"))
    def import_link(self, row: FileUpload) -> str:
        return link_to(self.imports, row.done_id, id__exact=row.done_id) if row.done_id else "-"

    def get_urls(self) -> list[Any]:
        view, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("<int:pk>/panel/", view(self.panel), name=f"{name}_panel"),
            path("<int:pk>/columns/", view(self.columns_view), name=f"{name}_columns"),
            path("<int:pk>/refused.csv", view(self.refused), name=f"{name}_refused"),
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
        if not self.has_add_permission(request) or self.add_form is None:
            raise PermissionDenied
        tenants = actors.visible_to(request.actor, Tenant.objects.order_by("name"), self.add_permission)
        form = self.add_form(request.POST or None, request.FILES or None, tenants=tenants)

        def save(values: dict[str, Any]) -> Any:
            file = values.pop("file")
            return type(self).take(values.pop("tenant"), file.name, file.chunks(), actor=request.actor, **values)

        done = _("The file is kept. A worker checks it now; nothing is imported before you say so.")
        return self.form_page(request, form, title=self.add_title, save=save, done=done)

    def columns_view(self, request: Any, pk: int) -> HttpResponse:
        upload = self._upload(request, pk)
        if not request.actor.can(self.add_permission, upload.tenant_id):
            raise PermissionDenied
        form = ColumnsForm(self.shape, upload.titles, upload.columns, request.POST or None)

        def save(values: dict[str, Any]) -> Any:
            return uploads.name_columns(upload, values["mapping"], actor=request.actor, shape=self.shape)

        title = _("What the columns of %s are") % upload.file_name
        return self.form_page(request, form, title=title, save=save, done=_("The file is checked again."))

    # --- acts -------------------------------------------------------------------------------------------

    @admin.action(description=gettext_lazy("Import these rows"), permissions=["import"])
    def confirm(self, request: Any, queryset: Any) -> HttpResponse | None:
        return self.each(request, queryset, uploads.confirm)

    @admin.action(description=gettext_lazy("Throw the file away"), permissions=["import"])
    def discard(self, request: Any, queryset: Any) -> HttpResponse | None:
        return self.each(request, queryset, uploads.discard)

    def has_import_permission(self, request: Any) -> bool:
        return request.actor.can(self.add_permission)

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

    def more_of(self, upload: Any) -> tuple[bool, Iterable[tuple[str, Any, int, str]]]:
        """What follows the import: whether it is under way, and figures (state, title, number, address)."""
        return False, ()

    def _told(self, request: Any, upload: Any) -> dict[str, Any]:
        in_hand = upload.claimed_until is not None and upload.claimed_until > timezone.now()
        may = request.actor.can(self.add_permission, upload.tenant_id)
        follows, figures = self.more_of(upload)
        rows = upload.preview.get("rows", {})
        titles = {"new": _("New"), "changed": _("Changed"), "refused": _("Refused")}
        return {
            "upload": upload,
            "in_hand": in_hand,
            "is_working": upload.state in upload.WORKING or follows,
            "interrupted": upload.state in upload.WORKING and upload.attempts > int(in_hand),
            "counts": upload.preview.get("counts"),
            "kept_fields": ", ".join(upload.preview.get("fields") or ()),
            "verdicts": [(name, title, rows.get(name, [])) for name, title in titles.items()],
            "columns_url": reverse(self._named("columns"), args=[upload.pk]) if may else "",
            "panel_url": reverse(self._named("panel"), args=[upload.pk]),
            "refused_url": self._refused_url(upload) if may else "",
            "import_url": reverse(f"admin:{self.imports}_change", args=[upload.done_id]) if upload.done_id else "",
            "imports_url": reverse(f"admin:{self.imports}_changelist"),
            "figures": list(figures),
            "subject_title": self.subject_title,
            "has_secrets": self.has_secrets,
            "may_roll_back": may and upload.done is not None and upload.done.undo_until is not None,
        }

    def _refused_url(self, upload: Any) -> str:
        there = upload.parts.filter(kind=FilePart.Kind.REFUSED).exists()
        return reverse(self._named("refused"), args=[upload.pk]) if there else ""

    def _upload(self, request: Any, pk: int) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        upload = self.get_queryset(request).filter(pk=pk).select_related("done", "tenant").first()
        if upload is None:
            raise Http404
        return upload


class UploadParts(TenantAdmin):
    """The sealed pieces of files of one kind."""

    list_display: Any = ("of", "kind", "number", "tenant")
    list_filter: Any = ("tenant",)
    list_select_related: Any = ("of", "tenant")
    fields: Any = list_display
