"""Bulk edits: the form, the page of the difference, and their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from mailboxes import edits, labels
from mailboxes.edits import Difference, Wish
from mailboxes.models import BulkEdit, BulkEditRow, Mailbox, Pool, RampPlan
from mailboxes.services import editing
from outreach.common.errors import BadInput, NeedsApproval, OutreachError
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to, row_link
from tenants.models import Tenant
from tenants.services import actors

SUMMED = 12  # lines of the summary
TITLES = {
    "pool_id": gettext_lazy("pool"), "daily_cap": gettext_lazy("daily cap"), "ramp_id": gettext_lazy("ramp"),
    "ramp_cap": gettext_lazy("the ramp's cap"), "state": gettext_lazy("state"), "tags": gettext_lazy("tags"),
    "signature": gettext_lazy("signature"), "weight": gettext_lazy("weight"),
    "min_gap_seconds": gettext_lazy("seconds between mails"), "reserve_share": gettext_lazy("share of a reserve"),
}  # fmt: skip


class EditForm(forms.Form):
    """What is to change; what stays empty stays as it is."""

    daily_cap = forms.IntegerField(
        min_value=0, max_value=edits.MOST_PER_DAY, required=False, label=gettext_lazy("Messages a day"),
        widget=UnfoldAdminIntegerFieldWidget,
    )  # fmt: skip
    pool = forms.ModelChoiceField(
        Pool.objects.none(), required=False, label=gettext_lazy("Pool"), widget=UnfoldAdminSelectWidget
    )
    ramp = forms.ModelChoiceField(
        RampPlan.objects.none(), required=False, label=gettext_lazy("Put on the ramp"), widget=UnfoldAdminSelectWidget
    )
    leave_ramp = forms.BooleanField(
        required=False, label=gettext_lazy("Take off their ramps"), widget=UnfoldBooleanWidget
    )
    state = forms.ChoiceField(
        choices=[
            ("", gettext_lazy("as it is")),
            ("active", gettext_lazy("active")),
            ("reserve", gettext_lazy("reserve")),
        ],
        required=False, label=gettext_lazy("State"), widget=UnfoldAdminSelectWidget,
    )  # fmt: skip
    add_tags = forms.CharField(
        max_length=900, required=False, label=gettext_lazy("Add tags"), widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("With commas between."),
    )  # fmt: skip
    remove_tags = forms.CharField(
        max_length=900, required=False, label=gettext_lazy("Take tags away"), widget=UnfoldAdminTextInputWidget
    )
    weight = forms.FloatField(
        min_value=0, max_value=edits.MOST_WEIGHT, required=False, label=gettext_lazy("Weight"),
        widget=UnfoldAdminDecimalFieldWidget, help_text=gettext_lazy("Twice the weight, twice the mail."),
    )  # fmt: skip
    min_gap_seconds = forms.IntegerField(
        min_value=0, max_value=edits.LONGEST_GAP, required=False, label=gettext_lazy("Seconds between mails, at least"),
        widget=UnfoldAdminIntegerFieldWidget,
    )  # fmt: skip
    reserve_share = forms.FloatField(
        min_value=0, max_value=1, required=False, label=gettext_lazy("Share of its cap that a reserve takes"),
        widget=UnfoldAdminDecimalFieldWidget, help_text=gettext_lazy("From 0 to 1."),
    )  # fmt: skip
    change_signature = forms.BooleanField(
        required=False, label=gettext_lazy("Replace the signature"), widget=UnfoldBooleanWidget
    )
    signature = forms.CharField(
        max_length=labels.SIGNATURE_CHARS, required=False, label=gettext_lazy("New signature"), strip=False,
        widget=UnfoldAdminTextareaWidget, help_text=gettext_lazy("Plain text; empty: none."),
    )  # fmt: skip

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, model in (("pool", Pool), ("ramp", RampPlan)):
            rows = model._default_manager.filter(tenant=tenant, archived_at=None).order_by("name")
            self.fields[name].queryset = rows  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = dict(super().clean() or {})
        if self.errors:
            return values
        if values.pop("change_signature"):
            values["signature"] = values["signature"] or ""
        elif values.pop("signature"):
            self.add_error("change_signature", _("Tick this if the signature is to be replaced."))
            return values
        try:
            for name in ("add_tags", "remove_tags"):
                values[name] = tuple(self._tags(name, values[name]))
            values["leave_ramp"] = values["leave_ramp"] or None
            for name in ("pool", "ramp"):
                values[name] = values[name] and values[name].pk
            return {"wish": Wish.of(**values)}
        except BadInput as error:
            field = str(error.details.get("field", ""))
            self.add_error(field if field in self.fields else None, str(error))
        return values

    def _tags(self, name: str, text: str) -> list[str]:
        try:
            return labels.split(text)
        except BadInput as error:
            raise BadInput(str(error), field=name) from error


class EditsMany:
    """Mix-in of the mailboxes' list: the action that begins a bulk edit."""

    admin_site: Any
    opts: Any
    message_user: Callable[..., None]
    _named: Callable[[str], str]

    @admin.action(description=gettext_lazy("Edit many ..."), permissions=["edit"])
    def edit(self, request: Any, queryset: Any) -> HttpResponse | None:
        """Ask what is to change, write a draft, and go on to the page of the difference."""
        rows = actors.visible_to(request.actor, queryset, editing.PERMISSION).order_by("pk")
        owners = list(rows.order_by("tenant_id").values_list("tenant_id", flat=True).distinct()[:2])
        if len(owners) != 1:
            told = _("Choose mailboxes of one tenant: pools and ramp plans are each tenant's own.")
            self.message_user(request, told, messages.ERROR)
            return None
        tenant = Tenant.objects.get(pk=owners[0])
        form = EditForm(request.POST if request.POST.get("confirmed") else None, tenant=tenant)
        if form.is_valid():
            ids = list(rows.values_list("pk", flat=True)[: editing.MOST + 1])
            try:
                made = editing.draft(tenant, ids, form.cleaned_data["wish"], actor=request.actor)
            except OutreachError as error:
                field = str(error.details.get("field", ""))
                form.add_error(field if field in form.fields else None, str(error))
            else:
                return HttpResponseRedirect(reverse("admin:mailboxes_bulkedit_change", args=[made.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Edit many mailboxes"),
            "form": form,
            "opts": self.opts,
            "tenant": tenant,
            "count": rows.count(),
            "ids": request.POST.getlist("_selected_action"),
            "select_across": request.POST.get("select_across", ""),
            "back": reverse(self._named("changelist")),
        }
        return TemplateResponse(request, "console/bulk_edit_form.html", context)

    def has_edit_permission(self, request: Any) -> bool:
        return bool(request.actor.can(editing.PERMISSION))


class TagFilter(admin.SimpleListFilter):
    """One tag; those that this person's mailboxes have."""

    title, parameter_name = gettext_lazy("tag"), "tag"
    MOST = 200

    def lookups(self, request, model_admin):
        rows = model_admin.visible_to(request, Mailbox.objects.exclude(tags=[]).order_by())
        found = Counter(tag for tags in rows.values_list("tags", flat=True).distinct() for tag in tags)
        return [(tag, tag) for tag in sorted(found)[: self.MOST]]

    def queryset(self, request, queryset):
        value = self.value()
        if value is None:
            return queryset
        try:
            return queryset.filter(tags__contains=[labels.tag(value)])
        except BadInput:
            return queryset.none()


@admin.register(BulkEdit)
class BulkEditAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = (
        "number", "created_at", "state_label", "what", "changed", "refused", "taken_back", "tenant", "row_list",
    )  # fmt: skip
    list_filter = ("state", "tenant")
    list_select_related = ("tenant",)
    fieldsets = (
        (None, {"fields": ("state_label", "what", "tenant")}),
        (
            gettext_lazy("Who and when"),
            {"fields": ("by_kind", "by_user", "by_key_id", "created_at", "done_at", "undo_until", "undone_at")},
        ),
        (gettext_lazy("Result"), {"fields": ("changed", "unchanged", "refused", "taken_back", "kept", "row_list")}),
    )
    change_form_outer_before_template = "console/bulk_edit.html"

    state_label = labelled("state", gettext_lazy("state"))

    @admin.display(description=gettext_lazy("number"), ordering="pk")
    def number(self, row):
        return row.pk

    @admin.display(description=gettext_lazy("what"))
    def what(self, row):
        return in_words(row.wish, {})

    @admin.display(description=gettext_lazy("rows"))
    def row_list(self, row):
        return link_to("mailboxes_bulkeditrow", _("rows"), of__id__exact=row.pk)

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/apply/", view(self.apply_view), name="mailboxes_bulkedit_apply"),
            path("<int:pk>/undo/", view(self.undo_view), name="mailboxes_bulkedit_undo"),
            *super().get_urls(),
        ]

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        edit = self.get_object(request, object_id)
        if request.method == "GET" and edit is not None:
            if edit.state == BulkEdit.State.DRAFT:
                extra |= shown(edit, editing.preview(edit))
                extra["act_url"] = reverse("admin:mailboxes_bulkedit_apply", args=[edit.pk])
                extra["act"] = _("Change these mailboxes")
            elif edit.state == BulkEdit.State.DONE and edit.undo_until is not None:
                extra["undo_url"] = reverse("admin:mailboxes_bulkedit_undo", args=[edit.pk])
            extra["may_edit"] = request.actor.can(editing.PERMISSION, edit.tenant_id)
        return super().change_view(request, object_id, form_url, extra)

    def apply_view(self, request: Any, pk: int) -> HttpResponse:
        """Do what the draft says, if the difference is still the one that was on the page."""
        edit = self._edit(request, pk)
        if request.method != "POST":
            return HttpResponseRedirect(self.url_of(edit))
        return self._act(request, edit, editing.apply, _("%(n)s mailboxes were changed."))

    def undo_view(self, request: Any, pk: int) -> HttpResponse:
        """Show what undoing would change, and do it."""
        edit = self._edit(request, pk)
        if request.method == "POST":
            return self._act(request, edit, editing.undo_edit, _("%(n)s mailboxes have back what they had."))
        if edit.state != BulkEdit.State.DONE:
            return HttpResponseRedirect(self.url_of(edit))
        context = {
            **self.admin_site.each_context(request),
            **shown(edit, editing.preview(edit)),
            "title": _("Undo %s") % edit,
            "opts": self.opts,
            "act_url": reverse("admin:mailboxes_bulkedit_undo", args=[edit.pk]),
            "act": _("Undo this edit"),
            "may_edit": True,
            "back": self.url_of(edit),
        }
        return TemplateResponse(request, "console/bulk_edit_undo.html", context)

    def _act(self, request: Any, edit: BulkEdit, service: Callable[..., BulkEdit], said: str) -> HttpResponse:
        try:
            count = len(editing.preview(edit).changes)
            service(edit, actor=request.actor, digest=str(request.POST.get("digest", ""))[:64] or "none")
        except NeedsApproval as error:
            page = self.second_person(request, [error])
            return page or HttpResponseRedirect(self.url_of(edit))
        except OutreachError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, said % {"n": f"{count:,}"}, messages.SUCCESS)
        return HttpResponseRedirect(self.url_of(edit))

    def _edit(self, request: Any, pk: int) -> BulkEdit:
        if not self.has_view_permission(request):
            raise PermissionDenied
        edit = self.get_queryset(request).filter(pk=pk).first()
        if edit is None:
            raise Http404
        if not request.actor.can(editing.PERMISSION, edit.tenant_id):
            raise PermissionDenied
        return edit


