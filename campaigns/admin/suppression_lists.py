"""Suppression lists: made, filled from a file in the browser, counted, exported, removed as one."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from campaigns.admin.suppression import PLATFORM, scopes
from campaigns.models import SuppressionList
from campaigns.services import exporting, importing_suppressions, suppression_lists
from outreach.common.refusals import Report
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to
from tenants.admin.exporting import Exports
from tenants.admin.uploads import InMemory
from tenants.models import Tenant

MIB = 5  # of a file in the browser, some hundred thousand entries; the command takes more
SHOWN = 20


class ListForm(forms.Form):
    """A list for one tenant or for all."""

    scope = forms.ChoiceField(choices=scopes, widget=UnfoldAdminSelectWidget, label=_("Holds for"))
    name = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget, label=_("Name"))
    kind = forms.ChoiceField(
        choices=[each for each in SuppressionList.Kind.choices if each[0] != SuppressionList.Kind.OPT_OUT],
        widget=UnfoldAdminSelectWidget,
        label=_("Kind"),
    )
    owner = forms.CharField(
        max_length=200, required=False, widget=UnfoldAdminTextInputWidget, label=_("Owner"),
        help_text=_("Who answers for it."),
    )  # fmt: skip
    source = forms.CharField(
        max_length=500, required=False, widget=UnfoldAdminTextInputWidget, label=_("Source"),
        help_text=_("Where it comes from."),
    )  # fmt: skip

    def clean_scope(self) -> Tenant | None:
        scope = self.cleaned_data["scope"]
        return None if scope == PLATFORM else Tenant.objects.get(pk=scope)


class FileForm(forms.Form):
    """What stands in the list."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget, label=_("File"),
        help_text=_(
            "CSV, workbook (.xlsx) or one JSON object a line, with a column email, domain or address; optional kind, "
            "reason, source, proof. Rows whose reason is opt_out go to the list of opt-outs. It is not kept."
        ),
    )  # fmt: skip


