"""A tenant's record and checklist: looked at in lists, changed on pages of the tenant."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from tenants import checklist
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled
from tenants.models import ChecklistEntry, Tenant, TenantRecord
from tenants.services import records


def record_form() -> type[forms.ModelForm]:
    """All fields of the record, with their own checks; the service saves."""

    def field_of(field: Any, **kwargs: Any) -> Any:
        widget = UnfoldAdminDateWidget if field.get_internal_type() == "DateField" else UnfoldAdminTextInputWidget
        return field.formfield(widget=widget, **kwargs)

    return forms.modelform_factory(TenantRecord, fields=records.FIELDS, formfield_callback=field_of)


class DecisionForm(forms.Form):
    """What a person says to a row of the checklist."""

    state = forms.ChoiceField(
        choices=ChecklistEntry.State.choices, widget=UnfoldAdminSelectWidget, label=gettext_lazy("State")
    )
    note = forms.CharField(
        max_length=500, required=False, widget=UnfoldAdminTextInputWidget, label=gettext_lazy("Note"),
        help_text=gettext_lazy("Why it is not needed; else whatever the next person should know."),
    )  # fmt: skip


class CapForm(forms.Form):
    """Messages a day over all campaigns."""

    daily_cap = forms.IntegerField(
        required=False, min_value=0, widget=UnfoldAdminIntegerFieldWidget, label=gettext_lazy("Daily cap")
    )


class FrequencyForm(forms.Form):
    """How often one person and one company are written to, over all campaigns."""

    days = forms.IntegerField(
        min_value=1, max_value=90, widget=UnfoldAdminIntegerFieldWidget, label=gettext_lazy("Within days")
    )
    person = forms.IntegerField(
        required=False, min_value=1, max_value=32_767, widget=UnfoldAdminIntegerFieldWidget,
        label=gettext_lazy("Messages to one person"), help_text=gettext_lazy("Empty: no limit."),
    )  # fmt: skip
    company = forms.IntegerField(
        required=False, min_value=1, max_value=32_767, widget=UnfoldAdminIntegerFieldWidget,
        label=gettext_lazy("Messages to all people of one company"),
        help_text=gettext_lazy("By the domain of the address; empty: no limit."),
    )  # fmt: skip


class OwnerForm(forms.Form):
    """Who sees to a row, and by when."""

    due_on = forms.DateField(required=False, widget=UnfoldAdminDateWidget, label=gettext_lazy("By"))


class RecordPages(TenantAdmin):
    """Pages below a tenant's own: its record as a form, and one row of its checklist."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/record/", view(self.record_view), name="tenants_tenant_record"),
            path("<int:pk>/checklist/<slug:key>/", view(self.checklist_view), name="tenants_tenant_checklist"),
            *super().get_urls(),
        ]

    def checklist_of(self, request: Any, tenant: Tenant) -> list[dict[str, Any]]:
        """The rows of the checklist as the tenant's page shows them."""
        entries = {entry.key: entry for entry in ChecklistEntry.objects.filter(tenant=tenant).select_related("owner")}
        may_write = request.actor.can("tenants.set_record", tenant.pk)
        return [
            {
                "line": line,
                "entry": entries.get(line.rule.key),
                "url": reverse("admin:tenants_tenant_checklist", args=[tenant.pk, line.rule.key]) if may_write else "",
            }
            for line in records.lines(tenant)
        ]

    def record_view(self, request: Any, pk: int) -> HttpResponse:
        """Change the record."""
        tenant = self._tenant(request, pk)
        form = record_form()(request.POST or None, instance=records.of(tenant))

        def save(values: dict[str, Any]) -> Tenant:
            records.write(tenant, values, actor=request.actor)
            return tenant

        return self.form_page(request, form, title=_("Record of %s") % tenant, save=save, done=_("Saved."))

    def checklist_view(self, request: Any, pk: int, key: str) -> HttpResponse:
        """Settle a row that a person decides; any other row is given to whoever is signed in, with a date."""
        tenant, rule = self._tenant(request, pk), checklist.BY_KEY.get(key)
        if rule is None:
            raise Http404
        entry = ChecklistEntry.objects.filter(tenant=tenant, key=key).first()
        stands = {"state": entry.state, "note": entry.note, "due_on": entry.due_on} if entry else {}
        form = (DecisionForm if rule.is_decided_by_person else OwnerForm)(request.POST or None, initial=stands)

        def save(values: dict[str, Any]) -> Tenant:
            if rule.is_decided_by_person:
                records.decide(tenant, key, actor=request.actor, **values)
            else:
                records.assign(tenant, key, actor=request.actor, owner=request.user, **values)
            return tenant

        title = rule.title if rule.is_decided_by_person else _("I see to it: %s") % rule.title
        return self.form_page(request, form, title=title, save=save, done=_("Saved."))

    def _tenant(self, request: Any, pk: int) -> Tenant:
        tenant = self.get_queryset(request).filter(pk=pk).first()
        if tenant is None:
            raise Http404
        if not request.actor.can("tenants.set_record", pk):
            raise PermissionDenied
        return tenant


@admin.register(TenantRecord)
class TenantRecordAdmin(TenantAdmin):
    """Companies behind the tenants."""

    list_display = ("tenant", "legal_name", "country", "contract_signed_on", "contract_ends_on", "changed_at")
    list_select_related = ("tenant",)
    search_fields = ("legal_name",)
    fields = ("tenant", *records.FIELDS, "changed_at")


@admin.register(ChecklistEntry)
class ChecklistEntryAdmin(TenantAdmin):
    """Who sees to what, over all tenants."""

    list_display = ("tenant", "title", "state_label", "owner", "due_on", "done_on", "note")
    list_filter = ("state",)
    list_select_related = ("tenant", "owner")
    fields = ("tenant", "title", "state_label", "owner", "due_on", "done_on", "note")
    linked_by = ("tenant__id__exact",)

    state_label = labelled("state", gettext_lazy("state"))

    @admin.display(description=gettext_lazy("row"))
    def title(self, row):
        rule = checklist.BY_KEY.get(row.key)
        return rule.title if rule else row.key