@admin.register(BulkEditRow)
class BulkEditRowAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("mailbox_link", "of", "names", "refused", "kept", "tenant")
    list_filter = ("tenant",)
    linked_by = ("of__id__exact",)
    list_select_related = ("of", "tenant")
    fields = ("of", "mailbox_link", "before", "after", "refused", "kept", "tenant")

    def get_changelist_instance(self, request):
        """The addresses of the page's rows come in one query."""
        changelist = super().get_changelist_instance(request)
        rows = changelist.result_list
        found = dict(Mailbox.objects.filter(pk__in=[row.mailbox_ref for row in rows]).values_list("pk", "address"))
        for row in rows:
            row.address = found.get(row.mailbox_ref)
        return changelist

    @admin.display(description=gettext_lazy("mailbox"))
    def mailbox_link(self, row):
        return row_link("mailboxes_mailbox", row.mailbox_ref, getattr(row, "address", None) or row.mailbox_ref)

    @admin.display(description=gettext_lazy("changed"))
    def names(self, row):
        return ", ".join(str(TITLES[name]) for name in row.after)


# --- the difference as a page ---------------------------------------------------------------------------------


def shown(edit: BulkEdit, found: Difference) -> dict[str, Any]:
    """What the templates need of a difference: the same changes summed up, each mailbox, and who is refused."""
    names = _names(edit.tenant_id)
    columns = [name for name in edits.EDITED if any(name in each.after for each in found.changes)]
    sums = Counter(
        (name, _text(name, each.before[name], names), _text(name, value, names))
        for each in found.changes
        for name, value in each.after.items()
    )
    return {
        "edit": edit,
        "found": found,
        "digest": found.digest,
        "raises": found.raises(),
        "columns": [TITLES[name] for name in columns],
        "sums": [
            {"name": TITLES[name], "before": old, "after": new, "count": n}
            for (name, old, new), n in sums.most_common(SUMMED)
        ],
        "more_sums": max(0, len(sums) - SUMMED),
        "lines": [
            {
                "address": each.address,
                "url": reverse("admin:mailboxes_mailbox_change", args=[each.mailbox_id]),
                "cells": [_cell(each, name, names) for name in columns],
            }
            for each in found.changes
        ],
    }


