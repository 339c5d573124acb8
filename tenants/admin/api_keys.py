"""API keys of client systems."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from tenants import permissions
from tenants.admin.base import TenantAdmin
from tenants.admin.users import NoForm
from tenants.models import ApiKey, Tenant
from tenants.services import api_keys


class ApiKeyForm(forms.Form):
    """For whom, for what, for how long; the key itself is made up."""

    tenant = forms.ModelChoiceField(Tenant.objects.none(), widget=UnfoldAdminSelectWidget, label=_("Tenant"))
    name = forms.CharField(
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        label=_("Name"),
        help_text=_("The system that uses it."),
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in sorted(permissions.ROLES["client_key"])],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        label=_("Scopes"),
    )
    expires_at = forms.SplitDateTimeField(
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        label=_("Expires at"),
        help_text=_("Empty: never."),
    )
    ranges = forms.CharField(
        required=False,
        max_length=4000,
        widget=UnfoldAdminTextareaWidget,
        label=_("Address ranges"),
        help_text=_("From where it may be used, one network a line, as in 192.0.2.0/24. Empty: from anywhere."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The database shows the person's own tenants only; the service asks for the permission in the chosen one.
        self.fields["tenant"].queryset = Tenant.objects.exclude(status=Tenant.Status.CLOSED)  # type: ignore[attr-defined]

    def clean_ranges(self) -> list[str]:
        return self.cleaned_data["ranges"].split()


@admin.register(ApiKey)
class ApiKeyAdmin(TenantAdmin):
    """Keys without what opens anything: the hash stands on no page, the key on one, once."""

    view_permission = "tenants.issue_keys"
    list_display = ("name", "tenant", "prefix", "scope_names", "expires_at", "last_used_at", "revoked_at")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("name", "prefix")
    fields = (
        *("name", "tenant", "prefix", "scope_names", "range_names", "expires_at"),
        *("last_used_at", "revoked_at", "created_by", "created_at"),
    )
    actions = ("revoke",)
    dangerous = frozenset({"add"})
    add_form, add_permission = ApiKeyForm, "tenants.issue_keys"

    @admin.display(description=_("scopes"))
    def scope_names(self, row):
        return ", ".join(row.scopes)

    @admin.display(description=_("address ranges"))
    def range_names(self, row):
        return ", ".join(row.ranges) or _("any")

    def add_with(self, request, values):
        key, text = api_keys.issue(actor=request.actor, **values)
        context = {
            **self.admin_site.each_context(request),
            "title": _("API key %s") % key.name,
            "key_text": text,
            "opts": self.opts,
        }
        return TemplateResponse(request, "console/api_key.html", context, headers={"Cache-Control": "no-store"})

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        return [] if row.revoked_at else super().detail_actions(request, row)

    @admin.action(description=_("Revoke"), permissions=["issue"])
    def revoke(self, request, queryset):
        question = _("Systems that use these keys are refused from their next request on.")
        return self.ask(request, queryset, api_keys.revoke, question=question, form_class=NoForm)

    def has_issue_permission(self, request):
        return request.actor.can("tenants.issue_keys")