@admin.register(SuppressionList)
class SuppressionListAdmin(Exports, TenantAdmin):
    area = "campaigns"
    list_display = ("name", "kind_label", "tenant", "owner", "holding", "lifted_entries", "created_at", "removed_at")
    list_filter = ("kind", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("name", "owner")
    sortable_by = ("name", "created_at")
    fields = (
        "name", "kind_label", "tenant", "owner", "source", "holding", "lifted_entries", "created_at", "removed_at",
        "removed_reason",
    )  # fmt: skip
    actions = ("export", "remove")
    exported, exported_as = exporting.export_suppression_lists, "suppressions"
    add_form, add_permission = ListForm, "campaigns.suppress"
    change_form_outer_before_template = "console/suppression_list.html"

    kind_label = labelled("kind", _("kind"))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.import_view)
        return [path("<int:pk>/import/", view, name="campaigns_suppressionlist_import"), *super().get_urls()]

    def visible_to(self, request, queryset):
        """Lists of the platform are for the platform's own people."""
        rows = super().visible_to(request, queryset)
        return rows if request.actor.can("campaigns.suppress_platform") else rows.exclude(tenant=None)

    # --- counts -----------------------------------------------------------------------------------------

    def get_changelist_instance(self, request: Any) -> Any:
        """One count for all rows of the page."""
        changelist = super().get_changelist_instance(request)
        found = suppression_lists.counts(changelist.result_list)
        for row in changelist.result_list:
            row.counted = found[row.pk]
        return changelist

    def _counted(self, row: Any) -> tuple[int, int]:
        if not hasattr(row, "counted"):
            row.counted = suppression_lists.counts([row])[row.pk]
        return row.counted

    @admin.display(description=_("entries in force"))
    def holding(self, row):
        shown = {"suppression_list__id__exact": row.pk, "lifted_at__isnull": "True"}
        return link_to("campaigns_suppression", f"{self._counted(row)[0]:,}", **shown)

    @admin.display(description=_("lifted"))
    def lifted_entries(self, row):
        shown = {"suppression_list__id__exact": row.pk, "lifted_at__isnull": "False"}
        return link_to("campaigns_suppression", f"{self._counted(row)[1]:,}", **shown)

    # --- acts -------------------------------------------------------------------------------------------

    def add_with(self, request, values):
        return suppression_lists.create(values.pop("scope"), values.pop("name"), actor=request.actor, **values)

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        stays = row.kind == SuppressionList.Kind.OPT_OUT or row.removed_at is not None
        offered = super().detail_actions(request, row)
        return [action for action in offered if action["name"] != "remove" or not stays]

    @admin.action(description=_("Remove the list"), permissions=["lift"])
    def remove(self, request, queryset):
        question = _(
            "All entries of the list are lifted as one. Whoever stands in another list, or was suppressed for another "
            "reason, stays blocked."
        )
        return self.ask(request, queryset, suppression_lists.remove, question=question)

    def has_lift_permission(self, request):
        return request.actor.can("campaigns.lift")

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        row = self.get_object(request, object_id)
        if request.method == "GET" and row is not None and self._may_fill(request, row):
            extra["import_url"] = reverse("admin:campaigns_suppressionlist_import", args=[row.pk])
        return super().change_view(request, object_id, form_url, extra)

    # --- a file -----------------------------------------------------------------------------------------

    def _may_fill(self, request: Any, row: SuppressionList) -> bool:
        permission = "campaigns.suppress" if row.tenant_id else "campaigns.suppress_platform"
        takes = row.kind != SuppressionList.Kind.OPT_OUT and row.removed_at is None
        return takes and request.actor.can(permission, row.tenant_id)

    @method_decorator(csrf_exempt)  # checked below: whoever checks reads the file, which must not go to a disk
    def import_view(self, request: Any, pk: int) -> HttpResponse:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MIB * 2**20:
            text = gettext("The file is larger than %d MiB. Split it, or use the command.") % MIB
            return HttpResponse(text, status=413, content_type="text/plain; charset=utf-8")
        request.upload_handlers = [InMemory(request)]
        return csrf_protect(self._import)(request, pk)

    def _import(self, request: Any, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_queryset(request).filter(pk=pk).select_related("tenant").first()
        if row is None:
            raise Http404
        if not self._may_fill(request, row):
            raise PermissionDenied

        def save(values: dict[str, Any]) -> HttpResponse:
            report = imported(row, values["file"], actor=request.actor)
            self._tell(request, report)
            return HttpResponseRedirect(self.url_of(row))

        form = FileForm(request.POST or None, request.FILES or None)
        return self.form_page(request, form, title=gettext("Import into %s") % row, save=save)

    def _tell(self, request: Any, report: Report) -> None:
        text = ngettext("%d entry is new.", "%d entries are new.", report.created) % report.created
        more = gettext("%(unchanged)d were there already, %(repeated)d stood in the file twice.")
        counted = {"unchanged": report.unchanged, "repeated": report.repeated}
        self.message_user(request, f"{text} {more % counted}", messages.SUCCESS)
        for refusal in report.refusals[:SHOWN]:
            self.message_user(request, str(refusal), messages.ERROR)
        if report.refused > SHOWN:
            rest = report.refused - SHOWN
            text = ngettext("%d more line was refused.", "%d more lines were refused.", rest) % rest
            self.message_user(request, text, messages.ERROR)


def imported(row: SuppressionList, file: Any, *, actor: Any) -> Report:
    """The report of the whole file, which is never on a disk. Raises BadInput."""
    with in_memory(file) as place:
        *_, report = importing_suppressions.import_suppressions(
            row.tenant, place, actor=actor, suppression_list=row, file_name=file.name, keep_refused=False
        )
    return report


@contextmanager
def in_memory(file: Any) -> Iterator[Path]:
    """A path that leads to the file's bytes in memory."""
    with (
        os.fdopen(os.memfd_create("suppressions", os.MFD_CLOEXEC), "w+b") as kept,
        tempfile.TemporaryDirectory(prefix="upload-") as folder,
    ):
        for chunk in file.chunks():
            kept.write(chunk)
        kept.flush()
        place = Path(folder) / (re.sub(r"[^\w.-]", "_", file.name)[-100:].lstrip(".") or "suppressions")
        place.symlink_to(f"/proc/{os.getpid()}/fd/{kept.fileno()}")
        yield place