def _cell(change: edits.Change, name: str, names: dict[str, dict[int, str]]) -> tuple[str, str] | None:
    if name not in change.after:
        return None
    return _text(name, change.before[name], names), _text(name, change.after[name], names)


def _names(tenant_id: int) -> dict[str, dict[int, str]]:
    return {
        "pool_id": dict(Pool.objects.filter(tenant=tenant_id).values_list("pk", "name")),
        "ramp_id": dict(RampPlan.objects.filter(tenant=tenant_id).values_list("pk", "name")),
    }


def _text(name: str, value: Any, names: dict[str, dict[int, str]]) -> str:
    """A value as people read it."""
    if value is None or value == "" or value == []:
        return _("none")
    if name in names:
        return names[name].get(value, f"{value}")
    if name == "state":
        return str(Mailbox.State(value).label)
    if isinstance(value, list):
        return labels.joined(value)
    return f"{value:,}" if type(value) is int else str(value)


def in_words(wish: dict[str, Any], names: dict[str, dict[int, str]]) -> str:
    """Which columns an edit is about, with the values that are short."""
    short = {"daily_cap", "weight", "min_gap_seconds", "reserve_share", "state"}
    told: Iterable[str] = (
        f"{name.replace('_', ' ')} {value}" if name in short else name.replace("_", " ") for name, value in wish.items()
    )
    return ", ".join(told)
